"""Playing one section until it was heard in full, whatever xruns touched on the way, with an eye on the returns.

What comes before an xrun is undisturbed and kept; the section is taken up again in front of the place, with the
settling it began with, and goes on from there. What comes after an xrun is not kept: couplings remember a gap for
longer than the gap lasts. The two parts belong together only where they say the same: the last frames of what was kept
are heard again, and must differ by no more than noise does. Otherwise it is taken up from twice as far in front, where
the loops have settled for longer, in the end from its beginning: nothing is joined then. So it goes with two clocks
that run apart, and with a stream that came back a block later.

Two kinds of section are never joined, since what is read of them lies in their going on unbroken: the clock's tones,
and silence (the mains' phase). They are repeated whole; in the end the longest undisturbed stretch has to do, and its
figures have the wider error bars of a shorter one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from controller import probing
from controller.calibrate_sections import Section, fade_in
from controller.xruns import clean_stretches, guard_frames
from dsp.levels import decibels
from hardware.errors import AudioDropoutError, AudioError
from hardware.seams import AudioStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hardware.seams import Xrun

    Audio = NDArray[np.float32]
    Span = tuple[int, int]

GROWTH_DB = 6.0
"""A return that grows this much within a steady section is taken for feedback."""
WINDOW_FRAMES = 2048
QUIETEST_GROWTH_DBFS = -50.0
UNBROKEN = ("silence", "clock")
JOIN_FRAMES = 2048
"""So much is heard twice where a section is taken up again."""
JOIN_NOISE = 1.5
"""Two hearings of one stretch differ by √2 times the noise; beyond this many times that they are not the same."""
STEP_FS = 2.0**-23
"""One step of 24 bits [full scale]: what no two hearings agree below."""
PATIENCE_S = 24.0
"""So much of a section may be played in vain [s]: eight times the longest."""
LEAST_GAIN_FRAMES = 2048
"""A run that brings less was in vain."""
SHORTEST_SHARE = 1.0 / 3.0
"""What of an unbroken section must be undisturbed in the end."""


class ClippedStep(Exception):  # noqa: N818 - no error: how a staircase ends
    """A step of a staircase overloaded these inputs (from 1)."""

    def __init__(self, inputs: tuple[int, ...]) -> None:
        super().__init__()
        self.inputs = inputs


class _Signal:
    """Plays a section once; silence behind it while the last of it is still on its way."""

    def __init__(self, audio: Audio) -> None:
        self._audio = audio
        self._at = 0

    def read(self, frames: int) -> Audio:
        block = np.zeros((frames, self._audio.shape[1]), np.float32)
        part = self._audio[self._at : self._at + frames]
        block[: len(part)] = part
        self._at += frames
        return block


class _Watched:
    """Keeps the returns of one section and ends the run when one overloads or grows by itself."""

    def __init__(
        self, section: Section, frames: int, inputs: int, *, start: int, steady_from: int, rate_hz: int
    ) -> None:
        self.audio: Audio = np.zeros((frames, inputs), np.float32)
        self._section = section
        self._start = start
        self._rate_hz = rate_hz
        self._at = 0
        self._windows = 0
        self._steady_from = steady_from
        self._reference: NDArray[np.float64] | None = None

    def write(self, block: Audio) -> None:
        self.audio[self._at : self._at + len(block)] = block
        peaks = np.abs(block).max(axis=0, initial=0.0)
        if peaks.max(initial=0.0) > probing.OVERLOAD:
            self._overloaded(block, peaks)
        self._at += len(block)
        self._growth()

    def _when(self, frame: int) -> str:
        return f"{(self._section.into_frames + self._start + frame) / self._rate_hz:.2f} s into {self._section.name}"

    def _overloaded(self, block: Audio, peaks: NDArray[np.float32]) -> None:
        if self._section.rung is not None:
            raise ClippedStep(tuple(int(i) + 1 for i in np.flatnonzero(peaks > probing.OVERLOAD)))
        channel = int(peaks.argmax())
        frame = self._at + int(np.argmax(np.abs(block[:, channel]) > probing.OVERLOAD))
        raise AudioError(
            f"Return {channel + 1} overloads ({decibels(float(peaks.max())):+.1f} dBFS) {self._when(frame)}; "
            "it was stopped at once.",
            hint="Look for feedback in the patch, or lower the gain in front of that input.",
        )

    def _growth(self) -> None:
        while self._steady_from + (self._windows + 1) * WINDOW_FRAMES <= self._at:
            start = self._steady_from + self._windows * WINDOW_FRAMES
            window = self.audio[start : start + WINDOW_FRAMES].astype(np.float64)
            level = np.sqrt(np.mean(window**2, axis=0) * 2.0)
            self._windows += 1
            if self._reference is None:
                self._reference = level
                continue
            if start < self._section.settle_frames:
                self._reference = np.maximum(self._reference, level)
                continue
            floor = np.maximum(self._reference, 10.0 ** (QUIETEST_GROWTH_DBFS / 20.0) / 10.0 ** (GROWTH_DB / 20.0))
            grown = level / floor
            if grown.max(initial=0.0) > 10.0 ** (GROWTH_DB / 20.0):
                channel = int(grown.argmax())
                raise AudioError(
                    f"Return {channel + 1} grows by itself: {decibels(float(grown[channel])):+.1f} dB while the test "
                    f"signal stood still, {self._when(start)}; it was stopped at once.",
                    hint="Something feeds back: look for a return routed to its own input.",
                )


@dataclass
class Runs:
    """Plays sections through one stream; ``repairs`` names a section for every time it was taken up again."""

    stream: AudioStream
    rate_hz: int
    repairs: list[str] = field(default_factory=list)
    _runs: int = 0

    def record(
        self, section: Section, signal: Audio, *, late: int, noise: NDArray[np.float64]
    ) -> tuple[Audio, Span | None]:
        """Play ``signal``; return the section's returns, shape (length, inputs), and what of them is undisturbed.

        ``late`` is the delay of the slowest loop [frames], which is waited for and taken off; ``noise`` the RMS of
        every input (full scale 1.0). None for the second where nothing is disturbed.

        Raises
        ------
        ClippedStep
            A step of a staircase overloads a return.
        AudioError
            A return overloads or grows by itself.
        AudioDropoutError
            Xruns left too little of the section, try after try.
        """
        self._runs = 0
        if section.kind in UNBROKEN:
            heard = self._unbroken(section, signal, late)
        else:
            heard = self._joined(section, signal, late, noise)[late:], None
        self.repairs += [section.name] * (self._runs - 1)
        return heard

    def _joined(self, section: Section, signal: Audio, late: int, noise: NDArray[np.float64]) -> Audio:
        frames, lead = section.length + late, section.settle_frames + late + JOIN_FRAMES
        whole: Audio = np.zeros((frames, self.stream.inputs), np.float32)
        kept, vain = 0, 0
        while vain < PATIENCE_S * self.rate_hz:
            start = max(0, kept - lead)
            heard, xruns = self._run(section, signal, start, frames, late)
            until = start + _undisturbed(xruns, len(heard), guard_frames(self.stream))
            gained = until - kept
            here = slice(kept - JOIN_FRAMES - start, kept - start)
            if start and gained > 0 and not _same(whole[kept - JOIN_FRAMES : kept], heard[here], noise):
                lead, gained = 2 * lead, 0
            if gained > 0:
                first = kept if start else 0
                whole[first:until] = heard[first - start : until - start]
                kept = until
            if kept == frames:
                return whole
            vain += 0 if gained >= LEAST_GAIN_FRAMES else len(heard)
        raise _refused(section)

    def _unbroken(self, section: Section, signal: Audio, late: int) -> tuple[Audio, Span | None]:
        frames, vain = section.length + late, 0
        best: tuple[int, Audio, Span] = (0, np.zeros((0, self.stream.inputs), np.float32), (0, 0))
        while vain < PATIENCE_S * self.rate_hz:
            heard, xruns = self._run(section, signal, 0, frames, late)
            if not xruns:
                return heard[late:], None
            vain += frames
            for first, stop in clean_stretches(xruns, frames=frames, guard=guard_frames(self.stream, late)):
                span = first + section.settle_frames, stop - late
                if span[1] - span[0] > best[0]:
                    best = span[1] - span[0], heard[late:], span
        if best[0] < SHORTEST_SHARE * section.frames:
            raise _refused(section)
        return best[1:]

    def _run(
        self, section: Section, signal: Audio, start: int, frames: int, late: int
    ) -> tuple[Audio, tuple[Xrun, ...]]:
        """Play a section from frame ``start`` of it until ``frames``; return what came back meanwhile."""
        settle = section.settle_frames
        played = signal[start:]
        if start and section.kind != "comb":
            played = played.copy()
            fade_in(played, settle // 2)
        steady_from = settle // 2 if section.kind == "comb" else settle + late
        sink = _Watched(
            section, frames - start, self.stream.inputs, start=start, steady_from=steady_from, rate_hz=self.rate_hz
        )
        self._runs += 1
        report = self.stream.run(_Signal(played), sink, frames - start)
        return sink.audio, report.xruns


def _undisturbed(xruns: Sequence[Xrun], frames: int, guard: int) -> int:
    """Return how many frames of a run come before what its first xrun may have touched."""
    stretches = clean_stretches(xruns, frames=frames, guard=guard)
    return stretches[0][1] if stretches and stretches[0][0] == 0 else 0


def _same(one: Audio, other: Audio, noise: NDArray[np.float64]) -> bool:
    left = np.sqrt(np.mean(np.square(other.astype(np.float64) - one), axis=0))
    return bool(np.all(left <= JOIN_NOISE * math.sqrt(2.0) * noise + STEP_FS))


def _refused(section: Section) -> AudioDropoutError:
    return AudioDropoutError(
        f"Xruns disturbed {section.name} again and again, for {PATIENCE_S:.0f} s.",
        hint="Close other programs, or raise block_frames in the rig's [audio].",
    )
