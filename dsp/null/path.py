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
    def margin(self) -> int:
        """How many frames around a block all stages together must see."""
        return sum(applied.margin_frames for _, applied in self.chain)

    def models(self, piece: Piece, span: Span) -> list[Floats]:
        """Return the model on a piece's time line: with gains only, and after each stage; (channels, frames) each."""
        start, stop = span
        margin = self.margin
        y, _ = self.alignment.read(self.a, piece, start - margin, stop + margin)
        out = [np.array(self.alignment.gains)[:, None] * y[:, margin : margin + stop - start]]
        for _, applied in self.chain:
            y = applied.apply(y)
            margin -= applied.margin_frames
            out.append(y[:, margin : margin + stop - start])
        return out

    def best(self, piece: Piece, span: Span) -> Floats:
        """Return the model after the last stage."""
        return self.models(piece, span)[-1]
