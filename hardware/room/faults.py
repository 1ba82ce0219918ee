"""What can go wrong in the room on purpose: every kind of fault, and the keys each takes.

``docs/virtual-room.md`` has the table. A fault is written in a model file (``[[fault]]``), thrown at run time
(`Room.throw`), or typed at a served room (``fault KIND key=value``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from hardware.errors import HardwareError
from hardware.rig_file import nearest

if TYPE_CHECKING:
    from hardware.room.decoder import Value

STRIPS = 24
FOR_GOOD = 0
"""``count`` of a fault that does not end by itself."""

FaultKind = Literal[
    "fader_off", "dead", "swapped", "inverted", "nak", "silent_serial", "garbage_serial", "vanish",
    "drop_byte", "double_byte", "late_reply", "no_reply", "other_reply", "wrong_address", "stuck", "liar", "moved",
    "held", "port_gone", "power_cycle", "running_status", "real_time", "pieces", "ping_missed", "serial_break",
    "wrong_baud", "split", "summed", "shorted", "pulled", "jump",
]  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One thing that is broken on purpose; which fields count depends on ``kind``.

    Attributes
    ----------
    channels : the strips meant, from 1.
    db : how far off [dB].
    device, control : where; a control is addressed ``device/section/name``.
    after_messages : how many whole messages the device hears, from the throwing on, before the fault strikes.
    at_byte : how many bytes more pass unharmed in the direction meant.
    count : how many bytes, replies or messages are hit; 0 for good. None: what the kind does by itself.
    seconds : how late, how long away, or how much audio passes before it strikes [s].
    to : whether the bytes on their way to the ``device`` or to the ``program`` are hit.
    value : where a hand moves the control.
    other : the control whose state or address a wrong answer carries; empty: the next of its kind.
    quiet : the moved control is not transmitted.
    port : the port goes with the power.
    index : the port comes back as ``device-index``; 0 under its old name.
    byte : the real-time byte, F8h–FFh.
    size : bytes in a piece.
    answer : the keep-alive answer that is withheld, in hex.
    ratio : how much faster than the other side's the device's serial rate is.
    """

    kind: FaultKind
    channels: tuple[int, ...] = ()
    db: float = 0.0
    control: str = ""
    device: str = ""
    after_messages: int = 0
    at_byte: int = 0
    count: int | None = None
    seconds: float = 0.0
    to: Literal["device", "program"] = "device"
    value: Value = 0.0
    other: str = ""
    quiet: bool = False
    port: bool = False
    index: int = 0
    byte: int = 0xF8
    size: int = 3
    answer: str = "90 00 7F"
    ratio: float = 2.0

    @property
    def at(self) -> str:
        """Name of the device that is hit; "" for the faults of the audio."""
        return self.device or self.control.partition("/")[0]

    @property
    def times(self) -> int:
        """How often it strikes: ``count``, or the kind's own number; `FOR_GOOD` without end."""
        return _COUNTS.get(self.kind, 1) if self.count is None else self.count


_TRIGGER = ("after_messages", "count")
_PLACE = "device|control"

FAULT_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "fader_off": (("channel", "db"), ()),
    "dead": (("channel",), ()),
    "swapped": (("channels",), ()),
    "inverted": (("channel",), ()),
    "nak": (("control",), ()),
    "silent_serial": ((), ()),
    "garbage_serial": ((), ()),
    "vanish": (("device", "after_messages"), ()),
    "drop_byte": (("device",), (*_TRIGGER, "at_byte", "to")),
    "double_byte": (("device",), (*_TRIGGER, "at_byte", "to")),
    "late_reply": ((_PLACE, "seconds"), _TRIGGER),
    "no_reply": ((_PLACE,), _TRIGGER),
    "other_reply": ((_PLACE,), (*_TRIGGER, "other")),
    "wrong_address": ((_PLACE,), (*_TRIGGER, "other")),
    "stuck": (("control",), ("after_messages",)),
    "liar": ((_PLACE,), ("after_messages",)),
    "moved": (("control", "value"), ("after_messages", "quiet")),
    "held": (("control",), _TRIGGER),
    "port_gone": (("device",), ("after_messages", "seconds", "index")),
    "power_cycle": (("device",), ("after_messages", "seconds", "port", "index")),
    "running_status": (("device",), _TRIGGER),
    "real_time": (("device",), (*_TRIGGER, "byte")),
    "pieces": (("device",), (*_TRIGGER, "size")),
    "ping_missed": (("device",), (*_TRIGGER, "answer")),
    "serial_break": (("device",), _TRIGGER),
    "wrong_baud": (("device",), (*_TRIGGER, "ratio")),
    "split": (("channels",), ()),
    "summed": (("channels",), ()),
    "shorted": (("channels",), ()),
    "pulled": (("channel",), ("seconds",)),
    "jump": (("channel", "db"), ("seconds",)),
}
"""Keys each kind needs, and those it may have."""

_COUNTS = {
    "running_status": FOR_GOOD, "real_time": FOR_GOOD, "pieces": FOR_GOOD, "ping_missed": 3, "held": 20,
    "serial_break": 10, "wrong_baud": 20,
}  # fmt: skip

MIDI_ONLY = frozenset({"running_status", "real_time", "ping_missed"})
SERIAL_ONLY = frozenset({"serial_break", "wrong_baud"})
IN_THE_CIRCUIT = frozenset({"fader_off", "dead", "swapped", "inverted", "split", "summed", "shorted"})
DURING_AUDIO = frozenset({"pulled", "jump"})
MATRIX_ONLY = frozenset({"silent_serial", "garbage_serial"})


def read_fault(entry: object, devices: Mapping[str, str], *, where: str = "fault") -> Fault:
    """Check a fault as it was written (a TOML table) and make it.

    Parameters
    ----------
    entry
        The table: ``kind`` and the keys of that kind.
    devices
        The room's devices, and whether each is reached by ``midi`` or ``serial``.
    where
        What to call it in a message.

    Raises
    ------
    HardwareError
        Not a table, an unknown kind or key, a missing key, a value of the wrong type or range, no such device, or a
        fault that this device's kind of port cannot have. The message begins with ``where`` and the key.
    """
    if not isinstance(entry, Mapping):
        raise HardwareError(f"{where}: a [[fault]] table is needed")
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in FAULT_KEYS:
        raise HardwareError(f"{where}.kind: unknown fault {kind!r}", hint=nearest(str(kind), tuple(FAULT_KEYS)))
    needed, may = FAULT_KEYS[kind]
    names = [name for key in (*needed, *may) for name in key.split("|")]
    for key in entry:
        if key not in ("kind", *names):
            allowed = ", ".join(names) or "none besides kind"
            close = nearest(str(key), names) if get_close_matches(str(key), names, cutoff=0.5) else ""
            raise HardwareError(f"{where}.{key}: unknown key", hint=f"{close} Keys allowed here: {allowed}.".strip())
    for key in needed:
        if not any(name in entry for name in key.split("|")):
            raise HardwareError(f"{where}.{key.replace('|', ' or ')}: missing; a {kind} fault needs it")
    made: dict[str, Any] = {"kind": kind}
    for key, value in entry.items():
        if key != "kind":
            made.update(_value(key, value, f"{where}.{key}"))
    fault = Fault(**made)
    try:
        check_fault(fault, devices)
    except HardwareError as error:
        key = next((name for name in ("control", "device") if getattr(fault, name)), "kind")
        raise HardwareError(f"{where}.{key}: {error}", hint=error.hint) from None
    return fault


def read_typed_fault(words: Sequence[str], devices: Mapping[str, str]) -> Fault:
    """Make a fault of what was typed: its kind, then ``key=value`` each.

    Numbers may be written in hex (0xF8); true and false are switches; anything else is text.

    Raises
    ------
    HardwareError
        As `read_fault`, or a word without ``=``.
    """
    entry: dict[str, Any] = {"kind": words[0] if words else ""}
    for word in words[1:]:
        key, equals, text = word.partition("=")
        if not equals:
            raise HardwareError(
                f"fault: {word!r} is not written key=value", hint="Example: fault stuck control=desk/ch01/fader"
            )
        entry[key] = _typed(text)
    return read_fault(entry, devices)


def _typed(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    readers: tuple[Callable[[str], float], ...] = (lambda word: int(word, 0), float)
    for reader in readers:
        try:
            return reader(text)
        except ValueError:
            continue
    return text


def check_fault(fault: Fault, devices: Mapping[str, str]) -> None:
    """Check that the room has the device, and its port can fail so.

    Raises
    ------
    HardwareError
        It has not, or cannot.
    """
    name = fault.at
    if fault.kind in IN_THE_CIRCUIT | DURING_AUDIO | MATRIX_ONLY or (fault.kind == "nak" and name not in devices):
        return  # a refused control without its device is the desk's
    if name not in devices:
        raise HardwareError(f"no device {name!r} in this room", hint=nearest(name, tuple(devices)))
    if fault.kind == "nak" and name == "comp":
        raise HardwareError("the compressor never refuses a message", hint="Name a control of another device.")
    if fault.control and fault.control.partition("/")[0] != name:
        raise HardwareError(f"{fault.control} is not on {name}", hint="Name the device or the control; one will do.")
    if fault.kind in MIDI_ONLY and devices[name] != "midi":
        raise HardwareError(f"{name} is on a serial line; a {fault.kind} fault is one of MIDI")
    if fault.kind in SERIAL_ONLY and devices[name] != "serial":
        raise HardwareError(f"{name} is on MIDI, which has one rate; a {fault.kind} fault is one of serial lines")


def _value(key: str, value: object, where: str) -> dict[str, Any]:
    if key == "channel":
        return {"channels": (_whole(value, where, 1, STRIPS, "a channel"),)}
    if key == "channels":
        if not isinstance(value, list) or len(value) != 2:
            raise HardwareError(f"{where}: two channels are needed, not {value!r}", hint="Example: channels = [3, 4]")
        pair = tuple(_whole(item, where, 1, STRIPS, "a channel") for item in value)
        if pair[0] == pair[1]:
            raise HardwareError(f"{where}: two different channels are needed")
        return {"channels": pair}
    if key in _WHOLE:
        return {key: _whole(value, where, *_WHOLE[key])}
    if key in _NUMBERS:
        return {key: _number(value, where, *_NUMBERS[key])}
    if key in ("quiet", "port"):
        if not isinstance(value, bool):
            raise HardwareError(f"{where}: true or false is needed, not {value!r}")
    elif key == "value":
        if not isinstance(value, bool | int | float | str):
            raise HardwareError(f"{where}: a number, a switch or a word is needed, not {value!r}")
    elif not isinstance(value, str):
        raise HardwareError(f"{where}: a text is needed, not {value!r}")
    elif key == "to" and value not in ("device", "program"):
        raise HardwareError(f'{where}: "device" or "program" is needed, not {value!r}')
    elif key == "answer":
        _hex(value, where)
    return {key: value}


_WHOLE: dict[str, tuple[int, int | None, str]] = {
    "after_messages": (0, None, "a whole number"),
    "at_byte": (0, None, "a whole number"),
    "count": (0, None, "a whole number"),
    "index": (0, 99, "a whole number"),
    "byte": (0xF8, 0xFF, "a real-time byte"),
    "size": (1, None, "a whole number"),
}
_NUMBERS = {"db": (-60.0, 20.0, "dB"), "seconds": (0.0, 3600.0, "s"), "ratio": (0.1, 10.0, "times")}


def _whole(value: object, where: str, low: int, high: int | None, what: str) -> int:
    if type(value) is not int or value < low or (high is not None and value > high):
        reach = f"from {low} up" if high is None else f"from {low} to {high}"
        raise HardwareError(f"{where}: {what} {reach} is needed, not {value!r}")
    return value


def _number(value: object, where: str, low: float, high: float, unit: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise HardwareError(f"{where}: a number from {low:g} to {high:g} {unit} is needed, not {value!r}")
    if not low <= value <= high:
        raise HardwareError(f"{where}: {value:g} is out of range", hint=f"Allowed: {low:g} to {high:g} {unit}.")
    return float(value)


def _hex(text: str, where: str) -> None:
    try:
        bytes.fromhex(text)
    except ValueError:
        raise HardwareError(f'{where}: bytes in hex are needed, as "90 00 7F", not {text!r}') from None
