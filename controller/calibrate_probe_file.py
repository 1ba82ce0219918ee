"""The programme of a calibration as one WAV, to be played in another room: what stands where in it.

The file begins with a mark, the same in every probe, and a pilot comb that belongs to this rig, these options and this
version alone; the pilot sounds again at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controller import files, probing
from controller.calibrate_sections import FIRST_DBFS, Programme, Section
from controller.events import Emit, Progress
from controller.wav import Bext, WavWriter
from dsp.dither import Ditherer
from dsp.levels import rms_from_dbfs
from dsp.measure.probe import Comb, comb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Audio = NDArray[np.float32]
    Floats = NDArray[np.float64]

JOB = "calibrate"
LEAD_S, TAIL_S = 0.5, 1.0
MARK_FRAMES, GAP_FRAMES = 16_384, 4_096
MARK_SEED = 4_711
MARK_HZ = (200.0, 2_000.0)
"""Low enough that 300 ppm over a mark's length turn no phase by half a cycle."""
EDGE_HZ = 100.0
PILOT_PERIODS = 3


@dataclass(frozen=True)
class Timeline:
    """Where everything stands in the probe's file [frames]."""

    plan: Programme

    @property
    def mark(self) -> int:
        """First frame of the mark."""
        return round(LEAD_S * self.plan.rate_hz)

    @property
    def pilot(self) -> int:
        """First frame of the first pilot."""
        return self.mark + MARK_FRAMES + GAP_FRAMES

    @property
    def pilot_frames(self) -> int:
        """Length of either pilot."""
        return PILOT_PERIODS * probing.PERIOD_FRAMES

    def sections(self) -> Iterator[tuple[Section, int]]:
        """Yield every section with its first frame."""
        at = self.pilot + self.pilot_frames + GAP_FRAMES
        for section in self.plan.sections:
            yield section, at
            at += section.sounding + GAP_FRAMES

    @cached_property
    def last_pilot(self) -> int:
        """First frame of the second pilot."""
        section, at = list(self.sections())[-1]
        return at + section.sounding + GAP_FRAMES

    @property
    def frames(self) -> int:
        """Length of the file."""
        return self.last_pilot + self.pilot_frames + round(TAIL_S * self.plan.rate_hz)

    @cached_property
    def pilot_comb(self) -> Comb:
        """Return the comb of the pilots: its tones and phases are this programme's own."""
        plan = self.plan
        return comb(
            plan.outputs,
            rate_hz=plan.rate_hz,
            level_dbfs=min(plan.comb_dbfs, -40.0),
            seed=int(plan.ident, 16) % (1 << 32),
            active=[number - 1 for number in plan.active],
        )


def mark(rate_hz: int) -> Floats:
    """Return the mark, (MARK_FRAMES,), noise between 200 Hz and 2 kHz of RMS 1, soft at the edges of that band."""
    spectrum = np.fft.rfft(np.random.default_rng(MARK_SEED).standard_normal(MARK_FRAMES))
    burst = np.fft.irfft(spectrum * in_band(MARK_FRAMES, rate_hz), MARK_FRAMES)
    return np.asarray(burst / np.sqrt(np.mean(burst**2)))


def write_probe(path: Path, plan: Programme, *, emit: Emit) -> None:
    """Write the programme of ``plan`` to ``path``, 24-bit, one channel an output.

    Raises
    ------
    ExistsError, StorageError
        The file is already there, or cannot be written; nothing is left behind.
    """
    line = Timeline(plan)
    bext = Bext(
        description=f"halfnormal-probe {plan.ident} parts {','.join(plan.parts)} level {plan.tone_dbfs:g} dBFS",
        originator_reference=plan.ident,
    )
    partial = path.with_name(f".partial-{plan.ident}-{path.name}")
    partial.unlink(missing_ok=True)
    try:
        with WavWriter(
            partial,
            rate_hz=plan.rate_hz,
            channels=plan.outputs,
            subtype="PCM_24",
            bext=bext,
            dither=Ditherer(24, channels=plan.outputs),
        ) as writer:
            for block in _blocks(line):
                writer.write(block)
                emit(Progress(JOB, writer.frames / line.frames, detail="writing the probe"))
        files.move_new(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _blocks(line: Timeline) -> Iterator[Audio]:
    plan = line.plan
    columns = [number - 1 for number in plan.active]

    def silence(frames: int) -> Audio:
        return np.zeros((frames, plan.outputs), np.float32)

    begin = silence(MARK_FRAMES)
    begin[:, columns] = (mark(plan.rate_hz) * rms_from_dbfs(FIRST_DBFS))[:, None]
    period = line.pilot_comb.period
    pilot = period[np.arange(line.pilot_frames) % len(period)]
    yield from (silence(line.mark), begin, silence(GAP_FRAMES), pilot, silence(GAP_FRAMES))
    for section, _ in line.sections():
        yield plan.signal(section)
        yield silence(GAP_FRAMES)
    yield from (pilot, silence(round(TAIL_S * plan.rate_hz)))


def in_band(frames: int, rate_hz: int) -> Floats:
    """Return what weight the mark's band gives a spectrum's bins; soft at its edges, where tones would ring on."""
    hz = np.fft.rfftfreq(frames, 1.0 / rate_hz)
    inside = np.minimum(hz - MARK_HZ[0], MARK_HZ[1] - hz) / EDGE_HZ
    return np.asarray(np.sin(0.5 * np.pi * np.clip(inside, 0.0, 1.0)) ** 2)
