"""Play a mix through the interface's monitor outputs: the very graph that prints, live."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from controller.cli.face import add_common, face_of

EXAMPLES = """\
examples:
  halfnormal play songs/blue
  halfnormal play songs/blue --mix mix-3 --from 1:02 --to 1:30.5 --loop
  halfnormal play songs/blue --block 1024 --level -20 --yes
  halfnormal play songs/blue --dry-run      # device, outputs, level, latency

The mix is made in the box, at its own values, and heard on the pair that the
rig's [audio] calls monitor. Nothing sounds before the plan was accepted; then
it rises from silence. Ctrl-C fades out and ends it (exit code 130)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the project's folder")
    parser.add_argument("--mix", metavar="NAME", help="which mix (default: the newest)")
    parser.add_argument("--rig", metavar="RIG", help="another rig than the project's")
    parser.add_argument("--from", dest="from_s", type=_seconds, default=0.0, metavar="S", help="begin here")
    parser.add_argument("--to", dest="to_s", type=_seconds, metavar="S", help="end here (seconds, or M:SS.s)")
    parser.add_argument("--loop", action="store_true", help="again and again, until Ctrl-C")
    parser.add_argument("--block", type=int, metavar="N", help="frames a callback (default: the rig's block_frames)")
    parser.add_argument("--level", type=float, default=0.0, metavar="DB", help="of the monitor, 0 or less (default: 0)")
    add_common(parser, plan=True)


def run(args: argparse.Namespace) -> int:
    """Play, and say what was heard."""
    from controller.errors import INTERRUPTED
    from controller.playing import play_mix
    from controller.project import open_project
    from controller.studio import Studio

    face = face_of(args)
    project = open_project(args.project, emit=face.emit)
    mix = project.mix(args.mix)
    with Studio.open(args.rig or project.rig) as studio:
        if args.dry_run:
            from controller.live_plan import plan_live

            planned = plan_live(project, mix, studio, block_frames=args.block, level_db=args.level)
            left, right = studio.monitor_pair()
            data: dict[str, Any] = {
                "frames": None,
                "frames_note": "dry run: nothing was played",
                "device": studio.rig.audio.port,
                "outputs": [left, right],
                "rate_hz": planned.rate_hz,
                "block_frames": planned.block_frames,
                "level_db": planned.level_db,
                "graph_latency_frames": planned.graph_latency_frames,
                "latency_ms": planned.latency_ms,
            }
            face.data(data, [*planned.lines, "Dry run: nothing was played."])
            return 0
        played = play_mix(
            project,
            mix,
            studio,
            emit=face.emit,
            accept=face.accept,
            from_s=args.from_s,
            to_s=args.to_s,
            loop=args.loop,
            block_frames=args.block,
            level_db=args.level,
        )
    facts = played.facts
    face.data({**facts, "interrupted": played.interrupted}, _lines(facts))
    return INTERRUPTED if played.interrupted else 0


def _lines(facts: dict[str, Any]) -> list[str]:
    peaks = f"peak {facts['peak_dbfs']:.1f} dBFS, true peak {facts['true_peak_dbtp']:.1f} dBTP"
    left, right = facts["outputs"]
    return [
        f"{facts['played_s']:.1f} s played on outputs {left} and {right} of {facts['device']}",
        f"{peaks}, {facts['integrated_lufs']:.1f} LUFS",
        f"{len(facts['xruns'])} xruns; 99 % of callbacks took at most {facts['callback_p99_ms']:.2f} ms "
        f"of {facts['block_ms']:.2f}; {facts['latency_ms']:.1f} ms late",
    ]


def _seconds(text: str) -> float:
    """Read ``83.5`` or ``1:23.5``."""
    minutes, _, seconds = text.rpartition(":")
    value = 60.0 * int(minutes or 0) + float(seconds)
    if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(text)
    return value
