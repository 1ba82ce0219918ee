"""Controls in system exclusive messages: which bytes are an address, which the value, which a checksum."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from hardware.learning_shapes import justified
from hardware.wire.checksums import checksum
from profiles.template import Checksum

_PAUSE_S = 0.25
"""A hand needs at least this long to go to another control; a sweep passes from one MSB to the next at once."""
_CHECKSUMS: tuple[Checksum, ...] = ("twos7", "sum7", "xor")


@dataclass(frozen=True)
class Sent:
    """One message and when it came [s]."""

    data: bytes
    at_s: float


@dataclass(frozen=True)
class SysexControl:
    """One control: its message with a field, the codes in the order heard, the highest code of the field."""

    template: str
    codes: tuple[int, ...]
    full: int
    where: str


def sysex_controls(messages: Sequence[Sent]) -> tuple[list[SysexControl], list[str]]:
    """Tell the controls in messages of one length and maker; also sentences about what could not be told."""
    places = _varying(messages)
    check = _checksum(messages, places)
    places = [place for place in places if check is None or place != len(messages[0].data) - 2]
    address = [place for place in places if len(places) > 1 and _is_address(messages, place, places)]
    groups: dict[bytes, list[Sent]] = {}
    for message in messages:
        groups.setdefault(bytes(message.data[place] for place in address), []).append(message)
    found: list[SysexControl] = []
    faults: list[str] = []
    for group in groups.values():
        control = _control(group, check)
        if isinstance(control, str):
            faults.append(f"{group[0].data.hex(' ').upper()}: {control}")
        else:
            found.append(control)
    return found, faults


def _control(group: Sequence[Sent], check: tuple[Checksum, int] | None) -> SysexControl | str:
    tokens = [f"{byte:02X}" for byte in group[0].data]
    if check is not None:
        tokens[-2] = f"{{={check[0]}@{check[1]}}}"
    places = [place for place in _varying(group) if check is None or place != len(tokens) - 2]
    if not places:
        return "it always says the same: a trigger, or it was not moved"
    if len(places) > 2:
        return f"{len(places)} of its bytes vary; only a manual can say how they make a value"
    if len(places) == 1:
        tokens[places[0]] = "{v}"
        codes = tuple(message.data[places[0]] for message in group)
        return SysexControl(" ".join(tokens), codes, 127, f"byte {places[0]} varies")
    first, second = places
    pairs = [(message.data[first], message.data[second]) for message in group]
    nibbles = second - first == 1 and all(one < 16 and other < 16 for one, other in pairs)
    shift = 4 if nibbles else 7
    high_first = _travel(pairs, shift) <= _travel([(other, one) for one, other in pairs], shift)
    high, low = (first, second) if high_first else (second, first)
    values = [(one << shift | other) if high_first else (other << shift | one) for one, other in pairs]
    if nibbles:
        tokens[first : second + 1] = ["{v:nib2}" if high_first else "{v:nib2.lsb}"]
        where = f"bytes {high} and {low} are the high and the low half of 8 bits"
        return SysexControl(" ".join(tokens), tuple(values), 255, where)
    data, full, codes_found = justified(values)
    tokens[high], tokens[low] = f"{{v:{data}.hi}}", f"{{v:{data}.lo}}"
    return SysexControl(" ".join(tokens), tuple(codes_found), full, f"bytes {high} and {low} are MSB and LSB ({data})")


def _travel(pairs: Sequence[tuple[int, int]], shift: int) -> int:
    """Measure how far a value goes in all; with its halves exchanged it jumps about."""
    values = [high << shift | low for high, low in pairs]
    return sum(abs(after - before) for before, after in itertools.pairwise(values))


def _varying(messages: Sequence[Sent]) -> list[int]:
    return [place for place, column in enumerate(zip(*(m.data for m in messages), strict=True)) if len(set(column)) > 1]


def _kinds(messages: Sequence[Sent], place: int) -> int:
    return len({message.data[place] for message in messages})


def _checksum(messages: Sequence[Sent], places: Sequence[int]) -> tuple[Checksum, int] | None:
    """Find the checksum in the last byte before F7, and the byte it begins to count at; None where there is none."""
    at = len(messages[0].data) - 2
    distinct = {message.data for message in messages}
    if at not in places or len(places) < 2 or len(distinct) < 3:
        return None
    for algorithm in _CHECKSUMS:
        for start in range(min(places), 0, -1):
            if all(checksum(algorithm, data[start:at])[0] == data[at] for data in distinct):
                return algorithm, start
    return None


def _is_address(messages: Sequence[Sent], place: int, places: Sequence[int]) -> bool:
    """Whether a byte says which control it is, and is not the upper half of a value.

    The upper half of a value changes in mid-sweep, at once, while the lower half springs back the other way. An address
    stays while several values go by, and changes when the hand has gone to another control, or there and back when two
    hands move two controls.
    """
    others = [other for other in places if other != place]
    fast = max(others, key=lambda other: (_kinds(messages, other), other))
    if _kinds(messages, place) > _kinds(messages, fast):
        return False
    groups: dict[int, set[bytes]] = {}
    for message in messages:
        groups.setdefault(message.data[place], set()).add(bytes(message.data[other] for other in others))
    if median(map(len, groups.values())) < 2:
        return False
    carries = transitions = turns = returns = last = 0
    for before, after in itertools.pairwise(messages):
        step, back = (after.data[at] - before.data[at] for at in (place, fast))
        turns += back != 0
        if step:
            transitions += 1
            carries += abs(step) == 1 and back * step < 0 and after.at_s - before.at_s < _PAUSE_S
            returns += step * last < 0
        last = step
    return returns * 2 > transitions or (transitions <= turns and carries * 10 < transitions * 6)
