"""One wire, several devices: a port that is open once, and a tap of it for each device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hardware.errors import DisconnectedError
from hardware.seams import BytePort, Token

_WAITING_TOKENS = 8192
"""What a tap that nobody reads keeps; older tokens go, since whoever asks a device drops its old news first."""


class SharedPort:
    """A byte port that several devices stand on, each on its own channel or under its own identity.

    What any device sends goes to every tap: the wire does not say who spoke, the device's parser does. One thread
    uses a wire and its taps. The port closes with its last tap.
    """

    def __init__(self, open_port: Callable[[], BytePort]) -> None:
        """Open the port; whatever ``open_port`` raises goes on."""
        self._open_port = open_port
        self._port = open_port()
        self._taps: list[Tap] = []

    def tap(self, name: str) -> Tap:
        """Give the device ``name`` its own end of the wire."""
        made = Tap(name, self)
        self._taps.append(made)
        return made

    @property
    def devices(self) -> tuple[str, ...]:
        """Whose taps are open."""
        return tuple(tap.name for tap in self._taps)

    def reopen(self) -> None:
        """Close the port and open it again under the taps, which stay; what they had not read is gone.

        Raises
        ------
        TransportError
            It does not open; the taps say from now on that it is closed.
        """
        self._port.close()
        for tap in self._taps:
            tap.waiting.clear()
        self._port = self._open_port()

    def send(self, data: bytes) -> None:
        """Send one whole message; see `BytePort`."""
        self._port.send(data)

    def fetch(self, timeout_s: float) -> None:
        """Take what arrived, or wait up to ``timeout_s`` [s] for it, and hand it to every tap."""
        for token in self._port.receive(timeout_s):
            for tap in self._taps:
                tap.waiting.append(token)

    def release(self, tap: Tap) -> None:
        """Let a tap go; with the last one the port is closed."""
        if tap in self._taps:
            self._taps.remove(tap)
        if not self._taps:
            self._port.close()


class Tap:
    """One device's end of a shared wire: implements `hardware.seams.BytePort`. Made by `SharedPort.tap`.

    ``wire`` is the same for all taps of a port: whoever paces what is sent, paces it by the wire.
    """

    def __init__(self, name: str, wire: SharedPort) -> None:
        self.name = name
        self.wire = wire
        self.waiting: deque[Token] = deque(maxlen=_WAITING_TOKENS)
        self._closed = False

    def send(self, data: bytes) -> None:
        """Send one whole message on the shared wire.

        Raises
        ------
        DisconnectedError
            The port vanished, or this tap is closed.
        """
        self._check_open()
        self.wire.send(data)

    def receive(self, timeout_s: float) -> list[Token]:
        """Everything that arrived on the wire since this tap's last call; waits up to ``timeout_s`` [s].

        Raises
        ------
        DisconnectedError
            The port vanished and all it had brought was read, or this tap is closed.
        """
        self._check_open()
        try:
            self.wire.fetch(0.0 if self.waiting else timeout_s)
        except DisconnectedError:
            if not self.waiting:
                raise
        tokens = list(self.waiting)
        self.waiting.clear()
        return tokens

    def close(self) -> None:
        """Let go of the wire; harmless when called twice."""
        if not self._closed:
            self._closed = True
            self.wire.release(self)

    def _check_open(self) -> None:
        if self._closed:
            raise DisconnectedError(f'The port of "{self.name}" is closed.', hint="Open it again.")
