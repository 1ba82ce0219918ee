"""What the recording would be if only the modelled path lay between it and the reference; any block, in any order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.null.align import Alignment, Piece
from dsp.null.signal import Signal, Span
from dsp.null.stages import Applied

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Path:
    """The reference, where it lies, and the stages it passes."""

    a: Signal
    alignment: Alignment
    chain: tuple[tuple[str, Applied], ...] = ()

    @property
    def margins(self) -> tuple[int, int]:
        """How many frames before and after a block all stages together must see."""
        each = [applied.margins for _, applied in self.chain]
        return sum(before for before, _ in each), sum(after for _, after in each)

    def models(self, piece: Piece, span: Span) -> list[Floats]:
        """Return the model on a piece's time line: with gains only, and after each stage; (channels, frames) each."""
        before, after = self.margins
        y, _ = self.alignment.read(self.a, piece, span[0] - before, span[1] + after)
        inside = slice(before, before + span[1] - span[0])
        out = [np.array(self.alignment.gains)[:, None] * y[:, inside]]
        for _, applied in self.chain:
            y = applied.apply(y)
            out.append(y[:, inside])
        return out

    def best(self, piece: Piece, span: Span) -> Floats:
        """Return the model after the last stage."""
        return self.models(piece, span)[-1]
