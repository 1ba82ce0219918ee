"""Which stem moved between two mixes: the residual of a null held against the stems of the song."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from controller.errors import UsageError
from controller.recordings import Recording, at_rate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsp.null.path import Path as ModelPath
    from dsp.null.signal import Signal, Span
    from dsp.null.stems import StemMoves

    Floats = NDArray[np.float64]

SPANS = 24
SPAN_S = 1.5
POOR_SUM_DB = -20.0


@dataclass(frozen=True)
class StemReport:
    """Every stem's move, and how well the stems add up to A."""

    moves: StemMoves
    sum_depth_db: float
    """What the stems, each with its best gain per channel, leave of A [dB]."""

    @property
    def note(self) -> str:
        """A warning where the stems do not make the mix; empty where they do."""
        if self.sum_depth_db <= POOR_SUM_DB:
            return ""
        return (
            f"the stems add up to A only to {self.sum_depth_db:.1f} dB: effects, automation or a missing stem stand "
            "between, and a move is told the less surely"
        )


def stem_files(given: Sequence[Path]) -> list[Path]:
    """Return the audio files given, and those in the folders given, by name.

    Raises
    ------
    UsageError
        A folder without audio, or two stems of one name.
    """
    from controller.audiofile import SUFFIXES

    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES)
        if not inside:
            raise UsageError(f"There is no audio file in {path}.", hint="Give the folder of the song's stems.")
        found += inside
    names = [path.stem for path in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"Two stems are called {twice!r}.", hint="Give each stem once.")
    return found


def moves_of(stems: Sequence[Path], model: ModelPath, b: Signal, *, rate_hz: int) -> StemReport:
    """Return which of ``stems`` moved between A and B.

    Stems lie on A's time line, at whatever level: the gains per channel with which they make A are found first.

    Raises
    ------
    AudioFileError
        A stem cannot be read.
    """
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(Recording(path)) for path in stems]
        signals = [_widened(stack.enter_context(at_rate(each, rate_hz)), b.channels) for each in opened]
        names = [path.stem for path in stems]
        # An equaliser fitted to a mix in which one stem moved takes part of the move for its own; where an equaliser
        # really stands in the path, leaving it out hides the moves. What explains more is believed.
        paths = [replace(model, chain=()), model] if model.chain else [model]
        return min((_regressed(path, names, signals, b, rate_hz) for path in paths), key=lambda found: found[0])[1]


def _regressed(
    model: ModelPath, names: Sequence[str], signals: Sequence[Signal], b: Signal, rate_hz: int
) -> tuple[float, StemReport]:
    """Return the power that model and stems together leave of B, and the moves."""
    import numpy as np

    from dsp.null.stems import StemRegression

    parts = []
    for number, span in _spans(model, rate_hz):
        piece = model.alignment.pieces[number]
        stems = np.stack([replace(model, a=signal).best(piece, span) for signal in signals])
        parts.append((stems, model.best(piece, span), b.read(*span)))
    gains, depth_db = _mix_of(parts)
    regression = StemRegression(names, rate_hz=rate_hz, channels=b.channels)
    left = 0.0
    for stems, mixed, heard in parts:
        regression.add(list(gains[:, :, None] * stems), mixed, heard)
        left += float(np.sum((heard - mixed) ** 2))
    moves = regression.result()
    share = moves.explained.value if moves.explained.observable else 0.0
    return left * (1.0 - share), StemReport(moves, depth_db)


def _spans(model: ModelPath, rate_hz: int) -> list[tuple[int, Span]]:
    """Return (number of the piece, frames of B): up to two dozen spans, spread over all that B plays."""
    import numpy as np

    length = round(SPAN_S * rate_hz)
    pieces = model.alignment.pieces
    whole = sum(piece.frames for piece in pieces)
    found: list[tuple[int, Span]] = []
    for number, piece in enumerate(pieces):
        count = max(1, round(SPANS * piece.frames / max(1, whole)))
        count = min(count, max(1, piece.frames // length))
        starts = np.linspace(piece.start, max(piece.start, piece.stop - length), count).astype(int).tolist()
        found += [(number, (start, min(start + length, piece.stop))) for start in starts]
    return [(number, (start, stop)) for number, (start, stop) in found if stop > start]


def _widened(stem: Signal, channels: int) -> Signal:
    """Return a stem with as many channels as the mix."""
    from dsp.null.signal import Picked

    if stem.channels == channels:
        return stem
    return Picked(stem, tuple(min(n, stem.channels - 1) for n in range(channels)))


def _mix_of(parts: Sequence[tuple[Floats, Floats, Floats]]) -> tuple[Floats, float]:
    """Return the gain of every stem per channel that makes A, (stems, channels), and what that leaves of A [dB]."""
    import numpy as np

    stems, channels = parts[0][0].shape[:2]
    gains = np.zeros((stems, channels))
    left = heard = 0.0
    for channel in range(channels):
        gram = sum((x[:, channel] @ x[:, channel].T for x, _, _ in parts), np.zeros((stems, stems)))
        cross = sum((x[:, channel] @ mixed[channel] for x, mixed, _ in parts), np.zeros(stems))
        gains[:, channel] = np.linalg.pinv(gram, rcond=1e-10, hermitian=True) @ cross
        for x, mixed, _ in parts:
            left += float(np.sum((mixed[channel] - gains[:, channel] @ x[:, channel]) ** 2))
            heard += float(np.sum(mixed[channel] ** 2))
    return gains, 10.0 * float(np.log10(max(left, 1e-30) / heard)) if heard > 0.0 else 0.0
