"""Files that the effects of a mix are made from: impulse responses, in the project or among the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from controller import places
from controller.audiofile import AudioReader
from controller.errors import MixError
from controller.files import relative, storage_errors
from controller.mix import AddedBus, Bus, Insert, Mix, Strip
from controller.tomlfile import Key, nearest

if TYPE_CHECKING:
    from dsp.impulse import Response

FOLDER = "responses"


def folders(project: Path) -> tuple[Path, Path]:
    """Return where such files may lie: the project's folder of them first, then the user's own."""
    return project / FOLDER, places.home() / FOLDER


def find(name: str, project: Path) -> Path:
    """Return the file that a mix of this project calls ``name``.

    Raises
    ------
    MixError
        There is none of that name; names the nearest.
    """
    for folder in folders(project):
        if name not in (".", "..") and Path(name).name == name and (folder / name).is_file():
            return folder / name
    known = sorted({path.name for folder in folders(project) if folder.is_dir() for path in folder.iterdir()})
    where = relative(project / FOLDER)
    raise MixError(
        f'"{name}" is neither in {where} nor in {relative(folders(project)[1])}{nearest(name, known) if known else ""}',
        hint=f"Put the audio file of the impulse response into {where}.",
    )


def named(mix: Mix) -> Iterator[tuple[Key, str]]:
    """Yield the place in the mix file, and the name, of every file that an effect is made from."""
    nodes: list[tuple[Key, Strip | Bus | AddedBus]] = [(("bus",), mix.bus)]
    nodes += [(("strip", index), strip) for index, strip in enumerate(mix.strips)]
    nodes += [(("busses", index), bus) for index, bus in enumerate(mix.busses)]
    for key, node in nodes:
        for index, insert in enumerate(node.inserts):
            for parameter, name in insert.files().items():
                yield (*key, "insert", index, parameter), name


def with_files(mix: Mix, project: Path) -> Mix:
    """Return the mix with the files of its effects read; for rendering, not for writing.

    Raises
    ------
    MixError
        A file is not there, or is no impulse response.
    AudioFileError, StorageError
        It cannot be read.
    """
    if next(named(mix), None) is None:
        return mix

    def read(inserts: Sequence[Insert]) -> tuple[Insert, ...]:
        made = []
        for insert in inserts:
            found: dict[str, Any] = {p: _response(find(name, project)) for p, name in insert.files().items()}
            settings = {**insert.settings, **found}
            made.append(msgspec.structs.replace(insert, settings=settings) if found else insert)
        return tuple(made)

    return msgspec.structs.replace(
        mix,
        bus=msgspec.structs.replace(mix.bus, inserts=read(mix.bus.inserts)),
        strips=tuple(msgspec.structs.replace(strip, inserts=read(strip.inserts)) for strip in mix.strips),
        busses=tuple(msgspec.structs.replace(bus, inserts=read(bus.inserts)) for bus in mix.busses),
    )


def _response(path: Path) -> Response:
    with storage_errors(path, verb="read"):
        status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _read(path: Path, mtime_ns: int, size: int) -> Response:
    """Return the response in a file as it is now: one that was written anew is read anew."""
    from dsp.errors import DspError
    from dsp.impulse import Response

    with AudioReader(path) as reader:
        samples = reader.read(reader.facts.frames)
    try:
        return Response(samples, reader.facts.rate_hz, path.name)
    except DspError as error:
        raise MixError(f"{relative(path)}: {error}", hint=error.hint) from error
