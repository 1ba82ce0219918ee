"""The lines of a served room: MIDI ports and pseudo-terminals, both at the pace of the wire they stand for."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from pathlib import Path
from typing import Protocol

from hardware.errors import AudioUnavailableError, TransportError
from hardware.ports.midi import MidiPort, open_virtual_midi
from hardware.room.gear import MIDI_BYTES_PER_S, SERIAL_BYTES_PER_S
from hardware.seams import Token


class ServedLine(Protocol):
    """One device's line as the serving loop sees it."""

    @property
    def name(self) -> str:
        """Under which name a program finds it."""
        ...

    def receive(self) -> list[Token]:
        """Take what has arrived, without waiting."""
        ...

    def send(self, data: bytes, now_s: float) -> None:
        """Queue ``data`` to leave at the line's pace from ``now_s`` [s] on."""
        ...

    def pump(self, now_s: float) -> None:
        """Let leave what the line has carried by ``now_s`` [s]."""
        ...

    def close(self) -> None:
        """Take the line away; harmless when called twice."""
        ...

    def abandon(self) -> None:
        """Let go of a line whose server is gone."""
        ...


class MidiLine:
    """A pair of virtual MIDI ports; each piece leaves when a DIN wire would have carried it.

    Raises
    ------
    AudioUnavailableError
        No MIDI system runs here.
    """

    def __init__(self, client: str, *, bytes_per_s: float = MIDI_BYTES_PER_S) -> None:
        try:
            self._port: MidiPort = open_virtual_midi(client)
        except TransportError as error:
            raise AudioUnavailableError(f"The room's MIDI ports did not open: {error}", hint=error.hint) from error
        self.name = self._port.name
        self._bytes_per_s = bytes_per_s
        self._pending: deque[tuple[float, bytes]] = deque()
        self._free_at_s = 0.0

    def receive(self) -> list[Token]:
        """Take the messages that have arrived, without waiting."""
        return self._port.receive(0.0)

    def send(self, data: bytes, now_s: float) -> None:
        """Queue ``data`` to leave at the line's pace from ``now_s`` [s] on."""
        self._free_at_s = max(now_s, self._free_at_s) + len(data) / self._bytes_per_s
        self._pending.append((self._free_at_s, data))

    def pump(self, now_s: float) -> None:
        """Let leave what the line has carried by ``now_s`` [s]."""
        while self._pending and self._pending[0][0] <= now_s:
            self._port.send_raw(self._pending.popleft()[1])

    def close(self) -> None:
        """Take the ports away; harmless when called twice."""
        self._port.close()

    def abandon(self) -> None:
        """Let go of ports whose JACK server is gone."""
        self._port.abandon()


class PtyLine:
    """A pseudo-terminal with a name to find it by; what is sent leaves at ``bytes_per_s``."""

    def __init__(self, path: Path, *, bytes_per_s: float = SERIAL_BYTES_PER_S) -> None:
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

    @property
    def name(self) -> str:
        """Where a program finds it."""
        return str(self.path)

    def receive(self) -> list[Token]:
        """Take what has arrived, without waiting, as one token."""
        with contextlib.suppress(BlockingIOError, InterruptedError):
            return [Token(time.monotonic(), os.read(self.handle, 4096))]
        return []

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

    def abandon(self) -> None:
        """Close; a pseudo-terminal needs no server."""
        self.close()

    def _close_handles(self) -> None:
        os.close(self.handle)
        os.close(self._far_end)
        self.handle = -1
