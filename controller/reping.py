"""The quick re-ping before a pass: it asks whether the loops still agree with their calibration.

In the same stream as the pass, all used outputs sound together for a moment, very low. What the desk is set to
(fader, pan, equaliser) is divided out, so a moved cable, a stuck fader or a flipped polarity shows itself
before a note is recorded.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from controller import probing
from controller.allocation import Allocation, Route
from controller.desk import gain_to_db, return_inputs
from controller.errors import CalibrationError
from controller.events import Emit, Finding, Started
from controller.loops import Calibration
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
PERIODS = 2
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
    silence = probing.record(stream, None, 1)
    noise = tuple(level_dbfs(column) for column in silence.T)
    comb = probing.make_comb(
        stream.outputs, [r.output for r in heard], rate_hz=stream.rate_hz, level_dbfs=LEVEL_DBFS, seed=2
    )
    matrix = probing.probe(stream, comb, periods=PERIODS, predicted=_predicted(heard, allocation, comb)).matrix
    problems, shifts = _compare(heard, matrix, calibration, studio)
    common = round(statistics.median(shifts))
    tolerance = studio.rig.tolerance.latency_samples
    facts = calibration.by_output()
    for route, shift in zip(heard, shifts, strict=True):
        if abs(shift - common) > tolerance:
            problems.append(f"loop {route.output} → {route.address} arrives {shift:+.2f} samples from its calibration")
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


def _compare(
    routes: list[Route], matrix: LoopMatrix, calibration: Calibration, studio: Studio
) -> tuple[list[str], list[float]]:
    facts = calibration.by_output()
    left, right = (number - 1 for number in return_inputs(studio.rig))
    tolerance = studio.rig.tolerance
    problems: list[str] = []
    shifts: list[float] = []
    for route in routes:
        row, column = route.output - 1, left if route.left >= route.right else right
        name = f"loop {route.output} → {route.address}"
        loop = facts[route.output]
        if not matrix.present[row, column]:
            problems.append(f"{name} is silent")
            shifts.append(0.0)
            continue
        shifts.append(float(matrix.latency_samples[row, column]) - loop.latency_samples)
        if int(matrix.polarity[row, column]) != loop.polarity:
            problems.append(f"{name} has changed polarity")
        gain = float(matrix.gain_db[row, column]) - loop.gain_db
        if abs(gain) > tolerance.gain_db:
            problems.append(f"{name} is {gain:+.2f} dB from its calibration at the mix's settings")
    return problems, shifts
