"""The running parts of a graph, in the order in which chunks pass them."""

from __future__ import annotations

from dataclasses import replace

from dsp.bank_strip import Demand, deal
from dsp.graph_bank import Bank, own_late
from dsp.graph_bus import BusStage
from dsp.graph_chunk import Build
from dsp.graph_plan import Step
from dsp.graph_sound import sound_teller
from dsp.graph_stage import Stage
from dsp.strip import strip_sound

__all__ = ["stages_of"]


def stages_of(build: Build, *, apart: bool) -> list[Stage]:
    """Return the stages of a plan in their order; ``apart``: each group of sixteen lanes is a stage of its own."""
    stages: list[Stage] = []
    for step in build.plan.steps:
        if step.bus:
            stages.append(BusStage(step, build))
        else:
            stages += [Bank(part, build) for part in (_groups(step, build) if apart else [step])]
    return stages


def _groups(step: Step, build: Build) -> list[Step]:
    """Return a step's strips cut into those that share sixteen lanes, which are the same as if they were not cut."""
    demands = []
    for index in step.strips:
        strip = build.plan.strips[index]
        at = -own_late(strip, step.leaves_frames, build.plan)
        begin, _ = sound_teller(strip, strip.moves, at, 0, build.line, build.rate_hz, lambda to, over: None)
        sound = strip_sound(begin, build.rate_hz)
        demands.append(Demand.of(sound, strip.channels, pre=bool(strip.pre), post=bool(strip.post)))
    return [replace(step, strips=tuple(sorted(step.strips[i] for i, _ in group))) for group in deal(demands)]
