"""The virtual room on real transports: JACK audio, JACK MIDI ports, pseudo-terminals. What ``room serve`` runs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, TextIO, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hardware.errors import AudioUnavailableError, HardwareError, SampleRateError
from hardware.room.faults import Fault, read_typed_fault
from hardware.room.gear import Transport
from hardware.room.served_lines import MidiLine, PtyLine, ServedLine
from hardware.seams import Token

if TYPE_CHECKING:
    from hardware.room.jack import JackAudio

_TICK_S = 0.002
_SAY_FAULT = "`fault KIND key=value …`, `heal`"


class ServedRoom(Protocol):
    """What serving needs of a room."""

    @property
    def inputs(self) -> int:
        """Audio channels in."""
        ...

    @property
    def outputs(self) -> int:
        """Audio channels out."""
        ...

    @property
    def tally(self) -> Any:
        """What the room itself put into its returns: a dataclass or a dict."""
        ...

    def receive(self, device: str, data: bytes, *, at_s: float | None = None) -> list[bytes]:
        """Bytes a device got at ``at_s`` [s] → whole messages it answers."""
        ...

    def vanished(self, device: str) -> bool:
        """Tell whether the device has gone: a serial port is taken away then."""
        ...

    def process(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Audio (n, inputs) → (n, outputs)."""
        ...

    def turn(self, address: str, value: float | bool | str) -> list[bytes]:
        """Turn a knob by hand → messages the device sends of its own accord."""
        ...

    def knobs(self) -> dict[str, float | bool | str]:
        """Where every knob stands."""
        ...


@runtime_checkable
class FaultyRoom(Protocol):
    """What a room has besides when things can go wrong in it at run time, as in `hardware.room.room.Room`."""

    transports: dict[str, Transport]

    def bytes_per_s(self, device: str) -> float:
        """Pace of a device's wire."""
        ...

    def plugs(self, device: str) -> int:
        """How often the device's port has gone away so far."""
        ...

    def port_name(self, device: str) -> str:
        """Under which name the device's port is found now."""
        ...

    def due(self, device: str, now_s: float) -> list[Token]:
        """Take what a device has sent of its own accord until ``now_s`` [s]."""
        ...

    def throw(self, fault: Fault) -> None:
        """Let a fault come."""
        ...

    def heal(self) -> None:
        """Take every fault away."""
        ...


def serve(
    room: ServedRoom,
    *,
    name: str = "HalfnormalRoom",
    serial_folder: Path,
    ready: Callable[[dict[str, Any]], None],
    stdin: TextIO | None = sys.stdin,
    say: Callable[[str], None] | None = None,
    midi: Sequence[str] | None = None,
    serial: Sequence[str] | None = None,
) -> None:
    """Serve ``room`` until ``quit``, the end of ``stdin``, or a signal to stop.

    Lines on ``stdin``: ``turn ADDRESS VALUE``, ``knobs``, ``tally``, ``ports``, ``fault KIND key=value …``, ``heal``,
    ``quit``. Each is answered through ``say`` with one line of JSON.

    Parameters
    ----------
    room
        The room; its `process` runs in JACK's thread, everything else in the caller's.
    name
        JACK client's name; MIDI clients are ``name device``.
    serial_folder
        Gets one symbolic link per serial device, to its pseudo-terminal.
    ready
        Called once, when everything is connected, with what is there: keys ready, audio, midi, serial.
    stdin
        A file with a descriptor; None listens to signals only.
    say
        Takes each answer; prints it when None.
    midi, serial
        The room's devices by how they are reached; what the room itself says when None.

    Raises
    ------
    AudioUnavailableError
        JACK, its library or its Python package is missing; pseudo-terminals are missing (Windows).
    SampleRateError
        The room was made for another rate than the server's.
    AudioError
        The server ended, or the room's own audio failed.
    """
    if not hasattr(os, "openpty"):
        raise AudioUnavailableError(
            "Serving the room needs pseudo-terminals, which this system lacks.",
            hint='Use the room inside the program: [audio] port = "room" in the rig file.',
        )
    from hardware.room.jack import JackAudio

    # The first calls may compile kernels; in JACK's thread that would stall everyone's audio.
    room.process(np.zeros((256, room.inputs), np.float32))
    lines = _Lines(room, name, serial_folder)
    for device in midi if midi is not None else _reached_by(room, "midi", ("desk", "comp")):
        lines.transports[device] = "midi"
    for device in serial if serial is not None else _reached_by(room, "serial", ("matrix",)):
        lines.transports[device] = "serial"
    with contextlib.ExitStack() as stack:
        # MIDI is opened first and closed last: rtmidi does both without letting go of the interpreter, JACK waits
        # meanwhile for every process callback, and ours waits for the interpreter.
        stack.callback(lines.close)
        for device in lines.transports:
            lines.open(device)
        audio = JackAudio(name, room.process, inputs=room.inputs, outputs=room.outputs)
        lines.audio = audio
        stack.callback(audio.close)
        rate_hz = getattr(room, "rate_hz", audio.rate_hz)
        if rate_hz != audio.rate_hz:
            raise SampleRateError(
                f"The room was made for {rate_hz} Hz and JACK runs at {audio.rate_hz} Hz.",
                hint=f"Start jackd with -r {rate_hz}, or set rate_hz in the rig file.",
            )
        audio.start()
        session = _Session(room, lines, say or _print_line)
        with _stopped_by_signals(session.stop):
            ready(
                {
                    "ready": True,
                    "audio": {
                        "device": audio.name,
                        "host_api": "JACK Audio Connection Kit",
                        "inputs": room.inputs,
                        "outputs": room.outputs,
                        "rate_hz": audio.rate_hz,
                        "block_frames": audio.block_frames,
                    },
                    **lines.names(),
                }
            )
            session.loop(stdin)
        if audio.failure:
            raise audio.failure


def _reached_by(room: ServedRoom, transport: Transport, otherwise: Sequence[str]) -> Sequence[str]:
    if not isinstance(room, FaultyRoom):
        return otherwise
    return [device for device, way in room.transports.items() if way == transport]


class _Lines:
    """The lines that are there now; those of unplugged devices are taken away, and put back when they return."""

    def __init__(self, room: ServedRoom, name: str, serial_folder: Path) -> None:
        self.transports: dict[str, Transport] = {}
        self.here: dict[str, ServedLine] = {}
        self.audio: JackAudio | None = None
        self._room = room
        self._name = name
        self._serial_folder = serial_folder
        self._plugs: dict[str, int] = {}

    def open(self, device: str) -> None:
        """Put one device's line there."""
        port_name, pace = device, {}
        if isinstance(self._room, FaultyRoom):
            port_name, pace = self._room.port_name(device), {"bytes_per_s": self._room.bytes_per_s(device)}
            self._plugs[device] = self._room.plugs(device)
        self.here[device] = (
            MidiLine(f"{self._name} {port_name}", **pace)
            if self.transports[device] == "midi"
            else PtyLine(self._serial_folder / port_name, **pace)
        )

    def handles(self) -> list[int]:
        """Return the descriptors that tell when a serial line has something."""
        return [line.handle for line in self.here.values() if isinstance(line, PtyLine)]

    def follow_plugs(self) -> bool:
        """Take away the lines of devices that were unplugged, and put back those that returned; tell whether any."""
        room = self._room
        if not isinstance(room, FaultyRoom):
            # A MIDI device that vanishes only falls silent there.
            gone = [device for device, line in self.here.items() if isinstance(line, PtyLine) and room.vanished(device)]
            back: list[str] = []
        else:
            gone = [device for device in self.here if room.plugs(device) != self._plugs[device]]
            back = [device for device in self.transports if device not in self.here or device in gone]
            back = [device for device in back if not room.vanished(device)]
        if not gone and not back:
            return False
        by_midi = any(self.transports[device] == "midi" for device in (*gone, *back))
        with self.audio.paused() if self.audio is not None and by_midi else contextlib.nullcontext():
            for device in gone:
                self.here.pop(device).close()
            for device in back:
                self.open(device)
        return True

    def names(self) -> dict[str, Any]:
        """Under which names the devices are found, as the ready line tells it."""
        return {
            "midi": [
                {"device": device, "port": line.name}
                for device, line in self.here.items()
                if self.transports[device] == "midi"
            ],
            "serial": {device: line.name for device, line in self.here.items() if self.transports[device] == "serial"},
        }

    def close(self) -> None:
        """Take every line away."""
        for line in self.here.values():
            if self.audio is not None and self.audio.server_ended:
                line.abandon()
            else:
                line.close()


class _Session:
    """The loop between the lines and the room."""

    def __init__(self, room: ServedRoom, lines: _Lines, say: Callable[[str], None]) -> None:
        self._room = room
        self._lines = lines
        self._say = say
        self._running = True
        self._typed = b""

    def stop(self) -> None:
        """End the loop at its next turn."""
        self._running = False

    def loop(self, stdin: TextIO | None) -> None:
        """Carry bytes until stopped or the audio ends."""
        audio = self._lines.audio
        with selectors.SelectSelector() as selector:
            typed = stdin.fileno() if stdin is not None else None
            watched: list[int] = [typed] if typed is not None else []
            for handle in (*watched, *self._lines.handles()):
                selector.register(handle, selectors.EVENT_READ)
            while self._running and not (audio is not None and audio.ended.is_set()):
                events = selector.select(_TICK_S)
                if any(key.fd == typed for key, _ in events) and typed is not None:
                    self._take_commands(os.read(typed, 4096))
                self._carry()
                if self._lines.follow_plugs():
                    for key in list(selector.get_map().values()):
                        if key.fd != typed:
                            selector.unregister(key.fileobj)
                    for handle in self._lines.handles():
                        selector.register(handle, selectors.EVENT_READ)

    def _carry(self) -> None:
        for device, line in self._lines.here.items():
            for token in line.receive():
                self._answer(device, self._room.receive(device, token.data, at_s=token.at_s))
        now_s = time.monotonic()
        if isinstance(self._room, FaultyRoom):
            for device in self._lines.transports:
                self._answer(device, [token.data for token in self._room.due(device, now_s)])
        for line in self._lines.here.values():
            line.pump(now_s)

    def _answer(self, device: str, messages: list[bytes]) -> None:
        if device in self._lines.here:
            for message in messages:
                self._lines.here[device].send(message, time.monotonic())

    def _take_commands(self, data: bytes) -> None:
        if not data:
            self.stop()
            return
        *whole, self._typed = (self._typed + data).split(b"\n")
        for line in whole:
            if text := line.decode("utf-8", "replace").strip():
                self._say(json.dumps(self._command(text), default=_jsonable))

    def _command(self, text: str) -> dict[str, Any]:
        word, *rest = text.split()
        if word == "quit" and not rest:
            self.stop()
            return {"ok": True}
        if word == "knobs" and not rest:
            return {"knobs": {address: _shown(value) for address, value in self._room.knobs().items()}}
        if word == "tally" and not rest:
            tally = self._room.tally
            return {
                "tally": dataclasses.asdict(tally)
                if dataclasses.is_dataclass(tally) and not isinstance(tally, type)
                else tally
            }
        if word == "ports" and not rest:
            return {"ports": self._lines.names()}
        if word in ("fault", "heal") and isinstance(self._room, FaultyRoom):
            return self._fault(self._room, rest) if word == "fault" else self._heal(self._room)
        if word == "turn" and len(rest) == 2:
            address, value = rest
            try:
                messages = self._room.turn(address, _parse_value(value))
            except (HardwareError, ValueError, KeyError) as error:
                return {"ok": False, "error": str(error)}
            self._answer(address.split("/")[0], messages)
            return {"ok": True, "turned": address}
        return {
            "ok": False,
            "error": f'"{text}": say `turn ADDRESS VALUE`, `knobs`, `tally`, `ports`, {_SAY_FAULT} or `quit`.',
        }

    def _fault(self, room: FaultyRoom, words: list[str]) -> dict[str, Any]:
        try:
            room.throw(read_typed_fault(words, room.transports))
        except HardwareError as error:
            return {"ok": False, "error": f"{error} {error.hint}".strip()}
        return {"ok": True, "thrown": words[0]}

    def _heal(self, room: FaultyRoom) -> dict[str, Any]:
        room.heal()
        return {"ok": True, "healed": True}


def _parse_value(text: str) -> float | bool | str:
    """Read a value as typed: true, false, a number, or a word for the room to know."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _shown(value: float | bool | str) -> float | bool | str:
    """Write −∞ as the files do; JSON has no such number."""
    return "off" if value == -math.inf else value


def _jsonable(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on SIGTERM and SIGINT while inside; only a main thread can be told so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number: int, frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
