"""The quick re-ping before a pass: it asks whether the loops still agree with their calibration.

In the same stream as the pass, all used outputs sound together for a third of a second, very low. What the desk is
set to (fader, pan, equaliser) is divided out, so a moved cable, a stuck fader or a flipped polarity shows itself
before a note is recorded.

What it cannot see: two cables exchanged between strips that are set alike, when the strips themselves are alike. Where
their calibrated gains or latencies differ by more than the doubt, an exchange is told by those, as a warning: how much
of a loop's gain belongs to the strip and how much to its converter, nobody knows.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from controller import probing
from controller.allocation import Allocation, Route
from controller.desk import gain_to_db, return_inputs
from controller.errors import CalibrationError
from controller.events import Emit, Finding, Started
from controller.loops import Calibration, LoopFacts
from controller.studio import Studio
from dsp.filters import cascade
from dsp.levels import level_dbfs
from hardware.seams import AudioStream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsp.measure.loop import LoopMatrix
    from dsp.measure.probe import Comb

JOB = "re-ping"
LEVEL_DBFS = -54.0
"""RMS level per output: 24 of them sum to −40 dBFS, below any bus compressor's threshold."""
PERIOD_FRAMES = 8_192
"""At 48 kHz 0.17 s to settle and as much to measure; loops later than it allows take `probing.PERIOD_FRAMES`."""
SETTLING_FRAMES = 2_048
SILENCE_S = 0.1
SURE_SD = 4.0
ALIKE_GAIN_DB, ALIKE_SAMPLES = 0.02, 0.01
"""What a strip's gain and latency may wander between calibration and pass: below this no exchange is read from them."""
FAINT_DB = -50.0
"""A strip set lower than this is too faint to be judged at the re-ping's level; it is left out."""


@dataclass(frozen=True)
class Reping:
    """What the re-ping found: the latency of this very stream [samples] and the noise of the returns [dBFS]."""

    latency_samples: float
    noise_dbfs: tuple[float, ...]


def reping(
    stream: AudioStream, allocation: Allocation, calibration: Calibration, studio: Studio, *, emit: Emit
) -> Reping:
    """Compare every audible loop of the pass with its calibration.

    A stream may start with a common latency of its own, in whole samples; that is measured here, used for this
    pass, and no contradiction. What differs from loop to loop is.

    Raises
    ------
    CalibrationError
        A loop contradicts its calibration: which, by how much, and what to do.
    """
    routes = [*allocation.routes, *(allocation.box_pair or ())]
    heard = [r for r in routes if not r.muted and _level_db(r) + allocation.bus_gain_db > FAINT_DB]
    if not heard:
        raise CalibrationError(
            "Every strip of this mix is muted or faded out on the desk; there is nothing to print.",
            hint="Raise a fader or take out a mute in the mix.",
        )
    emit(Started(JOB, f"{len(heard)} loops"))
    facts = calibration.by_output()
    latest = max(facts[r.output].latency_samples for r in heard)
    period = PERIOD_FRAMES if latest + SETTLING_FRAMES < PERIOD_FRAMES else probing.PERIOD_FRAMES
    silence = probing.record(stream, None, frames=round(SILENCE_S * stream.rate_hz))
    noise = tuple(level_dbfs(column) for column in silence.T)
    outputs = [r.output for r in heard]
    comb = probing.make_comb(
        stream.outputs, outputs, rate_hz=stream.rate_hz, level_dbfs=LEVEL_DBFS, seed=2, period_frames=period
    )
    matrix = probing.probe(stream, comb, periods=1, predicted=_predicted(heard, allocation, comb)).matrix
    problems, found = _compare(heard, matrix, calibration, studio)
    shifts = [found[r.output].shift if r.output in found else math.nan for r in heard]
    known = [shift for shift in shifts if math.isfinite(shift)]
    common = round(statistics.median(known)) if known else 0
    shifts = [shift if math.isfinite(shift) else float(common) for shift in shifts]
    tolerance = studio.rig.tolerance.latency_samples
    for route, shift in zip(heard, shifts, strict=True):
        if abs(shift - common) > tolerance:
            problems.append(f"loop {route.output} → {route.address} arrives {shift:+.2f} samples from its calibration")
    if not problems:
        _warn_of_exchanges(found, facts, common, emit)
    if common and not problems:
        emit(
            Finding(
                JOB,
                f"this stream runs {common:+d} samples from the calibrated latency, on all loops alike; "
                "the print is trimmed by what was measured now",
            )
        )
    if problems:
        raise CalibrationError(
            f"The rig contradicts its calibration: {'; '.join(problems)}. Nothing was recorded.",
            hint="Put the loop right. Whether the desk was moved or switched off since its recall: 'halfnormal recall "
            f"verify PROJECT'. To measure anew: 'halfnormal calibrate --rig {studio.rig.name}'.",
        )
    arrivals = [
        facts[r.output].latency_samples + s + r.delay_frames + r.delay_rest + allocation.feed_latency_frames
        for r, s in zip(heard, shifts, strict=True)
    ]
    return Reping(statistics.median(arrivals), noise)


def _level_db(route: Route) -> float:
    return gain_to_db(max(route.left, route.right))


def _predicted(routes: list[Route], allocation: Allocation, comb: Comb) -> Mapping[int, NDArray[np.complex128]]:
    bus = 10 ** (allocation.bus_gain_db / 20)
    predicted = {}
    for route in routes:
        freqs = comb.bins[route.output - 1] * (comb.rate_hz / comb.frames)
        shape = np.full(len(freqs), max(route.left, route.right) * bus, np.complex128)
        for section in cascade(route.hpf_hz, route.bands, comb.rate_hz):
            shape *= section.response(freqs, comb.rate_hz)
        predicted[route.output] = shape
    return predicted


@dataclass(frozen=True)
class _Seen:
    """One loop re its calibration: later by ``shift`` samples, louder by ``gain_db``; with what doubt."""

    shift: float
    shift_sd: float
    gain_db: float
    gain_sd: float


def _compare(
    routes: list[Route], matrix: LoopMatrix, calibration: Calibration, studio: Studio
) -> tuple[list[str], dict[int, _Seen]]:
    """Return what contradicts the calibration, and by output what was seen; a loop too faint to see is in neither."""
    facts = calibration.by_output()
    left, right = (number - 1 for number in return_inputs(studio.rig))
    tolerance = studio.rig.tolerance
    problems: list[str] = []
    seen: dict[int, _Seen] = {}
    for route in routes:
        row, column = route.output - 1, left if route.left >= route.right else right
        name = f"loop {route.output} → {route.address}"
        loop = facts[route.output]
        if not matrix.present[row, column]:
            if loop.gain_db > float(matrix.detection_limit_db[row, column]) + tolerance.gain_db:
                problems.append(f"{name} is silent")
            continue
        gain_sd = math.hypot(float(matrix.gain_sd[row, column]), loop.gain_sd)
        shift_sd = math.hypot(float(matrix.latency_sd[row, column]), loop.latency_sd)
        gain = float(matrix.gain_db[row, column]) - loop.gain_db
        seen[route.output] = _Seen(
            float(matrix.latency_samples[row, column]) - loop.latency_samples, shift_sd, gain, gain_sd
        )
        if int(matrix.polarity[row, column]) != loop.polarity:
            problems.append(f"{name} has changed polarity")
        if abs(gain) > tolerance.gain_db + SURE_SD * gain_sd:
            problems.append(f"{name} is {gain:+.2f} dB from its calibration at the mix's settings")
    return problems, seen


def _warn_of_exchanges(seen: Mapping[int, _Seen], facts: Mapping[int, LoopFacts], common: int, emit: Emit) -> None:
    """Warn where two loops have each taken on the other's gain and latency, beyond every doubt."""
    for one, other in combinations(sorted(seen), 2):
        a, b = seen[one], seen[other]
        doubt = (
            max(ALIKE_GAIN_DB, SURE_SD * math.hypot(a.gain_sd, b.gain_sd)),
            max(ALIKE_SAMPLES, SURE_SD * math.hypot(a.shift_sd, b.shift_sd)),
        )
        apart = (
            (facts[other].gain_db - facts[one].gain_db) / doubt[0],
            (facts[other].latency_samples - facts[one].latency_samples) / doubt[1],
        )
        size = math.hypot(*apart)
        if size < 2.0:
            continue
        moved = (
            (a.gain_db / doubt[0], (a.shift - common) / doubt[1]),
            (b.gain_db / doubt[0], (b.shift - common) / doubt[1]),
        )
        if math.dist(moved[0], apart) < 0.3 * size and math.dist(moved[1], (-apart[0], -apart[1])) < 0.3 * size:
            emit(
                Finding(
                    f"loops {one} and {other}",
                    f"each has the gain and latency that the other had when calibrated ({a.gain_db:+.3f} dB and "
                    f"{b.gain_db:+.3f} dB): the cables may be exchanged",
                    "Look at both cables; 'halfnormal calibrate --only patch' tells for sure.",
                    "warning",
                )
            )
