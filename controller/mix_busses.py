"""The busses of a mix: the stereo bus, the one reverb, all that are added to them, and VCA groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from controller.mix_inserts import Insert, Send
from controller.mix_values import (
    BUS,
    FADER_DB,
    NOWHERE,
    REVERB,
    Checked,
    Comp,
    EqBand,
    Range,
    check_place,
    flat_eq,
    whole_eq,
)
from controller.tomlfile import KeyValueError

BUS_STAGES = ("eq", "comp", "fader")
RESERVED = (BUS, REVERB, NOWHERE)


class Bus(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stereo bus: inserts around equaliser and compressor, fader. ``place`` pins a stage of ``BUS_STAGES``."""

    eq: Mapping[str, EqBand] = msgspec.field(default_factory=flat_eq)
    comp: Comp = Comp(ratio=2.0, attack_ms=30.0, release_ms=300.0)
    fader_db: float = 0.0
    place: Mapping[str, str] = {}
    inserts: tuple[Insert, ...] = msgspec.field(default=(), name="insert")
    ranges: ClassVar[Mapping[str, Range]] = {"fader_db": FADER_DB}

    def __post_init__(self) -> None:
        super().__post_init__()
        msgspec.structs.force_setattr(self, "eq", whole_eq(self.eq))
        check_place(self.place, BUS_STAGES)


class Reverb(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one reverb return; −∞ in ``return_db`` is off. ``damping_hz``: above it the tail dies sooner."""

    return_db: float = 0.0
    decay_s: float = 1.8
    predelay_ms: float = 20.0
    damping_hz: float = 6_000.0
    ranges: ClassVar[Mapping[str, Range]] = {
        "return_db": FADER_DB,
        "decay_s": Range(0.1, 20.0, "s"),
        "predelay_ms": Range(0.0, 250.0, "ms"),
        "damping_hz": Range(500.0, 20_000.0, "Hz"),
    }


class AddedBus(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bus besides the stereo bus: sub-group, parallel bus, effect return, mix-minus.

    ``output`` is the bus it feeds, "bus" unless said otherwise, or "none". With ``minus`` it carries what the stereo
    bus sums, without what that strip or bus feeds to it; it then feeds nothing unless said otherwise. ``pan`` is its
    balance. ``solo_safe`` keeps it open while others are soloed.
    """

    name: str
    inserts: tuple[Insert, ...] = msgspec.field(default=(), name="insert")
    eq: Mapping[str, EqBand] = msgspec.field(default_factory=flat_eq)
    comp: Comp = Comp(ratio=2.0, attack_ms=30.0, release_ms=300.0)
    fader_db: float = 0.0
    pan: float = 0.0
    mute: bool = False
    solo: bool = False
    solo_safe: bool = False
    output: str = ""
    sends: tuple[Send, ...] = msgspec.field(default=(), name="send")
    vca: str = ""
    minus: str = ""
    ranges: ClassVar[Mapping[str, Range]] = {"fader_db": FADER_DB, "pan": Range(-100.0, 100.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name.strip():
            raise KeyValueError(("name",), "is empty")
        if self.name in RESERVED:
            raise KeyValueError(("name",), f'= "{self.name}" is what this program calls a bus of its own')
        msgspec.structs.force_setattr(self, "eq", whole_eq(self.eq))
        if not self.output:
            msgspec.structs.force_setattr(self, "output", NOWHERE if self.minus else BUS)


class Vca(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fader, mute and solo for all strips and busses whose ``vca`` is its name."""

    name: str
    fader_db: float = 0.0
    mute: bool = False
    solo: bool = False
    ranges: ClassVar[Mapping[str, Range]] = {"fader_db": FADER_DB}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name.strip():
            raise KeyValueError(("name",), "is empty")
