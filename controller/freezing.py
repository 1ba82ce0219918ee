"""What inserts made of a strip is kept, so that a print after a fader move does not make it again.

Reading a kept strip costs as much as reading its stem; what it saves is the work of its inserts. So strips without
inserts are not kept: their filters and compressor take less time than a second file would.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from controller import files, places
from controller.events import Emit, Finding
from controller.version import VERSION

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsp.graph_settings import GraphStrip

__all__ = ["MOST_BYTES", "Freezer"]

MOST_BYTES = 4 << 30
"""What all kept strips may take; the ones that were not used for longest go first."""

_SPARE_BYTES = 2 << 30
"""What a disk keeps free."""

_FORMAT = 1


@cache
def engine_digest() -> str:
    """Return the digest of the engine's own code: what another engine made is not taken for this one's."""
    import dsp

    digest = hashlib.sha256(f"{_FORMAT} {VERSION}".encode())
    root = Path(dsp.__path__[0])
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


class KeptTape:
    """What is kept of one strip: float32, frame after frame. Behind its end there is silence."""

    plays = True

    def __init__(self, path: Path) -> None:
        self._file = io.FileIO(path)

    def process(self, block: NDArray[np.float32]) -> None:
        """Fill in the next frames."""
        view = memoryview(block.data).cast("B")
        taken = files.read_into(self._file, view)
        view[taken:] = bytes(len(view) - taken)

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class NewTape:
    """Keeps one strip; a disk that takes no more ends that and nothing else."""

    plays = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = path.with_name(f"{path.stem}.{os.getpid()}.part")
        self.trouble: OSError | None = None
        self._file: io.FileIO | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = io.FileIO(self._beside, "w")
        except OSError as error:
            self.trouble = error

    def process(self, block: NDArray[np.float32]) -> None:
        """Keep the next frames."""
        if self._file is None:
            return
        try:
            files.write_all(self._file, memoryview(block.data).cast("B"))
        except OSError as error:
            self.trouble = error
            self.drop()

    def keep(self) -> None:
        """Have it found by the next print."""
        if self._file is not None:
            self._file.close()
            try:
                self._beside.replace(self._path)
            except OSError as error:
                self.trouble = error

    def drop(self) -> None:
        """Keep nothing of it."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._beside.unlink(missing_ok=True)


class Freezer:
    """Gives a graph the tapes of its strips: those that play, and new ones for the others that have inserts.

    ``stems`` are the strips' files; the render begins at frame ``begin`` of the song and lasts ``frames``. A strip
    whose inserts hear others, or run code of others, is never kept: its settings do not say all that it depends on.
    """

    def __init__(
        self,
        stems: Mapping[str, Path],
        *,
        rate_hz: float,
        begin: int,
        frames: int,
        emit: Emit,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._stems = stems
        self._context = rate_hz, begin
        self._frames = frames
        self._emit = emit
        self._most_bytes = most_bytes
        self._room = _room(places.frozen_folder(), most_bytes)
        self._new: dict[str, NewTape] = {}
        self._kept: dict[str, KeptTape] = {}
        self.spoilt = False
        """Whether something was wrong with this render that the next one has to tell again."""

    @property
    def played(self) -> tuple[str, ...]:
        """The strips whose inserts need not run."""
        return tuple(name for name in self._stems if name in self._kept)

    def __call__(self, strip: GraphStrip, wait_frames: int, latency_frames: int) -> KeptTape | NewTape | None:
        """Return the tape of a strip, or None where it is not kept."""
        if any(insert.key or insert.settings.kind == "plugin" for insert in strip.inserts):
            return None
        path = places.frozen_folder() / f"{self._key(strip, wait_frames)}.f32"
        wanted = 4 * strip.channels * (self._frames + latency_frames)
        try:
            if path.stat().st_size >= wanted:
                kept = self._kept[strip.name] = KeptTape(path)
                os.utime(path)
                return kept
        except OSError:
            pass
        if wanted > self._room:
            return None
        self._room -= wanted
        new = self._new[strip.name] = NewTape(path)
        return new

    def _key(self, strip: GraphStrip, wait_frames: int) -> str:
        behind: tuple[Any, ...] = (strip.trim_db, strip.polarity_inverted, strip.pre, wait_frames)
        if strip.post:
            behind += (strip.hpf_hz, strip.bands, strip.compressor, strip.moves, strip.post)
        else:
            behind += tuple(move for move in strip.moves if move.address == "trim_db")
        said = engine_digest(), files.content_hash(self._stems[strip.name]), strip.channels, self._context, behind
        return hashlib.sha256(pickle.dumps(said, protocol=5)).hexdigest()

    def close(self, *, whole: bool) -> None:
        """End all tapes; the new ones are kept if the render came to its end, and nothing was wrong with it."""
        whole &= not self.spoilt
        for kept in self._kept.values():
            kept.close()
        for name, new in self._new.items():
            if whole:
                new.keep()
            else:
                new.drop()
            if new.trouble is not None:
                what = f"what the inserts of strip {name} made could not be kept: {new.trouble.strerror}"
                self._emit(Finding("frozen", what, "The print is whole; the next one takes as long."))
        _prune(places.frozen_folder(), self._most_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(whole=error is None)


def _room(folder: Path, most_bytes: int) -> int:
    """Return how many bytes may be kept now."""
    try:
        parent = next(place for place in (folder, *folder.parents) if place.exists())
        return min(most_bytes, shutil.disk_usage(parent).free - _SPARE_BYTES)
    except OSError:
        return 0


def _prune(folder: Path, most_bytes: int) -> None:
    """Take away what was not used for longest, until the rest fits; what a killed print left counts, too."""
    found: list[tuple[float, int, Path]] = []
    for path in _every(folder):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((status.st_mtime, status.st_size, path))
    size = sum(bytes_ for _, bytes_, _ in found)
    for _, bytes_, path in sorted(found):
        if size <= most_bytes:
            return
        path.unlink(missing_ok=True)
        size -= bytes_


def _every(folder: Path) -> Iterable[Path]:
    return folder.iterdir() if folder.is_dir() else ()
