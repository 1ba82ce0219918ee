"""Playing a mix from the command line: from here to there, once or round and round, until it ends or is interrupted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from controller.desk import gain_to_db
from controller.errors import UsageError
from controller.events import Accept, Done, Emit, Finding, Progress, Started
from controller.live import JOB, STEP_S, Live, open_live
from controller.live_feed import loop_between
from controller.mix import Mix
from controller.project import Project
from controller.studio import Studio
from dsp.loudness import gated_lufs

__all__ = ["Played", "play_mix"]

_TELL_EVERY = 10
"""Steps between two words about how far it is."""


@dataclass(frozen=True)
class Played:
    """What was played, as numbers. ``interrupted``: it was ended by hand."""

    interrupted: bool
    facts: dict[str, Any]


def play_mix(
    project: Project,
    mix: Mix,
    studio: Studio,
    *,
    emit: Emit,
    accept: Accept,
    from_s: float = 0.0,
    to_s: float | None = None,
    loop: bool = False,
    block_frames: int | None = None,
    level_db: float = 0.0,
) -> Played:
    """Play a mix to the monitor's outputs; Ctrl-C fades it out.

    Raises
    ------
    DeclinedError
        The plan was not accepted; nothing played.
    UsageError
        There is no such region, or it cannot be looped; blocks of that size; that level.
    MixError, ProjectError, AudioError, AudioFileError
        The mix cannot be played, the device does not open or vanished, a stem is damaged.
    """
    rate_hz = project.rate_hz
    whole_s = project.frames / rate_hz
    end_s = whole_s if to_s is None else min(to_s, whole_s)
    if not from_s < end_s:
        raise UsageError(
            f"There is nothing from {from_s:g} s to {end_s:g} s of this song.",
            hint=f"It goes from 0 to {whole_s:.2f} s.",
        )
    around = loop_between(from_s, end_s, rate_hz) if loop else None
    interrupted = False
    with open_live(
        project, mix, studio, emit=emit, accept=accept, block_frames=block_frames, level_db=level_db
    ) as live:
        live.end_frame = project.frames if to_s is None else round(end_s * rate_hz)
        live.set_loop(around)
        live.play(round(from_s * rate_hz))
        how = " round and round; Ctrl-C ends it" if loop else ""
        emit(Started(JOB, f"{end_s - from_s:.1f} s of {mix.name} on {live.stream.device}{how}"))
        try:
            _run(live, emit, from_s, end_s)
        except KeyboardInterrupt:
            interrupted = True
        live.close()
        facts = _facts(live, project, mix)
    if facts["xruns"]:
        what = f"{len(facts['xruns'])} xruns: the machine was too slow, or busy"
        emit(Finding(JOB, what, "Take larger blocks (--block 1024), or end other programs.", "warning"))
    emit(Done(JOB, f"{facts['played_s']:.1f} s played", facts))
    return Played(interrupted, facts)


def _run(live: Live, emit: Emit, from_s: float, end_s: float) -> None:
    """Step until all has been heard."""
    steps = 0
    while True:
        live.step()
        steps += 1
        if steps % _TELL_EVERY == 0:
            done = (live.position_s - from_s) / (end_s - from_s)
            levels = live.take_levels()
            emit(Progress(JOB, min(max(done, 0.0), 1.0), detail=f"{live.position_s:.1f} s", levels_dbfs=levels))
        if live.rung_out:
            return
        live.stream.wait(STEP_S)


def _facts(live: Live, project: Project, mix: Mix) -> dict[str, Any]:
    heard, state, stream = live.heard, live.stream.state(), live.stream
    rate_hz = project.rate_hz
    left, right = stream.outputs
    return {
        "project": project.title,
        "mix": mix.name,
        "device": stream.device,
        "outputs": [left + 1, right + 1],
        "rate_hz": rate_hz,
        "block_frames": stream.block_frames,
        "level_db": live.planned.level_db,
        "frames": state.played_frames,
        "played_s": state.played_frames / rate_hz,
        "xruns": [{"at_frame": x.at_frame, "frames": x.frames, "kind": x.kind} for x in heard.xruns],
        "graph_latency_frames": state.latency_frames,
        "latency_ms": 1e3 * (state.latency_frames + stream.block_frames) / rate_hz,
        "callback_p50_ms": stream.callback_ms(0.5),
        "callback_p99_ms": stream.callback_ms(0.99),
        "callback_max_ms": stream.callback_ms(1.0),
        "block_ms": 1e3 * stream.block_frames / rate_hz,
        "peak_dbfs": gain_to_db(heard.peak) if heard.peak else -math.inf,
        "true_peak_dbtp": gain_to_db(heard.true_peak) if heard.true_peak else -math.inf,
        "integrated_lufs": gated_lufs(heard.gating_lufs),
        "momentary_max_lufs": heard.momentary_max_lufs,
        "short_term_max_lufs": heard.short_term_max_lufs,
    }
