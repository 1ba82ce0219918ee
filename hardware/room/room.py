"""The virtual room: one model behind every connector. Bytes go in and knobs move; audio goes in and comes back.

Nothing here shares code with the encoder, the ports or the engine that it exists to test.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hardware.errors import HardwareError, RoomModelError
from hardware.room.connector import Connector
from hardware.room.decoder import Device, Value, no_such_knob
from hardware.room.decoder_comp import CompDecoder
from hardware.room.decoder_desk import MASTER, STRIPS, DeskDecoder
from hardware.room.decoder_matrix import MatrixDecoder
from hardware.room.faults import DURING_AUDIO, IN_THE_CIRCUIT, MATRIX_ONLY, Fault, check_fault
from hardware.room.gear import GEAR, MIDI_BYTES_PER_S, SERIAL_BYTES_PER_S, Transport
from hardware.room.model import RoomModel, check_latency
from hardware.seams import Token

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hardware.room.circuit import Tally

STATE_SCHEMA = 1


class Room:
    """A desk, a compressor and a matrix between D/A and A/D, and gear that takes bytes only.

    Bytes and hands belong to one thread, ``process`` may run in another. ``tally`` costs a few per cent of speed;
    it never changes a sample. ``devices`` names everything that has a connector.

    Raises
    ------
    RoomModelError
        The model asks for a delay that cannot be built, or for a fault that cannot be.
    """

    inputs = STRIPS
    outputs = 2

    def __init__(self, model: RoomModel, *, rate_hz: int = 48_000, tally: bool = False) -> None:
        from hardware.room.circuit import Circuit

        check_latency(model.converters)
        self.model = model
        self.rate_hz = rate_hz
        self._desk = Connector("desk", _desk, transport="midi", kept=_is_pot)
        self._comp = Connector("comp", _comp, transport="midi")
        self._matrix = Connector("matrix", _matrix, transport="serial")
        self._connectors = {connector.name: connector for connector in (self._desk, self._comp, self._matrix)}
        self._bytes_per_s = {
            name: MIDI_BYTES_PER_S if connector.transport == "midi" else SERIAL_BYTES_PER_S
            for name, connector in self._connectors.items()
        }
        for gear in model.gear:
            kind = GEAR[gear.kind]
            self._connectors[gear.name] = Connector(gear.name, kind.make, transport=kind.transport)
            self._bytes_per_s[gear.name] = kind.bytes_per_s
        self.devices: tuple[str, ...] = tuple(self._connectors)
        self._elsewhere: dict[str, Value] = {}
        self._circuit = Circuit(model, rate_hz=rate_hz, tally=tally)
        self._read_panels()
        try:
            for fault in model.faults:
                if fault.kind not in IN_THE_CIRCUIT:
                    self.throw(fault)
        except RoomModelError:
            raise
        except HardwareError as error:
            raise RoomModelError(f"fault {fault.kind}: {error}", hint=error.hint) from error

    def _read_panels(self) -> None:
        desk, comp, matrix = self._desk.device, self._comp.device, self._matrix.device
        self._circuit.read_panels(cast("DeskDecoder", desk), cast("CompDecoder", comp), cast("MatrixDecoder", matrix))

    def _connector(self, name: str) -> Connector:
        if name not in self._connectors:
            raise HardwareError(f"the room has no device {name!r}", hint=f"Devices: {', '.join(self.devices)}.")
        return self._connectors[name]

    def device(self, name: str) -> Device:
        """Return the device itself, past its connector.

        Raises
        ------
        HardwareError
            The room has no such device.
        """
        return self._connector(name).device

    @property
    def transports(self) -> dict[str, Transport]:
        """How each device is reached."""
        return {name: connector.transport for name, connector in self._connectors.items()}

    def bytes_per_s(self, device: str) -> float:
        """Pace of a device's wire, in each direction."""
        return self._bytes_per_s[self._connector(device).name]

    # --- ports and bytes -------------------------------------------------------------------------------------------

    def vanished(self, device: str) -> bool:
        """Tell whether the device's port is away now."""
        return self._connector(device).vanished

    def plugs(self, device: str) -> int:
        """How often the device's port has gone away so far: what was opened before is dead."""
        return self._connector(device).plugs

    def port_name(self, device: str) -> str:
        """Return the name of the device's port now: the device's own, or ``device-2`` when it came back so."""
        return self._connector(device).port_name

    def receive(self, device: str, data: bytes, *, at_s: float | None = None) -> list[bytes]:
        """Let a device take bytes from its wire; returns what it sends at once, whole messages if nothing is wrong.

        ``at_s`` [s] is when the bytes arrived (the matrix forgets half a command after 10 s). A vanished device
        hears and answers nothing.
        """
        answers = self._connector(device).receive(data, at_s)
        self._read_panels()
        return answers

    def due(self, device: str, now_s: float) -> list[Token]:
        """Take what a device has sent of its own accord until ``now_s`` [s] (a late answer, a banner), in order."""
        return self._connector(device).due(now_s)

    def next_due_s(self, device: str) -> float | None:
        """When a device will send something of its own accord [s]; None when nothing waits."""
        return self._connector(device).next_due_s

    # --- faults ----------------------------------------------------------------------------------------------------

    def throw(self, fault: Fault) -> None:
        """Let a fault come now, or after so many messages more, as it says.

        Raises
        ------
        HardwareError
            There is no such device or control, the device cannot fail so, or the fault is one of the audio, which
            only a model file can have.
        """
        if fault.kind in IN_THE_CIRCUIT:
            raise HardwareError(
                f"{fault.kind} is built into the circuit", hint="Write it in a model file as a [[fault]]."
            )
        check_fault(fault, self.transports)
        if fault.kind in DURING_AUDIO:
            self._circuit.strike_later(fault)
            return
        if fault.kind in MATRIX_ONLY:
            fault = replace(fault, device="matrix")
            cast("MatrixDecoder", self._matrix.device).mood = fault.kind.removesuffix("_serial")
        if fault.kind == "nak" and fault.at not in self._connectors:
            fault = replace(fault, device="desk", control=f"desk/{fault.control}")
        self._connector(fault.at).throw(fault)
        self._read_panels()

    def heal(self) -> None:
        """Take every fault away but those built into the circuit; what they have done to knobs stays done."""
        self._circuit.heal()
        for connector in self._connectors.values():
            connector.heal()
        cast("MatrixDecoder", self._matrix.device).mood = "well"

    @property
    def faults(self) -> list[tuple[Fault, int]]:
        """Every fault that was thrown and not healed, and how often it has struck so far."""
        return [fault for connector in self._connectors.values() for fault in connector.faults]

    # --- hands -----------------------------------------------------------------------------------------------------

    def turn(self, address: str, value: Value) -> list[bytes]:
        """Put a hand on a knob (``desk/ch07/hpf_freq``, 80.0); returns what the device sends because of it.

        Raises
        ------
        HardwareError
            No such knob, or it does not go there.
        """
        device, _, name = address.partition("/")
        if device not in self._connectors:
            raise no_such_knob("gear", address)
        messages = self._connectors[device].turn(name, value)
        self._read_panels()
        return messages

    def knobs(self) -> dict[str, Value]:
        """Every knob's position by address, in engineering units; OFF is −∞, the high-pass's detent "off"."""
        return {
            f"{name}/{knob}": value
            for name, connector in self._connectors.items()
            for knob, value in connector.device.knobs().items()
        }

    # --- audio -----------------------------------------------------------------------------------------------------

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

    # --- over night ------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write every knob's position as JSON, atomically; gear that was in the file and is not here stays in it.

        Raises
        ------
        HardwareError
            The file cannot be written.
        """
        everything = self._elsewhere | self.knobs()
        knobs = {name: "off" if value == -math.inf else value for name, value in everything.items()}
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
        elsewhere: dict[str, Value] = {}
        try:
            for name, value in knobs.items():
                if not isinstance(value, bool | int | float | str):
                    raise HardwareError(f"{name} cannot be set to {value!r}")
                if name.partition("/")[0] in self._connectors:
                    self.turn(name, value)
                else:
                    elsewhere[name] = value
        except HardwareError as error:
            for name, value in before.items():
                self.turn(name, value)
            raise RoomModelError(f"{path}: {error}", hint=hint) from error
        self._elsewhere = elsewhere


def _desk() -> DeskDecoder:
    """Switch the desk on: the circuit has to look at all of it."""
    desk = DeskDecoder()
    desk.touched.update((MASTER, *range(STRIPS)))
    return desk


def _comp() -> CompDecoder:
    comp = CompDecoder()
    comp.touched = True
    return comp


def _matrix() -> MatrixDecoder:
    matrix = MatrixDecoder()
    matrix.touched = True
    return matrix


def _is_pot(name: str) -> bool:
    """Tell whether a knob of the desk stays where a hand left it (its manual, section 2)."""
    return name.endswith(("/trim", "/polarity", "/hpf_freq", "_freq", "_q"))


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
