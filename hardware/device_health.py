"""Is a device there, and who is it? Asks for identity, a sign of life or one control; nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hardware.device_line import DeviceLine, Talk, Wait, refusal_text, run_together, shown
from hardware.errors import BadReplyError, ReplyTimeoutError
from hardware.identities import Identity
from hardware.known import utc_now
from hardware.seams import BytePort, Clock, Token
from hardware.wire.messages import (
    Parser,
    Report,
    Unparsed,
    identity_query,
    keep_alive_messages,
    query,
    session_steps,
)
from profiles.profile import Profile

Present = Literal["yes", "no", "unknown", "by-hand"]
"""Whether a device is there; ``unknown`` for gear with a port that never answers anything."""
TroubleKind = Literal["port", "silent", "refused", "garbled", "other-unit"]

_GARBAGE_BYTES = 64
_TURN_S = 0.005
"""How often a device looks whether the others on its wire have been asked [s]."""


@dataclass(frozen=True)
class Trouble:
    """One thing wrong with a device: its port, silence, a refusal, nonsense, or another unit in its place."""

    kind: TroubleKind
    what: str
    hint: str = ""


@dataclass(frozen=True)
class Health:
    """What a device was found to be. ``heard_at`` is when it answered (ISO 8601, UTC); None when it did not."""

    present: Present
    identity: Identity | None = None
    heard_at: str | None = None
    troubles: tuple[Trouble, ...] = ()


class _Ear:
    """A port that also takes down what its device says of itself, besides control values."""

    def __init__(self, port: BytePort, profile: Profile) -> None:
        self.name = port.name
        self.wire: object = getattr(port, "wire", port)
        self.reports: dict[str, Report] = {}
        self.garbage = b""
        self._port = port
        self._parser = Parser(profile)

    def send(self, data: bytes) -> None:
        self._port.send(data)

    def receive(self, timeout_s: float) -> list[Token]:
        tokens = self._port.receive(timeout_s)
        for token in tokens:
            for item in self._parser.feed(token.data):
                if isinstance(item, Report):
                    self.reports[item.means] = item
                elif isinstance(item, Unparsed) and not all(byte >= 0xF8 for byte in item.data):
                    self.garbage = (self.garbage + item.data)[:_GARBAGE_BYTES]
        return tokens

    def close(self) -> None:
        self._port.close()


@dataclass
class _Found:
    """What asking one device has brought so far."""

    identity: Identity | None = None
    heard_at: str | None = None
    asked: bool = False
    troubles: tuple[Trouble, ...] = ()


class _Asking:
    """The talk with one device, and its turn on the wire that it may share."""

    def __init__(
        self, line: DeviceLine, ear: _Ear, wires: dict[int, str], timestamp: Callable[[], str], *, only_identity: bool
    ) -> None:
        self.line = line
        self.found = _Found()
        self._ear = ear
        self._wires = wires
        self._timestamp = timestamp
        self._only_identity = only_identity

    def talk(self) -> Talk:
        """Ask until something is answered: who it is, whether it lives, where one control stands."""
        line, wire = self.line, id(self._ear.wire)
        while self._wires.get(wire, line.name) != line.name:
            yield Wait(line.clock.monotonic() + _TURN_S)
        self._wires[wire] = line.name
        try:
            line.clear_old_input()
            if line.failure is None:
                yield from self._ask()
        finally:
            if self._wires.get(wire) == line.name:
                del self._wires[wire]

    def _ask(self) -> Talk:
        profile, found = self.line.profile, self.found
        yield from self._begin()
        yield from self._identity()
        if self._only_identity or found.heard_at is not None:
            return
        if profile.keep_alive is not None and profile.keep_alive.expect is not None:
            yield from self._one("alive", keep_alive_messages(profile), "keep-alive")
        if found.heard_at is None:
            yield from self._control()

    def _begin(self) -> Talk:
        """Open the session, where the device wants one before it answers anything."""
        for step in session_steps(self.line.profile):
            self._ear.reports.pop("session", None)
            for message in step.messages:
                yield from self.line.transmit(message)
            yield from self.line.drained()
            if not step.expects:
                yield from self.line.pause(step.wait_s)
                continue
            self.found.asked = True
            wait_s = max(step.wait_s, self.line.profile.ack.timeout_s)
            if (yield from self._report("session", wait_s)) is not None:
                self._heard()
            else:
                self._note("silent", f"did not answer within {wait_s:g} s when its session began")

    def _identity(self) -> Talk:
        report = yield from self._one("identity", identity_query(self.line.profile), "identity query")
        if report is not None:
            self.found.identity = Identity(self.line.profile.id, dict(report.fields), self._timestamp())

    def _one(self, means: str, messages: Sequence[bytes], asked_for: str) -> Generator[Wait, None, Report | None]:
        """Ask one thing, again up to the profile's retries; what stays unanswered becomes a trouble."""
        if not messages:
            return None
        line, ack = self.line, self.line.profile.ack
        self.found.asked = True
        for _ in range(ack.retries + 1):
            line.sort()
            refused = len(line.refusals)
            self._ear.reports.pop(means, None)
            self._ear.garbage = b""
            for message in messages:
                yield from line.transmit(message)
            yield from line.drained()
            report = yield from self._report(means, ack.timeout_s)
            if report is not None:
                self._heard()
                return report
            if len(line.refusals) > refused:
                self._heard()
                self._note("refused", f"refused its {asked_for} ({refusal_text(line.refusals[-1])})")
                return None
        if self._ear.garbage:
            self._heard()
            self._note(
                "garbled", f"answered {shown(self._ear.garbage)} to its {asked_for}, which its profile does not know"
            )
        else:
            self._note("silent", f"did not answer its {asked_for} within {ack.timeout_s:g} s")
        return None

    def _report(self, means: str, timeout_s: float) -> Generator[Wait, None, Report | None]:
        line = self.line
        deadline = line.clock.monotonic() + timeout_s
        refused = len(line.refusals)
        while True:
            line.sort()
            if means in self._ear.reports or len(line.refusals) > refused or line.clock.monotonic() >= deadline:
                return self._ear.reports.get(means)
            yield Wait(deadline, for_input=True)

    def _control(self) -> Talk:
        line = self.line
        name = next((c.name for c in line.profile.controls.values() if c.readable and not c.by_hand), None)
        if name is None:
            return
        self.found.asked = True
        try:
            change = yield from line.ask(name, query(line.profile, name))
        except ReplyTimeoutError as error:
            self._note("silent", f"{error}, asked for {name}")
        except BadReplyError as error:
            self._heard()
            self._note("garbled", f"{error}, asked for {name}")
        else:
            self._heard()
            if change is None:
                self._note("refused", f"refused to tell {name} ({refusal_text(line.refusals[-1])})")

    def _heard(self) -> None:
        self.found.heard_at = self._timestamp()

    def _note(self, kind: TroubleKind, what: str) -> None:
        hint = "Is it on, connected both ways, and on the channel and speed that the rig says?"
        self.found.troubles += (Trouble(kind, f"{what}.", hint if kind != "refused" else ""),)

    def health(self) -> Health:
        """Say what came of it."""
        found, line = self.found, self.line
        if line.failure is not None:
            kind: TroubleKind = "silent" if line.timed_out else "port"
            trouble = Trouble(kind, f"{line.failure.rstrip('.')}.", "Check its cable and power.")
            return Health("no", found.identity, found.heard_at, (*found.troubles, trouble))
        if found.heard_at is not None:
            return Health("yes", found.identity, found.heard_at, found.troubles)
        return Health("no" if found.asked else "unknown", troubles=found.troubles)


def ask_health(
    profiles: Mapping[str, Profile],
    ports: Mapping[str, BytePort],
    clock: Clock,
    *,
    only_identity: bool = False,
    timestamp: Callable[[], str] = utc_now,
) -> dict[str, Health]:
    """Ask every device that has an open port whether it is there and who it is. Nothing moves.

    A device is sent what begins its session, its identity query, and only where that stays unanswered a keep-alive
    and one query; ``only_identity`` leaves these two out. Devices are asked side by side, those on one wire one after
    another: on it, an answer does not say whose it is.
    """
    wires: dict[int, str] = {}
    asked = []
    for name, port in ports.items():
        ear = _Ear(port, profiles[name])
        line = DeviceLine(name, profiles[name], ear, clock, timestamp=timestamp)
        asked.append(_Asking(line, ear, wires, timestamp, only_identity=only_identity))
    run_together([(asking.line, asking.talk()) for asking in asked], clock)
    return {asking.line.name: asking.health() for asking in asked}
