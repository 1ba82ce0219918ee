"""The whole line on the virtual room: calibrate, recall, print through the desk and in the box, null, report."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.cli.face import Face, add_common

EXAMPLES = """\
examples:
  halfnormal demo
  halfnormal demo --stems ~/exports/blue --out blue-demo

Nothing real moves or sounds: the room is inside the program. Everything goes
into one new folder. exit code 1 when the null is shallower than expected."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--stems", type=Path, metavar="DIR", help="your own audio files instead of our song")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the folder to make (default: demo, demo-2, …)")
    parser.add_argument("--model", type=Path, metavar="FILE", help="a virtual room of your own making")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the demo and say what came of it."""
    from controller.demo import run_demo
    from controller.files import relative

    face = Face(as_json=args.json, yes=True, quiet=args.quiet)
    out = args.out or _free_folder()
    demo = run_demo(out=out, stems=args.stems, model=args.model, emit=face.emit, accept=face.accept)
    result = demo.null.data
    data = {
        "project": relative(demo.project.root),
        "report": relative(demo.report),
        "prints": [relative(demo.analog.file), relative(demo.itb.file)],
        "null_depth_db": result["null_depth_db"],
        "null_depth_matched_db": result["null_depth_matched_db"],
        "limit_db": result["limit_db"],
        "delay_samples": result["delay_samples"],
        "seconds": round(demo.seconds, 2),
    }
    face.data(
        data,
        [
            f"analog print  {relative(demo.analog.file)}",
            f"itb print     {relative(demo.itb.file)}",
            f"null          {result['verdict_sentence']}",
            f"report        {relative(demo.report)}",
            f"look around   halfnormal {relative(demo.project.root)}",
        ],
    )
    return 0 if demo.null.passed else 1


def _free_folder() -> Path:
    folder = Path("demo")
    number = 1
    while folder.exists():
        number += 1
        folder = Path(f"demo-{number}")
    return folder
