"""The samples of a WAV read straight into the block that wants them: no other copy, hardly any time per call."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from controller.files import read_into, storage_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SUBTYPES", "WavSamples"]

SUBTYPES = {"FLOAT": 4, "PCM_24": 3, "PCM_16": 2}
"""What can be read so (soundfile's words), and its bytes a sample."""


class WavSamples:
    """The samples behind a header that has been checked: ``channels`` of ``subtype`` from byte ``data_at`` on.

    Raises
    ------
    StorageError
        The file cannot be opened.
    """

    def __init__(self, path: Path, subtype: str, channels: int, data_at: int) -> None:
        import numpy as np

        self._path = path
        self._subtype = subtype
        self._align = SUBTYPES[subtype] * channels
        self._data_at = data_at
        self._bytes: NDArray[np.uint8] = np.zeros(0, np.uint8)
        if subtype == "PCM_24":
            from dsp.kernels.compiled import library

            self._unpack = library("samples").unpack_24
        with storage_errors(path, verb="read"):
            self._file = io.FileIO(path)
            self._file.seek(data_at)

    def read(self, out: NDArray[np.float32]) -> int:
        """Fill ``out`` (n, channels), C-ordered, with the next frames, full scale 1.0; return how many there were.

        Raises
        ------
        StorageError
            The file cannot be read any more.
        """
        if self._subtype == "FLOAT":
            return self._take(memoryview(out.data).cast("B")) // self._align
        import numpy as np

        size = len(out) * self._align
        if len(self._bytes) < size:
            self._bytes = np.zeros(size, np.uint8)
        frames = self._take(self._bytes[:size].data) // self._align
        raw, found = self._bytes[: frames * self._align], out[:frames].reshape(-1)
        if self._subtype == "PCM_24":
            self._unpack(raw, found)
        else:
            np.multiply(raw.view("<i2"), np.float32(2.0**-15), out=found)
        return frames

    def _take(self, view: memoryview) -> int:
        try:
            return read_into(self._file, view)
        except OSError as error:
            with storage_errors(self._path, verb="read"):
                raise error

    def seek(self, frame: int) -> None:
        """Go to ``frame``, from 0 on."""
        self._file.seek(self._data_at + frame * self._align)

    def close(self) -> None:
        """Release the file; harmless when called twice."""
        self._file.close()
