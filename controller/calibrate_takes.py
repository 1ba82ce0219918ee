"""What came back of each section, and what went wrong in the middle of one: a loop that vanished, and when.

A section is steady: one period of it is like the next. Whatever differs within it happened in the room.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from controller.calibrate_sections import Programme, Section, period_of
from dsp.levels import rms_from_dbfs
from dsp.measure.loop import measure_loops

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsp.measure.loop import LoopMatrix
    from dsp.measure.probe import Comb

BLOCK_FRAMES = 512
TONE_BLOCK_FRAMES = 1024
GONE_BELOW = 0.9
"""A period that holds less than this share of a loop's amplitude lost it on the way."""
TONE_GONE_BELOW = 0.3
SURE_SD = 8.0


@dataclass(frozen=True)
class Take:
    """The returns of one section, settling included, shape (length, inputs), full scale 1.0.

    ``gone`` says at which frame of it a loop vanished, by output; 0 when it was away from the beginning. ``stopped``
    are the outputs that were left silent, because an earlier step had overloaded their return. ``span`` is what of it
    no xrun touched, in frames; None where that is everything.
    """

    section: Section
    audio: NDArray[np.float32]
    gone: Mapping[int, int] = field(default_factory=dict)
    stopped: frozenset[int] = frozenset()
    span: tuple[int, int] | None = None

    @property
    def first(self) -> int:
        """The frame from which on it is read."""
        return self.section.settle_frames if self.span is None else self.span[0]

    @property
    def steady(self) -> NDArray[np.float32]:
        """What is read: everything undisturbed behind the settling, shape (frames, inputs)."""
        return self.audio[self.first : None if self.span is None else self.span[1]]

    def clean(self, output: int | None = None) -> NDArray[np.float32]:
        """Return the whole periods of a comb that no vanishing loop disturbs.

        ``output`` asks for the periods in which that one was still there. Empty when there is none.
        """
        period, settle = period_of(self.section), self.section.settle_frames
        ends = sorted(set(self.gone.values()))
        if not ends:
            return self.steady
        if output is not None and output in self.gone:
            return self.steady[: max(0, min(self.gone[output], ends[0]) - settle) // period * period]
        before = max(0, ends[0] - settle) // period * period
        after = -(-max(0, ends[-1] - settle) // period) * period
        head, tail = self.steady[:before], self.steady[after:]
        return tail if len(tail) >= len(head) else head


@dataclass(frozen=True)
class Vanished:
    """A loop that was there and went: in which section, how far into its measurement [s]."""

    output: int
    section: Section
    at_s: float

    @property
    def what(self) -> str:
        """The event in words."""
        if self.at_s <= 0.0:
            return f"loop {self.output} vanished before {self.section.name}"
        return f"loop {self.output} vanished {self.at_s:.1f} s into {self.section.name}"


@dataclass(frozen=True)
class Alive:
    """A loop as it was last heard: where (from 1), the signed gain, the delay [samples], the gain's spread."""

    input: int
    gain: float
    delay: float
    gain_sd: float


def alive(matrix: LoopMatrix, outputs: tuple[int, ...]) -> dict[int, Alive]:
    """Return the loops that ``matrix`` shows present, by output."""
    found = {}
    for output in outputs:
        row = output - 1
        here = np.flatnonzero(matrix.present[row])
        if here.size:
            column = int(here[np.argmax(matrix.gain_db[row, here])])
            gain = float(matrix.polarity[row, column]) * 10.0 ** (float(matrix.gain_db[row, column]) / 20.0)
            spread = abs(gain) * float(matrix.gain_sd[row, column]) / 8.686
            found[output] = Alive(column + 1, gain, float(matrix.latency_samples[row, column]), spread)
    return found


def vanishings(take: Take, plan: Programme, known: Mapping[int, Alive], rms: NDArray[np.float64]) -> Take:
    """Return ``take`` with the loops that vanished during it, or were gone when it began.

    ``known`` are the loops that were there before; ``rms`` the noise of every input (full scale 1.0).
    """
    section = take.section
    if section.kind == "silence" or section.pattern or section.stage or not known:
        return take
    find = _comb_vanishing if section.kind == "comb" else _tone_vanishing
    gone = {}
    for output, loop in known.items():
        if output in section.active and output not in take.stopped:
            at = find(take, plan, output, loop, rms)
            if at is not None:
                gone[output] = at
    return replace(take, gone=gone)


@dataclass
class Ledger:
    """All takes so far, by their sections' keys; the loops that live, those that went, and the noise of the inputs."""

    plan: Programme
    takes: dict[str, Take] = field(default_factory=dict)
    vanished: list[Vanished] = field(default_factory=list)
    known: dict[int, Alive] = field(default_factory=dict)
    noise: NDArray[np.float64] | None = None

    def add(self, take: Take) -> list[Vanished]:
        """Keep a take; learn from it which loops live, and return those that went."""
        section = take.section
        if section.kind == "silence":
            self.noise = rms_of(take.steady)
        noise = self.noise if self.noise is not None else np.zeros(take.audio.shape[1])
        take = vanishings(take, self.plan, self.known, noise)
        self.takes[section.key] = take
        events = told(take, self.plan.rate_hz)
        self.vanished += events
        for event in events:
            self.known.pop(event.output, None)
        if section.kind == "comb" and (section.stage or section.key == "comb"):
            clean = take.clean()
            if len(clean):
                gone = {event.output for event in self.vanished}
                matrix = measure_loops(clean, self.plan.comb(section))
                self.known = {o: loop for o, loop in alive(matrix, section.active).items() if o not in gone}
        return events


def rms_of(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the RMS of every input (full scale 1.0)."""
    rms: NDArray[np.float64] = np.sqrt(np.mean(np.square(audio, dtype=np.float64), axis=0))
    return rms


def told(take: Take, rate_hz: int) -> list[Vanished]:
    """Say what vanished in ``take``, in words of its measurement."""
    section = take.section
    return [
        Vanished(output, section, (section.into_frames + at) / rate_hz if at or section.into_frames else 0.0)
        for output, at in take.gone.items()
    ]


def _comb_vanishing(take: Take, plan: Programme, output: int, loop: Alive, rms: NDArray[np.float64]) -> int | None:
    comb, section = plan.comb(take.section), take.section
    bins, frames = comb.bins[output - 1], comb.frames
    expected = comb.spectra[output - 1] * loop.gain * np.exp(-2j * np.pi * bins / frames * loop.delay)
    heard = take.audio[:, loop.input - 1].astype(np.float64)
    periods = heard[section.settle_frames :].reshape(-1, frames)
    spectra = np.fft.rfft(periods, axis=1)[:, bins]
    energy = float(np.sum(np.abs(expected) ** 2))
    share = np.real(spectra @ np.conj(expected)) / energy
    doubt = SURE_SD * math.sqrt(0.5 * frames * float(rms[loop.input - 1]) ** 2 / energy) + 8.0 * loop.gain_sd / abs(
        loop.gain
    )
    if float(share.min()) >= GONE_BELOW - doubt:
        return None
    return _moment(heard, comb, bins, expected, absent_at_end=bool(share[-1] < 0.1))


def _moment(
    heard: NDArray[np.float64],
    comb: Comb,
    bins: NDArray[np.int64],
    expected: NDArray[np.complex128],
    *,
    absent_at_end: bool,
) -> int:
    """Find the frame from which on a loop's own part is missing; 0 when it never was there.

    The part is correlated with what came back in short blocks; the frame is where the running sum of share less ½ is
    highest (a change point from 1 to 0). What the other loops play is taken off where a last period without this one
    shows it.
    """
    spectrum = np.zeros(comb.frames // 2 + 1, np.complex128)
    spectrum[bins] = expected
    own = np.fft.irfft(spectrum, comb.frames)
    if absent_at_end and len(heard) >= 2 * comb.frames:
        heard = heard - np.resize(heard[-comb.frames :], len(heard))
    blocks = len(heard) // BLOCK_FRAMES
    own = np.resize(own, len(heard))[: blocks * BLOCK_FRAMES].reshape(blocks, -1)
    part = heard[: blocks * BLOCK_FRAMES].reshape(blocks, -1)
    running = np.cumsum(np.sum(part * own, axis=1) - 0.5 * np.sum(own * own, axis=1))
    if float(running.max()) <= 0.0:
        return 0
    return (int(np.argmax(running)) + 1) * BLOCK_FRAMES


def _tone_vanishing(take: Take, plan: Programme, output: int, loop: Alive, rms: NDArray[np.float64]) -> int | None:
    section = take.section
    assert section.level_dbfs is not None  # noqa: S101 - tones have a level
    expected = abs(loop.gain) * rms_from_dbfs(section.level_dbfs)
    if expected < 10.0 * float(rms[loop.input - 1]):
        return None
    blocks = len(take.steady) // TONE_BLOCK_FRAMES
    heard = take.steady[: blocks * TONE_BLOCK_FRAMES, loop.input - 1].reshape(blocks, -1).astype(np.float64)
    level = np.sqrt(np.mean(heard**2, axis=1))
    missing = np.flatnonzero(level < TONE_GONE_BELOW * float(level.max()))
    if float(level.max()) < TONE_GONE_BELOW * TONE_GONE_BELOW * expected:
        return 0
    return take.first + int(missing[0]) * TONE_BLOCK_FRAMES if missing.size else None
