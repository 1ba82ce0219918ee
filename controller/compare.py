"""Comparing two prints, or any two audio files: align, subtract, explain; residual, picture and JSON on file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller import files, provenance
from controller.audiofile import read_audio
from controller.events import Done, Emit, Finding, Progress, Started
from controller.version import VERSION
from controller.wav import WavWriter
from hardware.known import utc_now

if TYPE_CHECKING:
    from dsp.null.nulltest import NullResult

JOB = "null"
DEFAULT_TOLERANCE_DB = -60.0
EVENTS_TOLD = 6


@dataclass(frozen=True)
class NullReport:
    """A null test on file: ``data`` is what ``--json`` prints."""

    folder: Path
    residual_file: Path
    picture_file: Path
    data: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether the residual stays below the tolerance."""
        return bool(self.data["passed"])


def null(
    a: Path, b: Path, *, tolerance_db: float = DEFAULT_TOLERANCE_DB, out: Path | None = None, emit: Emit
) -> NullReport:
    """Null ``b`` against ``a``; neither file changes.

    Results go to a new numbered folder: ``out``, else the measurements of the project that holds ``b``, else
    the current folder. A reference of another rate is resampled to that of ``b``, and the face is told.

    Raises
    ------
    AudioFileError
        A file cannot be read.
    NoAlignment
        The two have nothing in common.
    """
    from dsp.null.nulltest import null_arrays

    emit(Started(JOB, f"{files.relative(a)} against {files.relative(b)}"))
    first, rate_a = read_audio(a)
    second, rate_b = read_audio(b)
    if rate_a != rate_b:
        from dsp.resample import resample

        emit(Finding(files.relative(a), f"resampled from {rate_a} to {rate_b} Hz, the rate of {b.name}"))
        first = resample(first, rate_a, rate_out_hz=rate_b)
    emit(Progress(JOB, 0.2, detail="aligning"))
    noise_dbfs = _noise_of(b)
    result, arrays = null_arrays(first, second, rate_hz=rate_b, noise_dbfs=noise_dbfs)
    emit(Progress(JOB, 0.8, detail="writing"))
    folder = _claim_folder(out or _home_of(b))
    residual = folder / "residual.wav"
    with WavWriter(residual, rate_hz=rate_b, channels=len(result.channels), subtype="FLOAT") as writer:
        writer.write(arrays.residual)
    data = _as_json(result, a, b, residual, rate_b, tolerance_db)
    picture = folder / "null.png"
    from controller.plots import null_picture

    files.write_new(
        picture,
        null_picture(
            data["third_octave"],
            result.over_time,
            depth_db=result.null_depth_db,
            limit_db=result.limit_db,
            title=f"{b.name} against {a.name}",
        ),
    )
    data["picture_file"] = files.relative(picture)
    files.write_new(folder / "null.json", json.dumps({"schema": 1, **data}, indent=1, allow_nan=False) + "\n")
    for event in data["events"][:EVENTS_TOLD]:
        emit(Finding(f"{event['at_s']:.2f} s", event["what"], severity="warning"))
    more = len(data["events"]) - EVENTS_TOLD
    if more > 0:
        emit(Finding("events", f"{more} more stand in null.json"))
    emit(Done(JOB, data["verdict_sentence"]))
    return NullReport(folder, residual, picture, data)


def _noise_of(b: Path) -> float | None:
    """Return the noise floor of the return that ``b`` was recorded from, where its provenance tells."""
    facts = provenance.load(b)
    noise = facts.get("noise_dbfs") if facts else None
    # A return without any noise (the ideal room has none) stands there as null.
    levels = [level for level in noise if isinstance(level, int | float)] if isinstance(noise, list) else []
    if not isinstance(noise, list) or not levels:
        return None
    return 10 * math.log10(sum(10 ** (level / 10) for level in levels) / len(noise))


def _home_of(b: Path) -> Path:
    project = b.absolute().parent.parent
    return project / "measurements" if (project / "project.toml").is_file() else Path.cwd()


def _claim_folder(home: Path) -> Path:
    number = files.next_number(home)
    while True:
        folder = home / f"{number:04d}-null"
        with files.storage_errors(folder):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                number += 1
                continue
        return folder


def _bands(result: NullResult) -> list[dict[str, float | None]]:
    """Return depth, programme and residual level of every third octave."""
    return [
        {"hz": hz, "depth_db": depth, "programme_dbfs": heard, "residual_dbfs": left}
        for (hz, depth), (_, heard), (_, left) in zip(
            result.third_octave, result.programme_third_octave, result.residual_third_octave, strict=True
        )
    ]


def _as_json(result: NullResult, a: Path, b: Path, residual: Path, rate_hz: int, tolerance_db: float) -> dict[str, Any]:
    from dsp.levels import dbfs_from_rms
    from dsp.null.nulltest import DELAY_DEFINITION, NULL_DEFINITION

    level = dbfs_from_rms(result.residual_rms)
    depth = result.null_depth_db
    passed = depth is None or depth <= tolerance_db
    said = "identical" if depth is None else f"{depth:.1f} dB"
    sentence = f"{said}, {'within' if passed else 'above'} the tolerance of {tolerance_db:g} dB"
    data: dict[str, Any] = {
        "a": files.relative(a),
        "b": files.relative(b),
        "program": f"halfnormal {VERSION}",
        "made_at": utc_now(),
        "rate_hz": rate_hz,
        "delay_samples": result.delay_samples,
        "delay_sd": result.delay_sd,
        "drift_ppm": result.drift_ppm,
        "polarity": list(result.polarity),
        "gain_db": [gain if math.isfinite(gain) else None for gain in result.gain_db],
        "definitions": {"null": NULL_DEFINITION, "delay": DELAY_DEFINITION},
        "stages": [{"name": s.name, "depth_db": s.depth_db} for s in result.stages],
        "third_octave": _bands(result),
        "over_time": [{"at_s": at, "depth_db": level} for at, level in result.over_time],
        "events": [{"at_s": e.at_s, "what": e.what} for e in result.events],
        "residual_file": files.relative(residual),
        "residual_dbfs": level if math.isfinite(level) else None,
        "tolerance_db": tolerance_db,
        "passed": passed,
        "verdict": "pass" if passed else "fail",
        "verdict_sentence": sentence,
    }
    if None in data["gain_db"]:
        data["gain_db_note"] = "minus infinity: the channel is silent"
    for key, note in (
        ("null_depth_db", result.note),
        ("null_depth_matched_db", result.note),
        ("limit_db", result.limit_note),
    ):
        value = getattr(result, key)
        data[key] = value
        if value is None:
            data[f"{key}_note"] = note or "not known"
    return data
