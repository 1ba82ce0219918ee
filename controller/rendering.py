"""A graph in step with the song, however late it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsp.bank import Source
    from dsp.graph import GraphBlock, MixGraph

__all__ = ["BLOCK_FRAMES", "Rendering"]

BLOCK_FRAMES = 16_384
"""Frames of a block: as many as the graph takes through at once."""


class Rendering:
    """A graph and what feeds it: blocks come out at their frame of the song, however late the graph is.

    ``source`` fills in the next frames of a strip, and silence after its end.
    """

    def __init__(self, graph: MixGraph, source: Source) -> None:
        self._graph = graph
        self._source = source
        self._ahead = graph.latency_frames

    def read(self, frames: int) -> GraphBlock:
        """Return the next frames of the song."""
        self.skip(0)
        return self._graph.pull(frames, self._source)

    def skip(self, frames: int) -> None:
        """Render frames and keep nothing."""
        self._ahead += frames
        while self._ahead > 0:
            step = min(self._ahead, BLOCK_FRAMES)
            self._graph.pull(step, self._source)
            self._ahead -= step
