"""One device's connector: what stands between its wire and its firmware, and goes wrong there on purpose.

Without a fault it is a straight wire. With one it takes the bytes singly, so that "after so many messages" means the
same however the bytes are cut.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from hardware.errors import HardwareError
from hardware.room.decoder import Device, Value, no_such_knob
from hardware.room.faults import FOR_GOOD, Fault
from hardware.room.gear import Transport
from hardware.room.uart import misheard
from hardware.seams import Token

_EVENTS = frozenset({"moved", "held", "vanish", "port_gone", "power_cycle"})
_BREAK = b"\x00"


@dataclass
class _Live:
    """A fault that was thrown: when counting began, and how much of it is left."""

    fault: Fault
    since: int
    left: float
    passed: int = 0
    struck: int = 0
    kept: dict[str, Value] = field(default_factory=dict)

    def strike(self) -> None:
        self.struck += 1
        self.left -= 1


class Connector:
    """A device behind a connector that can fail.

    Parameters
    ----------
    name
        The device's name in the room.
    make
        Makes the device as it stands at power-on.
    transport
        How it is reached.
    kept
        Whether a knob stays where a hand left it when the power goes.
    """

    def __init__(
        self, name: str, make: Callable[[], Device], *, transport: Transport, kept: Callable[[str], bool] | None = None
    ) -> None:
        self.name = name
        self.transport: Transport = transport
        self.device = make()
        self.plugs = 0
        self.port_name = name
        self._make = make
        self._kept = kept or (lambda name: False)
        self._live: list[_Live] = []
        self._heard_before = 0
        self._now_s = 0.0
        self._gone_until_s = -math.inf
        self._off_until_s = -math.inf
        self._waiting: list[tuple[float, int, list[bytes]]] = []
        self._order = itertools.count()
        self._running = 0
        self._hears_break = False

    @property
    def heard(self) -> int:
        """Whole messages that the device has heard since the room was made, through every power cycle."""
        return self._heard_before + self.device.heard

    @property
    def vanished(self) -> bool:
        """Whether the port is away now."""
        return self._now_s < self._gone_until_s

    @property
    def faults(self) -> list[tuple[Fault, int]]:
        """Every fault that was thrown and not healed, and how often it struck so far."""
        return [(live.fault, live.struck) for live in self._live]

    # --- faults come and go ----------------------------------------------------------------------------------------

    def throw(self, fault: Fault) -> None:
        """Let a fault come; those that wait for no message strike at once.

        Raises
        ------
        HardwareError
            The device has no such control, or cannot fail so.
        """
        name = fault.control.removeprefix(f"{self.name}/")
        for wanted in (name, fault.other.removeprefix(f"{self.name}/")):
            if wanted and wanted not in self.device.knobs():
                raise no_such_knob(self.name, wanted)
        if fault.kind == "nak":
            refusing = getattr(self.device, "refusing", None)
            if refusing is None:
                raise HardwareError(f"{self.name} never refuses a message", hint="Name a control of another device.")
            refusing.add(name)
        self._live.append(_Live(fault, self.heard, math.inf if fault.times == FOR_GOOD else fault.times))
        self._send_later(self._events(), self._now_s)

    def heal(self) -> None:
        """Take every fault away; a port that is gone can be opened again, and a hand lets go."""
        for live in self._live:
            name = live.fault.control.removeprefix(f"{self.name}/")
            if live.fault.kind == "nak":
                getattr(self.device, "refusing", set()).discard(name)
            if live.fault.kind == "held" and live.struck and live.left > 0:
                self._send_later(self._hold(name, on=False), self._now_s)
        self._live.clear()
        self._gone_until_s = self._off_until_s = -math.inf

    # --- bytes in --------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, at_s: float | None) -> list[bytes]:
        """Take bytes from the wire; return what leaves on it at once, in the pieces it leaves in."""
        if at_s is not None:
            self._now_s = max(self._now_s, at_s)
        if not self._live and self._awake:
            return self.device.receive(data, at_s)
        leaving: list[bytes] = []
        for byte in data:
            for arriving in self._inward(byte):
                if self._awake:
                    leaving += self._hear(arriving, at_s)
            if self._hears_break:
                self._hears_break = False
                leaving.append(_BREAK)
        return leaving

    @property
    def _awake(self) -> bool:
        return self._now_s >= max(self._gone_until_s, self._off_until_s)

    def _ripe(self, *kinds: str) -> Iterator[_Live]:
        """Yield the faults of these kinds whose time has come and that are not used up."""
        for live in self._live:
            if live.fault.kind in kinds and live.left > 0 and self.heard - live.since >= live.fault.after_messages:
                yield live

    def _hear(self, byte: int, at_s: float | None) -> list[bytes]:
        self._keep_stuck()
        before = self.heard
        answers = self.device.receive(bytes([byte]), at_s)
        leaving = self._outward(self._replied(answers)) if answers else []
        if self.heard != before:
            self._release_stuck()
            leaving += self._outward(self._events())
        return leaving

    def _inward(self, byte: int) -> bytes:
        """Carry one byte to the device; return what arrives of it."""
        data = bytes([byte])
        for live in self._ripe("serial_break"):
            if live.struck == 0:
                self._hears_break = True
                data = _BREAK  # a line held low is one framing error, delivered as 00
            else:
                data = b""
            live.strike()
            return data
        for live in self._ripe("wrong_baud"):
            live.strike()
            return misheard(byte, live.fault.ratio)
        return self._spoilt(data, "device")

    def _spoilt(self, data: bytes, to: str) -> bytes:
        """Drop and double the bytes that are to be hit on their way ``to`` the device or the program."""
        for live in self._ripe("drop_byte", "double_byte"):
            if live.fault.to != to:
                continue
            spoilt = bytearray()
            for byte in data:
                if live.passed < live.fault.at_byte or live.left <= 0:
                    live.passed += 1
                    spoilt.append(byte)
                    continue
                live.strike()
                if live.fault.kind == "double_byte":
                    spoilt += bytes([byte, byte])
            data = bytes(spoilt)
        return data

    # --- what the firmware does with them --------------------------------------------------------------------------

    def _keep_stuck(self) -> None:
        """Remember where the controls stand that will not move."""
        for live in self._ripe("stuck", "liar"):
            if not live.kept:
                name = live.fault.control.removeprefix(f"{self.name}/")
                knobs = self.device.knobs()
                live.kept = {name: knobs[name]} if name else knobs

    def _release_stuck(self) -> None:
        """Put them back; the device believes that it has moved them."""
        for live in self._ripe("stuck", "liar"):
            knobs = self.device.knobs()
            for name, value in live.kept.items():
                if knobs[name] != value:
                    self.device.turn(name, value)
                    live.struck += 1

    def _events(self) -> list[bytes]:
        """Let everything happen that waited for this message; return what the device sends because of it."""
        sent: list[bytes] = []
        for live in list(self._ripe(*_EVENTS)):
            fault, name = live.fault, live.fault.control.removeprefix(f"{self.name}/")
            if fault.kind == "held":
                sent += self._held(live, name)
                continue
            live.strike()
            live.left = 0
            if fault.kind == "moved":
                moved = self._turn(name, fault.value)
                sent += [] if fault.quiet else moved
            elif fault.kind == "power_cycle":
                self._power_cycle(fault)
            else:
                self._unplug(math.inf if fault.kind == "vanish" else fault.seconds, fault.index)
        return sent

    def _held(self, live: _Live, name: str) -> list[bytes]:
        fault = live.fault
        if live.struck == 0:
            live.struck = 1
            return self._hold(name, on=True)
        if fault.times == FOR_GOOD or self.heard - live.since < fault.after_messages + fault.times:
            return []
        live.left = 0
        return self._hold(name, on=False)

    def _hold(self, name: str, *, on: bool) -> list[bytes]:
        return self.device.turn(f"{name.rpartition('/')[0]}/touch", on)

    def _unplug(self, seconds: float, index: int) -> None:
        self.plugs += 1
        self._gone_until_s = self._now_s + seconds
        self._waiting.clear()
        if index:
            self.port_name = f"{self.name}-{index}"

    def _power_cycle(self, fault: Fault) -> None:
        before = self.device
        self._heard_before += before.heard
        self.device = self._make()
        for name, value in before.knobs().items():
            if self._kept(name):
                self.device.turn(name, value)
        getattr(self.device, "refusing", set()).update(getattr(before, "refusing", set()))
        for live in self._live:
            live.kept.clear()
        self._running = 0
        self._waiting.clear()
        self._off_until_s = self._now_s + fault.seconds
        if fault.port:
            self._unplug(fault.seconds, fault.index)
        banner = getattr(self.device, "banner", None)
        if banner is not None:
            self._send_later([banner()], self._off_until_s)

    # --- bytes out -------------------------------------------------------------------------------------------------

    def _replied(self, answers: list[bytes]) -> list[bytes]:
        """Spoil the answer to one message before it is on the wire."""
        for live in self._ripe("ping_missed"):
            if bytes.fromhex(live.fault.answer) in answers:
                answers = [answer for answer in answers if answer != bytes.fromhex(live.fault.answer)]
                live.strike()
        for live in self._ripe("other_reply", "wrong_address"):
            asked = self._asked(answers)
            if asked and live.fault.control in ("", f"{self.name}/{asked}"):
                answers = self._mistaken(asked, live.fault)
                live.strike()
        for live in self._ripe("late_reply", "no_reply"):
            name = live.fault.control.removeprefix(f"{self.name}/")
            if not answers or (name and self._told(name, self.device.knobs()) != answers):
                continue
            live.strike()
            if live.fault.kind == "late_reply":
                self._send_later(answers, self._now_s + live.fault.seconds)
            answers = []
        return answers

    def _told(self, name: str, knobs: Mapping[str, Value]) -> list[bytes]:
        """Find what the device says of a control when asked: what it says when a hand puts it where it stands."""
        tell: Callable[[str], list[bytes]] | None = getattr(self.device, "tell", None)
        if tell is not None:
            return tell(name)
        try:
            return self.device.turn(name, knobs[name])
        except HardwareError:
            return []

    def _asked(self, answers: list[bytes]) -> str:
        """Find the control whose state these messages tell; "" when it is none's."""
        knobs = self.device.knobs()
        return next((name for name in knobs if answers and self._told(name, knobs) == answers), "")

    def _mistaken(self, asked: str, fault: Fault) -> list[bytes]:
        """Make the answer about another control, or with this one's value under another's address."""
        knobs = self.device.knobs()
        other = fault.other.removeprefix(f"{self.name}/") or _next_of_its_kind(asked, knobs)
        if fault.kind == "other_reply":
            return self._told(other, knobs)
        try:
            self.device.turn(other, knobs[asked])
        except HardwareError:
            return self._told(other, knobs)  # this value does not exist there
        told = self._told(other, self.device.knobs())
        self.device.turn(other, knobs[other])
        return told

    def _outward(self, messages: list[bytes]) -> list[bytes]:
        """Carry whole messages from the device; return the pieces in which they leave."""
        leaving: list[bytes] = []
        for message in messages:
            data = message
            if any(self._ripe("serial_break")):
                continue
            for live in self._ripe("wrong_baud"):
                data = b"".join(misheard(byte, 1 / live.fault.ratio) for byte in message)
            data = self._spoilt(self._with_real_time(self._run_on(data)), "program")
            leaving += self._cut(data, message)
        return leaving

    def _run_on(self, message: bytes) -> bytes:
        """Leave out a status that the one before it repeats (MIDI 1.0 detailed specification, running status)."""
        again, self._running = message[:1] == bytes([self._running]), message[0] if 0x80 <= message[0] < 0xF0 else 0
        for live in self._ripe("running_status"):
            if again and message[0] < 0xF0:
                live.strike()
                return message[1:]
        return message

    def _with_real_time(self, data: bytes) -> bytes:
        """Put a real-time byte behind the first byte and every third after it, never at the end."""
        for live in self._ripe("real_time"):
            clock = bytes([live.fault.byte])
            data = b"".join(
                data[at : at + 1] + (clock if at % 3 == 0 and at + 1 < len(data) else b"") for at in range(len(data))
            )
            live.strike()
        return data

    def _cut(self, data: bytes, message: bytes) -> list[bytes]:
        for live in self._ripe("pieces"):
            size = live.fault.size
            if (self.transport == "serial" or message[0] == 0xF0) and len(data) > size:
                live.strike()
                return [data[at : at + size] for at in range(0, len(data), size)]
        return [data] if data else []

    def _send_later(self, messages: list[bytes], at_s: float) -> None:
        if messages:
            heapq.heappush(self._waiting, (at_s, next(self._order), messages))

    def due(self, now_s: float) -> list[Token]:
        """Take what the device sends of its own accord until ``now_s`` [s], each with its time."""
        self._now_s = max(self._now_s, now_s)
        tokens: list[Token] = []
        while self._waiting and self._waiting[0][0] <= now_s:
            at_s, _, messages = heapq.heappop(self._waiting)
            if not self.vanished:
                tokens += [Token(at_s, data) for data in self._outward(messages)]
        return tokens

    @property
    def next_due_s(self) -> float | None:
        """When the device will send something of its own accord [s]; None when nothing waits."""
        return self._waiting[0][0] if self._waiting else None

    # --- hands -----------------------------------------------------------------------------------------------------

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand set one knob; return what leaves on the wire because of it.

        Raises
        ------
        HardwareError
            No such knob, or it does not go there.
        """
        messages = self._turn(name, value)
        return self._outward(messages) if self._awake else []

    def _turn(self, name: str, value: Value) -> list[bytes]:
        """Turn a knob; what is stuck stays from then on where the hand forced it."""
        messages = self.device.turn(name, value)
        for live in self._live:
            if name in live.kept:
                live.kept[name] = self.device.knobs()[name]
        return messages


def _next_of_its_kind(name: str, knobs: Mapping[str, Value]) -> str:
    """Find the control that a confused device takes this for: the same one strip on, else one of the same sort."""
    last = name.partition("/")[2]
    alike = [other for other in knobs if other.partition("/")[2] == last]
    if len(alike) == 1:
        alike = [other for other in knobs if isinstance(knobs[other], bool) == isinstance(knobs[name], bool)]
    return alike[(alike.index(name) + 1) % len(alike)]
