"""MIDI messages in words, for traffic that no profile explains (MIDI 1.0 Detailed Specification, tables I to VI)."""

from __future__ import annotations

_NOTES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
_CONTROLLERS = {
    0: "bank MSB", 1: "modulation", 2: "breath", 4: "foot", 5: "portamento time", 6: "data MSB", 7: "volume",
    8: "balance", 10: "pan", 11: "expression", 32: "bank LSB", 38: "data LSB", 64: "sustain", 96: "data increment",
    97: "data decrement", 98: "NRPN LSB", 99: "NRPN MSB", 100: "RPN LSB", 101: "RPN MSB", 120: "all sound off",
    121: "reset controllers", 122: "local control", 123: "all notes off", 124: "omni off", 125: "omni on",
    126: "mono", 127: "poly",
}  # fmt: skip
_SYSTEM = {
    0xF1: "time code quarter frame", 0xF2: "song position", 0xF3: "song select", 0xF6: "tune request", 0xF8: "clock",
    0xFA: "start", 0xFB: "continue", 0xFC: "stop", 0xFE: "active sensing", 0xFF: "reset",
}  # fmt: skip
_NULL = 127


class MidiWords:
    """Says in words what messages mean, one stream at a time: it remembers which parameter number is selected."""

    def __init__(self) -> None:
        self._selected: dict[int, dict[int, int]] = {}
        self._data_msb: dict[int, int] = {}

    def say(self, message: bytes) -> str:
        """Say what one whole message means; bytes that are none are called so."""
        status, length = message[0] if message else 0, len(message)
        if status >= 0xF0:
            return self._system(message)
        channel, high = (status & 0x0F) + 1, status & 0xF0
        if status < 0x80 or length != (2 if high in (0xC0, 0xD0) else 3):
            return "no whole MIDI message"
        first, second = message[1], message[-1]
        match high:
            case 0x80:
                said = f"note off {first} ({_note(first)})"
            case 0x90 if second == 0:
                said = f"note off {first} ({_note(first)}), as note on with velocity 0"
            case 0x90:
                said = f"note on {first} ({_note(first)}), velocity {second}"
            case 0xA0:
                said = f"key pressure {first} ({_note(first)}) = {second}"
            case 0xB0:
                said = self._control_change(channel, first, second)
            case 0xC0:
                said = f"program change {first}"
            case 0xD0:
                said = f"channel pressure {first}"
            case _:
                said = f"pitch bend {second << 7 | first}"
        return f"{said}, channel {channel}"

    def _system(self, message: bytes) -> str:
        status = message[0]
        if status != 0xF0:
            return _SYSTEM.get(status, "undefined system message")
        if message[-1] != 0xF7:
            return f"system exclusive, cut short after {len(message)} bytes"
        maker = message[1:4] if message[1:2] == b"\x00" else message[1:2]
        return f"system exclusive, maker {maker.hex(' ').upper()}, {len(message)} bytes"

    def _control_change(self, channel: int, number: int, value: int) -> str:
        name = _CONTROLLERS.get(number, "")
        said = f"CC {number}{f' ({name})' if name else ''} = {value}"
        selected = self._selected.setdefault(channel, {})
        if 98 <= number <= 101:
            if selected.keys() - {number & ~1, number | 1}:  # an NRPN ends an RPN's turn, and the other way round
                selected.clear()
            selected[number] = value
            self._data_msb.pop(channel, None)
        elif number in (6, 38) and len(selected) == 2:
            low = min(selected)
            numbers = selected[low + 1], selected[low]
            if numbers != (_NULL, _NULL):
                if number == 6:
                    self._data_msb[channel] = value
                data = self._data_msb.get(channel, 0) << 7 | (value if number == 38 else 0)
                kind = "NRPN" if low == 98 else "RPN"
                said += f": {kind} {numbers[0]}/{numbers[1]} = {data >> 7 if number == 6 else data}"
                said += " so far" if number == 6 else " (14 bits)"
        return said


def _note(number: int) -> str:
    """Name a key, middle C (60) being C4."""
    return f"{_NOTES[number % 12]}{number // 12 - 1}"
