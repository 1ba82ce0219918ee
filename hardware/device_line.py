"""One device's line while it is being talked to: paced sending, and what came back sorted by meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from hardware.errors import BadReplyError, DisconnectedError, HardwareError, ReplyTimeoutError
from hardware.known import Known
from hardware.seams import BytePort, Clock
from hardware.wire.messages import Change, Parser, Refusal, Unparsed
from profiles.profile import Profile, Value

POLL_S = 0.001
"""How long one line may be listened to while others wait [s]: a DIN MIDI wire carries three bytes in that time."""


@dataclass(frozen=True)
class Wait:
    """What a talk waits for: a moment, or (``for_input``) whatever arrives until then."""

    until_s: float
    for_input: bool = False


Talk = Generator[Wait, None, None]
"""A talk with one device: runs until it has to wait, and says for what."""


class DeviceLine:
    """Sends whole messages no faster than wire and profile allow, and keeps what the device said."""

    def __init__(
        self, name: str, profile: Profile, port: BytePort, clock: Clock, *, timestamp: Callable[[], str]
    ) -> None:
        self.name = name
        self.profile = profile
        self.clock = clock
        self.changes: dict[str, Change] = {}
        self.refusals: list[Refusal] = []
        self.moved: dict[str, Known] = {}
        self.failure: str | None = None
        self.timed_out = False
        self._port = port
        self._parser = Parser(profile)
        self._garbage = b""
        self._free_at_s = -math.inf
        self._unsorted: list[Change | Refusal | Unparsed] = []
        self._timestamp = timestamp

    def listen(self, timeout_s: float) -> bool:
        """Take in what arrived, waiting up to ``timeout_s`` [s]; tell whether there was anything.

        Raises
        ------
        DisconnectedError
            The port vanished.
        """
        tokens = self._port.receive(timeout_s)
        for token in tokens:
            self._unsorted += self._parser.feed(token.data)
        return bool(tokens)

    @property
    def has_input(self) -> bool:
        """Whether something arrived that no talk has looked at yet."""
        return bool(self._unsorted)

    def sort(self) -> None:
        """Sort what arrived: changes by control, refusals, and bytes that the profile does not know."""
        for item in self._unsorted:
            if isinstance(item, Refusal):
                self.refusals.append(item)
            elif isinstance(item, Change):
                self.changes[item.control] = item
                self.moved[item.control] = Known(item.value, "read-back", self._timestamp())
            elif not all(byte >= 0xF8 for byte in item.data):  # MIDI real-time bytes mean nothing here
                self._garbage += item.data
        self._unsorted.clear()

    def clear_old_input(self) -> None:
        """Drop what the device said before anybody asked; a vanished port is left in ``failure``."""
        try:
            self.listen(0.0)
        except DisconnectedError as error:
            self.failure = f"lost its port ({error})"
        self.sort()
        self.refusals.clear()
        self.changes.clear()
        self.moved.clear()

    def pause(self, seconds: float) -> Talk:
        """Let ``seconds`` pass."""
        if seconds > 0:
            yield Wait(self.clock.monotonic() + seconds)

    def transmit(self, message: bytes) -> Talk:
        """Send one whole message as soon as the wire is free, and take it that the wire is busy for its length."""
        if self.clock.monotonic() < self._free_at_s:
            yield Wait(self._free_at_s)
        self._port.send(message)
        pacing = self.profile.pacing
        self._free_at_s = self.clock.monotonic() + len(message) / pacing.bytes_per_s + pacing.gap_s

    def drained(self) -> Talk:
        """Wait until the last message has left the wire."""
        if self.clock.monotonic() < self._free_at_s:
            yield Wait(self._free_at_s)

    def answer(self, control: str) -> Generator[Wait, None, Change | None]:
        """Wait for the device to say where ``control`` stands; None when it refused instead.

        Raises
        ------
        ReplyTimeoutError
            Nothing came within the profile's timeout.
        BadReplyError
            Something came, but nothing that the profile knows.
        """
        self._garbage = b""
        refused = len(self.refusals)
        deadline = max(self.clock.monotonic(), self._free_at_s) + self.profile.ack.timeout_s
        while True:
            self.sort()
            if control in self.changes:
                return self.changes.pop(control)
            if any(refusal.control in (None, control) for refusal in self.refusals[refused:]):
                return None
            if self.clock.monotonic() >= deadline:
                break
            yield Wait(deadline, for_input=True)
        if self._garbage:
            raise BadReplyError(f"answered {shown(self._garbage)}, which its profile does not know")
        raise ReplyTimeoutError(f"did not answer within {self.profile.ack.timeout_s:g} s")

    def ask(self, control: str, messages: Sequence[bytes]) -> Generator[Wait, None, Change | None]:
        """Ask where ``control`` stands, again up to the profile's retries; None when it refused to say.

        Raises
        ------
        ReplyTimeoutError, BadReplyError
            As ``answer`` does, after the last try.
        """
        for attempt in range(self.profile.ack.retries + 1):
            self.sort()
            self.changes.pop(control, None)
            for message in messages:
                yield from self.transmit(message)
            try:
                return (yield from self.answer(control))
            except (ReplyTimeoutError, BadReplyError):
                if attempt == self.profile.ack.retries:
                    raise
        return None


def value_text(value: Value) -> str:
    """Write a value for a message: ``off`` for −∞, ``in``/``out`` words stay what they are, numbers short."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    return "off" if value == -math.inf else f"{value:g}"


def refusal_text(refusal: Refusal) -> str:
    """Write what a device said when it refused."""
    return " ".join(part for part in (refusal.code, refusal.text) if part) or "no reason given"


def shown(data: bytes) -> str:
    """Show bytes in a message: printable ASCII as text, anything else as hex, at most 16 bytes."""
    head = data[:16]
    more = " …" if len(data) > 16 else ""
    text = head.strip(b"\r\n")
    if text and all(0x20 <= byte < 0x7F for byte in text):
        return f"{text.decode('ascii')!r}{more}"
    return head.hex(" ").upper() + more


def run_together(
    talks: Sequence[tuple[DeviceLine, Talk]], clock: Clock, *, cancelled: Callable[[], bool] = lambda: False
) -> None:
    """Run the talks side by side on one clock until all have ended; one that fails ends alone.

    A failed talk leaves its reason in its line's ``failure``, and in ``timed_out`` whether that was silence.
    """
    running: list[tuple[DeviceLine, Talk]] = list(talks)
    waits: dict[str, Wait] = {}
    turn = 0
    while running:
        if cancelled():
            for line, talk in running:
                talk.close()
                line.failure = line.failure or "was stopped by the user"
            return
        moved = False
        for line, talk in list(running):
            if _advance(line, talk, waits, clock.monotonic()):
                moved = True
            if line.name not in waits:
                running.remove((line, talk))
        if not moved and running:
            turn += 1
            _idle([line for line, _ in running], waits, clock, turn)


def _advance(line: DeviceLine, talk: Talk, waits: dict[str, Wait], now_s: float) -> bool:
    """Let one talk go on if what it waits for is there; its wait is gone when it ended."""
    try:
        line.listen(0.0)
        wait = waits.get(line.name)
        if wait is not None and now_s < wait.until_s and not (wait.for_input and line.has_input):
            return False
        waits[line.name] = next(talk)
    except StopIteration:
        waits.pop(line.name, None)
    except DisconnectedError as error:
        talk.close()
        line.failure = f"lost its port ({error})"
        waits.pop(line.name, None)
    except HardwareError as error:
        talk.close()
        line.failure = str(error)
        line.timed_out = isinstance(error, ReplyTimeoutError)
        waits.pop(line.name, None)
    return True


def _idle(lines: Sequence[DeviceLine], waits: dict[str, Wait], clock: Clock, turn: int) -> None:
    """Let time pass until the next moment anybody waits for, listening where input is awaited."""
    now = clock.monotonic()
    left = min(waits[line.name].until_s for line in lines) - now
    if left <= 0:
        return
    listeners = [line for line in lines if waits[line.name].for_input]
    if not listeners:
        clock.sleep(left)
        return
    line = listeners[turn % len(listeners)]
    slice_s = left if len(lines) == 1 else min(left, POLL_S)
    try:
        heard = line.listen(slice_s)
    except DisconnectedError:
        return  # the next look at this line reports it
    if not heard and clock.monotonic() <= now:
        clock.sleep(slice_s)
