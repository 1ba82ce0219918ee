"""Sounding a sine on one output, upward from −60 dBFS while the return is sane, and reading it on every input."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from controller.probing import OVERLOAD
from dsp.levels import decibels
from hardware.errors import AudioDropoutError, AudioError
from hardware.seams import AudioStream

if TYPE_CHECKING:
    from numpy.typing import NDArray

FREQ_HZ = 997.0
"""AES17's test frequency: prime, so that it visits every code of a converter."""
FIRST_DBFS = -60.0
STEP_DB = 10.0
STAGE_S = 1.0
SETTLE_S = 0.5
"""Left out at the start of a run: the loop's latency, and what the step of level leaves behind."""
FADE_S = 0.02
RUNAWAY_DB = 4.0
"""A return that rises this much more than the tone did is taken for feedback."""
HEARD_SIGMA = 10.0
"""A tone counts as heard on an input when it stands this many standard deviations above what is beside it."""


@dataclass(frozen=True)
class Heard:
    """One window of a tone as every input heard it: level [dBFS, AES17] and its standard deviation [dB], (inputs,).

    An input that did not hear it has −∞ and NaN.
    """

    level_dbfs: NDArray[np.float64]
    sd_db: NDArray[np.float64]

    def at(self, number: int) -> tuple[float, float] | None:
        """Return level and standard deviation at input ``number`` (from 1), or None where nothing was heard."""
        level = float(self.level_dbfs[number - 1])
        return (level, float(self.sd_db[number - 1])) if math.isfinite(level) else None

    @property
    def loudest(self) -> int | None:
        """The input (from 1) that hears it best; None where none does."""
        return int(np.argmax(self.level_dbfs)) + 1 if np.isfinite(self.level_dbfs).any() else None


def stages(level_dbfs: float) -> tuple[float, ...]:
    """Return the levels [dBFS] on the way up to ``level_dbfs``, itself left out."""
    count = max(0, math.ceil((level_dbfs - FIRST_DBFS) / STEP_DB))
    return tuple(FIRST_DBFS + STEP_DB * step for step in range(count))


def climb(stream: AudioStream, output: int, level_dbfs: float) -> None:
    """Sound the stages below ``level_dbfs`` one by one; the return must follow.

    Raises
    ------
    AudioError
        A return overloads, or rises more than the tone did.
    """
    before: Heard | None = None
    for level in stages(level_dbfs):
        now = listen(stream, output, level, windows=1)[-1]
        if before is not None:
            for number in range(1, stream.inputs + 1):
                was, here = before.at(number), now.at(number)
                if was is None or here is None or here[0] - was[0] <= STEP_DB + RUNAWAY_DB:
                    continue
                raise AudioError(
                    f"Input {number} rose {here[0] - was[0]:.1f} dB while the tone rose {STEP_DB:.0f}; it was stopped.",
                    hint="Something feeds back: look for a return routed to its own input.",
                )
        before = now


def listen(
    stream: AudioStream,
    output: int,
    level_dbfs: float,
    *,
    windows: int,
    window_s: float = STAGE_S,
    enough: Callable[[Heard], bool] | None = None,
) -> list[Heard]:
    """Sound one level on one output (from 1) and read it window by window.

    It sounds for ``windows`` windows, or until ``enough`` says so of one; the tone then fades out.

    Raises
    ------
    AudioError
        A return overloads: the run ends in silence.
    AudioDropoutError
        The run was disturbed by xruns. A run that ``enough`` ended is not asked: a disturbed window shows in its error
        bar.
    """
    rate = stream.rate_hz
    ear = _Ear(rate, stream.inputs, round(window_s * rate), enough)
    frames = round(SETTLE_S * rate) + windows * ear.frames + round(2 * FADE_S * rate)
    source = _Tone(output, level_dbfs, rate, stream.outputs, frames)

    def on_block(at: int) -> None:
        if ear.done:
            source.fade_out()
            if source.silent:
                raise _Over

    try:
        report = stream.run(source, ear, frames, on_block=None if enough is None else on_block)
    except _Over:
        return ear.heard
    if report.xruns:
        raise AudioDropoutError(
            "The tone was disturbed by xruns.", hint="Close other programs, or raise block_frames in the rig's [audio]."
        )
    return ear.heard


class _Over(Exception):  # noqa: N818 - it is no error: it ends a run whose tone has faded out
    pass


class _Tone:
    """A sine on one output; it fades in, and out at the end of ``frames`` or when told."""

    def __init__(self, output: int, level_dbfs: float, rate_hz: int, outputs: int, frames: int) -> None:
        self._output = output - 1
        self._outputs = outputs
        self._peak = 10.0 ** (level_dbfs / 20.0)
        self._turn = FREQ_HZ / rate_hz
        self._fade = max(1, round(FADE_S * rate_hz))
        self._at = 0
        self._ends_at = frames

    def fade_out(self) -> None:
        self._ends_at = min(self._ends_at, self._at + self._fade)

    @property
    def silent(self) -> bool:
        return self._at >= self._ends_at

    def read(self, frames: int) -> NDArray[np.float32]:
        n = self._at + np.arange(frames)
        gain = np.minimum(n / self._fade, 1.0) * np.clip((self._ends_at - n) / self._fade, 0.0, 1.0)
        block = np.zeros((frames, self._outputs), np.float32)
        block[:, self._output] = self._peak * gain * np.sin(2.0 * np.pi * np.mod(self._turn * n, 1.0))
        self._at += frames
        return block


class _Ear:
    """Cuts what comes back into windows and fits the tone in each."""

    def __init__(self, rate_hz: int, inputs: int, frames: int, enough: Callable[[Heard], bool] | None) -> None:
        self.heard: list[Heard] = []
        self.frames = frames
        self.done = False
        self._rate = rate_hz
        self._skip = round(SETTLE_S * rate_hz)
        self._window: NDArray[np.float32] = np.zeros((frames, inputs), np.float32)
        self._filled = 0
        self._enough = enough

    def write(self, block: NDArray[np.float32]) -> None:
        peaks = np.abs(block).max(axis=0, initial=0.0)
        if peaks.max(initial=0.0) > OVERLOAD:
            raise AudioError(
                f"Input {int(peaks.argmax()) + 1} overloads ({decibels(float(peaks.max())):+.1f} dBFS) on the test "
                "tone; it was stopped at once.",
                hint="Play a lower level, or lower the gain in front of that input.",
            )
        skipped = min(self._skip, len(block))
        self._skip -= skipped
        block = block[skipped:]
        while len(block) and not self.done:
            taken = min(len(block), self.frames - self._filled)
            self._window[self._filled : self._filled + taken] = block[:taken]
            self._filled += taken
            block = block[taken:]
            if self._filled == self.frames:
                self._filled = 0
                self.heard.append(read_tone(self._window, rate_hz=self._rate))
                self.done = self._enough is not None and self._enough(self.heard[-1])


def read_tone(window: NDArray[np.floating], *, rate_hz: int, freq_hz: float = FREQ_HZ) -> Heard:
    """Fit a sine of known frequency and a constant to every column of ``window`` (frames, inputs).

    Least squares with three parameters (IEEE Std 1057); the standard deviation of the level is that of white noise of
    the residual's power: σ·√(2/N) re the amplitude.
    """
    audio = np.asarray(window, np.float64)
    phase = 2.0 * np.pi * freq_hz / rate_hz * np.arange(len(audio))
    base = np.stack([np.cos(phase), np.sin(phase), np.ones(len(audio))], axis=1)
    fit, *_ = np.linalg.lstsq(base, audio, rcond=None)
    amplitude = np.hypot(fit[0], fit[1])
    noise = np.sqrt(np.sum(np.square(audio - base @ fit), axis=0) / max(len(audio) - 3, 1)) * np.sqrt(2.0 / len(audio))
    heard = amplitude > np.maximum(HEARD_SIGMA * noise, 1e-9)
    safe = np.where(heard, amplitude, 1.0)
    level = np.where(heard, 20.0 * np.log10(safe), -np.inf)
    return Heard(level, np.where(heard, 20.0 / np.log(10.0) * noise / safe, np.nan))
