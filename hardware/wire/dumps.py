"""Answers that hold many controls: the records of a dump into changes."""

from __future__ import annotations

from hardware.wire.heard import Heard
from hardware.wire.meanings import Meaning
from hardware.wire.patterns import Pattern, Slot, stamp, take
from profiles.profile import Profile


class DumpReader:
    """One dump: which message it is, and the controls in it."""

    def __init__(self, profile: Profile, name: str) -> None:
        dump = profile.dumps[name]
        base = {"c": profile.midi_channel - 1}
        self._head, self._tail = stamp(dump.head, base), stamp(dump.tail, base)
        self._record = dump.record
        shapes: dict[tuple[tuple[int, int], ...], dict[bytes, list[tuple[tuple[Slot, ...], Meaning]]]] = {}
        for control in profile.controls.values():
            item = control.dump
            if item is None or item.source != name:
                continue
            pattern = stamp(item.item, control.variables)
            places = tuple((item.at + at, mask) for at, mask in enumerate(pattern.mask) if mask)
            key = bytes(byte for byte, mask in zip(pattern.fixed, pattern.mask, strict=True) if mask)
            slots = tuple(
                Slot(0, item.at + slot.start, slot.encoding, slot.variable, slot.factor, slot.constant)
                for slot in pattern.slots
            )
            meaning = Meaning(control, float("-inf"), float("inf"), open=True)
            shapes.setdefault(places, {}).setdefault(key, []).append((slots, meaning))
        self._shapes = shapes
        ends = [at for places in shapes for at, _ in places]
        ends += [
            slot.start + slot.encoding.size - 1
            for table in shapes.values()
            for entries in table.values()
            for slots, _ in entries
            for slot in slots
        ]
        self._reach = max(ends, default=-1) + 1

    def fits(self, message: bytes) -> bool:
        """Tell whether a message is this dump, whole."""
        head, tail = len(self._head.fixed), len(self._tail.fixed)
        body = len(message) - head - tail
        if body < 1 or (self._record and body % self._record) or (not self._record and body < self._reach):
            return False
        return self._head.fits(message[:head]) and self._tail_fits(message, tail)

    def _tail_fits(self, message: bytes, size: int) -> bool:
        """Compare the tail's own bytes; its checksum counts from the message's start."""
        end = message[len(message) - size :]
        for byte, mask, fixed in zip(end, self._tail.mask, self._tail.fixed, strict=True):
            if byte & mask != fixed:
                return False
        start = len(message) - size
        return all(Pattern(b"", b"", (), ((start + at, check),)).sound(message) for at, check in self._tail.checks)

    def read(self, message: bytes) -> list[Heard]:
        """Read every control in it."""
        body = message[len(self._head.fixed) : len(message) - len(self._tail.fixed)]
        size = self._record or len(body)
        found: list[Heard] = []
        for start in range(0, len(body), size):
            record = body[start : start + size]
            if len(record) < self._reach:
                continue
            for places, table in self._shapes.items():
                key = bytes([record[at] & mask for at, mask in places])
                for slots, meaning in table.get(key, ()):
                    told = meaning.tell(take(slots, [record]), b"")
                    if told is not None:
                        found.append(told)
        return found
