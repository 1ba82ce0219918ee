"""What is known of an installed plug-in: asked once, in a child process, and kept under the hash of its code."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from controller import files, places
from controller.child import ask_child
from controller.errors import ControllerError, MixError, StorageError
from controller.plugin_shelf import FORMATS, close_to
from dsp.errors import DspError
from dsp.hosting import Value

SCHEMA = 1
_LOAD_TIMEOUT_S = 60.0


class PlugInError(ControllerError):
    """A plug-in is there and cannot be used: it crashed, hung or refused when it was loaded, or is no effect."""


class ParameterFacts(msgspec.Struct, frozen=True):
    """One parameter: ``name`` in a mix file, ``said`` on its panel."""

    name: str
    said: str
    kind: Literal["number", "choice", "switch"]
    unit: str = ""
    default: str = ""
    low: float = 0.0
    high: float = 0.0
    values: tuple[str, ...] = ()

    @property
    def may_be(self) -> str:
        """What it can be set to, in words."""
        if self.kind == "number":
            return f"{self.low:g}..{self.high:g}{f' {self.unit}' if self.unit else ''}"
        return "true | false" if self.kind == "switch" else " | ".join(self.values)

    def check(self, value: Value) -> None:
        """Raise DspError for a value that it cannot have."""
        if self.kind == "number":
            fits = isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        elif self.kind == "switch":
            fits = isinstance(value, bool)
        else:
            fits = str(value) in self.values and not isinstance(value, bool)
        if not fits:
            near = close_to(str(value), self.values) if self.kind == "choice" else ""
            raise DspError(f"cannot set {self.name} to {value!r}{near or f': it is {self.may_be}'}")


class PlugInFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a plug-in says of itself. ``channels`` are those it takes: 1, 2 or both."""

    schema: int = SCHEMA
    hash: str
    host: str
    names: tuple[str, ...]
    name: str
    maker: str = ""
    version: str = ""
    category: str = ""
    is_effect: bool = True
    channels: tuple[int, ...] = ()
    parameters: tuple[ParameterFacts, ...] = ()

    def check(self, values: Sequence[tuple[str, Value]]) -> None:
        """Raise DspError for a parameter that is not there, and for a value out of range."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in values:
            if name not in known:
                raise DspError(f"plug-in {self.name} has no parameter {name!r}{close_to(name, list(known))}")
            try:
                known[name].check(value)
            except DspError as error:
                raise DspError(f"plug-in {self.name} {error}") from error


def host_version() -> str | None:
    """Return the version of the library that hosts plug-ins, None where it is not installed."""
    import importlib.metadata

    try:
        return importlib.metadata.version("pedalboard")
    except importlib.metadata.PackageNotFoundError:
        return None


def facts_of(path: Path, name: str = "") -> PlugInFacts:
    """Return what is known of the plug-in at ``path``; ``name`` chooses one where a file holds several.

    Raises
    ------
    PlugInError
        It cannot be loaded, and crashed, hung or said why; or it is an instrument.
    MixError
        The file holds several, or ``name`` is none of those that it holds.
    """
    digest = code_hash(path)
    host = f"pedalboard {host_version()}"
    key = hashlib.sha256(f"{host}\n{digest}\n{name}".encode()).hexdigest()[:32]
    kept = places.home() / "plugin-facts" / f"{key}.json"
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(kept.read_bytes(), type=PlugInFacts)
    answer = ask_child(f"from controller.plugin_probe import main\nmain({str(path)!r}, {name!r})", _LOAD_TIMEOUT_S)
    if "error" in answer:
        raise PlugInError(
            f"{path.name} could not be loaded: {answer['error']}", hint="Update it, or take it out of the mix."
        )
    names = [str(one) for one in answer.get("names", ())]
    if "name" not in answer:
        what = f'{path.name} holds no plug-in "{name}"' if name else f"{path.name} holds several plug-ins"
        raise MixError(what, hint=f"Say which, name = one of: {', '.join(names)}.")
    try:
        facts = msgspec.convert({**answer, "hash": digest, "schema": SCHEMA}, PlugInFacts)
    except msgspec.ValidationError as error:
        raise PlugInError(f"{path.name} says something impossible of itself: {error}") from error
    if not facts.is_effect or not facts.channels:
        what = "is an instrument" if not facts.is_effect else "takes neither one channel nor two"
        raise PlugInError(f"{path.name} {what}, and cannot be an insert")
    with contextlib.suppress(StorageError):  # another program wrote the same, or it is asked again next time
        files.write_new(kept, msgspec.json.format(msgspec.json.encode(facts), indent=1))
    return facts


def format_of(path: Path) -> str:
    """Return what kind of plug-in a file is."""
    return FORMATS[path.suffix.lower()]


def code_hash(path: Path) -> str:
    """Return ``sha256:`` and the digest of a plug-in's file, or of all in its bundle but the resources, names too.

    Raises
    ------
    StorageError
        It cannot be read.
    """
    with files.storage_errors(path, verb="read"):
        if path.is_file():
            return files.content_hash(path)
        parts = sorted(p for p in path.rglob("*") if p.is_file() and "Resources" not in p.relative_to(path).parts)
        return _digest(path, tuple((p, p.stat().st_size, p.stat().st_mtime_ns) for p in parts))


@lru_cache(maxsize=64)
def _digest(bundle: Path, parts: tuple[tuple[Path, int, int], ...]) -> str:
    lines = [f"{part.relative_to(bundle).as_posix()} {files.content_hash(part)}\n" for part, _, _ in parts]
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
