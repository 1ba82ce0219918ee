"""Twins on file: a fitted model of an analog path as JSON, numbered, with where it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from controller import files
from controller.errors import ControllerError, UsageError
from controller.version import VERSION
from dsp.errors import DspError
from dsp.processors.twin import TwinModel
from hardware.known import utc_now

SCHEMA = 1
_NAME = re.compile(r"[\w][\w .-]*")


class TwinFileError(ControllerError):
    """A twin on file is damaged, of a newer version, or no twin at all."""


class _Branch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    order: int
    taps: list[float]


class _TwinFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: int = SCHEMA
    name: str
    rate_hz: float
    made_at: str
    program: str
    source: dict[str, Any]
    fir: list[float]
    branches: list[_Branch] = []


def save_twin(folder: Path, name: str, model: TwinModel, source: Mapping[str, Any]) -> Path:
    """Write a model as the next ``NNNN-NAME.json`` of ``folder`` and return its path.

    ``source`` says in plain words and numbers what it was fitted to: rig, loop, calibration and its hash, how well.

    Raises
    ------
    UsageError
        The name cannot be a file's, or the model has no rate.
    DiskFullError, ReadOnlyError, StorageError
        Nothing was written.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'"{name}" cannot name a file', hint="Use letters, digits, spaces, dots, hyphens, underscores."
        )
    if model.rate_hz is None:
        raise UsageError(f"the twin {name} has no sample rate", hint="A model belongs to the rate it was fitted at.")
    said = _TwinFile(
        name=name,
        rate_hz=model.rate_hz,
        made_at=utc_now(),
        program=f"halfnormal {VERSION}",
        source=dict(source),
        fir=model.fir.tolist(),
        branches=[_Branch(order, taps.tolist()) for order, taps in model.branches],
    )
    return files.create_numbered(folder, f"{name}.json", msgspec.json.encode(said) + b"\n")


def load_twin(path: Path) -> TwinModel:
    """Read a twin.

    Raises
    ------
    TwinFileError
        It is damaged, of a newer version, or describes an impossible model; it is left as it is.
    StorageError
        It cannot be read.
    """
    where = files.relative(path)
    with files.storage_errors(path, verb="read"):
        data = path.read_bytes()
    left = "The file is left as it is."
    try:
        raw = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise TwinFileError(f"{where} is damaged: {error}", hint=f"{left} Fit the twin again.") from error
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or "fir" not in raw:
        raise TwinFileError(f"{where} is no twin: it lacks schema or fir", hint=left)
    if schema > SCHEMA:
        raise TwinFileError(
            f"{where} has schema {schema}, and this program reads up to {SCHEMA}", hint=f"Update halfnormal. {left}"
        )
    try:
        said = msgspec.convert(raw, _TwinFile)
        branches = tuple((branch.order, np.array(branch.taps)) for branch in said.branches)
        return TwinModel(np.array(said.fir), branches, said.rate_hz, path.name)
    except (msgspec.ValidationError, DspError) as error:
        raise TwinFileError(f"{where} is damaged: {error}", hint=f"{left} Fit the twin again.") from error
