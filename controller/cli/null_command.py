"""Null two prints or any two audio files: align delay, drift, polarity and gain, subtract, explain."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face, add_common, face_of, finite, table

if TYPE_CHECKING:
    from controller.null_batch import BatchResult

EXAMPLES = """\
examples:
  halfnormal null blue/prints/0001-itb.wav blue/prints/0002-analog.wav
  halfnormal null a.wav b.wav --tolerance -80 --json
  halfnormal null mix-1.wav mix-2.wav --stems blue/stems   # which one moved?
  halfnormal null box.wav desk.wav --align-only            # B on A's time line
  halfnormal null before/ after/                           # by equal names

Delay is positive when B is later than A; gain is of B relative to A. Neither
file changes; residual, picture and JSON go to a new numbered folder. Rates,
lengths and channel counts may differ; one file may lie inside the other.
exit code 1 when a null is shallower than the tolerance, or when the two have
nothing in common."""
EVENTS_SHOWN = 12


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("a", type=Path, metavar="A", help="the reference: a file, or a folder of them")
    parser.add_argument("b", type=Path, metavar="B", help="what is compared with it: a file, or a folder of them")
    parser.add_argument(
        "--tolerance", type=finite, default=-60.0, metavar="DB", help="highest residual allowed (default: -60)"
    )
    parser.add_argument(
        "--stems",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="stems of A, files or a folder: say which one's level moved; may be given again",
    )
    parser.add_argument(
        "--noise",
        type=finite,
        metavar="DBFS",
        help="noise of B, full band (AES17); otherwise read from its provenance or its quiet passages",
    )
    parser.add_argument(
        "--align-only", action="store_true", help="align, write B onto A's time line, and explain nothing"
    )
    parser.add_argument(
        "--corrected", action="store_true", help="also write B without delay, drift, jumps, gain and inversion"
    )
    parser.add_argument(
        "--audition-gain",
        type=finite,
        metavar="DB",
        help="gain of the residual's audible copy (default: up to a peak of -6 dBFS)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where the numbered result folder goes (default: the project of B, else here)",
    )
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Null, and print the result."""
    from controller.compare import NullWishes, null
    from controller.events import Finding
    from controller.null_batch import null_all, pairs_of

    face = face_of(args)
    wishes = NullWishes(
        tolerance_db=args.tolerance,
        align_only=args.align_only,
        corrected=args.corrected,
        audition_gain_db=args.audition_gain,
        noise_dbfs=args.noise,
        stems=tuple(args.stems),
    )
    pairs, alone = pairs_of(args.a, args.b)
    if not (args.a.is_dir() or args.b.is_dir()):
        report = null(*pairs[0], wishes=wishes, out=args.out, emit=face.emit)
        face.data(report.data, _lines(report.data))
        return 0 if report.passed else 1
    for name in alone:
        face.emit(Finding(name, "has no partner of that name in the other folder", severity="warning"))
    return _batch(face, null_all(pairs, wishes=wishes, out=args.out, emit=face.emit), alone)


def _batch(face: Face, results: Sequence[BatchResult], alone: list[str]) -> int:
    good = sum(result.report is not None and result.report.passed for result in results)
    data = {
        "pairs": [result.data for result in results],
        "passed": good,
        "failed": len(results) - good,
        "without_partner": alone,
        "verdict": "pass" if good == len(results) else "fail",
    }
    rows = [
        [
            "●" if entry.get("passed") else "✕",
            Path(entry["b"]).name,
            entry.get("error") or f"{_db(entry['null_depth_db']).strip()}",
            "" if entry.get("error") else f"{entry['delay_samples']:+.3f}",
            "" if entry.get("error") else _db(entry["limit_db"], "not known").strip(),
        ]
        for entry in data["pairs"]  # type: ignore[attr-defined]  # a list of tables
    ]
    face.data(data, table(rows, ["", "file", "null", "delay [samples]", "limit"], right=(3, 4)))
    if any(result.report is None for result in results):
        return 2
    return 0 if good == len(results) else 1


def _lines(data: dict[str, Any]) -> list[str]:
    lines = [
        f"delay    {data['delay_samples']:+.5f} ± {data['delay_sd']:.5f} samples at {data['rate_hz']} Hz, "
        f"drift {data['drift_ppm']:+.4f} ± {data['drift_sd_ppm']:.4f} ppm",
        "gain     "
        + ", ".join(
            "silent" if gain is None else f"{gain:+.4f} ± {sd:.4f} dB"
            for gain, sd in zip(data["gain_db"], data["gain_sd_db"], strict=True)
        ),
        "polarity " + ", ".join("normal" if p > 0 else "inverted" for p in data["polarity"]),
    ]
    if any(pair["a"] != pair["b"] for pair in data["channels"]):
        lines.append("channels " + ", ".join(f"{p['b']} of B is {p['a']} of A" for p in data["channels"]))
    lines += [f"  {stage['name']:<24} {_db(stage['depth_db'])}" for stage in data["stages"]]
    lines.append(f"null     {_db(data['null_depth_db'])}  (limit {_db(data['limit_db'], 'not known').strip()})")
    lines += [f"! {event['at_s']:10.4f} s  {event['what']}" for event in data["events"][:EVENTS_SHOWN]]
    lines += [f"· {sentence}" for sentence in data["findings"]]
    if "stems" in data:
        lines += [f"♪ {move['note']}" for move in data["stems"]["moves"]]
        lines += [f"! {note}" for note in [data["stems"]["note"]] if note]
    lines.append(f"{'●' if data['passed'] else '✕'} {data['verdict_sentence']}")
    written = [data.get(key) for key in ("residual_file", "audition_file", "corrected_file", "picture_file")]
    lines.append("written  " + ", ".join(name for name in written if name))
    return lines


def _db(value: float | None, absent: str = "identical") -> str:
    return absent if value is None else f"{value:7.1f} dB"
