"""The virtual room: one model behind every connector. Bytes go in and knobs move; audio goes in and comes back.

Nothing here shares code with the encoder, the ports or the engine that it exists to test.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hardware.errors import HardwareError, RoomModelError
from hardware.room.decoder import Device, Value, no_such_knob
from hardware.room.decoder_comp import CompDecoder
from hardware.room.decoder_desk import MASTER, STRIPS, DeskDecoder
from hardware.room.decoder_matrix import MatrixDecoder
from hardware.room.model import DEVICES, RoomModel, check_latency

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hardware.room.circuit import Tally

STATE_SCHEMA = 1


class Room:
    """A desk, a compressor and a matrix between D/A and A/D.

    Bytes and hands belong to one thread, ``process`` may run in another. ``tally`` costs a few per cent of speed;
    it never changes a sample.

    Raises
    ------
    RoomModelError
        The model asks for a delay that cannot be built.
    """

    inputs = STRIPS
    outputs = 2
    devices: tuple[str, ...] = DEVICES

    def __init__(self, model: RoomModel, *, rate_hz: int = 48_000, tally: bool = False) -> None:
        from hardware.room.circuit import Circuit

        check_latency(model.converters)
        self.model = model
        self.rate_hz = rate_hz
        refusing = [fault.control for fault in model.faults if fault.kind == "nak"]
        moods = {"silent_serial": "silent", "garbage_serial": "garbage"}
        mood = next((moods[fault.kind] for fault in model.faults if fault.kind in moods), "well")
        self._desk = DeskDecoder(refusing=[name.removeprefix("desk/") for name in refusing])
        self._comp = CompDecoder()
        self._matrix = MatrixDecoder(refusing=[name.removeprefix("matrix/") for name in refusing], mood=mood)
        self._devices: dict[str, Device] = {"desk": self._desk, "comp": self._comp, "matrix": self._matrix}
        self._lives = {fault.device: fault.after_messages for fault in model.faults if fault.kind == "vanish"}
        self._circuit = Circuit(model, rate_hz=rate_hz, tally=tally)
        self._desk.touched.update((MASTER, *range(STRIPS)))
        self._read_panels()

    def _read_panels(self) -> None:
        self._circuit.read_panels(self._desk, self._comp, self._matrix)

    def _device(self, name: str) -> Device:
        if name not in self._devices:
            raise HardwareError(f"the room has no device {name!r}", hint=f"Devices: {', '.join(self.devices)}.")
        return self._devices[name]

    def vanished(self, device: str) -> bool:
        """Tell whether a ``vanish`` fault has taken the device's port away."""
        return device in self._lives and self._device(device).heard >= self._lives[device]

    def receive(self, device: str, data: bytes, *, at_s: float | None = None) -> list[bytes]:
        """Let a device take bytes from its wire; returns the whole messages it answers.

        ``at_s`` [s] is when the bytes arrived (the matrix forgets half a command after 10 s). A vanished device
        hears and answers nothing.
        """
        decoder = self._device(device)
        if self.vanished(device):
            return []
        answers = decoder.receive(data, at_s)
        self._read_panels()
        return answers

    def turn(self, address: str, value: Value) -> list[bytes]:
        """Put a hand on a knob (``desk/ch07/hpf_freq``, 80.0); returns what the device sends because of it.

        Raises
        ------
        HardwareError
            No such knob, or it does not go there.
        """
        device, _, name = address.partition("/")
        if device not in self._devices:
            raise no_such_knob("gear", address)
        messages = self._devices[device].turn(name, value)
        self._read_panels()
        return [] if self.vanished(device) else messages

    def knobs(self) -> dict[str, Value]:
        """Every knob's position by address, in engineering units; OFF is −∞, the high-pass's detent "off"."""
        return {
            f"{device}/{name}": value
            for device, decoder in self._devices.items()
            for name, value in decoder.knobs().items()
        }

    def process(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pass a block (n, 24) float32 through the circuit; returns (n, 2) float32, full scale 1.0.

        Causal, and the same samples however the signal is cut into blocks.
        """
        return self._circuit.process(block)

    def rest(self) -> None:
        """Let a long silence pass before the next block: knobs settle, filters, delays and compressor forget."""
        self._circuit.rest()

    @property
    def tally(self) -> Tally:
        """What the model itself put into the returns so far; all zero unless the room was made with ``tally``."""
        return self._circuit.tally()

    def reset_tally(self) -> None:
        """Begin the tally anew."""
        self._circuit.reset_tally()

    @property
    def strip_errors_db(self) -> tuple[float, ...]:
        """How far each strip's gain really is off its scale [dB], strips 1–24."""
        return self._circuit.strip_errors_db

    def save(self, path: Path) -> None:
        """Write every knob's position as JSON, atomically.

        Raises
        ------
        HardwareError
            The file cannot be written.
        """
        knobs = {name: "off" if value == -math.inf else value for name, value in self.knobs().items()}
        text = json.dumps({"schema": STATE_SCHEMA, "knobs": knobs}, indent=1) + "\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, text)
        except OSError as error:
            raise HardwareError(f"{path}: the room's knobs cannot be written: {error}") from error

    def load(self, path: Path) -> None:
        """Set every knob as a file of ``save`` says; a file that is refused leaves all knobs where they are.

        Raises
        ------
        RoomModelError
            The file is unreadable, damaged or of a newer version, or names a knob or position that is not there.
        """
        hint = "Move the file away: the room then starts with its knobs at their power-on positions."
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RoomModelError(f"{path}: the room's knobs cannot be read: {error}", hint=hint) from error
        schema = tree.get("schema") if isinstance(tree, dict) else None
        knobs = tree.get("knobs") if isinstance(tree, dict) else None
        if type(schema) is not int or not isinstance(knobs, dict):
            raise RoomModelError(f"{path}: not a file of the room's knobs", hint=hint)
        if schema > STATE_SCHEMA:
            raise RoomModelError(
                f"{path}: schema {schema} is newer than this program reads ({STATE_SCHEMA})", hint=hint
            )
        before = self.knobs()
        try:
            for name, value in knobs.items():
                if not isinstance(value, bool | int | float | str):
                    raise HardwareError(f"{name} cannot be set to {value!r}")
                self.turn(name, value)
        except HardwareError as error:
            for name, value in before.items():
                self.turn(name, value)
            raise RoomModelError(f"{path}: {error}", hint=hint) from error


def _write_atomically(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
