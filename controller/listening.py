"""Ports opened to listen: one port, given as in a rig file, and what comes in on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.errors import UsageError
from hardware.seams import BytePort, Clock, SystemClock, Token
from profiles.profile import Profile, Serial

if TYPE_CHECKING:
    from hardware.room.inprocess import InProcessRoom

_WAIT_S = 0.2
"""How long to wait for bytes before looking at the time again [s]."""


@dataclass(frozen=True)
class Ear:
    """An open port and the clock that stamps what comes in."""

    port: BytePort
    clock: Clock
    virtual: bool = False


@contextmanager
def open_ear(
    spec: str, *, profile: Profile | None = None, receive_name: str = "", room: InProcessRoom | None = None
) -> Iterator[Ear]:
    """Open a port to listen, for the length of a ``with`` block; nothing is sent on it.

    ``spec`` is written as in a rig: ``midi:NAME``, ``serial:PATH`` (with the line settings of ``profile``), or
    ``room:NAME`` of the virtual room inside the program (``room``; a new one where it is None). ``receive_name`` is
    the MIDI input where that is called otherwise.

    Raises
    ------
    UsageError
        It is written otherwise.
    PortNotFoundError, PortBusyError, TransportError
        It does not open.
    """
    kind, _, where = spec.partition(":")
    if kind not in ("midi", "serial", "room") or not where.strip():
        raise UsageError(
            f"{spec!r} is no port.", hint='Write "midi:NAME", "serial:PATH" or "room:DEVICE", as in a rig file.'
        )
    clock: Clock = SystemClock()
    if kind == "room":
        entered = room or _new_room()
        clock = entered.clock
        port: BytePort = entered.open_port(where)
    elif kind == "midi":
        from hardware.ports.midi import open_midi_input

        port = open_midi_input(receive_name or where, clock=clock)
    else:
        port = _open_serial(where, profile, clock)
    try:
        yield Ear(port, clock, virtual=kind == "room")
    finally:
        port.close()


def _new_room() -> InProcessRoom:
    from hardware.room.inprocess import InProcessRoom
    from hardware.room.model import load_model

    return InProcessRoom(load_model(None))


def _open_serial(where: str, profile: Profile | None, clock: Clock) -> BytePort:
    from controller.studio import served_line
    from hardware.ports.serial import open_serial

    line = profile.serial if profile is not None and profile.serial is not None else Serial()
    return open_serial(
        str(served_line(where[1:])) if where.startswith("@") else where,
        baud=line.baud,
        bytesize=line.bits,
        parity=line.parity,
        stopbits=line.stop,
        clock=clock,
    )


def tokens(ear: Ear, *, seconds: float | None = None, enough: Callable[[], bool] = lambda: False) -> Iterator[Token]:
    """Give what comes in as it comes, for ``seconds`` (None: until Ctrl-C) or until ``enough``.

    Raises
    ------
    UsageError
        A virtual room would have to be listened to for ever.
    DisconnectedError
        The port vanished.
    """
    if ear.virtual and seconds is None:
        raise UsageError(
            "The room inside the program has no time of its own, so nothing ends listening to it.",
            hint="Add --seconds N, or serve the room ('halfnormal room serve') and listen to its MIDI port.",
        )
    end_s = None if seconds is None else ear.clock.monotonic() + seconds
    while not enough():
        left_s = _WAIT_S if end_s is None else end_s - ear.clock.monotonic()
        if left_s <= 0:
            return
        yield from ear.port.receive(min(left_s, _WAIT_S))
