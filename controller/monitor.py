"""Watching a port: what comes in, byte for byte, and what it means in the words of a profile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from controller.listening import Ear, tokens
from controller.recall import number, say
from hardware.errors import HardwareError
from hardware.midi_words import MidiWords
from hardware.wire.framing import Framing, LineFraming, MidiFraming, frame_framing
from hardware.wire.messages import Accepted, Change, Heard, Parser, Refusal, Report, Touch, Unparsed
from profiles.profile import Profile, Value

KEPT_MESSAGES = 10_000
"""Messages that a monitor keeps: the newest."""
_REAL_TIME = 0xF8


@dataclass(frozen=True)
class Seen:
    """One message: when it came [s] since listening began, how long after the one before, its bytes, its meaning.

    ``kind``: ``change``, ``refused``, ``accepted``, ``touch``, ``report``, ``not understood``, ``part`` (of a longer
    unit, or a message that the profile passes over), or ``message`` where no profile explains it.
    """

    at_s: float
    delta_s: float
    data: bytes
    kind: str
    meaning: str
    control: str | None = None
    value: Value | None = None
    unit: str = ""
    raw: int | None = None
    changes: tuple[tuple[str, Value], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Write it as one of ``messages`` of ``--json``."""
        row: dict[str, Any] = {
            "at_s": round(self.at_s, 6),
            "delta_s": round(self.delta_s, 6),
            "bytes_hex": self.data.hex(" ").upper(),
            "kind": self.kind,
            "meaning": self.meaning,
            "control": self.control,
            **number("value", self.value),
            "unit": self.unit,
            "raw": self.raw,
        }
        if len(self.changes) > 1:
            row["changes"] = [{"control": control, **number("value", value)} for control, value in self.changes]
        return row


@dataclass
class Watched:
    """What a monitor saw: the newest messages, how many came in all, how many real-time messages were not shown."""

    messages: deque[Seen] = field(default_factory=lambda: deque(maxlen=KEPT_MESSAGES))
    count: int = 0
    real_time: int = 0
    seconds: float = 0.0
    trouble: HardwareError | None = None

    @property
    def dropped(self) -> int:
        """How many of the messages are no longer kept."""
        return self.count - len(self.messages)


def watch(
    ear: Ear,
    *,
    profile: Profile | None = None,
    device: str = "",
    seconds: float | None = None,
    count: int | None = None,
    raw: bool = False,
    shown: Callable[[Seen], None] = lambda seen: None,
) -> Watched:
    """Listen, and tell each message as it comes; sends nothing.

    Parameters
    ----------
    ear
        The open port.
    profile
        Explains the bytes; without one they are explained as MIDI in general.
    device
        Put before the names of controls.
    seconds, count
        When to end; Ctrl-C ends it too, and a port that vanished does (``trouble`` of what is returned).
    raw
        Also tells real-time messages (clock, active sensing), which are only counted otherwise.
    shown
        Called with each message.

    Raises
    ------
    UsageError
        A virtual room would have to be listened to for ever.
    """
    watched = Watched()
    reader = _Reader(profile, device)
    began_s = last_s = ear.clock.monotonic()

    def full() -> bool:
        return count is not None and watched.count >= count

    def take(data: bytes, at_s: float, kind: str = "") -> None:
        nonlocal last_s
        at_s = max(at_s, last_s)
        seen = reader.read(data, at_s - began_s, at_s - last_s)
        if kind:
            seen = replace(seen, kind=kind, meaning="incomplete when listening ended")
        last_s = at_s
        watched.messages.append(seen)
        watched.count += 1
        shown(seen)

    try:
        for token in tokens(ear, seconds=seconds, enough=full):
            for data in reader.split(token.data):
                if reader.midi and data[0] >= _REAL_TIME and not raw:
                    watched.real_time += 1
                elif not full():
                    take(data, token.at_s)
    except KeyboardInterrupt:
        pass  # the normal end of a monitor that nobody told when to end
    except HardwareError as error:
        watched.trouble = error
    if (left := reader.rest()) and not full():
        take(left, ear.clock.monotonic(), "part")
    watched.seconds = ear.clock.monotonic() - began_s
    return watched


class _Reader:
    """Cuts bytes into messages and says what each means."""

    def __init__(self, profile: Profile | None, device: str) -> None:
        self._profile = profile
        self._before = f"{device}/" if device else ""
        self._parser = None if profile is None else Parser(profile)
        self._words = MidiWords()
        self._framing = _framing(profile)
        self._held = bytearray()
        self.midi = isinstance(self._framing, MidiFraming)

    def split(self, data: bytes) -> list[bytes]:
        """Cut bytes into messages: MIDI with running status written out, lines and frames with their ends."""
        found: list[bytes] = []
        for byte in data:
            one = bytes([byte])
            if self.midi:
                found += [one] if byte >= _REAL_TIME else self._framing.feed(one)
                continue
            self._held += one
            if self._framing.feed(one):
                found.append(self.rest())
        return found

    def rest(self) -> bytes:
        """Give up what is held of an unended message, and return it."""
        if self.midi:
            return self._framing.flush()
        held = bytes(self._held)
        self._held.clear()
        return held

    def read(self, data: bytes, at_s: float, delta_s: float) -> Seen:
        """Say what one message means."""
        if self._parser is None:
            return Seen(at_s, delta_s, data, "message", self._words.say(data))
        heard = self._parser.feed(data)
        changes = [item for item in heard if isinstance(item, Change)]
        if changes:
            return self._change(changes, data, at_s, delta_s)
        kind, meaning, control = self._other(heard)
        return Seen(at_s, delta_s, data, kind, meaning, control)

    def _change(self, changes: list[Change], data: bytes, at_s: float, delta_s: float) -> Seen:
        assert self._profile is not None  # noqa: S101 - only a profile's parser tells changes
        first = changes[0]
        units = [self._profile.controls[change.control].unit for change in changes]
        told = [
            f"{self._before}{change.control} = {say(change.value, unit)}"
            for change, unit in zip(changes, units, strict=True)
        ]
        return Seen(
            at_s,
            delta_s,
            data,
            "change",
            "; ".join(told[:4]) + (f" and {len(told) - 4} more" if told[4:] else ""),
            control=f"{self._before}{first.control}",
            value=first.value,
            unit=units[0],
            raw=first.raw,
            changes=tuple((f"{self._before}{change.control}", change.value) for change in changes),
        )

    def _other(self, heard: list[Heard]) -> tuple[str, str, str | None]:
        for item in heard:
            match item:
                case Refusal():
                    name = f"{self._before}{item.control}" if item.control else None
                    return "refused", f"refused{f' {name}' if name else ''}: {item.text}", name
                case Accepted():
                    return "accepted", "accepted", None
                case Touch():
                    name = f"{self._before}{item.control}"
                    return "touch", f"{name} {'touched' if item.on else 'let go'}", name
                case Report():
                    fields = ", ".join(f"{key} {value}" for key, value in item.fields.items())
                    return "report", f"{item.means}{f': {fields}' if fields else ''}", None
        if any(isinstance(item, Unparsed) for item in heard):
            return "not understood", "not understood", None
        return "part", "part of a longer message, or passed over", None


def _framing(profile: Profile | None) -> Framing:
    """Choose what cuts the stream into messages."""
    if profile is not None and profile.framing == "lines":
        return LineFraming((profile.serial.terminator if profile.serial else "\r\n").encode("ascii"))
    if profile is not None and profile.framing == "frames" and profile.serial and profile.serial.frame:
        return frame_framing(profile.serial.frame)
    return MidiFraming()
