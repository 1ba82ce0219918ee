"""Files that the effects of a mix are made from, in the project or among the user's own; and plug-ins of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from controller import places, plugin_inserts, plugin_shelf
from controller.audiofile import AudioReader
from controller.errors import MixError
from controller.files import content_hash, relative, storage_errors
from controller.mix import BUS, AddedBus, Bus, Insert, Mix, Strip
from controller.tomlfile import Key, nearest

if TYPE_CHECKING:
    from dsp.impulse import Response
    from dsp.processors.twin import TwinModel


@dataclass(frozen=True)
class Shelf:
    """Where the files lie that one parameter of an effect names: ``folder`` of the project, then of the user's own."""

    folder: str
    what: str
    read: Callable[[Path], Any]

    def folders(self, project: Path) -> tuple[Path, Path]:
        """Return both."""
        return project / self.folder, places.home() / self.folder


def find(parameter: str, name: str, project: Path) -> Path:
    """Return the file that a mix of this project calls ``name`` in this parameter of an effect.

    Raises
    ------
    MixError
        There is none of that name; names the nearest.
    """
    shelf = SHELVES[parameter]
    both = shelf.folders(project)
    for folder in both:
        if name not in (".", "..") and Path(name).name == name and (folder / name).is_file():
            return folder / name
    known = sorted({path.name for folder in both if folder.is_dir() for path in folder.iterdir()})
    where = relative(both[0])
    raise MixError(
        f'"{name}" is neither in {where} nor in {relative(both[1])}{nearest(name, known) if known else ""}',
        hint=f"Put {shelf.what} into {where}.",
    )


def check(mix: Mix, project: Path) -> Iterator[tuple[Key, MixError]]:
    """Yield the place in the mix file, and what is wrong, of every name of a file or plug-in that cannot be right.

    A plug-in that is not installed is no mistake of the mix: it is bypassed, and said to be.
    """
    for key, insert in _inserts(mix):
        for parameter, name in insert.files().items():
            try:
                if parameter in SHELVES:
                    find(parameter, name, project)
                else:
                    plugin_shelf.check_name(name)
            except MixError as error:
                yield (*key, parameter), error


def facts(mix: Mix, project: Path) -> dict[str, list[dict[str, str]]]:
    """Return the files that a mix's effects are made from, with their hashes, by the folder that they are in."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for _, insert in _inserts(mix):
        for parameter, name in insert.files().items():
            if parameter in SHELVES:
                fact = {"file": name, "hash": content_hash(find(parameter, name, project))}
                found.setdefault(SHELVES[parameter].folder, {})[name] = fact
    return {folder: [*named.values()] for folder, named in found.items()}


def with_files(mix: Mix, project: Path) -> Mix:
    """Return the mix with the files of its effects read and its plug-ins found; for rendering, not for writing.

    Plug-ins that cannot run here are out of circuit in it; ``plugin_inserts.bypassed`` says which.

    Raises
    ------
    MixError
        A file is not there, or is not what the effect takes; a plug-in lacks a parameter that is to be set.
    AudioFileError, TwinFileError, StorageError
        It cannot be read.
    """
    if not any(insert.files() or insert.kind == plugin_inserts.KIND for _, insert in _inserts(mix)):
        return mix

    def read(node: Strip | Bus | AddedBus, name: str) -> tuple[Insert, ...]:
        made = []
        for number, insert in enumerate(node.inserts, 1):
            found = {p: SHELVES[p].read(find(p, n, project)) for p, n in insert.files().items() if p in SHELVES}
            ready = msgspec.structs.replace(insert, settings={**insert.settings, **found}) if found else insert
            if insert.kind == plugin_inserts.KIND:
                ready = plugin_inserts.hosted(ready, f'"{name}", insert {number}', project)
            made.append(ready)
        return tuple(made)

    return msgspec.structs.replace(
        mix,
        bus=msgspec.structs.replace(mix.bus, inserts=read(mix.bus, BUS)),
        strips=tuple(msgspec.structs.replace(strip, inserts=read(strip, strip.name)) for strip in mix.strips),
        busses=tuple(msgspec.structs.replace(bus, inserts=read(bus, bus.name)) for bus in mix.busses),
    )


def _inserts(mix: Mix) -> Iterator[tuple[Key, Insert]]:
    nodes: list[tuple[Key, Strip | Bus | AddedBus]] = [(("bus",), mix.bus)]
    nodes += [(("strip", index), strip) for index, strip in enumerate(mix.strips)]
    nodes += [(("busses", index), bus) for index, bus in enumerate(mix.busses)]
    for key, node in nodes:
        for index, insert in enumerate(node.inserts):
            yield (*key, "insert", index), insert


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


def _twin(path: Path) -> TwinModel:
    from controller.twin_files import load_twin

    return load_twin(path)


def _preset(path: Path) -> Any:
    from controller.plugin_host import Preset

    if path.suffix.lower() not in (".vstpreset", ".aupreset"):
        raise MixError(
            f"{relative(path)} is no preset that a plug-in can be given",
            hint="Save it in a workstation as .vstpreset (VST3) or .aupreset (Audio Unit).",
        )
    return Preset.of(path)


SHELVES: Mapping[str, Shelf] = {
    "response": Shelf("responses", "the audio file of the impulse response", _response),
    "model": Shelf("twins", "the twin's file", _twin),
    "state": Shelf("presets", "the preset's file", _preset),
}
"""By the parameter that names such a file."""
