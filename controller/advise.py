"""Mix assistance: one pass in the box measures every strip and the main bus, and proposes. It decides nothing.

The pass reads stems and writes nothing. What follows from it is in :mod:`controller.proposals`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from controller.allocation import Allocation
from controller.events import Emit, Finding, Progress, Started
from controller.mix import BUS, Mix
from controller.printing import plan_allocation
from controller.project import Project, StemReader
from controller.proposals import (
    CEILING_DBFS,
    METHOD,
    TARGET_LUFS,
    BusHeard,
    Clip,
    Heard,
    Proposal,
    StripHeard,
    propose,
)
from controller.rendering import BLOCK_FRAMES, Rendering
from dsp.advice import OVER, STEM_FULL_SCALE, STEM_RUN, BandTally, Overs, SignalTally
from dsp.graph import GraphBlock, MixGraph
from dsp.levels import decibels
from dsp.null.bands import NOMINAL_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOB = "advise"


@dataclass(frozen=True)
class Advice:
    """What was measured, and what is proposed."""

    heard: Heard
    proposals: tuple[Proposal, ...]
    target_lufs: float

    @property
    def data(self) -> dict[str, Any]:
        """The advice as ``--json`` prints it."""
        return {
            "mix": self.heard.mix.name,
            "path": "itb",
            "seconds": self.heard.seconds,
            "target_lufs": self.target_lufs,
            "ceiling_dbfs": CEILING_DBFS,
            "bands_hz": list(NOMINAL_HZ),
            "strips": [_strip_data(strip) for strip in self.heard.strips],
            "bus": _bus_data(self.heard.bus),
            "proposals": [asdict(proposal) for proposal in self.proposals],
            "method": METHOD,
        }


def advise(project: Project, mix: Mix, *, emit: Emit, target_lufs: float = TARGET_LUFS) -> Advice:
    """Measure ``mix`` in one pass in the box, with its own values, and say what could be done.

    Nothing is written. ``target_lufs``: what gain staging brings every strip's loudness before the fader to.

    Raises
    ------
    MixError, ProjectError, AudioFileError, StorageError
        The mix cannot be rendered.
    """
    allocation, _ = plan_allocation(project, mix, None, "itb", like=None)
    for finding in allocation.bypassed:
        emit(finding)
    heard = listen(project, mix, allocation, emit)
    return Advice(heard, propose(heard, target_lufs=target_lufs), target_lufs)


class _Peaks:
    """Overs of one signal with the peak beside them."""

    def __init__(self, level: float = OVER, run: int = 1) -> None:
        self._overs = Overs(level, run)
        self._peak = 0.0

    def process(self, block: NDArray[np.floating[Any]]) -> None:
        self._overs.process(block)
        self._peak = max(self._peak, float(np.abs(block).max(initial=0.0)))

    def clip(self, rate_hz: int) -> Clip | None:
        frame = self._overs.first_frame
        return None if frame is None else Clip(decibels(self._peak), frame / rate_hz, self._overs.count)


class _StripTallies:
    """All that is kept of one strip: its stem, and the signal before and after the fader."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.stem = _Peaks(STEM_FULL_SCALE, STEM_RUN)
        self.before, self.after = SignalTally(rate_hz, channels), SignalTally(rate_hz, 2)
        self.over_before, self.over_after = _Peaks(), _Peaks()
        self.bands = BandTally(rate_hz)


def listen(project: Project, mix: Mix, allocation: Allocation, emit: Emit) -> Heard:
    """Render the song once, to the end of its longest stem, and measure it on the way."""
    rate_hz = project.rate_hz
    names = [strip.name for strip in mix.strips]
    tallies = {strip.name: _StripTallies(rate_hz, strip.channels) for strip in allocation.itb}
    bus, bus_bands, bus_over = SignalTally(rate_hz, 2), BandTally(rate_hz), _Peaks()
    busses: dict[str, _Peaks] = {}
    frames = project.frames
    emit(Started(JOB, f"measuring {frames / rate_hz:.1f} s in the box"))
    with (
        StemReader(project, allocation.stems) as stems,
        MixGraph(
            allocation.itb,
            allocation.busses_itb,
            allocation.bus_itb,
            rate_hz=rate_hz,
            pre=names,
            stems=names,
            with_busses=True,
        ) as graph,
    ):

        def source(index: int, block: NDArray[np.float32]) -> None:
            stems.fill(index, block)
            tallies[allocation.itb[index].name].stem.process(block)

        rendering = Rendering(graph, source)
        for done in range(0, frames, BLOCK_FRAMES):
            block = rendering.read(min(BLOCK_FRAMES, frames - done))
            _tally(block, [strip.name for strip in allocation.itb], tallies)
            bus.process(block.bus)
            bus_bands.process(block.bus)
            bus_over.process(block.bus)
            for name, audio in block.busses.items():
                busses.setdefault(name, _Peaks()).process(audio)
            emit(Progress(JOB, min(1.0, (done + BLOCK_FRAMES) / frames), detail="measuring"))
        for name, count in graph.non_finite.items():
            emit(Finding(JOB, f"{count} samples of strip {name} were no numbers, and are silent", severity="warning"))
    channels = {strip.name: strip.channels for strip in allocation.itb}
    dynamic = {strip.name for strip in allocation.itb if strip.compressor is not None or strip.inserts}
    return Heard(
        mix,
        frames / rate_hz,
        tuple(
            StripHeard(
                strip=strip,
                channels=channels[strip.name],
                heard=mix.is_heard(strip),
                dynamic=strip.name in dynamic,
                before=one.before.levels,
                after=one.after.levels,
                bands=one.bands.finish(),
                fold=one.bands.fold,
                stem_clip=one.stem.clip(rate_hz),
                clip_before=one.over_before.clip(rate_hz),
                clip_after=one.over_after.clip(rate_hz),
            )
            for strip in mix.strips
            for one in (tallies[strip.name],)
        ),
        BusHeard(BUS, bus.levels, bus_bands.finish(), bus_bands.fold, bus_over.clip(rate_hz)),
        {name: clip for name, over in busses.items() if (clip := over.clip(rate_hz)) is not None},
    )


def _tally(block: GraphBlock, names: Sequence[str], tallies: dict[str, _StripTallies]) -> None:
    for name, before in zip(names, block.pre, strict=True):
        one, after = tallies[name], block.stems[name]
        assert before is not None  # noqa: S101 - asked for every strip
        one.before.process(before)
        one.over_before.process(before)
        one.after.process(after)
        one.over_after.process(after)
        one.bands.process(after)


def _strip_data(strip: StripHeard) -> dict[str, Any]:
    return {
        "name": strip.strip.name,
        "stem": strip.strip.stem,
        "channels": strip.channels,
        "heard": strip.heard,
        "trim_db": strip.strip.trim_db,
        "fader_db": strip.strip.fader_db,
        "pan": strip.strip.pan,
        "before_fader": asdict(strip.before),
        "after_fader": asdict(strip.after),
        **_sides(strip),
        "clips": {
            "stem": _clip_data(strip.stem_clip),
            "before_fader": _clip_data(strip.clip_before),
            "after_fader": _clip_data(strip.clip_after),
        },
    }


def _bus_data(bus: BusHeard) -> dict[str, Any]:
    return {"name": bus.name, **asdict(bus.levels), **_sides(bus), "clips": _clip_data(bus.clip)}


def _sides(one: StripHeard | BusHeard) -> dict[str, Any]:
    mean = one.bands.stereo.mean(axis=0)
    return {
        "correlation": one.fold.correlation,
        "mono_change_db": one.fold.change_db,
        "bands_db": [10.0 * math.log10(power) if power > 0.0 else None for power in mean.tolist()],
    }


def _clip_data(clip: Clip | None) -> dict[str, Any] | None:
    return None if clip is None else asdict(clip)
