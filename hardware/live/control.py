"""What becomes of a message: tried on the bench, laid ready for the callback, or refused with its reason."""

from __future__ import annotations

import json
from typing import Any

from dsp.errors import DspError
from hardware.live.messages import Delta
from hardware.live.player import Bench
from hardware.live.shared import LiveRings, LiveWord

__all__ = ["obey", "tend"]


def obey(message: Any, bench: Bench, rings: LiveRings) -> None:
    """Do what a message asks; a change that cannot be made is told back, and nothing changes.

    Raises
    ------
    TypeError
        It is no change.
    """
    if not isinstance(message, Delta):
        raise TypeError(f"a live stream takes changes, not {type(message).__name__}")
    try:
        bench.change(message)
    except DspError as error:
        _refuse(message.serial, error, bench, rings)


def tend(bench: Bench, rings: LiveRings) -> None:
    """Do what the callback has left to do; to be called now and then. The parent waits for its answer meanwhile."""
    if (ready := bench.unfit()) is not None:
        try:
            bench.replace(ready)
        except DspError as error:
            _refuse(ready.serial, error, bench, rings)
    rings.words[LiveWord.NON_FINITE] = bench.player.graph.non_finite_count
    bench.tidy()


def _refuse(serial: int, error: DspError, bench: Bench, rings: LiveRings) -> None:
    rings.text = json.dumps({"message": str(error), "hint": error.hint})
    rings.words[LiveWord.REFUSED] = serial
    bench.answer(serial)
