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
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from hardware.errors import AudioUnavailableError, HardwareError, SampleRateError, TransportError
from hardware.ports.midi import MidiPort, open_virtual_midi

PTY_BYTES_PER_S = 960.0
"""9600 baud, ten bits a byte: a pseudo-terminal has no pace of its own."""

_TICK_S = 0.002


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


def serve(
    room: ServedRoom,
    *,
    name: str = "HalfnormalRoom",
    serial_folder: Path,
    ready: Callable[[dict[str, Any]], None],
    stdin: TextIO | None = sys.stdin,
    say: Callable[[str], None] | None = None,
    midi: Sequence[str] = ("desk", "comp"),
    serial: Sequence[str] = ("matrix",),
) -> None:
    """Serve ``room`` until ``quit``, the end of ``stdin``, or a signal to stop.

    Lines on ``stdin``: ``turn ADDRESS VALUE``, ``knobs``, ``tally``, ``quit``. Each is answered through ``say`` with
    one line of JSON.

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
        The room's devices by how they are reached.

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
    with contextlib.ExitStack() as stack:
        # MIDI is opened first and closed last: rtmidi does both without letting go of the interpreter, JACK waits
        # meanwhile for every process callback, and ours waits for the interpreter.
        ports: dict[str, MidiPort] = {}
        audio: JackAudio | None = None

        def close_ports() -> None:
            for port in ports.values():
                if audio is not None and audio.server_ended:
                    port.abandon()
                else:
                    port.close()

        stack.callback(close_ports)
        for device in midi:
            ports[device] = _open_port(f"{name} {device}")
        lines = {}
        for device in serial:
            lines[device] = PtyLine(serial_folder / device)
            stack.callback(lines[device].close)
        audio = JackAudio(name, room.process, inputs=room.inputs, outputs=room.outputs)
        stack.callback(audio.close)
        rate_hz = getattr(room, "rate_hz", audio.rate_hz)
        if rate_hz != audio.rate_hz:
            raise SampleRateError(
                f"The room was made for {rate_hz} Hz and JACK runs at {audio.rate_hz} Hz.",
                hint=f"Start jackd with -r {rate_hz}, or set rate_hz in the rig file.",
            )
        audio.start()
        session = _Session(room, ports, dict(lines), say or _print_line)
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
                    "midi": [{"device": device, "port": port.name} for device, port in ports.items()],
                    "serial": {device: str(line.path) for device, line in lines.items()},
                }
            )
            session.loop(stdin, audio)
        if audio.failure:
            raise audio.failure


class PtyLine:
    """A pseudo-terminal with a name to find it by; what is sent leaves at ``bytes_per_s``."""

    def __init__(self, path: Path, *, bytes_per_s: float = PTY_BYTES_PER_S) -> None:
        import tty

        self.path = path
        self._bytes_per_s = bytes_per_s
        self._pending = bytearray()
        self._sent_at = 0.0
        self.handle, self._far_end = os.openpty()
        # Raw, and held open here: no echo, no end of file when a program closes its side.
        tty.setraw(self._far_end)
        os.set_blocking(self.handle, False)
        self._target = os.ttyname(self._far_end)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_symlink():
            self._close_handles()
            raise TransportError(f"{path} is in the way of the room's serial port.", hint="Move that file elsewhere.")
        path.unlink(missing_ok=True)
        path.symlink_to(self._target)

    def receive(self) -> bytes:
        """Take what has arrived, without waiting."""
        try:
            return os.read(self.handle, 4096)
        except (BlockingIOError, InterruptedError):
            return b""

    def send(self, data: bytes, now_s: float) -> None:
        """Queue ``data`` to leave at the line's pace from ``now_s`` [s] on."""
        if not self._pending:
            self._sent_at = now_s
        self._pending += data

    def pump(self, now_s: float) -> None:
        """Let leave what the line has carried by ``now_s`` [s]."""
        due = int((now_s - self._sent_at) * self._bytes_per_s)
        if not self._pending or due <= 0:
            return
        self._sent_at += due / self._bytes_per_s
        try:
            written = os.write(self.handle, self._pending[:due])
        except BlockingIOError:
            return  # nobody reads; a real line would lose it, here it waits
        del self._pending[:written]

    def close(self) -> None:
        """Remove the link, if it is still ours, and the pseudo-terminal; harmless when called twice."""
        if self.handle < 0:
            return
        with contextlib.suppress(OSError):
            if self.path.readlink() == Path(self._target):
                self.path.unlink()
        self._close_handles()

    def _close_handles(self) -> None:
        os.close(self.handle)
        os.close(self._far_end)
        self.handle = -1


class _Session:
    """The loop between the ports and the room."""

    def __init__(
        self, room: ServedRoom, ports: dict[str, MidiPort], lines: dict[str, PtyLine], say: Callable[[str], None]
    ) -> None:
        self._room = room
        self._ports = ports
        self._lines = lines
        self._say = say
        self._selector = selectors.SelectSelector()
        self._running = True
        self._typed = b""

    def stop(self) -> None:
        """End the loop at its next turn."""
        self._running = False

    def loop(self, stdin: TextIO | None, audio: Any) -> None:
        """Carry bytes until stopped or the audio ends."""
        with self._selector as selector:
            typed = stdin.fileno() if stdin is not None else None
            if typed is not None:
                selector.register(typed, selectors.EVENT_READ)
            for line in self._lines.values():
                selector.register(line.handle, selectors.EVENT_READ)
            while self._running and not audio.ended.is_set():
                events = selector.select(_TICK_S)
                if any(key.fd == typed for key, _ in events) and typed is not None:
                    self._take_commands(os.read(typed, 4096))
                self._carry()

    def _carry(self) -> None:
        # A MIDI device that vanishes only falls silent: rtmidi ends a client without letting go of the interpreter,
        # JACK waits for our audio callback, and that waits for the interpreter.
        for device, port in self._ports.items():
            for token in port.receive(0.0):
                self._answer(device, self._room.receive(device, token.data, at_s=token.at_s))
        now_s = time.monotonic()
        for device, line in list(self._lines.items()):
            if arrived := line.receive():
                self._answer(device, self._room.receive(device, arrived, at_s=now_s))
            line.pump(now_s)
            if self._room.vanished(device):
                self._selector.unregister(line.handle)
                self._lines.pop(device).close()

    def _answer(self, device: str, messages: list[bytes]) -> None:
        for message in messages:
            if device in self._ports:
                self._ports[device].send(message)
            elif device in self._lines:
                self._lines[device].send(message, time.monotonic())

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
        if word == "turn" and len(rest) == 2:
            address, value = rest
            try:
                messages = self._room.turn(address, _parse_value(value))
            except (HardwareError, ValueError, KeyError) as error:
                return {"ok": False, "error": str(error)}
            self._answer(address.split("/")[0], messages)
            return {"ok": True, "turned": address}
        return {"ok": False, "error": f'"{text}": say `turn ADDRESS VALUE`, `knobs`, `tally` or `quit`.'}


def _open_port(client: str) -> MidiPort:
    try:
        return open_virtual_midi(client)
    except TransportError as error:
        raise AudioUnavailableError(f"The room's MIDI ports did not open: {error}", hint=error.hint) from error


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
