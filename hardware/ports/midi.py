"""MIDI through python-rtmidi: ports found by name, sent at the wire's pace, SysEx whole, every arrival stamped.

rtmidi's own classes carry the bytes, because mido's ports hide which system they talk to and when a message came.
mido does what it is good at: telling whether bytes are exactly one MIDI message before they leave.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from hardware.errors import DisconnectedError, PortBusyError, PortNotFoundError, TransportError
from hardware.ports import jack_ends
from hardware.ports.midi_names import NoSuchPortError, match_port
from hardware.ports.sysex import SysexAssembler
from hardware.seams import Clock, SystemClock, Token

API_VARIABLE = "HALFNORMAL_MIDI_API"
CLIENT_NAME = "Halfnormal"
DIN_BYTES_PER_S = 3125.0
"""31 250 baud, ten bits a byte (MIDI 1.0 Detailed Specification, hardware)."""

Direction = Literal["in", "out"]
_QUEUE_MESSAGES = 8192
_POLL_S = 0.001
_PRESENCE_S = 0.25
_API_CONSTANTS = {
    "alsa": "API_LINUX_ALSA",
    "jack": "API_UNIX_JACK",
    "core": "API_MACOSX_CORE",
    "winmm": "API_WINDOWS_MM",
}


@dataclass(frozen=True)
class MidiPortName:
    """A MIDI port of this machine, seen from this program: ``out`` is one that we can send to."""

    name: str
    direction: Direction


def list_midi_ports() -> list[MidiPortName]:
    """List every MIDI port, outputs first.

    Raises
    ------
    TransportError
        No MIDI system runs here, or the one that ``HALFNORMAL_MIDI_API`` names does not.
    """
    ports: list[MidiPortName] = []
    directions: tuple[Direction, Direction] = ("out", "in")
    for direction in directions:
        client = _client(direction, CLIENT_NAME)
        try:
            ports += [MidiPortName(name, direction) for name in client.get_ports()]
        finally:
            client.delete()
    return ports


def open_midi(
    name: str,
    *,
    receive_name: str | None = None,
    bytes_per_s: float = DIN_BYTES_PER_S,
    clock: Clock | None = None,
) -> MidiPort:
    """Open the MIDI port of that name, to send and, where it has an input side too, to receive.

    One that only sends to us, a keyboard, is opened by :func:`open_midi_input`.

    Parameters
    ----------
    name
        The port's whole name, its client's name, or a part that only one port has; exact beats partial. The numbers
        that a system adds to names and changes at every plugging in do not count.
    receive_name
        The input's name where it differs from the output's.
    bytes_per_s
        Pace of the wire behind the port.
    clock
        Paces what is sent and stamps what arrives; the system's when None.

    Raises
    ------
    PortNotFoundError
        No such port, or more than one; the message lists the candidates.
    PortBusyError
        The system does not let us open it (Windows gives a port to one program).
    TransportError
        No MIDI system runs here.
    """
    sender = _client("out", CLIENT_NAME)
    receiver = None
    try:
        receiver = _client("in", CLIENT_NAME)
        out_name = _match(name, sender, "output")
        _connect(sender, out_name, "to")
        in_name = None
        if receive_name is not None:
            in_name = _match(receive_name, receiver, "input")
        else:
            with contextlib.suppress(NoSuchPortError):
                in_name = _match(name, receiver, "input")
        if in_name is not None:
            _listen_on(receiver, in_name)
        else:
            receiver.delete()
            receiver = None
    except BaseException:
        sender.delete()
        if receiver is not None:
            receiver.delete()
        raise
    return MidiPort(
        name,
        sender,
        receiver,
        partners=(out_name, in_name),
        bytes_per_s=bytes_per_s,
        clock=clock or SystemClock(),
    )


def open_midi_input(name: str, *, clock: Clock | None = None) -> MidiPort:
    """Open a MIDI input to listen to it; there need not be an output of that name, and nothing can be sent.

    ``name`` means a port as in :func:`open_midi`; ``clock`` stamps what arrives, the system's when None.

    Raises
    ------
    PortNotFoundError, PortBusyError, TransportError
        As :func:`open_midi`.
    """
    receiver = _client("in", CLIENT_NAME)
    try:
        in_name = _match(name, receiver, "input")
        _listen_on(receiver, in_name)
    except BaseException:
        receiver.delete()
        raise
    return MidiPort(name, None, receiver, partners=(None, in_name), bytes_per_s=None, clock=clock or SystemClock())


def open_virtual_midi(client: str, *, clock: Clock | None = None) -> MidiPort:
    """Offer a device's own pair of ports to other programs: ``client:in`` and ``client reply:out``.

    What others send to ``in`` is received here; what is sent here leaves by ``out``, at once and unpaced.

    Raises
    ------
    TransportError
        No MIDI system runs here, or it has no virtual ports (Windows).
    """
    receiver = _client("in", client)
    try:
        sender = _client("out", f"{client} reply")
        try:
            receiver.ignore_types(sysex=False, timing=True, active_sense=True)
            receiver.open_virtual_port("in")
            sender.open_virtual_port("out")
        except BaseException:
            sender.delete()
            raise
    except BaseException as error:
        receiver.delete()
        if isinstance(error, OSError | NotImplementedError):
            raise TransportError(f'A virtual MIDI port "{client}" could not be made: {error}') from error
        raise
    return MidiPort(client, sender, receiver, partners=(None, None), bytes_per_s=None, clock=clock or SystemClock())


class MidiPort:
    """One open MIDI port: implements `hardware.seams.BytePort`. Made by the ``open`` functions of this module.

    ``sender`` None only listens, ``receiver`` None only sends. ``partners`` are the system's names of what we are
    connected to (output, input); None where nothing is watched. ``bytes_per_s`` None sends without pacing.
    """

    def __init__(
        self,
        name: str,
        sender: Any | None,
        receiver: Any | None,
        *,
        partners: tuple[str | None, str | None],
        bytes_per_s: float | None,
        clock: Clock,
    ) -> None:
        import mido  # now, not at the first send: it takes a tenth of a second

        self.name = name
        self.partners = partners
        self._parse = mido.Message.from_bytes
        self._sender = sender
        self._receiver = receiver
        self._only_listens = sender is None
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._jack_ends_before = jack_ends.count()
        self._free_at = 0.0
        self._seen_at = clock.monotonic()
        self._assembler = SysexAssembler()
        self._device_time_s = 0.0
        self._offset_s: float | None = None

    def send(self, data: bytes) -> None:
        """Send one whole MIDI message, not before the wire has carried the last one.

        Raises
        ------
        TransportError
            ``data`` is not exactly one whole message (running status and pieces are refused), or the port only listens.
        DisconnectedError
            The port vanished, or it is closed.
        """
        try:
            self._parse(data)
        except ValueError as error:
            shown = data.hex(" ").upper() or "nothing"
            raise TransportError(f"Not one whole MIDI message: {shown} ({error}).") from error
        sender = self._open_sender()
        if self._bytes_per_s is not None:
            now = self._clock.monotonic()
            if now < self._free_at:
                self._clock.sleep(self._free_at - now)
                now = self._clock.monotonic()
            self._free_at = max(now, self._free_at) + len(data) / self._bytes_per_s
        self._check_presence()
        self._hand_over(sender, data)

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are, at once: what a bad wire makes of messages need not be one.

        What does not begin with F0h leaves in pieces of three bytes, more of which rtmidi does not take.

        Raises
        ------
        TransportError
            The port only listens.
        DisconnectedError
            The port vanished, or it is closed.
        """
        sender = self._open_sender()
        size = len(data) if data[:1] == b"\xf0" else 3
        for start in range(0, len(data), max(size, 1)):
            self._hand_over(sender, data[start : start + size])

    def _hand_over(self, sender: Any, data: bytes) -> None:
        try:
            sender.send_message(data)
        except OSError as error:
            raise self._vanished() from error

    def receive(self, timeout_s: float) -> list[Token]:
        """Every message that arrived since the last call, stamped; waits up to ``timeout_s`` [s] for the first.

        Raises
        ------
        DisconnectedError
            The port vanished, or it is closed.
        """
        deadline = self._clock.monotonic() + timeout_s
        while True:
            self._check_open()
            if tokens := self._collect():
                return tokens
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return []
            self._check_presence()
            self._clock.sleep(min(_POLL_S, left))

    def close(self) -> None:
        """Release the port; harmless when called twice."""
        if self._server_ended():
            self.abandon()
        for client in self._take_clients():
            client.delete()

    def abandon(self) -> None:
        """Let go of a port whose JACK server is gone; harmless when called twice.

        Deleting its clients may crash the JACK library, or cancel a thread of it that waits for the interpreter and
        so stop that for ever. They stay until the process ends.
        """
        for client in self._take_clients():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))

    def _take_clients(self) -> list[Any]:
        clients = [client for client in (self._receiver, self._sender) if client is not None]
        self._receiver = self._sender = None
        return clients

    def _collect(self) -> list[Token]:
        """Empty rtmidi's queue.

        Polled, not called back: with JACK a callback would make the whole audio graph wait for the interpreter.
        rtmidi gives the time since the message before; the smallest distance to our clock so far anchors those.
        """
        if self._receiver is None:
            return []
        tokens: list[Token] = []
        while (arrived := self._receiver.get_message()) is not None:
            message, since_last_s = arrived
            self._device_time_s += since_last_s
            offset = self._clock.monotonic() - self._device_time_s
            if self._offset_s is None or offset < self._offset_s:
                self._offset_s = offset
            at_s = self._device_time_s + self._offset_s
            tokens += [Token(at_s, data) for data in self._assembler.feed(message)]
        return tokens

    def _check_open(self) -> None:
        if self._sender is None and self._receiver is None:
            raise DisconnectedError(f'MIDI port "{self.name}" is closed.', hint="Open it again.")

    def _open_sender(self) -> Any:
        self._check_open()
        if self._only_listens:
            raise TransportError(
                f'MIDI port "{self.name}" was opened to listen; nothing can be sent on it.',
                hint="Give the device a port that has an output.",
            )
        return self._sender

    def _check_presence(self) -> None:
        if self.partners == (None, None):
            return
        if self._server_ended():
            raise self._vanished()
        now = self._clock.monotonic()
        if now - self._seen_at < _PRESENCE_S:
            return
        self._seen_at = now
        for client, partner in zip((self._sender, self._receiver), self.partners, strict=True):
            if client is not None and partner is not None and partner not in client.get_ports():
                raise self._vanished()

    def _server_ended(self) -> bool:
        """Whether JACK ended since we opened; the graph it leaves in shared memory still lists every port."""
        return jack_ends.count() != self._jack_ends_before

    def _vanished(self) -> DisconnectedError:
        return DisconnectedError(
            f'MIDI port "{self.name}" vanished.', hint="Check the cable and that the device is on, then resume."
        )


def _match(name: str, client: Any, direction: str) -> str:
    counted = client.get_current_api() == _rtmidi().API_WINDOWS_MM
    return match_port(name, client.get_ports(), direction, counted=counted)


def _listen_on(receiver: Any, port: str) -> None:
    receiver.ignore_types(sysex=False, timing=True, active_sense=True)
    _connect(receiver, port, "from")


def _connect(client: Any, port: str, label: str) -> None:
    try:
        client.open_port(client.get_ports().index(port), label)
    except ValueError as error:
        raise PortNotFoundError(f'MIDI port "{port}" vanished while it was opened.') from error
    except OSError as error:
        raise PortBusyError(
            f'MIDI port "{port}" does not open: {error}', hint="Close other programs that use it."
        ) from error


def _client(direction: Direction, name: str) -> Any:
    """Make an rtmidi client of the first MIDI system that runs here, or of the one the environment names."""
    rtmidi = _rtmidi()
    tried: list[str] = []
    for api in _api_order(rtmidi):
        label = rtmidi.get_api_display_name(api)
        if api == rtmidi.API_LINUX_ALSA and not Path("/dev/snd/seq").exists():
            tried.append(f"{label}: no sequencer (/dev/snd/seq)")  # asking ALSA would print on the screen
            continue
        try:
            if direction == "in":
                return rtmidi.MidiIn(rtapi=api, name=name, queue_size_limit=_QUEUE_MESSAGES)
            return rtmidi.MidiOut(rtapi=api, name=name)
        except OSError as error:
            tried.append(f"{label}: {error}")
    raise TransportError(
        f"No MIDI system runs here ({'; '.join(tried)}).",
        hint="Load the ALSA sequencer (`sudo modprobe snd-seq`) or start JACK (`jackd -d alsa`, or `-d dummy`).",
    )


def _api_order(rtmidi: Any) -> list[int]:
    compiled: list[int] = rtmidi.get_compiled_api()
    wanted = os.environ.get(API_VARIABLE, "").strip().lower()
    if not wanted:
        return compiled
    names = {name: getattr(rtmidi, constant) for name, constant in _API_CONSTANTS.items()}
    available = [name for name, api in names.items() if api in compiled]
    if wanted not in available:
        raise TransportError(
            f'{API_VARIABLE} says "{wanted}", which this machine does not have.',
            hint=f"Choose one of: {', '.join(available)}; or leave it unset.",
        )
    return [names[wanted]]


@cache
def _rtmidi() -> Any:
    try:
        import rtmidi
    except ImportError as error:
        raise TransportError(
            f"python-rtmidi does not load: {error}", hint="Install it again: `pip install python-rtmidi`."
        ) from error
    jack_ends.listen()
    return rtmidi
