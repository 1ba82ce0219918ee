"""A calibration on file: the measured facts of a rig's loops at one time; numbered, dated, immutable."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import msgspec

from controller import files
from controller.errors import CalibrationFileError
from controller.figures import Figure

SCHEMA = 2
"""2 added figures and responses; files of schema 1 are read as they are."""


class StoredResponse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A loop's complex response, input re output: ``re`` and ``im`` at ``hz``, ``sd`` of either; latency included."""

    hz: tuple[float, ...]
    re: tuple[float, ...]
    im: tuple[float, ...]
    sd: tuple[float, ...]


class LoopFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One loop as measured. Latency in samples at the calibration's rate, gain in dB, noise in dBFS (AES17).

    ``input`` is the return the output came back on (None when it did not), ``expected_input`` the one the rig's
    wiring says. ``strip_found`` is the desk strip it really feeds, where the desk's pans could tell.
    """

    output: int
    address: str
    expected_input: int
    input: int | None
    present: bool
    polarity: int
    latency_samples: float
    latency_sd: float
    gain_db: float
    gain_sd: float
    noise_dbfs: float
    strip_found: str | None
    ok: bool
    why: str = ""
    figures: dict[str, Figure] = {}
    """By the keys of `controller.figures.KINDS`; only what was measured."""
    response: StoredResponse | None = None


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something wrong, in plain words: where, what, and what to do."""

    where: str
    what: str
    hint: str


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``halfnormal calibrate`` stores: every loop, the problems found, and how it was measured."""

    rig: str
    made_at: str
    rate_hz: int
    block_frames: int
    program: str
    level_dbfs: float
    loops: tuple[LoopFacts, ...]
    problems: tuple[Problem, ...]
    schema: int = SCHEMA
    parts: tuple[str, ...] = ()
    """What was measured; empty in files of schema 1."""
    figures: dict[str, Figure] = {}
    """What belongs to the rig as a whole, as the clock's drift."""
    source: str = ""
    """The recording it was read from; empty when it was measured live. Latencies are then re one of the loops."""
    seconds_of_signal: float = 0.0
    """How long it sounded and listened; 0 in older files."""
    repairs: int = 0
    """How many times a section was taken up again because an xrun had touched it; 0 in older files."""

    def by_output(self) -> dict[int, LoopFacts]:
        """Return the loops by interface output."""
        return {loop.output: loop for loop in self.loops}


@dataclass(frozen=True)
class StoredCalibration:
    """A calibration with the file it stands in and its content hash."""

    path: Path
    content_hash: str
    calibration: Calibration


def store(calibration: Calibration, folder: Path) -> StoredCalibration:
    """Write a calibration under the next free number of ``folder``."""
    text = msgspec.json.format(msgspec.json.encode(calibration), indent=2).decode() + "\n"
    path = files.create_numbered(folder, "calibration.json", text)
    return StoredCalibration(path, files.content_hash(path), calibration)


def latest(folder: Path) -> StoredCalibration | None:
    """Return the newest calibration of ``folder``, or None when there is none.

    Raises
    ------
    CalibrationFileError
        The newest file is damaged or of a newer version; it is left untouched.
    """
    paths = sorted(folder.glob("*-calibration.json")) if folder.is_dir() else []
    return load(paths[-1]) if paths else None


def load(path: Path) -> StoredCalibration:
    """Read one calibration file.

    Raises
    ------
    CalibrationFileError
        The file is damaged or of a newer version; it is left untouched.
    """
    data = path.read_bytes()
    try:
        schema = msgspec.json.decode(data).get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise CalibrationFileError(
                f"{path} was written by a newer Halfnormal (schema {schema}, this one reads {SCHEMA}).",
                hint="Update Halfnormal, or calibrate again.",
            )
        calibration = msgspec.json.decode(data, type=Calibration)
    except (msgspec.MsgspecError, AttributeError) as error:
        raise CalibrationFileError(
            f"{path} is damaged: {error}.", hint="Calibrate again; the file was left as it is."
        ) from error
    return StoredCalibration(path, files.content_hash(path), calibration)


def age_hours(calibration: Calibration, *, now: dt.datetime | None = None) -> float:
    """Return the age of a calibration [hours]."""
    made = dt.datetime.fromisoformat(calibration.made_at)
    return ((now or dt.datetime.now(dt.UTC)) - made).total_seconds() / 3600.0
