"""Units behind one real MIDI port that a test makes itself: what comes in goes to all, what any says goes out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hardware.ports.midi import open_virtual_midi
from hardware.room.decoder import Device

_TURN_S = 0.02


@contextmanager
def midi_rack(client: str, *units: Device) -> Iterator[None]:
    """Keep the ports ``client:in`` and ``client reply:out`` there, with the units' firmware behind them."""
    port, ended = open_virtual_midi(client), threading.Event()

    def run() -> None:
        while not ended.is_set():
            for token in port.receive(_TURN_S):
                for unit in units:
                    for answer in unit.receive(token.data, token.at_s):
                        port.send_raw(answer)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)
        port.close()
