"""Stems: which files of a folder are meant, what their strips are called, and reading them side by side."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from controller.audiofile import SUFFIXES, AudioReader
from controller.errors import ProjectError
from controller.files import relative, storage_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TRACK_NUMBER = re.compile(r"^\d{1,3}[\s._)-]+(?=\S)")


@dataclass(frozen=True)
class Stem:
    """One audio file of a project; ``name`` is what its strip is called at first."""

    name: str
    path: Path
    channels: int
    frames: int
    rate_hz: int

    @property
    def file(self) -> str:
        """The file's name, by which mixes call it."""
        return self.path.name


class HasStems(Protocol):
    """A project, as far as reading its stems is concerned."""

    @property
    def stems(self) -> tuple[Stem, ...]:
        """Every stem."""
        ...

    def stem(self, ref: str) -> Stem:
        """Return the stem of that file name or name."""
        ...


def find_stems(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the audio files of ``folder``, in the order of their numbers and names, and what else lies there.

    Hidden files are no part of either; folders inside are not searched.

    Raises
    ------
    ProjectError
        There is no such folder.
    StorageError
        It cannot be read.
    """
    if not folder.is_dir():
        raise ProjectError(f"there is no folder of stems at {relative(folder)}")
    with storage_errors(folder, verb="read"):
        seen = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: _natural(p.name))
    audio = [p for p in seen if p.suffix.lower() in SUFFIXES and p.is_file()]
    return audio, [p for p in seen if p not in audio]


def strip_names(files: Iterable[Path]) -> list[str]:
    """Return a clean name for each file: no track number, no underscores, no two alike (whatever the case)."""
    names: list[str] = []
    taken: set[str] = set()
    for file in files:
        base = clean_name(file.stem)
        name, number = base, 2
        while name.casefold() in taken:
            name, number = f"{base} {number}", number + 1
        taken.add(name.casefold())
        names.append(name)
    return names


def clean_name(text: str) -> str:
    """Return ``text`` without track number, control characters and doubled spaces; ``stem`` if nothing is left."""
    plain = "".join(c for c in unicodedata.normalize("NFC", text) if unicodedata.category(c)[0] != "C")
    spaced = " ".join(plain.replace("_", " ").split())
    return _TRACK_NUMBER.sub("", spaced).strip(" -.") or spaced or "stem"


class StemReader:
    """Stems read in step, block by block, each silent after its end.

    Parameters
    ----------
    project : Project
        Whose stems.
    refs : sequence of str, optional
        File names or names, in the order of the blocks; a stem may come twice. Left out: every stem.

    Attributes
    ----------
    frames : int
        Length of the longest stem read.

    Raises
    ------
    ProjectError
        There is no such stem.
    AudioFileError, StorageError
        A file cannot be opened any more, or is not what it was.
    """

    def __init__(self, project: HasStems, refs: Sequence[str] | None = None) -> None:
        stems = project.stems if refs is None else tuple(project.stem(ref) for ref in refs)
        self.stems = stems
        self.frames = max((stem.frames for stem in stems), default=0)
        self._readers: list[AudioReader] = []
        try:
            for stem in stems:
                self._readers.append(AudioReader(stem.path))
        except BaseException:
            self.close()
            raise

    def fill(self, index: int, block: NDArray[np.float32]) -> None:
        """Read the next frames of stem ``index`` into ``block`` (frames, channels), full scale 1.0.

        Past its end there is silence. Samples may be no numbers: the graph counts those.

        Raises
        ------
        AudioFileError
            A file is damaged.
        """
        self._readers[index].fill(block)

    def seek(self, frame: int) -> None:
        """Go to ``frame``, from 0 on."""
        for reader in self._readers:
            reader.seek(frame)

    def close(self) -> None:
        """Release the files; harmless when called twice."""
        for reader in self._readers:
            reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part.casefold()) for part in re.split(r"(\d+)", name)]
