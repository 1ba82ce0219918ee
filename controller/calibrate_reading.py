"""What the takes of a calibration say: every loop, every figure of `controller.figures`, each with its spread.

It knows no stream and no file: takes of a live pass and of a recording are read alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from controller.calibrate_sections import Programme, Section
from controller.calibrate_takes import Take, Vanished
from controller.calibrate_tones import clip_figures, distortion_figures
from controller.calibrate_wiring import WiredLoop, Wiring
from controller.events import Emit, Progress, silent
from controller.figures import Figure
from controller.loops import LoopFacts, StoredResponse
from dsp.measure.clock import measure_drift
from dsp.measure.crosstalk import Crosstalk, crosstalk
from dsp.measure.figure import Figure as Measured
from dsp.measure.figure import unseen
from dsp.measure.latency import Latencies, latencies
from dsp.measure.loop import LoopMatrix, measure_loops, noise_floor_dbfs
from dsp.measure.noise import NoiseFacts, measure_noise
from dsp.measure.response import Response, gain_db_at, responses, ripple_db

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsp.measure.probe import Comb

    Captures = list[tuple[NDArray[np.float32], Comb]]

STORED_POINTS = 400
NOTHING = "nothing came back"


@dataclass(frozen=True)
class Reading:
    """The loops as measured, not yet judged; ``matrix`` and ``again`` are both looks at the patch."""

    loops: tuple[LoopFacts, ...]
    matrix: LoopMatrix
    again: LoopMatrix | None
    figures: dict[str, Figure] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    """What belongs to the rig as a whole, in words: hum, the clock's verdict."""


def read(
    plan: Programme,
    found: Wiring,
    takes: Mapping[str, Take],
    vanished: Sequence[Vanished],
    *,
    from_recording: str = "",
    emit: Emit = silent,
) -> Reading:
    """Read everything that ``takes`` hold. ``from_recording`` says why absolute latencies are unknown, where so."""
    main = _matrix(plan, takes["comb"])
    assert main is not None  # noqa: S101 - the first vanishing leaves a whole period, or the take was refused
    gone = {event.output: event for event in vanished}
    quiet = takes["silence"].steady
    noise_dbfs = [max(float(level), -200.0) for level in noise_floor_dbfs(quiet, rate_hz=plan.rate_hz)]
    noises = measure_noise(quiet, rate_hz=plan.rate_hz) if "noise" in plan.parts else ()
    strips = _strips_found(plan, found, takes, main)
    facts: list[LoopFacts] = []
    for loop in found.loops:
        matrix = main if loop.output not in gone else _matrix_before(plan, takes, loop.output) or main
        facts.append(_facts(loop, matrix, noise_dbfs, strips.get(loop.output)))
    heard = _responses(plan, takes, gone)
    figures = _by_loop(plan, facts, heard, noises, takes, gone, from_recording, emit)
    rig, remarks = _rig_figures(plan, facts, takes) if not from_recording else ({}, [])
    return Reading(
        tuple(_with(loop, figures[loop.output], heard) for loop in facts),
        main,
        _matrix(plan, takes["again"]) if "again" in takes else None,
        rig,
        (*remarks, *_hum(noises)),
    )


def kept(figure: Measured, note: str = "") -> Figure:
    """Put a measured figure on file, ``note`` behind its own."""
    said = "; ".join(part for part in (figure.note, note if figure.observable else "") if part)
    if not figure.observable:
        return Figure(None, None, said)
    return Figure(float(figure.value), float(figure.sd) if math.isfinite(figure.sd) else None, said)


def _matrix(plan: Programme, take: Take, output: int | None = None) -> LoopMatrix | None:
    clean = take.clean(output)
    return measure_loops(clean, plan.comb(take.section)) if len(clean) else None


def _matrix_before(plan: Programme, takes: Mapping[str, Take], output: int) -> LoopMatrix | None:
    """Return the last look at a loop that vanished, from before it did."""
    stages = [take for key, take in takes.items() if take.section.stage]
    for take in (takes["comb"], *reversed(stages)):
        if take.gone.get(output, 1) > 0:
            matrix = _matrix(plan, take, output)
            if matrix is not None:
                return matrix
    return None


def _facts(loop: WiredLoop, matrix: LoopMatrix, noise_dbfs: Sequence[float], strip: str | None) -> LoopFacts:
    row = loop.output - 1
    here = np.flatnonzero(matrix.present[row])
    best = int(here[np.argmax(matrix.gain_db[row, here])]) if here.size else None
    if best is not None and matrix.present[row, loop.expected - 1]:
        # A split line comes back twice: the expected input is the loop, unless the other is clearly the stronger.
        ahead_db = float(matrix.gain_db[row, best] - matrix.gain_db[row, loop.expected - 1])
        best = loop.expected - 1 if ahead_db < 6.0 else best
    cell = best if best is not None else loop.expected - 1

    def number(values: NDArray[np.float64]) -> float:
        value = float(values[row, cell])
        return value if best is not None and math.isfinite(value) else 0.0

    return LoopFacts(
        output=loop.output,
        address=loop.address,
        expected_input=loop.expected,
        input=None if best is None else best + 1,
        present=best is not None,
        polarity=int(matrix.polarity[row, cell]) if best is not None else 0,
        latency_samples=number(matrix.latency_samples),
        latency_sd=number(matrix.latency_sd),
        gain_db=number(matrix.gain_db),
        gain_sd=number(matrix.gain_sd),
        noise_dbfs=noise_dbfs[cell],
        strip_found=strip,
        ok=True,
    )


def _strips_found(plan: Programme, found: Wiring, takes: Mapping[str, Take], main: LoopMatrix) -> dict[int, str]:
    """Tell by the pan patterns which strip each output really feeds; nothing where they were not all played."""
    panned = found.panned
    if len(found.patterns) == 1 and len(panned) > 2:
        return {}
    matrices = [main]
    for number in range(1, len(found.patterns)):
        take = takes.get(f"pan{number}")
        if take is None:
            return {}
        matrices.append(measure_loops(take.steady, plan.comb(take.section)))
    codes = {loop.address: tuple(p[index] for p in found.patterns) for index, loop in enumerate(panned)}
    left, right = (number - 1 for number in found.mix)
    strips = {}
    for loop in panned:
        row = loop.output - 1
        sides = [{side for side, column in enumerate((left, right)) if m.present[row, column]} for m in matrices]
        if all(sides):
            strips[loop.output] = _strips_of(sides, codes, loop.address)
    return strips


def _strips_of(sides: Sequence[set[int]], codes: Mapping[str, tuple[int, ...]], own: str) -> str:
    """Name the strip, or the two strips, whose pans explain on which sides an output came back in every pattern.

    Of several pairs that do, the one with the output's ``own`` strip is the likeliest.
    """
    for address, code in codes.items():
        if all({side} == here for side, here in zip(code, sides, strict=True)):
            return address
    pairs = [
        (one, other)
        for one, other in combinations(codes, 2)
        if all({a, b} == here for a, b, here in zip(codes[one], codes[other], sides, strict=True))
    ]
    if not pairs:
        return "an unwired strip" if all(len(here) == 1 for here in sides) else "several strips"
    return " and ".join(next((pair for pair in pairs if own in pair), pairs[0]))


@dataclass(frozen=True)
class _Heard:
    """Responses of all cells, and of each vanished loop from before it vanished."""

    cells: Mapping[tuple[int, int], Response]
    lost: Mapping[int, Mapping[tuple[int, int], Response]]

    def of(self, loop: LoopFacts) -> Response | None:
        if loop.input is None:
            return None
        cells = self.lost.get(loop.output, self.cells)
        return cells.get((loop.output - 1, loop.input - 1))


def _responses(plan: Programme, takes: Mapping[str, Take], gone: Mapping[int, Vanished]) -> _Heard:
    fine = [take for take in takes.values() if take.section.key.startswith("response")]

    def captures(output: int | None = None) -> Captures:
        pairs = [
            (take.clean(output), plan.comb(take.section)) for take in fine if output is None or take.gone.get(output, 1)
        ]
        return [(clean, comb) for clean, comb in pairs if len(clean)]

    def before(output: int) -> Captures:
        ended = False
        pairs: Captures = []
        for take in fine:
            if not ended and len(clean := take.clean(output)):
                pairs.append((clean, plan.comb(take.section)))
            ended |= output in take.gone
        return pairs

    first_gone = {output for output, event in gone.items() if not event.section.key.startswith("response")}
    lost = {output: responses(before(output), outputs=[output - 1]) for output in gone if output not in first_gone}
    lost.update({output: {} for output in first_gone if fine and _earlier(gone[output].section, fine[0].section, plan)})
    return _Heard(responses(captures()) if fine else {}, lost)


def _earlier(one: Section, other: Section, plan: Programme) -> bool:
    keys = [section.key for section in plan.sections]
    return keys.index(one.key) < keys.index(other.key)


def _by_loop(
    plan: Programme,
    facts: Sequence[LoopFacts],
    heard: _Heard,
    noises: Sequence[NoiseFacts],
    takes: Mapping[str, Take],
    gone: Mapping[int, Vanished],
    from_recording: str,
    emit: Emit,
) -> dict[int, dict[str, Figure]]:
    alive = [loop for loop in facts if loop.present and loop.output not in gone]
    middle = float(np.median([loop.latency_samples for loop in alive])) if alive else math.nan
    expected = {
        loop.output - 1: [loop.input - 1] for loop in facts if loop.input is not None and loop.output not in gone
    }
    leaks = crosstalk(heard.cells, expected, rate_hz=plan.rate_hz) if "crosstalk" in plan.parts else {}
    found: dict[int, dict[str, Figure]] = {}
    for number, loop in enumerate(facts):
        emit(Progress("calibrate", number / len(facts), detail=f"reading loop {loop.output}"))
        response = heard.of(loop)
        figures: dict[str, Measured] = {}
        timing = latencies(response, rate_hz=plan.rate_hz) if response is not None else None
        if "latency" in plan.parts:
            figures |= _latency_figures(loop, timing, middle, from_recording)
        if "levels" in plan.parts:
            figures["gain_db"] = Measured(loop.gain_db, loop.gain_sd) if loop.present else unseen(NOTHING)
            figures |= clip_figures(plan, loop, takes)
        if "response" in plan.parts:
            figures |= _response_figures(response, timing)
        if "noise" in plan.parts:
            figures |= _noise_figures(noises[(loop.input or loop.expected_input) - 1])
        if "distortion" in plan.parts:
            figures |= distortion_figures(plan, loop, takes)
        if "crosstalk" in plan.parts:
            figures |= _crosstalk_figures(leaks.get(loop.output - 1))
        found[loop.output] = {key: kept(figure) for key, figure in figures.items()}
    return found


def _latency_figures(
    loop: LoopFacts, timing: Latencies | None, middle: float, from_recording: str
) -> dict[str, Measured]:
    keys = ("latency_samples", "latency_phase_samples", "latency_group_samples", "latency_fit_samples", "skew_samples")
    if not loop.present:
        return dict.fromkeys(keys, unseen(NOTHING))
    ml = Measured(loop.latency_samples, loop.latency_sd)
    rest = unseen("the response was not measured while the loop was there")
    phase, group, fit = (timing.phase, timing.group, timing.fit) if timing else (rest, rest, rest)
    skew = Measured(loop.latency_samples - middle, math.sqrt(2.0) * loop.latency_sd) if math.isfinite(middle) else rest
    if from_recording:
        ml, phase, group, fit = (unseen(from_recording) for _ in range(4))
    return dict(zip(keys, (ml, phase, group, fit, skew), strict=True))


def _response_figures(response: Response | None, timing: Latencies | None) -> dict[str, Measured]:
    keys = ("response_low_db", "response_high_db", "ripple_db", "highpass_hz", "lowpass_hz")
    if response is None or timing is None:
        return dict.fromkeys(keys, unseen(NOTHING))
    middle = gain_db_at(response, 997.0)

    def beside(hz: float) -> Measured:
        there = gain_db_at(response, hz)
        if not there.observable or not middle.observable:
            return there if not there.observable else middle
        return Measured(there.value - middle.value, math.hypot(there.sd, middle.sd), there.note)

    values = (beside(20.0), beside(20_000.0), ripple_db(response), timing.highpass_hz, timing.lowpass_hz)
    return dict(zip(keys, values, strict=True))


def _noise_figures(noise: NoiseFacts) -> dict[str, Measured]:
    lines = ", ".join(f"{line.hz:.0f} Hz {line.level_dbfs.value:.1f} dBFS" for line in noise.lines[:6])
    hum = noise.hum_dbfs
    if hum.observable and lines:
        hum = Measured(hum.value, hum.sd, "; ".join(part for part in (hum.note, lines) if part))
    return {
        "noise_dbfs": noise.flat_dbfs,
        "noise_a_dbfs": noise.a_dbfs,
        "noise_ccir_dbfs": noise.ccir_dbfs,
        "hum_dbfs": hum,
        "dc_fs": noise.dc_fs,
    }


def _crosstalk_figures(leak: Crosstalk | None) -> dict[str, Measured]:
    keys = ("crosstalk_100_db", "crosstalk_1k_db", "crosstalk_10k_db", "crosstalk_worst_db")
    if leak is None:
        return dict.fromkeys(keys, unseen(NOTHING))
    worst = leak.worst
    if worst.observable and leak.worst_input >= 0:
        where = f"into input {leak.worst_input + 1} at {leak.worst_hz:.0f} Hz"
        worst = Measured(worst.value, worst.sd, "; ".join(part for part in (worst.note, where) if part))
    return dict(zip(keys, (leak.at_100, leak.at_1k, leak.at_10k, worst), strict=True))


def _rig_figures(
    plan: Programme, facts: Sequence[LoopFacts], takes: Mapping[str, Take]
) -> tuple[dict[str, Figure], list[str]]:
    take = takes.get("clock")
    if take is None:
        return {}, []
    for loop in facts:
        if loop.output in take.section.active and loop.input is not None and loop.output not in take.gone:
            drift = measure_drift(take.steady[:, loop.input - 1], rate_hz=plan.rate_hz)
            return {"drift_ppm": kept(drift.ppm, drift.verdict)}, [f"clock {drift.verdict}"]
    return {"drift_ppm": kept(unseen("no loop came back to read the clock from"))}, []


def _hum(noises: Sequence[NoiseFacts]) -> list[str]:
    said = []
    for number, noise in enumerate(noises, start=1):
        if noise.mains_hz is not None and noise.hum_dbfs.observable:
            lines = ", ".join(f"{line.hz:.0f}" for line in noise.lines[:6])
            said.append(
                f"input {number}: hum of {noise.mains_hz:.2f} Hz mains, {noise.hum_dbfs.value:.1f} dBFS ({lines} Hz)"
            )
    return said


def _with(loop: LoopFacts, figures: dict[str, Figure], heard: _Heard) -> LoopFacts:
    import msgspec

    response = heard.of(loop)
    return msgspec.structs.replace(loop, figures=figures, response=stored(response) if response is not None else None)


def stored(response: Response) -> StoredResponse:
    """Choose up to ``STORED_POINTS`` of the measured tones, evenly over the octaves; none is made up."""
    wanted = np.geomspace(response.hz[0], response.hz[-1], STORED_POINTS)
    edges = np.sqrt(response.hz[1:] * response.hz[:-1])
    places = np.unique(np.searchsorted(edges, wanted))
    return StoredResponse(
        hz=tuple(response.hz[places].tolist()),
        re=tuple(response.h.real[places].tolist()),
        im=tuple(response.h.imag[places].tolist()),
        sd=tuple(response.sd[places].tolist()),
    )
