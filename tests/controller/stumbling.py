"""A stream that loses frames on purpose, and says so as the audio system does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from controller.studio import Studio
from hardware.seams import AudioStream, RunReport, Sink, Source, Xrun

if TYPE_CHECKING:
    from hardware.seams import Block

Losses = Callable[[int, int], Sequence[int]]
"""Number of the run (from 0) and its frames → the first frames of the blocks that it loses."""


class Stumbling:
    """Another stream, of whose runs some blocks are never played, and what was recorded meanwhile is silence."""

    def __init__(self, inner: AudioStream, losses: Losses) -> None:
        self.inner, self.losses = inner, losses
        self.rate_hz, self.block_frames = inner.rate_hz, inner.block_frames
        self.outputs, self.inputs = inner.outputs, inner.inputs
        self.runs: list[int] = []
        """Frames of each run so far."""

    def run(self, source: Source, sink: Sink, frames: int, **options: Any) -> RunReport:
        lost = [at for at in self.losses(len(self.runs), frames) if 0 <= at < frames]
        self.runs.append(frames)
        gaps = [(at, min(at + self.block_frames, frames)) for at in lost]
        report = self.inner.run(_Gapped(source, gaps), _GappedSink(sink, gaps), frames, **options)
        return RunReport(report.frames, tuple(Xrun(at, stop - at, "output") for at, stop in gaps))

    def close(self) -> None:
        self.inner.close()


class _Gapped:
    def __init__(self, source: Source, gaps: Sequence[tuple[int, int]]) -> None:
        self.source, self.gaps, self.at = source, gaps, 0

    def read(self, frames: int) -> Block:
        block = _silenced(self.source.read(frames), self.at, self.gaps)
        self.at += frames
        return block


class _GappedSink:
    def __init__(self, sink: Sink, gaps: Sequence[tuple[int, int]]) -> None:
        self.sink, self.gaps, self.at = sink, gaps, 0

    def write(self, block: Block) -> None:
        self.sink.write(_silenced(block, self.at, self.gaps))
        self.at += len(block)


def _silenced(block: Block, at: int, gaps: Sequence[tuple[int, int]]) -> Block:
    frames = at + np.arange(len(block))
    inside = np.zeros(len(block), bool)
    for first, stop in gaps:
        inside |= (frames >= first) & (frames < stop)
    return np.where(inside[:, None], np.float32(0.0), block).astype(np.float32)


def stumble(monkeypatch: pytest.MonkeyPatch, losses: Losses, studio: type[Studio] = Studio) -> list[Stumbling]:
    """Let every stream that such a studio opens from now on stumble; return them as they are opened."""
    opened: list[Stumbling] = []
    upright = studio.stream

    @contextmanager
    def stream(self: Studio) -> Iterator[AudioStream]:
        with upright(self) as inner:
            opened.append(Stumbling(inner, losses))
            yield opened[-1]  # type: ignore[misc]  # it has all of a stream but the context manager

    monkeypatch.setattr(studio, "stream", stream)
    return opened
