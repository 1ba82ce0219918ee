"""Null two prints or any two audio files: align delay, drift, polarity and gain, subtract, explain."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from controller.cli.face import add_common, face_of, finite

EXAMPLES = """\
examples:
  halfnormal null blue/prints/0001-itb.wav blue/prints/0002-analog.wav
  halfnormal null a.wav b.wav --tolerance -80 --json

Delay is positive when B is later than A; gain is of B relative to A. Neither
file changes; residual, picture and JSON go to a new numbered folder.
exit code 1 when the null is shallower than the tolerance, or when the two have
nothing in common."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("a", type=Path, metavar="A", help="the reference")
    parser.add_argument("b", type=Path, metavar="B", help="what is compared with it")
    parser.add_argument(
        "--tolerance", type=finite, default=-60.0, metavar="DB", help="highest residual allowed (default: -60)"
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
    from controller.compare import null

    face = face_of(args)
    report = null(args.a, args.b, tolerance_db=args.tolerance, out=args.out, emit=face.emit)
    face.data(report.data, _lines(report.data))
    return 0 if report.passed else 1


def _lines(data: dict[str, Any]) -> list[str]:
    lines = [
        f"delay    {data['delay_samples']:+.5f} ± {data['delay_sd']:.5f} samples at {data['rate_hz']} Hz, "
        f"drift {data['drift_ppm']:+.4f} ppm",
        "gain     " + ", ".join("silent" if gain is None else f"{gain:+.4f} dB" for gain in data["gain_db"]),
        "polarity " + ", ".join("normal" if p > 0 else "inverted" for p in data["polarity"]),
    ]
    lines += [f"  {stage['name']:<24} {_db(stage['depth_db'])}" for stage in data["stages"]]
    lines.append(f"null     {_db(data['null_depth_db'])}  (limit {_db(data['limit_db'], 'not known')})")
    lines.append(f"{'●' if data['passed'] else '✕'} {data['verdict_sentence']}")
    lines.append(f"residual {data['residual_file']}, picture {data['picture_file']}")
    return lines


def _db(value: float | None, absent: str = "identical") -> str:
    return absent if value is None else f"{value:7.1f} dB"
