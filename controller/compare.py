"""Comparing two prints, or any two audio files: align, subtract, explain; residual, picture and JSON on file."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller import files, null_audio, null_json, null_words, provenance
from controller.errors import UsageError
from controller.events import Done, Emit, Finding, Progress, Started
from controller.recordings import Recording, at_rate
from controller.version import VERSION
from hardware.known import utc_now

if TYPE_CHECKING:
    from dsp.null.explanation import Explanation
    from dsp.null.result import NullResult
    from dsp.null.signal import Signal

JOB = "null"
DEFAULT_TOLERANCE_DB = -60.0
EVENTS_TOLD = 6


@dataclass(frozen=True)
class NullWishes:
    """What a null test is asked for besides the verdict.

    ``align_only`` ends with the alignment: no matching stages, nothing explained, B written onto A's time line.
    ``audition_gain_db`` None makes the residual's copy as loud as it can be.
    """

    tolerance_db: float = DEFAULT_TOLERANCE_DB
    align_only: bool = False
    corrected: bool = False
    audition_gain_db: float | None = None
    noise_dbfs: float | None = None
    stems: tuple[Path, ...] = ()


@dataclass(frozen=True)
class NullReport:
    """A null test on file: ``data`` is what ``--json`` prints."""

    folder: Path
    data: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether the residual stays below the tolerance."""
        return bool(self.data["passed"])


def null(
    a: Path,
    b: Path,
    *,
    tolerance_db: float = DEFAULT_TOLERANCE_DB,
    wishes: NullWishes | None = None,
    out: Path | None = None,
    emit: Emit,
) -> NullReport:
    """Null ``b`` against ``a``; neither file changes, and neither is ever held in memory.

    Results go to a new numbered folder: ``out``, else the measurements of the project that holds ``b``, else
    the current folder. A reference of another rate is resampled to that of ``b``, and the face is told.

    Raises
    ------
    AudioFileError
        A file cannot be read.
    NoAlignment
        The two have nothing in common.
    DiskFullError, StorageError
        The results cannot be written.
    """
    from controller.null_stems import stem_files
    from dsp.null.nulltest import null_test

    wishes = wishes or NullWishes(tolerance_db=tolerance_db)
    stems = stem_files(wishes.stems)
    emit(Started(JOB, f"{files.relative(a)} against {files.relative(b)}"))
    with contextlib.ExitStack() as stack:
        first, second = stack.enter_context(Recording(a)), stack.enter_context(Recording(b))
        rate_hz = second.rate_hz
        if first.rate_hz != rate_hz:
            emit(Finding(files.relative(a), f"resampled from {first.rate_hz} to {rate_hz} Hz, the rate of {b.name}"))
        told = stack.enter_context(
            at_rate(first, rate_hz, progress=lambda done: emit(Progress(JOB, 0.1 * done, detail="resampling")))
        )
        emit(Progress(JOB, 0.1, detail="aligning"))
        folder = _claim_folder(out or _home_of(b))
        sink = null_audio.ResidualSink(
            folder / "residual.wav", rate_hz=rate_hz, frames=min(told.frames, second.frames), job=JOB, emit=emit
        )
        try:
            with contextlib.closing(sink):
                noise = wishes.noise_dbfs if wishes.noise_dbfs is not None else _noise_of(b)
                result = null_test(
                    told, second, rate_hz=rate_hz, noise_dbfs=noise, matched=not wishes.align_only, sink=sink
                )
        except BaseException:
            _give_up(folder)
            raise
        data = _facts(a, b, result, wishes)
        data |= _audio(folder, sink, result, told, second, wishes)
        explained = None
        if not wishes.align_only and sink.explainer is not None:
            emit(Progress(JOB, 0.92, detail="explaining"))
            explained = sink.explainer.result(noise_dbfs=noise)
            data["explanation"] = null_json.of_explanation(explained)
            data["findings"] = [*null_words.path_sentences(result), *null_words.sentences(explained)]
        if stems:
            data["stems"] = _stems(stems, result, second, emit)
    data |= _picture(folder, data, result, explained, f"{b.name} against {a.name}")
    files.write_new(folder / "null.json", json.dumps({"schema": 1, **data}, indent=1, allow_nan=False) + "\n")
    _tell(data, emit)
    return NullReport(folder, data)


def _facts(a: Path, b: Path, result: NullResult, wishes: NullWishes) -> dict[str, Any]:
    depth = result.null_depth_db
    passed = depth is None or depth <= wishes.tolerance_db
    said = "identical" if depth is None else f"{depth:.1f} dB"
    return {
        "a": files.relative(a),
        "b": files.relative(b),
        "program": f"halfnormal {VERSION}",
        "made_at": utc_now(),
        **null_json.of_result(result),
        "tolerance_db": wishes.tolerance_db,
        "passed": passed,
        "verdict": "pass" if passed else "fail",
        "verdict_sentence": f"{said}, {'within' if passed else 'above'} the tolerance of {wishes.tolerance_db:g} dB",
        "findings": [],
    }


def _audio(
    folder: Path,
    sink: null_audio.ResidualSink,
    result: NullResult,
    a: Signal,
    b: Signal,
    wishes: NullWishes,
) -> dict[str, Any]:
    """Write the files one listens to beside the residual; return their names."""
    data: dict[str, Any] = {"residual_file": files.relative(sink.path), "audition_file": None, "corrected_file": None}
    if not wishes.align_only and sink.peak > 0.0:
        gain = wishes.audition_gain_db
        gain = null_audio.audition_gain_db(sink.peak) if gain is None else gain
        path = folder / "audition.wav"
        null_audio.write_audition(sink.path, path, gain_db=gain)
        data |= {"audition_file": files.relative(path), "audition_gain_db": gain}
    if wishes.corrected or wishes.align_only:
        if result.path is None:
            data["corrected_file_note"] = "B is A to the last bit: there is nothing to correct but whole samples"
        else:
            path = folder / "corrected.wav"
            heard = _compared(b, [pair for _, pair in result.channels])
            null_audio.write_corrected(path, heard, result.path, a_frames=a.frames, rate_hz=result.rate_hz)
            data["corrected_file"] = files.relative(path)
    return data


def _compared(b: Signal, picks: Sequence[int]) -> Signal:
    from dsp.null.signal import Picked

    return b if list(picks) == list(range(b.channels)) else Picked(b, tuple(picks))


def _stems(stems: Sequence[Path], result: NullResult, b: Signal, emit: Emit) -> dict[str, Any]:
    from controller.null_stems import moves_of

    if result.path is None:
        raise UsageError("The two files are identical: no stem can have moved.", hint="Leave --stems out.")
    emit(Progress(JOB, 0.95, detail="comparing stems"))
    heard = _compared(b, [pair for _, pair in result.channels])
    return null_json.of_stems(moves_of(stems, result.path, heard, rate_hz=result.rate_hz))


def _picture(
    folder: Path, data: dict[str, Any], result: NullResult, explained: Explanation | None, title: str
) -> dict[str, Any]:
    from controller.plots import null_picture

    path = folder / "null.png"
    files.write_new(
        path,
        null_picture(
            data["third_octave"],
            result.over_time,
            depth_db=result.null_depth_db,
            limit_db=result.limit_db,
            title=title,
            stages=[(stage.name, stage.depth_db) for stage in result.stages],
            shares=[]
            if explained is None
            else [(s.name, s.share.value) for s in explained.shares if s.share.observable],
        ),
    )
    return {"picture_file": files.relative(path)}


def _tell(data: dict[str, Any], emit: Emit) -> None:
    for event in data["events"][:EVENTS_TOLD]:
        emit(Finding(f"{event['at_s']:.2f} s", event["what"], severity="warning"))
    more = len(data["events"]) - EVENTS_TOLD
    if more > 0:
        emit(Finding("events", f"{more} more stand in null.json"))
    emit(Done(JOB, data["verdict_sentence"]))


def _give_up(folder: Path) -> None:
    """Take away a result that nothing came of."""
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


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
