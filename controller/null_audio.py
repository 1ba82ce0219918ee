"""What a null test writes as audio: the residual, a copy of it loud enough to hear, and B laid onto A's time line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from controller.audiofile import AudioReader
from controller.events import Emit, Progress
from controller.wav import WavWriter
from dsp.dither import Ditherer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsp.null.align import Alignment, Piece
    from dsp.null.explain import Explainer
    from dsp.null.path import Path as ModelPath
    from dsp.null.signal import Signal

    Floats = NDArray[np.float64]

BLOCK_FRAMES = 1 << 18
AUDITION_PEAK_DBFS = -6.0
MOST_AUDITION_DB = 90.0
"""Beyond this even the dither of a 24-bit file would be heard."""
MAP_FRAMES = 4_096
"""How far the time line is taken for straight when clocks wander."""


class ResidualSink:
    """Takes the blocks of a null: writes what the plain model leaves, and hands what all stages leave to be explained.

    The file appears with the first block; ``peak`` is the largest sample written [full scale].
    """

    def __init__(self, path: Path, *, rate_hz: int, frames: int, job: str, emit: Emit) -> None:
        self.path = path
        self.peak = 0.0
        self.explainer: Explainer | None = None
        self._rate_hz, self._frames = rate_hz, frames
        self._job, self._emit = job, emit
        self._writer: WavWriter | None = None

    def __call__(self, first: int, model: Floats, matched: Floats, heard: Floats) -> None:
        """Take one block, (channels, frames) each."""
        import numpy as np

        from dsp.null.explain import Explainer

        channels = heard.shape[0]
        if self._writer is None:
            self._writer = WavWriter(self.path, rate_hz=self._rate_hz, channels=channels, subtype="FLOAT")
            self.explainer = Explainer(rate_hz=self._rate_hz, channels=channels, expected_frames=self._frames)
        left = heard - model
        self.peak = max(self.peak, float(np.max(np.abs(left), initial=0.0)))
        self._writer.write(left.T)
        if self.explainer is not None:
            self.explainer.add(first, matched, heard)
        done = self._writer.frames / max(1, self._frames)
        self._emit(Progress(self._job, 0.4 + 0.5 * min(1.0, done), detail="subtracting"))

    def close(self) -> None:
        """Finish the file; harmless when called twice."""
        if self._writer is not None:
            self._writer.close()


def audition_gain_db(peak: float) -> float:
    """Return the gain that brings a residual of this peak to −6 dBFS [whole dB, 0 to 90]."""
    import math

    if peak <= 0.0:
        return 0.0
    return float(min(max(0, math.floor(AUDITION_PEAK_DBFS - 20.0 * math.log10(peak))), MOST_AUDITION_DB))


def write_audition(residual: Path, path: Path, *, gain_db: float) -> None:
    """Write ``residual`` once more, ``gain_db`` louder, as a dithered 24-bit file that any player takes.

    Raises
    ------
    DiskFullError, StorageError
        It cannot be written.
    """
    gain = 10.0 ** (gain_db / 20.0)
    with AudioReader(residual) as reader:
        facts = reader.facts
        dither = Ditherer(bits=24, channels=facts.channels, seed=1)
        with WavWriter(path, rate_hz=facts.rate_hz, channels=facts.channels, dither=dither) as writer:
            while reader.position < facts.frames:
                writer.write(reader.read(BLOCK_FRAMES) * gain)


def write_corrected(path: Path, b: Signal, model: ModelPath, *, a_frames: int, rate_hz: int) -> None:
    """Write ``b`` as it would be without delay, drift, wander, jumps, gain and inversion: frame by frame on A's time.

    What A has and B does not play is silent. Equaliser and distortion of the path stay in.

    Raises
    ------
    DiskFullError, StorageError
        It cannot be written.
    """
    import numpy as np

    fit = model.alignment
    gains = np.array(fit.gains)
    scale = np.where(gains != 0.0, 1.0 / np.where(gains == 0.0, 1.0, gains), 0.0)[:, None]
    with WavWriter(path, rate_hz=rate_hz, channels=b.channels, subtype="FLOAT") as writer:
        for start in range(0, a_frames, BLOCK_FRAMES):
            stop = min(start + BLOCK_FRAMES, a_frames)
            block = np.zeros((b.channels, stop - start))
            for piece in fit.pieces:
                for low, high in _stretches(fit, piece, start, stop):
                    block[:, low - start : high - start] = _straightened(fit, piece, b, low, high)
            writer.write((scale * block).T)


def _stretches(fit: Alignment, piece: Piece, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Return the frames of A within ``start ≤ m < stop`` that a piece plays, in stretches whose map is straight."""
    import math

    low = max(start, math.ceil(piece.start - _delay(fit, piece, piece.start)))
    high = min(stop, math.ceil(piece.stop - _delay(fit, piece, piece.stop)))
    step = high - low if fit.wander is None else MAP_FRAMES
    for first in range(low, high, max(1, step)):
        yield first, min(first + step, high)


def _straightened(fit: Alignment, piece: Piece, b: Signal, low: int, high: int) -> Floats:
    """Return B at the times at which it plays the frames ``low ≤ m < high`` of A."""
    from dsp.null.reader import read

    first, last = _played_at(fit, piece, low), _played_at(fit, piece, high)
    speed = (last - first) / (high - low)  # frames of B per frame of A
    reading, _ = read(b, delay=speed * low - first, drift=1.0 - speed, start=low, stop=high)
    return reading


def _delay(fit: Alignment, piece: Piece, frame: float) -> float:
    """Return the delay of a piece at a frame of B [samples]."""
    import numpy as np

    wander = 0.0 if fit.wander is None else float(fit.wander(np.array([frame]))[0])
    return piece.delay + fit.drift * frame + wander


def _played_at(fit: Alignment, piece: Piece, frame: float) -> float:
    """Return where in B a frame of A is played: ``n − delay(n) = m`` solved by iteration, as the delay grows slowly."""
    at = frame + piece.delay
    for _ in range(8):
        at = frame + _delay(fit, piece, at)
    return at
