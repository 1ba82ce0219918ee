"""Every figure a calibration can hold: its key, unit, part, definition, and the tolerance it has by default.

The table drives JSON, CSV, history, tolerances and report alike: a figure that is not in it does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

Part = Literal["patch", "latency", "levels", "response", "distortion", "noise", "crosstalk", "clock"]
PARTS: tuple[Part, ...] = ("patch", "latency", "levels", "response", "distortion", "noise", "crosstalk", "clock")


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measured number on file: ``value`` and ``sd`` in the unit its key ends in; None where none was observable.

    ``note`` says why there is no number, or what the number is subject to.
    """

    value: float | None
    sd: float | None = None
    note: str = ""


@dataclass(frozen=True)
class FigureKind:
    """What one key means.

    ``definition`` is printed wherever the number is. ``tolerance`` is the largest change from the calibration before
    that counts as none; None where a change is no fault.
    """

    key: str
    label: str
    unit: str
    part: Part
    definition: str
    digits: int = 2
    tolerance: float | None = None


KINDS: tuple[FigureKind, ...] = ()
BY_KEY: dict[str, FigureKind] = {kind.key: kind for kind in KINDS}
