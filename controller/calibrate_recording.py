"""Reading a recording of a calibration's probe: where it begins, how fast the recorder's clock ran, and then the takes.

The mark says where in the recording the probe begins, both pilots how fast the recorder's clock ran; the recording is
then read at the times of the player's clock, and the rest is as live.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controller import files, probing
from controller.audiofile import AudioReader
from controller.calibrate_probe_file import PILOT_PERIODS, Timeline, in_band, mark
from controller.calibrate_sections import Programme, Section
from controller.calibrate_takes import Ledger, Take
from controller.calibrate_wiring import Wiring
from controller.errors import AudioFileError
from controller.events import Emit, Finding, Progress
from controller.figures import Figure
from dsp.levels import decibels
from dsp.measure.loop import measure_loops
from dsp.null.reader import HALF_TAPS, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Audio = NDArray[np.float32]
    Floats = NDArray[np.float64]

JOB = "calibrate"
FOUND_ABOVE = 0.2
"""Normalised correlation of a mark that is there; of anything else it stays below 5/√(2·B·T) = 0.15."""
WORST_PPM = 400.0
CHUNK_FRAMES = 1 << 20
DRIFT_ROUNDS = 3


@dataclass(frozen=True)
class Recording:
    """What was read of a recording: the takes, and the drift of the recorder's clock."""

    ledger: Ledger
    drift: Figure
    starts_at_s: float
    """Where in the recording the probe's file begins [s]; negative when its first silence was not recorded."""


def read_recording(path: Path, plan: Programme, found: Wiring, *, emit: Emit) -> Recording:
    """Find the probe of ``plan`` in a recording and cut it into takes.

    Raises
    ------
    AudioFileError
        The recording is damaged, cut short at either end, of another rate, of too few channels, overloaded, or of
        another probe.
    StorageError
        It cannot be read.
    """
    with AudioReader(path) as reader:
        return _Tape(reader, plan, found, emit).read()


class _Tape:
    """A recording and the map from the probe's frames to its own: ``start + (1 + drift)·frame``."""

    def __init__(self, reader: AudioReader, plan: Programme, found: Wiring, emit: Emit) -> None:
        self._reader = reader
        self._plan = plan
        self._found = found
        self._emit = emit
        self._line = Timeline(plan)
        self._name = files.relative(reader.facts.path)
        self._start = 0.0
        self._drift = 0.0
        self._drift_sd = 0.0
        self._columns = sorted({loop.expected - 1 for loop in found.loops})

    def read(self) -> Recording:
        self._check_shape()
        self._find_start()
        self._find_drift()
        ppm, sd = self._drift * 1e6, self._drift_sd * 1e6
        verdict = (
            f"locked: drift below {max(3.0 * sd, 1e-6):.1g} ppm"
            if abs(ppm) < max(3.0 * sd, 1e-6)
            else f"not locked: the recorder's clock runs {abs(ppm):.4g} ppm {'fast' if ppm > 0 else 'slow'}"
        )
        starts_s = self._start / self._plan.rate_hz
        self._emit(Finding(JOB, f"the probe begins {starts_s:.3f} s into {self._name}; {verdict}"))
        ledger = Ledger(self._plan)
        stopped: dict[tuple[int, ...], set[int]] = {}
        for section, at in self._line.sections():
            self._emit(Progress(JOB, at / self._line.frames, detail=section.name))
            take = self._take(section, at, stopped)
            for event in ledger.add(self._with_stopped(take, ledger, stopped)):
                self._emit(Finding(f"loop {event.output}", event.what, "Look at its cable and plugs.", "warning"))
        if not ledger.known and not ledger.vanished:
            raise AudioFileError(
                f"{self._name}: the probe is in it, but no loop of {len(self._found.loops)} stands above the noise",
                hint="Record again with more level.",
            )
        return Recording(ledger, Figure(ppm, sd, f"{verdict}; from the pilots at both ends of the recording"), starts_s)

    def _check_shape(self) -> None:
        facts, plan = self._reader.facts, self._plan
        if facts.rate_hz != plan.rate_hz:
            raise AudioFileError(
                f"{self._name} is at {facts.rate_hz} Hz, and the rig {'runs'} at {plan.rate_hz} Hz",
                hint="Record at the rate of the probe; a resampled recording is none of the room's clock.",
            )
        needed = max(loop.expected for loop in self._found.loops)
        if facts.channels < needed:
            raise AudioFileError(
                f"{self._name} has {facts.channels} channels, and the rig's loops come back on inputs up to {needed}",
                hint="Record every return of the rig into one file, in the order of its inputs.",
            )

    def _find_start(self) -> None:
        """Find the mark, then the pilot behind it.

        Raises
        ------
        AudioFileError
            Neither is there, only the second pilot is, or the pilot is another probe's.
        """
        facts, line = self._reader.facts, self._line
        at, score, column = self._search(mark(self._plan.rate_hz), 0, facts.frames, self._columns)
        if score < FOUND_ABOVE:
            pilot = self._pilot(*self._at(self._columns[0]))
            late, late_score, _ = self._search(pilot, 0, facts.frames, self._columns[:1])
            if late_score >= FOUND_ABOVE:
                raise AudioFileError(
                    f"{self._name} begins after the probe did: its mark is missing, and a pilot stands at "
                    f"{late / self._plan.rate_hz:.2f} s",
                    hint="Start the recording before the probe, and record it again.",
                )
            raise AudioFileError(
                f"{self._name} holds no probe: nothing in it resembles the mark at its beginning",
                hint="Record what 'calibrate --make-probe' wrote, with every return in the file.",
            )
        near = at + line.pilot - line.mark
        reach = round((line.pilot - line.mark) * WORST_PPM * 1e-6) + 256
        # The right loops at once where it is wired as the rig says, one of them where it is not.
        several = [self._pilot(*self._at(column)), *(self._pilot(output) for output in self._plan.active)]
        found = [self._search(one, near - reach, near + reach + len(one), [column]) for one in several]
        begins, score, _ = max(found, key=lambda place: place[1])
        pilot = several[max(range(len(found)), key=lambda k: found[k][1])]
        if score < FOUND_ABOVE:
            raise AudioFileError(
                f"{self._name} is a recording of another probe than the one of this rig, these options and version "
                f"({self._plan.ident})",
                hint="Give the same --rig, --only and --level as to --make-probe, or make a new probe and record that.",
            )
        self._start = float(begins - line.pilot)
        missing = self._start + line.last_pilot + line.pilot_frames - facts.frames
        if missing > 0:
            raise AudioFileError(
                f"{self._name} is cut short: it ends {missing / self._plan.rate_hz:.1f} s before the probe does",
                hint="Record the probe to its end.",
            )
        reach = round(line.last_pilot * WORST_PPM * 1e-6) + 256
        near = int(begins) + line.last_pilot - line.pilot
        ends, score, _ = self._search(pilot, near - reach, near + reach + len(pilot), [column])
        if score < FOUND_ABOVE:
            raise AudioFileError(
                f"{self._name}: the pilot at the probe's end is not where it must be; the recording was edited",
                hint="Record the probe in one go, and leave the file as it is.",
            )
        self._drift = (ends - begins) / (line.last_pilot - line.pilot) - 1.0
        self._start = begins - (1.0 + self._drift) * line.pilot

    def _find_drift(self) -> None:
        """Measure both pilots as loops and let their delays agree; the strongest loop becomes the zero of latency."""
        probe = self._line.pilot_comb
        settle = probing.PERIOD_FRAMES
        span = self._line.last_pilot - self._line.pilot
        for _ in range(DRIFT_ROUNDS):
            first, last = (
                measure_loops(
                    self._cut(at + settle, (PILOT_PERIODS - 1) * settle), probe, earliest_samples=-settle / 2.0
                )
                for at in (self._line.pilot, self._line.last_pilot)
            )
            both = first.present & last.present
            if not both.any():
                raise AudioFileError(
                    f"{self._name}: the pilots are there, but too faint to read the clock from",
                    hint="Record again with more level.",
                )
            weight = 1.0 / (first.latency_sd[both] ** 2 + last.latency_sd[both] ** 2 + 1e-12)
            grown = float(np.sum(weight * (last.latency_samples[both] - first.latency_samples[both])) / np.sum(weight))
            loudest = np.unravel_index(int(np.argmax(np.where(both, first.level_db, -np.inf))), both.shape)
            self._start += float(first.latency_samples[loudest]) - grown * (self._line.pilot + settle) / span
            self._drift += grown / span
            self._drift_sd = float(np.sum(weight)) ** -0.5 / span

    def _take(self, section: Section, at: int, stopped: dict[tuple[int, ...], set[int]]) -> Take:
        audio = self._cut(at, section.length)
        peaks = np.abs(audio).max(axis=0)
        if peaks.max() > probing.OVERLOAD:
            over = np.flatnonzero(peaks > probing.OVERLOAD)
            if section.rung is None:
                if section.active in stopped and section.kind != "comb":
                    return Take(section, audio)
                column = int(peaks.argmax())
                frame = int(np.argmax(np.abs(audio[:, column]) > probing.OVERLOAD))
                raise AudioFileError(
                    f"{self._name}: return {column + 1} overloads ({decibels(float(peaks[column])):+.1f} dBFS) "
                    f"{(section.into_frames + frame) / self._plan.rate_hz:.2f} s into {section.name}",
                    hint="Lower the gain in front of that input, or make the probe with a lower --level.",
                )
            loops = {loop.output for loop in self._found.loops if loop.expected - 1 in over}
            stopped.setdefault(section.active, set()).update(loops & set(section.active))
        return Take(section, audio)

    def _with_stopped(self, take: Take, ledger: Ledger, stopped: dict[tuple[int, ...], set[int]]) -> Take:
        section = take.section
        if section.kind not in ("tone", "smpte", "ccif") or (section.level_dbfs or 0.0) <= -50.0:
            return take
        return Take(section, take.audio, stopped=frozenset(stopped.get(section.active, set())))

    def _cut(self, at: int, frames: int) -> Audio:
        """Read ``frames`` frames of the probe's own time from ``at`` on, shape (frames, inputs)."""
        begins = self._start + (1.0 + self._drift) * at
        low = math.floor(begins) - HALF_TAPS - 2
        high = math.ceil(begins + (1.0 + self._drift) * frames) + HALF_TAPS + 2
        source = self._samples(low, high).T.astype(np.float64)
        cut, _ = read(source, delay=-(begins - low), drift=-self._drift, start=0, stop=frames)
        return np.ascontiguousarray(cut.T, dtype=np.float32)

    def _samples(self, low: int, high: int) -> Audio:
        """Return the recording's frames from ``low`` to ``high``, silence where it has none."""
        reader = self._reader
        inputs = min(self._plan.inputs, reader.facts.channels)
        out = np.zeros((high - low, self._plan.inputs), np.float32)
        first = max(low, 0)
        reader.seek(first)
        block = reader.read(max(0, high - first))
        out[first - low : first - low + len(block), :inputs] = block[:, :inputs]
        return out

    def _at(self, column: int) -> list[int]:
        return [loop.output for loop in self._found.loops if loop.expected == column + 1]

    def _pilot(self, *outputs: int) -> Floats:
        """Return what the pilots of some outputs (from 1) add up to."""
        period = self._line.pilot_comb.period[:, [output - 1 for output in outputs]].sum(axis=1, dtype=np.float64)
        return np.resize(period, self._line.pilot_frames)

    def _search(self, template: Floats, low: int, high: int, columns: list[int]) -> tuple[int, float, int]:
        """Return where ``template`` resembles the recording most: frame, normalised correlation (0…1), input from 0.

        Both are limited to the mark's band.
        """
        low, high = max(low, 0), min(high, self._reader.facts.frames)
        best = (0, 0.0, columns[0])
        length = 1 << max(2 * len(template), min(CHUNK_FRAMES - 1, high - low + len(template))).bit_length()
        step = length - len(template)
        rate_hz = self._plan.rate_hz
        shape = np.fft.rfft(template, length) * in_band(length, rate_hz)
        energy = float(np.sum(np.fft.irfft(shape, length) ** 2))
        for start in range(low, max(high - len(template), low) + 1, step):
            heard = self._samples(start, min(start + length, high)).astype(np.float64)
            for column in columns:
                spectrum = np.fft.rfft(heard[:, column], length) * in_band(length, rate_hz)
                banded = np.fft.irfft(spectrum, length)
                match = np.fft.irfft(spectrum * np.conj(shape), length)[:step]
                running = np.concatenate([[0.0], np.cumsum(banded**2)])
                local = running[len(template) : len(template) + step] - running[:step]
                usable = min(step, max(1, high - start - len(template) + 1))
                floor = 1e-6 * float(local[:usable].max(initial=0.0)) + 1e-20
                score = np.abs(match[:usable]) / np.sqrt(energy * np.maximum(local[:usable], floor))
                at = int(score.argmax())
                if score[at] > best[1]:
                    best = (start + at, float(score[at]), column)
        return best
