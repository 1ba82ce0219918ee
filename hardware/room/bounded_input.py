"""A MIDI input whose memory ends: firmware has a buffer of a fixed size for one system-exclusive message."""

from __future__ import annotations

from hardware.room.decoder import MidiInput

LONGEST = 256
"""Longest system-exclusive message that is taken [bytes]."""


class BoundedMidiInput(MidiInput):
    """Cuts a MIDI byte stream into whole messages; a system-exclusive message longer than ``LONGEST`` is dropped."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages completed by ``data``, however it is cut."""
        messages: list[bytes] = []
        for start in range(0, len(data), LONGEST):
            messages += super().feed(data[start : start + LONGEST])
            if self._exclusive is not None and len(self._exclusive) > LONGEST:
                self._exclusive = None
        return [message for message in messages if len(message) <= LONGEST]
