"""Driving a tape machine or a sequencer by its profile's commands: locate, wait until it is there, play, record, stop.

What the class uses of a profile: the commands ``play``, ``stop``, ``record``, ``locate`` (with hours, minutes, seconds
and frames), and where there are any ``status`` and ``time``, which ask; the reports ``state`` (a field ``cued``, not 0
when the machine stands where it was sent) and ``time`` (hours, minutes, seconds, frames).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from hardware.errors import BadReplyError, HardwareError, RefusedError, ReplyTimeoutError, TransportError
from hardware.seams import BytePort, Clock
from hardware.timecode import FrameRate, Timecode
from hardware.wire.messages import Accepted, Parser, Refusal, Report, command, session_steps
from profiles.errors import UnknownControlError
from profiles.profile import Profile
from profiles.source import nearest

CUE_TIMEOUT_S = 120.0
"""How long a machine may wind before it is given up [s]: a reel from end to end."""
ASK_EVERY_S = 0.1
_PLACE = ("hours", "minutes", "seconds", "frames")


def demand(machine: str, profile: Profile, names: Sequence[str], *, armed: bool) -> None:
    """See that a machine knows these commands, and may be told them.

    Raises
    ------
    UnknownControlError
        The profile has no such command.
    TransportError
        It is dangerous and the machine is not armed.
    """
    for name in names:
        found = profile.commands.get(name)
        if found is None:
            known = nearest(name, profile.commands)
            raise UnknownControlError(f"{profile.id} has no command {name!r}.", hint=known)
        if found.dangerous and not armed:
            raise TransportError(
                f"{machine}: {name!r} overwrites what is on the tape and was not allowed.", hint="Say so with --arm."
            )


class Transport:
    """One machine with a transport, on an open port.

    A command that is dangerous (``record``) is refused unless the machine is ``armed``, which is the engineer's word.
    """

    def __init__(
        self, name: str, profile: Profile, port: BytePort, clock: Clock, *, rate: FrameRate, armed: bool = False
    ) -> None:
        self.name = name
        self.rate = rate
        self.armed = armed
        self._profile = profile
        self._port = port
        self._clock = clock
        self._parser = Parser(profile)
        self._free_at_s = -math.inf
        self._accepted = False
        self._refused: Refusal | None = None
        self._session_said = False
        self._cued: bool | None = None
        self._place: Timecode | None = None

    @property
    def confirms(self) -> bool:
        """Whether the machine can say that it stands where it was sent."""
        return bool({"state", "time"} & {report.means for report in self._profile.reports})

    def open(self) -> None:
        """Go through what the machine wants to hear first.

        Raises
        ------
        ReplyTimeoutError
            It awaits an answer that did not come.
        HardwareError
            The port is lost.
        """
        self._port.receive(0.0)
        for step in session_steps(self._profile):
            self._session_said = False
            for message in step.messages:
                self._send(message)
            if step.expects:
                self._wait(
                    lambda: self._session_said, step.wait_s or self._profile.ack.timeout_s, "the session's start"
                )
            elif step.wait_s:
                self._clock.sleep(step.wait_s)

    def tell(self, name: str, **numbers: int) -> None:
        """Give a command, and wait for the answer where the profile has one.

        Raises
        ------
        UnknownControlError, TransportError
            See :func:`demand`; nothing was sent.
        RefusedError
            The machine answered NAK.
        ReplyTimeoutError
            It did not answer in time.
        """
        demand(self.name, self._profile, [name], armed=self.armed)
        self._accepted, self._refused = False, None
        for message in command(self._profile, name, **numbers):
            self._send(message)
        ack = self._profile.ack
        if ack.kind == "accepted":
            self._wait(lambda: self._accepted, ack.timeout_s, f"the answer to {name!r}")

    def locate(self, place: Timecode, *, timeout_s: float = CUE_TIMEOUT_S) -> bool:
        """Wind to ``place`` and wait until the machine says it stands there; False where it cannot say so.

        Raises
        ------
        ReplyTimeoutError
            It did not arrive within ``timeout_s`` [s]; it was told to stop.
        RefusedError
            It refused.
        """
        self._cued, self._place = None, None
        numbers = {name: int(getattr(place, name)) for name in _PLACE}
        taken = self._profile.commands["locate"].variables if "locate" in self._profile.commands else frozenset()
        self.tell("locate", **{name: number for name, number in numbers.items() if name in taken})
        if not self.confirms:
            return False
        deadline = self._clock.monotonic() + timeout_s
        ask = next((name for name in ("status", "time") if name in self._profile.commands), None)
        while not self._stands_at(place):
            if self._clock.monotonic() >= deadline:
                self.tell("stop")
                at = f"; it stands at {self._place}" if self._place is not None else ""
                raise ReplyTimeoutError(
                    f"{self.name} did not arrive at {place} within {timeout_s:.0f} s{at}.",
                    hint="Look whether it has a tape and is set to remote.",
                )
            if ask is not None:
                self.ask(ask)
            self._listen(ASK_EVERY_S)
        return True

    def ask(self, name: str) -> None:
        """Send a question; what the machine answers is taken in when it comes."""
        for message in command(self._profile, name):
            self._send(message)

    def _stands_at(self, place: Timecode) -> bool:
        if self._cued is not None:
            return self._cued
        return self._place is not None and abs(self._place.count - place.count) <= 1

    def _send(self, message: bytes) -> None:
        wait_s = self._free_at_s - self._clock.monotonic()
        if wait_s > 0:
            self._clock.sleep(wait_s)
        self._port.send(message)
        pacing = self._profile.pacing
        self._free_at_s = self._clock.monotonic() + len(message) / pacing.bytes_per_s + pacing.gap_s

    def _wait(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = self._clock.monotonic() + timeout_s
        while not done():
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0:
                raise ReplyTimeoutError(
                    f"{self.name} did not send {what} within {timeout_s:g} s.",
                    hint="Look at its cable, its power and its remote switch.",
                )
            self._listen(left_s)

    def _listen(self, timeout_s: float) -> None:
        """Take in what arrives, waiting up to ``timeout_s`` for the first of it."""
        for token in self._port.receive(timeout_s):
            for item in self._parser.feed(token.data):
                if isinstance(item, Refusal):
                    raise RefusedError(
                        f"{self.name} refused a command ({item.text or item.code}).",
                        hint="Look whether it has a tape and is set to remote.",
                    )
                if isinstance(item, Accepted):
                    self._accepted = True
                elif isinstance(item, Report):
                    self._take(item)

    def _take(self, report: Report) -> None:
        if report.means == "session":
            self._session_said = True
        elif report.means == "state" and "cued" in report.fields:
            self._cued = bool(int(report.fields["cued"]))
        elif report.means == "time":
            hours, minutes, seconds, frames = (int(report.fields.get(name, 0)) for name in _PLACE)
            try:
                self._place = Timecode(hours, minutes, seconds, frames, self.rate)
            except HardwareError as error:
                raise BadReplyError(f"{self.name} says it stands at a place that is none: {error}") from error
