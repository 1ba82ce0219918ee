"""Where a message begins and ends in a stream of bytes, however the port cut it up."""

from __future__ import annotations

from typing import Protocol

from profiles.schema import CountedFrame, DelimitedFrame, FixedFrame, FrameTable

LONGEST_SYSEX = 65_536
"""Bytes after which an unended system exclusive is given up."""
LONGEST_LINE = 4_096
"""Bytes after which an unended line or frame is given up."""

_REAL_TIME = 0xF8
_THREE_BYTES = frozenset((*range(0x80, 0xC0), *range(0xE0, 0xF0)))
_SYSTEM_COMMON_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}


class Framing(Protocol):
    """Cuts what a device sends into messages; bytes that belong to none come out as they are."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the messages they complete, in order."""
        ...

    def flush(self) -> bytes:
        """Give up what is held of an unended message, and return it."""
        ...


class _Holding:
    """Holds the beginning of a message until its end arrives."""

    def __init__(self) -> None:
        self._held = bytearray()

    def flush(self) -> bytes:
        """Give up what is held of an unended message, and return it."""
        held = bytes(self._held)
        self._held.clear()
        return held


class MidiFraming(_Holding):
    """Whole MIDI messages out of bytes (MIDI 1.0 Detailed Specification, "Data format").

    Running status is written out in full; real-time bytes are dropped wherever they stand. Bytes that belong to no
    message, and messages cut short by the next status byte, come out as they are.
    """

    def __init__(self) -> None:
        super().__init__()
        self._running = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the messages they complete, in order."""
        if len(data) == 3 and not self._held and data[0] in _THREE_BYTES and data[1] < 0x80 and data[2] < 0x80:
            self._running = data[0]  # ports hand out whole messages, and most are of this kind
            return [bytes(data)]
        out: list[bytes] = []
        for byte in data:
            if byte < _REAL_TIME:
                self._step(byte, out)
        return out

    def _step(self, byte: int, out: list[bytes]) -> None:
        held = self._held
        if byte >= 0x80:
            ends_sysex = byte == 0xF7 and held[:1] == b"\xf0"
            if held and not ends_sysex:
                out.append(self.flush())
            held.append(byte)
            self._running = byte if byte < 0xF0 else 0
            if ends_sysex or byte in (0xF4, 0xF5, 0xF6, 0xF7):
                out.append(self.flush())
            return
        if not held and self._running:
            held.append(self._running)
        held.append(byte)
        whole = len(held) == LONGEST_SYSEX if held[0] == 0xF0 else len(held) == 1 + _data_bytes(held[0])
        if whole:
            out.append(self.flush())


def _data_bytes(status: int) -> int:
    if status < 0x80:  # a data byte without a status stands alone
        return 0
    return _SYSTEM_COMMON_DATA.get(status, 0) if status >= 0xF0 else 1 if 0xC0 <= status < 0xE0 else 2


class LineFraming(_Holding):
    """Lines out of bytes, each given without its end.

    A byte that no ASCII protocol sends (a wrong baud rate, a floating line) ends what is held at once, so that noise
    comes out when it arrives and does not wait for the end of a line.
    """

    def __init__(self, terminator: bytes) -> None:
        super().__init__()
        self._terminator = terminator

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the lines they complete, in order, empty ones left out."""
        out: list[bytes] = []
        for byte in data:
            self._held.append(byte)
            if self._held.endswith(self._terminator):
                line = bytes(self._held[: -len(self._terminator)])
                self._held.clear()
                if line:
                    out.append(line)
            elif self._noise(byte) or len(self._held) >= LONGEST_LINE:
                out.append(self.flush())
        return out

    def _noise(self, byte: int) -> bool:
        return not 0x20 <= byte < 0x7F and byte not in b"\t\r\n\x1b" and byte not in self._terminator


class FixedFraming(_Holding):
    """Frames of one length whose first byte can be told from the others (Kramer Protocol 2000: its high bit)."""

    def __init__(self, table: FixedFrame) -> None:
        super().__init__()
        self._table = table

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the frames they complete, in order."""
        out: list[bytes] = []
        (low, high), (least, most) = self._table.first, self._table.rest
        for byte in data:
            begins = not self._held
            fits = low <= byte <= high if begins else least <= byte <= most
            if not fits and not begins:
                out.append(self.flush())
                fits = low <= byte <= high
            if not fits:
                out.append(bytes([byte]))
                continue
            self._held.append(byte)
            if len(self._held) == self._table.length:
                out.append(self.flush())
        return out


class CountedFraming(_Holding):
    """Frames whose first byte says how long they are (Sony 9-pin)."""

    def __init__(self, table: CountedFrame) -> None:
        super().__init__()
        self._table = table

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the frames they complete, in order."""
        out: list[bytes] = []
        for byte in data:
            self._held.append(byte)
            if len(self._held) >= (self._held[0] & self._table.mask) + self._table.plus:
                out.append(self.flush())
        return out


class DelimitedFraming(_Holding):
    """Frames between a start and an end byte, with stuffing; they come out without either."""

    def __init__(self, table: DelimitedFrame) -> None:
        super().__init__()
        self._table = table
        self._inside = False
        self._escaping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the frames they complete, in order."""
        table, out = self._table, list[bytes]()
        for byte in data:
            if byte == table.start:
                if self._held or self._inside:
                    out += [held] if (held := self.flush()) else []
                self._inside = True
            elif byte == table.end and self._inside:
                out += [held] if (held := self.flush()) else []
            elif not self._inside:
                out.append(bytes([byte]))
            elif byte == table.escape and not self._escaping:
                self._escaping = True
            else:
                self._held.append((byte - table.add) & 0xFF if self._escaping else byte)
                self._escaping = False
                if len(self._held) >= LONGEST_LINE:
                    out.append(self.flush())
        return out

    def flush(self) -> bytes:
        """Give up what is held of an unended frame, and return it."""
        self._inside = self._escaping = False
        return super().flush()


def frame_framing(table: FrameTable) -> Framing:
    """Make what cuts a binary serial stream into frames."""
    if isinstance(table, FixedFrame):
        return FixedFraming(table)
    return CountedFraming(table) if isinstance(table, CountedFrame) else DelimitedFraming(table)


def framed(table: FrameTable | None, message: bytes) -> bytes:
    """Put a message into its frame: start, stuffed body, end; as it is where frames have no delimiters."""
    if not isinstance(table, DelimitedFrame) or (len(message) == 1 and message[0] in table.singles):
        return message
    body = bytearray()
    for byte in message:
        if table.escape is not None and byte in table.escaped:
            body += bytes([table.escape, (byte + table.add) & 0xFF])
        else:
            body.append(byte)
    return bytes([table.start, *body, table.end])
