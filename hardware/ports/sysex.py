"""SysEx in pieces, as MIDI systems deliver it, put back together."""

from __future__ import annotations

from collections.abc import Sequence


class SysexAssembler:
    """Puts messages back together that a MIDI system delivered in pieces."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, piece: Sequence[int]) -> list[bytes]:
        """Whole messages that ``piece`` completes.

        System real-time bytes (F8h and above) inside a SysEx are dropped, as a device may interleave them. A SysEx
        that another message cuts short comes out as it is, without its F7h: the wire's parser names it.
        """
        data = bytes(piece)
        if not data:
            return []
        if not self._held:
            if data[0] == 0xF0 and data[-1] != 0xF7:
                self._held += bytes(byte for byte in data if byte < 0xF8)
                return []
            return [bytes(byte for byte in data if byte < 0xF8) if data[0] == 0xF0 else data]
        if data[0] >= 0xF8:
            return []
        if 0x80 <= data[0] != 0xF7:
            broken, self._held = bytes(self._held), bytearray()
            return [broken, *self.feed(data)]
        self._held += bytes(byte for byte in data if byte < 0xF8)
        if self._held[-1] != 0xF7:
            return []
        whole, self._held = bytes(self._held), bytearray()
        return [whole]
