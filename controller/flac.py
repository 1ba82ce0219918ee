"""Writing 24-bit FLAC through libsndfile, with every error of the disk heard.

libsndfile passes over a disk that is full when it closes a file, so it writes through a file of ours that keeps what
the operating system said.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from controller.errors import AudioFileError
from controller.files import relative, storage_errors, sync_folder
from controller.wav import Bext, Quantiser, whole_numbers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FlacWriter:
    """One FLAC being written, block by block: 24 bits, its tags TITLE, DATE, SOFTWARE and COMMENT from a ``bext``.

    A FLAC that was not closed is no print: write it under a partial's name.

    Parameters
    ----------
    path : Path
        Must not exist yet.
    rate_hz, channels : int
        Rate, up to 655350 [Hz]; channels of every block, up to 8.
    bext : Bext
        Description, date, originator and coding history become the tags.
    dither : Quantiser, optional
        Makes the numbers; left out, samples are rounded.

    Raises
    ------
    AudioFileError
        FLAC does not go with this rate or so many channels.
    ExistsError, DiskFullError, ReadOnlyError, StorageError
        The file cannot be made.
    """

    def __init__(self, path: Path, *, rate_hz: int, channels: int, bext: Bext, dither: Quantiser | None = None) -> None:
        import soundfile

        self.path = path
        self.frames = 0
        self._dither = dither
        with storage_errors(path):
            self._disk = _Disk(path, "x+")
        try:
            self._file = soundfile.SoundFile(self._disk, "w", rate_hz, channels, "PCM_24", format="FLAC")
        except soundfile.LibsndfileError as error:
            self._disk.close()
            path.unlink(missing_ok=True)
            with storage_errors(path):
                if self._disk.error is not None:
                    raise self._disk.error from error
            raise AudioFileError(
                f"{relative(path)} cannot be FLAC at {rate_hz} Hz with {channels} channels", hint="Write WAV."
            ) from error
        tags = {
            "title": bext.description,
            "date": bext.date,
            "software": bext.originator,
            "comment": " | ".join(bext.coding_history.split("\r\n")[:-1]),
        }
        for name, text in tags.items():
            if text:  # libsndfile refuses an empty one
                setattr(self._file, name, text)

    def write(self, block: NDArray[np.floating[Any]]) -> None:
        """Append ``block``, shape (frames, channels), finite, full scale 1.0.

        Raises
        ------
        DiskFullError, StorageError
            The disk took no more; what is there is not whole.
        """
        # libsndfile takes the upper 24 bits of 32.
        whole = whole_numbers(block, 24, self._dither) << 8
        self._settled(lambda: self._file.write(whole))
        self.frames += len(block)

    def close(self) -> None:
        """Write the last frames, sync and close; harmless when called twice.

        Raises
        ------
        DiskFullError, StorageError
            The disk refused the last bytes; what is there is not whole.
        """
        if self._disk.closed:
            return
        try:
            self._settled(self._file.close)
            with storage_errors(self.path):
                os.fsync(self._disk.fileno())
                sync_folder(self.path.parent)
        finally:
            self._disk.close()

    def _settled(self, step: Callable[[], None]) -> None:
        """Do a step of libsndfile's and raise what the disk said meanwhile, which explains any other error."""
        import soundfile

        try:
            step()
        except (soundfile.LibsndfileError, AssertionError) as error:
            if self._disk.error is None:
                raise AudioFileError(f"{relative(self.path)} cannot be written as FLAC: {error}") from error
        if self._disk.error is not None:
            with storage_errors(self.path):
                raise self._disk.error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Disk(io.FileIO):
    """A file that keeps the first error of writing, because an exception gets lost in a callback from C."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of ``data``, or return 0."""
        view = memoryview(data)
        try:
            while view:
                view = view[super().write(view) or 0 :]
        except OSError as error:
            self.error = self.error or error
            return 0
        return len(data)
