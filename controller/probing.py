"""Playing a tone comb through an open stream and reading the loops from what comes back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dsp.measure.loop import LoopMatrix, measure_loops
from dsp.measure.probe import Comb, comb
from hardware.errors import AudioDropoutError, AudioError
from hardware.seams import AudioStream

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERIOD_FRAMES = 16_384
"""One period of the probe: latencies are unambiguous up to this many frames (0.34 s at 48 kHz)."""
SETTLE_PERIODS = 1
TRIES = 8
OVERLOAD = 0.98
"""A return sample beyond this [full scale] is taken for an overload: the probe stops at once."""


class CombSource:
    """Plays the period of a comb round and round; ``signal=None`` is silence."""

    def __init__(self, signal: Comb | None, outputs: int) -> None:
        period = np.zeros((1, outputs), np.float32) if signal is None else signal.period
        self._period = period
        self._at = 0

    def read(self, frames: int) -> NDArray[np.float32]:
        """Return the next ``frames`` frames, shape (frames, outputs)."""
        indices = (self._at + np.arange(frames)) % len(self._period)
        self._at += frames
        return self._period[indices]


class Capture:
    """Keeps a short recording in memory and stops the run when a return overloads."""

    def __init__(self, frames: int, inputs: int) -> None:
        self.audio: NDArray[np.float32] = np.zeros((frames, inputs), np.float32)
        self._at = 0

    def write(self, block: NDArray[np.float32]) -> None:
        """Take one block, shape (n, inputs).

        Raises
        ------
        AudioError
            A return is overloaded; the run ends in silence.
        """
        self.audio[self._at : self._at + len(block)] = block
        self._at += len(block)
        peaks = np.abs(block).max(axis=0, initial=0.0)
        if peaks.max(initial=0.0) > OVERLOAD:
            channel = int(peaks.argmax()) + 1
            raise AudioError(
                f"Return {channel} overloads ({20 * math.log10(float(peaks.max())):+.1f} dBFS) on the test signal; "
                "it was stopped at once.",
                hint="Look for feedback in the patch, or lower the gain in front of that input.",
            )


@dataclass(frozen=True)
class Probe:
    """One probing of the loops: the matrix, and the recording it was read from."""

    matrix: LoopMatrix
    recording: NDArray[np.float32]


def make_comb(
    outputs: int,
    active: Sequence[int],
    *,
    rate_hz: int,
    level_dbfs: float,
    seed: int = 1,
    period_frames: int = PERIOD_FRAMES,
) -> Comb:
    """Build a comb on ``outputs`` channels of which only ``active`` (numbers from 1) sound."""
    return comb(
        outputs,
        rate_hz=rate_hz,
        period_frames=period_frames,
        level_dbfs=level_dbfs,
        seed=seed,
        active=[number - 1 for number in active],
    )


def record(stream: AudioStream, signal: Comb | None, *, frames: int) -> NDArray[np.float32]:
    """Play ``signal`` and return ``frames`` undisturbed frames of the returns, for a comb in their steady state.

    A comb plays for one of its periods before, to settle. A recording that an xrun touched is taken again, up to
    ``TRIES`` times.

    Raises
    ------
    AudioDropoutError
        Every try was disturbed.
    AudioError
        A return overloads.
    """
    lead = 0 if signal is None else SETTLE_PERIODS * signal.frames
    frames += lead
    for _ in range(TRIES):
        capture = Capture(frames, stream.inputs)
        report = stream.run(CombSource(signal, stream.outputs), capture, frames)
        if not report.xruns:
            return capture.audio[lead:]
    raise AudioDropoutError(
        f"The measurement was disturbed by xruns {TRIES} times in a row.",
        hint="Close other programs, or raise block_frames in the rig's [audio].",
    )


def probe(
    stream: AudioStream,
    signal: Comb,
    *,
    periods: int,
    predicted: Mapping[int, NDArray[np.complex128]] | None = None,
) -> Probe:
    """Measure every (output, input) cell with ``signal``.

    ``predicted`` gives, by output number from 1, the complex response expected at that output's bins.
    """
    recording = record(stream, signal, frames=periods * signal.frames)
    by_output = None if predicted is None else [predicted.get(output + 1) for output in range(signal.outputs)]
    return Probe(measure_loops(recording, signal, predicted=by_output), recording)
