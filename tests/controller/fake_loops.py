"""Loops made of nothing but numpy: whole-sample delays, gains and faults on purpose, behind an audio stream of its own.

It shares no code with the probe or what reads it. Whole-sample delays are exact; what a clock of another rate would
record is made by libsoxr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller import calibrate
from controller.events import Event, Finding, Question
from controller.loops import StoredCalibration
from controller.studio import Studio
from hardware.seams import AudioStream, RunReport, Sink, Source

Audio = NDArray[np.float64]
RATE_HZ = 48_000
CHUNK_FRAMES = 8192
"""Of so many frames a run is made where nothing is to happen between two blocks."""


@dataclass
class Loops:
    """Which output reaches which input (both from 1) with what gain and whole delay; the rest is what goes wrong.

    A fault is told the returns of one block, the number of the run (from 0) and the block's first frame, and changes
    them. ``clip`` is the converter's full scale, ``bend`` a second harmonic: ``y + bend·y²``.
    """

    paths: Mapping[tuple[int, int], tuple[float, int]]
    noise: float = 1e-5
    clip: float = 1.0
    bend: float = 0.0
    fault: Callable[[Audio, Loops, int, int], None] | None = None
    pulled: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """Path → run and frame at which its cable comes out for good."""


class FakeStream:
    """An audio stream through `Loops`; what sounded in an earlier run has died away."""

    def __init__(self, loops: Loops, *, outputs: int, inputs: int) -> None:
        self.rate_hz, self.block_frames = RATE_HZ, 256
        self.outputs, self.inputs = outputs, inputs
        self.loops = loops
        self.loudest = np.zeros((0, outputs))
        self._rng = np.random.default_rng(1)
        self._run = -1

    def run(self, source: Source, sink: Sink, frames: int, **_: Any) -> RunReport:
        self._run += 1
        reach = max((delay for _, delay in self.loops.paths.values()), default=0)
        past = np.zeros((reach, self.outputs))
        loudest = np.zeros(self.outputs)
        chunk = CHUNK_FRAMES if self.loops.fault is None else self.block_frames
        for start in range(0, frames, chunk):
            count = min(chunk, frames - start)
            played = np.asarray(source.read(count), np.float64)
            loudest = np.maximum(loudest, np.abs(played).max(axis=0))
            line = np.concatenate([past, played])
            heard = self._rng.normal(0.0, self.loops.noise, (count, self.inputs))
            for (output, goal), (gain, delay) in self.loops.paths.items():
                part = gain * line[reach - delay : reach - delay + count, output - 1]
                at = self.loops.pulled.get((output, goal))
                if at is not None and self._run >= at[0]:
                    part = (
                        np.where(np.arange(start, start + count) < at[1], part, 0.0)
                        if self._run == at[0]
                        else 0.0 * part
                    )
                heard[:, goal - 1] += part + self.loops.bend * part**2
            if self.loops.fault is not None:
                self.loops.fault(heard, self.loops, self._run, start)
            past = line[len(line) - reach :]
            sink.write(np.clip(heard, -self.loops.clip, self.loops.clip).astype(np.float32))
        self.loudest = np.vstack([self.loudest, loudest])
        return RunReport(frames, ())

    def close(self) -> None:
        """Nothing to close."""


class FakeStudio(Studio):
    """A studio whose stream leads through `Loops`."""

    fake: FakeStream

    @contextmanager
    def stream(self) -> Iterator[AudioStream]:
        yield self.fake  # type: ignore[misc]  # it has all of a stream but the context manager


class Bench:
    """A rig of plain loops, and what was said while it was calibrated."""

    def __init__(self, folder: Path, loops: Loops, *, count: int = 3, text: str = "") -> None:
        self.folder, self.loops, self.count = folder, loops, count
        self.rig = folder / "bench.toml"
        self.rig.write_text(
            text
            or f"""schema = 1
name = "bench"
[audio]
port = "fake"
rate_hz = {RATE_HZ}
outputs = {count}
inputs = {count}
[[wire]]
outputs = "1-{count}"
to = "loopback/1-{count}"
[[return]]
from = "loopback/1-{count}"
inputs = "1-{count}"
"""
        )
        self.heard: list[Event] = []
        self.asked: list[Question] = []
        self.stream = FakeStream(loops, outputs=count, inputs=count)

    def accept(self, question: Question) -> bool:
        self.asked.append(question)
        return True

    def studio(self) -> FakeStudio:
        studio = FakeStudio.open(self.rig)
        assert isinstance(studio, FakeStudio)
        studio.fake = self.stream = FakeStream(self.loops, outputs=self.count, inputs=self.count)
        return studio

    def calibrate(self, *only: str, **options: Any) -> StoredCalibration:
        with self.studio() as studio:
            return calibrate.calibrate(studio, only=only, emit=self.heard.append, accept=self.accept, **options)

    def findings(self) -> list[str]:
        return [event.what for event in self.heard if isinstance(event, Finding)]

    def stored(self) -> list[Path]:
        return sorted(self.folder.rglob("*-calibration.json"))


def straight(count: int = 3, *, gain: float = 0.8) -> dict[tuple[int, int], tuple[float, int]]:
    """Every output to the input of its number, each a little later and softer than the one before."""
    return {(n, n): (gain * 0.97**n, 100 + 3 * n) for n in range(1, count + 1)}
