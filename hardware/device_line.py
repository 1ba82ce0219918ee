"""One device's line while it is being talked to: paced sending, and what came back sorted by meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Mapping, Sequence

from hardware.errors import BadReplyError, DisconnectedError, RefusedError, ReplyTimeoutError
from hardware.known import Known
from hardware.seams import BytePort, Clock
from hardware.talks import Talk, Wait, Wire, run_together
from hardware.wire.messages import (
    Accepted,
    Change,
    Heard,
    Parser,
    Refusal,
    Report,
    SessionStep,
    Touch,
    Unparsed,
    keep_alive_messages,
    session_steps,
)
from hardware.wording import refusal_text, shown, value_text
from profiles.errors import ProfileError
from profiles.profile import Profile

__all__ = ["DeviceLine", "Talk", "Wait", "Wire", "refusal_text", "run_together", "shown", "value_text"]


class DeviceLine:
    """Sends whole messages no faster than wire and profile allow, and keeps what the device said.

    ``doubts`` say in words what was not as it should be: whoever believes something of this device should look again.
    ``spoilt`` counts those of them that a hand on the panel does not explain. ``moved`` is what moved though nobody
    asked; ``held`` what a hand holds now, ``touches`` what one took hold of. ``oks`` counts general confirmations.
    ``restarted`` says that the device told it has just been switched on. ``culprit`` is the control at which it failed.
    ``left_s`` is when the last byte has gone.
    """

    def __init__(
        self,
        name: str,
        profile: Profile,
        port: BytePort,
        clock: Clock,
        *,
        timestamp: Callable[[], str],
        wire: Wire | None = None,
        known: Mapping[str, Known] | None = None,
    ) -> None:
        self.name = name
        self.profile = profile
        self.clock = clock
        self.wire = wire or Wire()
        self.wire.lines.add(name)
        self.refusals: list[Refusal] = []
        self.moved: dict[str, Known] = {}
        self.believed: dict[str, int] = {}
        self.held: set[str] = set()
        self.touches: list[str] = []
        self.doubts: list[str] = []
        self.spoilt = 0
        self.oks = 0
        self.restarted = False
        self.failure: str | None = None
        self.timed_out = False
        self.culprit = ""
        self.left_s = -math.inf
        self._known = known or {}
        self._port = port
        self._parser = Parser(profile)
        self._garbage = b""
        self._free_at_s = -math.inf
        self._unsorted: list[Heard] = []
        self._asked: dict[str, Change | None] = {}
        self._welcome: Collection[str] = ()
        self._unclaimed: dict[str, Change] = {}
        self._heard = 0
        self._sessions = 0
        self._opening = False
        self._ping_at_s = math.inf
        self._alive_at_s = math.inf
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

    def attach(self, port: BytePort) -> None:
        """Go on over a port that was opened anew; what was half said on the old one is gone."""
        self._port = port
        self._parser = Parser(self.profile)
        self._unsorted.clear()
        self._asked.clear()
        self._garbage = b""
        self._ping_at_s = self._alive_at_s = math.inf
        self.failure = None

    def doubt(self, reason: str, *, spoils: bool = True) -> None:
        """Take note that something was not as it should be."""
        self.doubts.append(reason)
        self.spoilt += spoils

    def sort(self) -> None:
        """Sort what arrived: answers by control, moves, refusals, and bytes that the profile does not know."""
        for item in self._unsorted:
            self._heard += 1
            match item:
                case Change():
                    self._changed(item)
                case Refusal():
                    self.refusals.append(item)
                    self.doubt(f"refused ({refusal_text(item)})")
                case Accepted():
                    self.oks += 1
                case Touch(control=control, on=on):
                    self._touched(control, on=on)
                case Report():
                    self._reported(item)
                case Unparsed():
                    # MIDI real-time bytes mean nothing here.
                    if not all(byte >= 0xF8 for byte in item.data) and self.wire.nobody_knows(item.data, self.name):
                        self._garbage += item.data[:64]
                        self.doubt(f"said {shown(item.data)}, which its profile does not know")
        self._unsorted.clear()

    def _changed(self, change: Change) -> None:
        control = change.control
        if control in self._asked:
            self._asked[control] = change
        elif control in self._welcome:
            self._unclaimed[control] = change
        elif self.believed.get(control) != change.raw and not self._is_known(change):
            self.believed[control] = change.raw
            self.moved[control] = Known(change.value, "read-back", self._timestamp())
            if not self._opening:  # some devices tell all they know when a session is opened
                self.doubt(f"{control} moved by itself", spoils=False)

    def _is_known(self, change: Change) -> bool:
        """Whether it says what was known before anything was sent to this control."""
        known = self._known.get(f"{self.name}/{change.control}")
        if known is None or known.how == "assumed" or change.control in self.believed:
            return False
        try:
            return self.profile.controls[change.control].to_raw(known.value) == change.raw
        except ProfileError:
            return False  # a measured value can lie outside what the control can be told

    def _touched(self, control: str, *, on: bool) -> None:
        if on:
            self.held.add(control)
            self.touches.append(control)
            self.doubt(f"{control} was touched", spoils=False)
        else:
            self.held.discard(control)

    def _reported(self, report: Report) -> None:
        if report.means == "alive":
            self._alive_at_s = self.clock.monotonic()
        elif report.means == "session":
            self._sessions += 1
        elif report.means == "started":
            self.restarted = True
            self.doubt("was switched off and on")

    def clear_old_input(self) -> None:
        """Drop what the device said before anybody asked, moves excepted; a vanished port is left in ``failure``."""
        try:
            self.listen(0.0)
        except DisconnectedError as error:
            self.failure = f"lost its port ({error})"
        self.sort()
        self.refusals.clear()
        self.touches.clear()
        self.doubts = [f"{control} moved by itself" for control in self.moved]
        self.spoilt = self.oks = self._sessions = 0
        self.restarted = False
        self._garbage = b""

    def begin(self) -> Talk:
        """Open the session and keep the device alive from now on.

        Raises
        ------
        ReplyTimeoutError, BadReplyError, RefusedError
            It does not answer what opens the session, not as its profile says, or refuses.
        """
        self._opening = True
        for step in session_steps(self.profile):
            yield from self._open(step)
        self.sort()
        self._opening = False
        if self.profile.keep_alive is not None:
            self._ping_at_s = self.clock.monotonic()

    def _open(self, step: SessionStep) -> Talk:
        """Take one step of opening the session, again up to the profile's retries where an answer is awaited."""
        if not step.expects:
            yield from self.unit(step.messages)
            yield from self.drained()
            yield from self.pause(step.wait_s)
            return
        for _ in range(self.profile.ack.retries + 1):
            self.sort()
            self._sessions, self._garbage = 0, b""
            self.refusals.clear()
            yield from self.unit(step.messages)
            deadline = self.left_s + max(step.wait_s, self.profile.ack.timeout_s)
            while self.clock.monotonic() < deadline:
                yield from self.wait(deadline, for_input=True)
                if self.refusals:
                    raise RefusedError(f"refused ({refusal_text(self.refusals.pop())})")
                if self._sessions:
                    return
            self.doubt("did not open its session")
        raise self.silence()

    def wait(self, until_s: float, *, for_input: bool = False, ready: Callable[[], bool] | None = None) -> Talk:
        """Wait for a moment, for input or for others, and keep the device alive meanwhile.

        Raises
        ------
        ReplyTimeoutError
            It has not answered its keep-alive for too long.
        """
        heard = self._heard
        while True:
            self.sort()
            yield from self._stay_alive()
            if self.clock.monotonic() >= until_s or (for_input and self._heard != heard):
                return
            if ready is not None and ready():
                return
            yield Wait(min(until_s, self._ping_at_s, self._lost_at_s), for_input or self._ping_at_s < math.inf, ready)

    @property
    def _lost_at_s(self) -> float:
        alive = self.profile.keep_alive
        return math.inf if alive is None or alive.expect is None else self._alive_at_s + alive.lost_after_s

    def _stay_alive(self) -> Talk:
        alive = self.profile.keep_alive
        now = self.clock.monotonic()
        if alive is None or now < min(self._ping_at_s, self._lost_at_s):
            return
        if now >= self._lost_at_s:
            raise ReplyTimeoutError(f"did not answer its keep-alive for {alive.lost_after_s:g} s")
        self._ping_at_s = now + alive.every_s
        yield from self._put(keep_alive_messages(self.profile))
        if self._alive_at_s == math.inf:
            self._alive_at_s = now

    def pause(self, seconds: float) -> Talk:
        """Let ``seconds`` pass."""
        if seconds > 0:
            yield from self.wait(self.clock.monotonic() + seconds)

    def drained(self) -> Talk:
        """Wait until the last message has left the wire, and its gap has passed."""
        yield from self.wait(self._free_at_s)

    def transmit(self, message: bytes) -> Talk:
        """Send one whole message as soon as the wire is free, and take it that the wire is busy for its length."""
        yield from self.unit((message,))

    def unit(
        self,
        messages: Sequence[bytes],
        *,
        gap_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Talk:
        """Send messages that belong together; on a shared wire nobody else's come between them.

        ``gap_s`` [s]: the silence after each, where it is not the profile's. ``check`` is called when the wire is free
        and nothing has been sent yet; what it raises goes on.
        """
        yield from self._stay_alive()
        yield from self._put(messages, gap_s=gap_s, check=check)

    def _put(
        self,
        messages: Sequence[bytes],
        *,
        gap_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Talk:
        pacing, wire, clock = self.profile.pacing, self.wire, self.clock
        gap = pacing.gap_s if gap_s is None else gap_s
        while wire.owner is not None or clock.monotonic() < max(wire.free_at_s, self._free_at_s):
            yield Wait(max(wire.free_at_s, self._free_at_s))
        check()
        wire.owner = self
        try:
            for message in messages:
                while clock.monotonic() < self._free_at_s:
                    yield Wait(self._free_at_s)
                self._port.send(message)
                self.left_s = clock.monotonic() + len(message) / pacing.bytes_per_s
                self._free_at_s = wire.free_at_s = self.left_s + gap
        finally:
            wire.owner = None
            wire.free_at_s = self.left_s

    def expect(self, controls: Collection[str], *, welcome: Collection[str] = ()) -> None:
        """Take what the device says of these controls from now on as the answer; ``welcome`` may come with it."""
        self.sort()
        self._asked.update(dict.fromkeys(controls))
        if welcome:
            self._welcome = welcome

    def answered(self, control: str) -> Change | None:
        """Return what the device said of an expected control."""
        return self._asked.get(control)

    def unexpect(self, controls: Collection[str]) -> None:
        """Take what it says of these controls as moves again."""
        for control in controls:
            self._asked.pop(control, None)

    def take_unclaimed(self) -> dict[str, Change]:
        """Return what came along with answers, once."""
        taken, self._unclaimed = self._unclaimed, {}
        return taken

    def ask(self, control: str, messages: Sequence[bytes]) -> Generator[Wait, None, Change | None]:
        """Ask where ``control`` stands, again up to the profile's retries; None when it refused to say.

        Raises
        ------
        ReplyTimeoutError
            Nothing came within the profile's timeout.
        BadReplyError
            Something came, but nothing that the profile knows.
        """
        found = yield from self.ask_for((control,), messages, tries=self.profile.ack.retries + 1)
        return None if found is None else found[control]

    def ask_for(
        self, controls: Collection[str], messages: Sequence[bytes], *, tries: int, patience_s: float = 0.0
    ) -> Generator[Wait, None, dict[str, Change] | None]:
        """Ask one question that tells where all of ``controls`` stand, up to ``tries`` times; None when it refused.

        ``patience_s`` [s]: what a long answer needs besides the profile's timeout.

        Raises
        ------
        ReplyTimeoutError, BadReplyError
            As ``ask``.
        """
        for _ in range(tries):
            self.expect(controls)
            self._garbage = b""
            refused = len(self.refusals)
            try:
                yield from self.unit(messages)
                deadline = self.left_s + self.profile.ack.timeout_s + patience_s
                while True:
                    self.sort()
                    told = {control: change for control in controls if (change := self.answered(control))}
                    if len(told) == len(controls):
                        return told
                    if any(
                        refusal.control is None or refusal.control in controls for refusal in self.refusals[refused:]
                    ):
                        return None
                    if self.clock.monotonic() >= deadline:
                        break
                    yield from self.wait(deadline, for_input=True)
            finally:
                self.unexpect(controls)
            self.doubt("left a question unanswered")
        raise self.silence()

    def silence(self) -> BadReplyError | ReplyTimeoutError:
        """Make the error for an answer that did not come: nothing at all, or nothing that the profile knows."""
        if self._garbage:
            return BadReplyError(f"answered {shown(self._garbage)}, which its profile does not know")
        return ReplyTimeoutError(f"did not answer within {self.profile.ack.timeout_s:g} s")
