"""Machines that run with a pass: a transport that is sent to the song's start and played, and MIDI time code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from controller.errors import UsageError
from controller.events import Emit, Finding
from controller.passes import Moves
from controller.studio import Studio
from hardware.errors import HardwareError, PortNotFoundError
from hardware.seams import AudioStream, BytePort, Clock
from hardware.timecode import Timecode, full_frame, running
from hardware.transport import Transport, demand
from profiles.errors import ProfileError

PREROLL_S = 5.0
"""How long a machine plays before the pass begins: until tape and motors run steadily."""


@dataclass(frozen=True)
class Roll:
    """What runs with a pass: a machine, a listener to MIDI time code, or both (device names of the rig).

    ``start`` is the place of the song's first frame. ``armed`` lets the machine record, over what is on its tape.
    """

    start: Timecode
    machine: str | None = None
    mtc: str | None = None
    armed: bool = False
    preroll_s: float = PREROLL_S


@dataclass(frozen=True)
class PlannedRolling:
    """What runs with a pass, checked against the rig."""

    roll: Roll | None

    def lines(self) -> tuple[str, ...]:
        """Write it as a person reads it."""
        roll = self.roll
        if roll is None:
            return ()
        lines = []
        if roll.machine is not None:
            does = "RECORDS over its tape" if roll.armed else "plays"
            lines.append(
                f"{roll.machine} is sent to {roll.preroll_s:g} s before {roll.start}, and {does} with the pass."
            )
        if roll.mtc is not None:
            lines.append(f"{roll.mtc} gets MIDI time code from {roll.start}, {roll.start.rate.name} frames a second.")
        return tuple(lines)

    def along(self, studio: Studio, moves: Moves | None, stream: AudioStream) -> Along:
        """Open what runs, together with the pass's moves.

        Raises
        ------
        HardwareError
            A port is closed, or the machine does not answer.
        """
        roll = self.roll
        if roll is None:
            return Along(moves)
        machine = None
        if roll.machine is not None:
            profile, port = studio.profiles[roll.machine], _port(studio, roll.machine)
            machine = Transport(roll.machine, profile, port, studio.clock, rate=roll.start.rate, armed=roll.armed)
            machine.open()
        mtc = _port(studio, roll.mtc) if roll.mtc is not None else None
        return Along(moves, roll=roll, machine=machine, mtc=mtc, stream=stream, clock=studio.clock)


def plan_rolling(studio: Studio, roll: Roll | None) -> PlannedRolling:
    """See that the rig has what is asked for, and that the machine may do it; nothing moves.

    Raises
    ------
    UsageError
        The rig has no such device, or it is no transport, or it has no MIDI port for time code.
    ProfileError, HardwareError
        The machine's profile lacks a command, or recording was not allowed.
    """
    if roll is None:
        return PlannedRolling(None)
    for device in (roll.machine, roll.mtc):
        if device is not None and device not in studio.rig.devices:
            raise UsageError(
                f"The rig {studio.rig.title} has no device {device!r}.",
                hint=f"Its devices: {', '.join(studio.rig.devices)}.",
            )
    if roll.machine is not None:
        profile = studio.profiles[roll.machine]
        if profile.kind != "transport":
            raise UsageError(f"{roll.machine} is no transport: {profile.id} is a {profile.kind}.")
        wanted = ("locate", "play", "stop", *(("record",) if roll.armed else ()))
        demand(roll.machine, profile, wanted, armed=roll.armed)
    if roll.mtc is not None and studio.profiles[roll.mtc].framing != "midi":
        raise UsageError(f"{roll.mtc} has no MIDI port to send time code to.")
    return PlannedRolling(roll)


class Along:
    """What happens beside the audio of a pass: the desk's moves, a machine, time code. Implements ``passes.Moves``."""

    def __init__(
        self,
        moves: Moves | None,
        *,
        roll: Roll | None = None,
        machine: Transport | None = None,
        mtc: BytePort | None = None,
        stream: AudioStream | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._moves = moves
        self._roll = roll
        self._machine = machine
        self._mtc = mtc
        self._stream = stream
        self._clock = clock
        self._runs = False

    @property
    def in_pass(self) -> Moves | None:
        """What a pass has to call, or None."""
        return self if self._roll is not None else self._moves

    def begin(self, start: int) -> Callable[[int], None]:
        """Bring moves, machine and time code to frame ``start`` of the pass; return what a run calls each block.

        Raises
        ------
        HardwareError
            The machine does not arrive, or refuses.
        """
        assert self._roll and self._stream and self._clock  # noqa: S101 - in_pass is the moves themselves without a roll
        on_moves = self._moves.begin(start) if self._moves is not None else None
        rate_hz = self._stream.rate_hz
        place_s = self._roll.start.at_s + start / rate_hz
        place = Timecode.at(place_s, self._roll.start.rate)
        if self._mtc is not None:
            self._mtc.send(full_frame(place))
        if self._machine is not None:
            self._bring(self._machine, place_s, self._clock)
        pieces = running(place, from_s=place.at_s - place_s) if self._mtc is not None else iter(())
        ahead_s = self._stream.block_frames / 2.0 / rate_hz
        piece = next(pieces, None)

        def on_block(frame: int) -> None:
            nonlocal piece
            if on_moves is not None:
                on_moves(frame)
            piece = self._pieces(piece, pieces, frame / rate_hz + ahead_s)

        return on_block

    def _pieces(
        self, piece: tuple[float, bytes] | None, pieces: Iterator[tuple[float, bytes]], until_s: float
    ) -> tuple[float, bytes] | None:
        while piece is not None and self._mtc is not None and piece[0] <= until_s:
            self._mtc.send(piece[1])
            piece = next(pieces, None)
        return piece

    def _bring(self, machine: Transport, place_s: float, clock: Clock) -> None:
        """Wind the machine back by the pre-roll, play it, and let the pre-roll pass."""
        assert self._roll is not None  # noqa: S101 - begin() has looked
        preroll_s = min(self._roll.preroll_s, place_s)
        if self._runs:
            machine.tell("stop")
        machine.locate(Timecode.at(place_s - preroll_s, self._roll.start.rate))
        self._runs = True
        machine.tell("play")
        clock.sleep(preroll_s)
        if self._roll.armed:
            machine.tell("record")

    def end(self, emit: Emit) -> None:
        """Stop the machine; what it does not do is told, and raises nothing."""
        if self._machine is None or not self._runs:
            return
        self._runs = False
        try:
            self._machine.tell("stop")
        except (HardwareError, ProfileError) as error:
            emit(Finding("transport", str(error), "It may still be running: stop it by hand.", "problem"))


def _port(studio: Studio, device: str) -> BytePort:
    ports = studio.ports()
    if device in studio.unreachable:
        raise studio.unreachable[device]
    if device not in ports:
        raise PortNotFoundError(f"{device} has no port.", hint="Give it one in the rig file.")
    return ports[device]
