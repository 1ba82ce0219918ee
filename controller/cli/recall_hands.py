"""Ticking what hands have set: one knob after the other on a terminal, by address in a script."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from controller.cli.face import Face

if TYPE_CHECKING:
    from controller.planned import PlannedRecall
    from controller.studio import Studio
    from hardware.recall import HandStep


def run(args: argparse.Namespace, face: Face, studio: Studio, planned: PlannedRecall) -> int:
    """Tick what ``--done`` names; without it, ask knob by knob on a terminal, or list what is left."""
    from controller.hands import chosen, hand_json, hand_line, tick

    steps = planned.plan.by_hand
    ticked: list[HandStep] = []
    if args.done:
        ticked = chosen(steps, args.done, target=list(planned.target))
        if not args.dry_run and ticked:
            tick(studio, ticked)
    elif steps and sys.stdin.isatty() and not args.json and not args.dry_run:
        ticked = _ask(studio, steps)
    done = {step.address for step in ticked}
    left = [step for step in steps if step.address not in done]
    data = {
        "by_hand": [hand_json(step, studio.state.get(step.address)) for step in left],
        "done": sorted(done),
        "left": len(left),
    }
    lines = [hand_line(step) for step in left]
    count = "Nothing is left for hands." if not left else f"{len(left)} left for hands."
    face.data(data, [*lines, count] if not ticked else [f"{len(ticked)} ticked. {count}"])
    return 0


def _ask(studio: Studio, steps: Sequence[HandStep]) -> list[HandStep]:
    """Show one knob after the other; each that is done is on disk before the next is shown."""
    from controller.hands import hand_line, tick

    ticked: list[HandStep] = []
    for number, step in enumerate(steps, 1):
        _say(f"{number}/{len(steps)}  {hand_line(step)}   [Enter done, s skip, q stop] ")
        line = sys.stdin.readline()
        word = line.strip().lower()
        if not line or word in {"q", "quit", "stop"}:
            break
        if word in {"", "d", "done", "y", "yes"}:
            tick(studio, [step])
            ticked.append(step)
    return ticked


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
