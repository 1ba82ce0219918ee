"""Audio files as signals that measurements read anywhere: a stretch at a time, never whole."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from controller.audiofile import AudioReader
from controller.files import storage_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsp.null.signal import Signal

    Floats = NDArray[np.float64]

BLOCK_FRAMES = 1 << 18


class Recording:
    """An audio file as a signal: any frames, from any thread, silence outside.

    Raises
    ------
    AudioFileError, StorageError
        When it is made: as :func:`controller.audiofile.probe`; when it is read: as
        :meth:`controller.audiofile.AudioReader.read`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = AudioReader(path)
        self._lock = threading.Lock()

    @property
    def channels(self) -> int:
        """How many channels the file has."""
        return self._reader.facts.channels

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return self._reader.facts.frames

    @property
    def rate_hz(self) -> int:
        """Its sample rate [Hz]."""
        return self._reader.facts.rate_hz

    def read(self, start: int, stop: int) -> Floats:
        """Return the frames ``start ≤ n < stop``, (channels, stop − start) float64, silence where there are none."""
        import numpy as np

        out: Floats = np.zeros((self.channels, max(0, stop - start)))
        low, high = max(start, 0), min(stop, self.frames)
        if high > low:
            with self._lock:
                self._reader.seek(low)
                block = self._reader.read(high - low)
            out[:, low - start : high - start] = block.T
        return out

    def close(self) -> None:
        """Release the file; harmless when called twice."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def at_rate(recording: Recording, rate_hz: int, *, progress: Callable[[float], None] | None = None) -> Iterator[Signal]:
    """Give ``recording`` at ``rate_hz``: itself where it has that rate, else a conversion that lasts as long as this.

    The conversion lies in an unnamed file of 32-bit floats.

    ``progress`` is told the share that is done.

    Raises
    ------
    DiskFullError, StorageError
        The conversion finds no room among the temporary files.
    """
    if recording.rate_hz == rate_hz:
        yield recording
        return
    import numpy as np

    from dsp.null.signal import ArraySignal
    from dsp.resample import Resampler

    with tempfile.TemporaryFile(prefix="halfnormal-") as file:
        resampler = Resampler(recording.rate_hz, rate_hz, channels=recording.channels)
        with storage_errors(Path(tempfile.gettempdir())):
            for start in range(0, recording.frames, BLOCK_FRAMES):
                stop = min(start + BLOCK_FRAMES, recording.frames)
                block: Any = np.ascontiguousarray(recording.read(start, stop).T, dtype=np.float32)
                file.write(resampler.process(block, last=stop == recording.frames).tobytes())
                if progress is not None:
                    progress(stop / recording.frames)
            file.flush()
        frames = file.tell() // (4 * recording.channels)
        yield ArraySignal(np.memmap(file, np.float32, "r", shape=(frames, recording.channels)).T)
