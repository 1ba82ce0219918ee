"""Moves of a mix: how one value of a strip, bus or VCA changes during the song."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from controller.mix_busses import AddedBus, Bus, Reverb, Vca
from controller.mix_inserts import Insert, Send, check_value
from controller.mix_values import BUS, FADER_DB, Checked, Range, require
from controller.tomlfile import KeyValueError, nearest, spoken_value

MOVE_S = Range(0.0, 86_400.0, "s")
INSERT, SEND = "insert/", "send/"

_RANGES: Mapping[str, Range] = {
    "fader_db": FADER_DB,
    "pan": Range(-100.0, 100.0),
    "send_db": FADER_DB,
    "return_db": FADER_DB,
}
_WORDS = ("fader_db", "pan", "mute", "send_db", "return_db", "send/BUS", "insert/NUMBER/PARAMETER")


class Move(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one value of a strip, of the ``"bus"``, of an added bus or of a VCA moves during the song.

    ``what`` is the key that moves, ``send/NAME`` the level of the send to that bus, ``insert/2/threshold_db`` a number
    of the second insert. ``points`` are [seconds of the song, value], seconds never falling. Before the first and after
    the last point the value holds. Between them it goes straight, levels in dB; a ``mute`` holds until the next point.
    The way of a level from or to "off" goes straight by the lowest level there is, −120 dB. Two points at one moment
    make a jump.
    """

    strip: str
    what: str
    points: tuple[Any, ...]
    ranges: ClassVar[Mapping[str, Range]] = {}

    def __post_init__(self) -> None:
        if self.what not in _WORDS[:5] and not self.what.startswith((INSERT, SEND)):
            raise KeyValueError(("what",), f'= "{self.what}" is unknown{nearest(self.what, _WORDS)}')
        if self.strip == BUS and self.what != "fader_db" and not self.what.startswith(INSERT):
            raise KeyValueError(("what",), f'= "{self.what}": the bus has a fader_db only')
        if not self.points:
            raise KeyValueError(("points",), "is empty; it needs at least one [seconds, value]")
        points: list[tuple[float, Any]] = []
        for point in self.points:
            if not isinstance(point, list | tuple) or len(point) != 2:
                raise KeyValueError(("points",), "must be a list of [seconds, value]")
            points.append((self._moment(point[0], points), self._value(point[1])))
        msgspec.structs.force_setattr(self, "points", tuple(points))

    def _moment(self, at_s: Any, before: list[tuple[float, Any]]) -> float:
        if isinstance(at_s, bool) or not isinstance(at_s, int | float) or at_s not in MOVE_S:
            raise KeyValueError(("points",), f"at {spoken_value(at_s)}: the first number is seconds, {MOVE_S}")
        if before and at_s < before[-1][0]:
            raise KeyValueError(("points",), f"at {at_s:g} s stands behind {before[-1][0]:g} s")
        return float(at_s)

    def _value(self, value: Any) -> Any:
        if self.what == "mute":
            if not isinstance(value, bool):
                raise KeyValueError(("points",), f"= {spoken_value(value)} must be true or false")
            return value
        if self.what.startswith(INSERT):
            return value  # what it may be is the insert's to say
        allowed = _RANGES.get(self.what, FADER_DB)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise KeyValueError(("points",), f"= {spoken_value(value)} must be a number, {allowed}")
        require(allowed, value, "points")
        return float(value)

    @property
    def insert(self) -> tuple[int, str]:
        """The index, from 0, of the insert that moves, and the address of what moves in it; −1 where none does."""
        number, _, address = self.what.removeprefix(INSERT).partition("/")
        return (int(number) - 1, address) if self.what.startswith(INSERT) and number.isdecimal() else (-1, "")


def checked_move(move: Move, target: object) -> Move:
    """Return ``move`` with its values as the insert that it moves takes them.

    ``target`` is the strip, bus or VCA of its name. Raises KeyValueError where that has nothing of the kind.
    """
    word = move.what.partition("/")[0]
    words, title = _HAS[type(target).__name__]
    if word not in words:
        raise KeyValueError(("what",), f'= "{move.what}": {title} has {_listed(words)} only')
    inserts: tuple[Insert, ...] = getattr(target, "inserts", ())
    sends: tuple[Send, ...] = getattr(target, "sends", ())
    if word == "send" and move.what.removeprefix(SEND) not in [send.to for send in sends]:
        raise KeyValueError(("what",), f'= "{move.what}": {move.strip} has no such send')
    if word != "insert":
        return move
    index, address = move.insert
    if not 0 <= index < len(inserts):
        raise KeyValueError(("what",), f'= "{move.what}": {move.strip} has {len(inserts)} inserts, counted from 1')
    try:
        _, parameter = inserts[index].parameter(address)
    except KeyValueError as error:
        raise KeyValueError(("what",), f'= "{move.what}": {error.what}') from error
    points = tuple((at_s, check_value(parameter, value, ("points",))) for at_s, value in move.points)
    return msgspec.structs.replace(move, points=points)


_HAS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "Strip": (("fader_db", "pan", "mute", "send_db", "send", "insert"), "a strip"),
    AddedBus.__name__: (("fader_db", "pan", "mute", "send", "insert"), "an added bus"),
    Bus.__name__: (("fader_db", "insert"), "the bus"),
    Reverb.__name__: (("return_db",), "the reverb"),
    Vca.__name__: (("fader_db", "mute"), "a VCA"),
}
"""What can move, by what it belongs to."""


def _listed(words: tuple[str, ...]) -> str:
    said = [f"{word}/…" if word in ("send", "insert") else word for word in words]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
