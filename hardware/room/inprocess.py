"""The virtual room inside the program: byte ports and an audio stream with no driver, server or cable behind them.

Time is virtual. Bytes take the time the real wire would need, audio takes its length; nobody waits for either.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hardware.errors import (
    AudioError,
    ChannelCountError,
    DisconnectedError,
    PortBusyError,
    PortNotFoundError,
    SampleRateError,
)
from hardware.room.room import Room
from hardware.seams import RunReport, Token, VirtualClock

if TYPE_CHECKING:
    from hardware.room.decoder import Value
    from hardware.room.model import RoomModel
    from hardware.seams import Sink, Source

ANSWER_S = 0.001
"""How long a device thinks before it answers [s]."""
CHUNK_FRAMES = 4096
_SERIAL_CHUNKS = (5, 1, 8, 3)
"""A serial reply arrives in pieces of these sizes, as an operating system hands them out [bytes]."""


class MemoryPort:
    """A device's MIDI or serial port in memory, with the wire's delay in both directions.

    A port whose device was unplugged stays dead, even when the device is back: it has to be opened again.
    """

    def __init__(self, room: Room, device: str, clock: VirtualClock) -> None:
        self.name = f"room:{room.port_name(device)}"
        self._room = room
        self._device = device
        self._clock = clock
        self._serial = room.transports[device] == "serial"
        self._bytes_per_s = room.bytes_per_s(device)
        self._plugs = room.plugs(device)
        self._out_free_s = 0.0
        self._in_free_s = 0.0
        self._inbox: deque[Token] = deque()
        self.closed = False

    def send(self, data: bytes) -> None:
        """Send one whole MIDI message or one serial command.

        Raises
        ------
        DisconnectedError
            The port is closed, or the device vanished.
        """
        self._check()
        self._fetch()
        start_s = max(self._clock.monotonic(), self._out_free_s)
        self._out_free_s = start_s + len(data) / self._bytes_per_s
        for message in self._room.receive(self._device, data, at_s=self._out_free_s):
            self.arrive(message, self._out_free_s + ANSWER_S)

    @property
    def alive(self) -> bool:
        """Whether the device has been plugged in ever since the port was opened."""
        return self._room.plugs(self._device) == self._plugs and not self._room.vanished(self._device)

    def _check(self) -> None:
        if self.closed:
            raise DisconnectedError(f"{self.name} is closed", hint="Open the port again.")
        if not self.alive:
            raise DisconnectedError(
                f"{self.name} vanished while in use", hint="Look at its cable and power, then resume."
            )

    def arrive(self, message: bytes, at_s: float) -> None:
        """Put a message that the device sends at ``at_s`` on the wire towards the program."""
        sizes, chunks, start = deque(_SERIAL_CHUNKS), [], 0
        while start < len(message):
            size = sizes[0] if self._serial else len(message)
            sizes.rotate(-1)
            chunks.append(message[start : start + size])
            start += size
        for chunk in chunks:
            self._in_free_s = max(at_s, self._in_free_s) + len(chunk) / self._bytes_per_s
            self._inbox.append(Token(self._in_free_s, chunk))

    def receive(self, timeout_s: float) -> list[Token]:
        """Everything that arrived since the last call; lets up to ``timeout_s`` pass until the first token.

        Raises
        ------
        DisconnectedError
            The port is closed, or the device vanished and all it had sent was read.
        """
        self._fetch()
        if not self._inbox:
            self._check()
        deadline = self._clock.monotonic() + max(0.0, timeout_s)
        while (wake_s := self._next_s()) > self._clock.monotonic():
            self._clock.sleep(min(wake_s, deadline) - self._clock.monotonic())
            self._fetch()
            if wake_s >= deadline:
                break
        now = self._clock.monotonic() + 1e-9
        tokens: list[Token] = []
        while self._inbox and self._inbox[0].at_s <= now:
            tokens.append(self._inbox.popleft())
        return tokens

    def _fetch(self) -> None:
        """Put on the wire what the device sent of its own accord by now; a dead port hears nothing of it."""
        if self._room.plugs(self._device) == self._plugs:
            for token in self._room.due(self._device, self._clock.monotonic()):
                self.arrive(token.data, token.at_s)

    def _next_s(self) -> float:
        """When the next token is here, or the device begins to send one of its own accord [s]."""
        due_s = self._room.next_due_s(self._device) if self._room.plugs(self._device) == self._plugs else None
        arriving_s = self._inbox[0].at_s if self._inbox else math.inf
        return min(arriving_s, math.inf if due_s is None else due_s)

    def close(self) -> None:
        """Release the port; harmless when called twice."""
        self.closed = True


class RoomStream:
    """A duplex stream through the room, as fast as the machine computes it; latency is the model's, every time."""

    def __init__(self, room: Room, clock: VirtualClock, *, block_frames: int, outputs: int, inputs: int) -> None:
        self.rate_hz = room.rate_hz
        self.block_frames = block_frames
        self.outputs = outputs
        self.inputs = inputs
        self._room = room
        self._clock = clock
        self._closed = False

    def run(
        self,
        source: Source,
        sink: Sink,
        frames: int,
        *,
        progress: Callable[[int], None] | None = None,
        on_block: Callable[[int], None] | None = None,
    ) -> RunReport:
        """Play ``frames`` frames of ``source`` and record as many into ``sink``; never an xrun.

        ``on_block`` is called before each block of ``block_frames``, and the knobs that it moves begin to move there.
        Knobs moved before the run are settled, and what sounded in an earlier run has died away.

        Raises
        ------
        AudioError
            The stream is closed, or the source gives a block of the wrong shape.
        """
        import numpy as np

        if self._closed:
            raise AudioError("the room's audio stream is closed", hint="Open it again.")
        self._room.rest()
        chunk = max(self.block_frames, CHUNK_FRAMES) if on_block is None else self.block_frames
        said_at, done, ended = 0, 0, False
        while done < frames:
            if on_block is not None:
                on_block(done)
            count = min(chunk, frames - done)
            block = np.zeros((count, self._room.inputs), dtype=np.float32)
            if not ended:
                played = source.read(count)
                if played.ndim != 2 or played.shape[1] != self.outputs or len(played) > count:
                    raise AudioError(f"the source gave a block of shape {played.shape}, not ({count}, {self.outputs})")
                block[: len(played), : self.outputs] = played
                ended = len(played) < count
            recorded = self._room.process(block)
            sink.write(np.ascontiguousarray(recorded[:, : self.inputs]))
            self._clock.sleep(count / self.rate_hz)
            done += count
            if progress is not None and (done - said_at >= self.rate_hz or done == frames):
                said_at = done
                progress(done)
        return RunReport(frames=frames, xruns=())

    def close(self) -> None:
        """Stop the stream; harmless when called twice."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class InProcessRoom:
    """The room with its ports and its stream, on one virtual clock.

    With ``state_path`` the knobs are where they were when the room was last closed: a real desk keeps its knobs.

    Raises
    ------
    RoomModelError
        The model cannot be built, or the file of knobs is damaged.
    """

    def __init__(
        self, model: RoomModel, *, rate_hz: int = 48_000, state_path: Path | None = None, tally: bool = False
    ) -> None:
        self.room = Room(model, rate_hz=rate_hz, tally=tally)
        self.clock = VirtualClock()
        self._state_path = state_path
        self._ports: dict[str, MemoryPort] = {}
        self._closed = False
        if state_path is not None and state_path.exists():
            self.room.load(state_path)
        self._kept = self.room.knobs()

    def open_port(self, device: str) -> MemoryPort:
        """Open a MIDI or serial port by the name it has now: the device's, unless it came back under another.

        A port that was unplugged can be opened again as soon as it is back; the old one need not be closed for it.

        Raises
        ------
        PortNotFoundError
            The room has no such port, or it is unplugged.
        PortBusyError
            The port is open already.
        """
        there = {self.room.port_name(name): name for name in self._present()}
        if device not in there:
            listed = ", ".join(f"room:{name}" for name in there)
            raise PortNotFoundError(f"no port room:{device}; the room has {listed}", hint="Correct the rig file.")
        name = there[device]
        held = self._ports.get(name)
        if held is not None and not held.closed and held.alive:
            raise PortBusyError(f"room:{device} is open already", hint="Close it first.")
        self._ports[name] = MemoryPort(self.room, name, self.clock)
        return self._ports[name]

    def port_names(self) -> list[str]:
        """Every port that can be opened now, as a system lists its ports."""
        return [self.room.port_name(name) for name in self._present()]

    def _present(self) -> list[str]:
        for name in self.room.devices:
            port = self._ports.get(name)
            if port is None or port.closed or not port.alive:
                self.room.due(name, self.clock.monotonic())  # nobody listens: what it sent is lost
        return [name for name in self.room.devices if not self.room.vanished(name)]

    def open_stream(self, rate_hz: int, block_frames: int, outputs: int, inputs: int) -> RoomStream:
        """Open the audio stream: ``outputs`` D/A channels feed the desk's first strips, ``inputs`` are L and R.

        Raises
        ------
        SampleRateError
            The room was built for another rate.
        ChannelCountError
            More channels than the room has.
        """
        room = self.room
        if rate_hz != room.rate_hz:
            raise SampleRateError(f"the room runs at {room.rate_hz} Hz, not {rate_hz} Hz")
        if not (1 <= outputs <= room.inputs and 1 <= inputs <= room.outputs):
            raise ChannelCountError(
                f"the room has {room.inputs} outputs and {room.outputs} inputs, not {outputs} and {inputs}",
                hint="Correct [audio] in the rig file.",
            )
        return RoomStream(room, self.clock, block_frames=block_frames, outputs=outputs, inputs=inputs)

    def turn(self, address: str, value: Value) -> None:
        """Put a hand on a knob; what the device sends because of it arrives on its port, when that is open."""
        messages = self.room.turn(address, value)
        port = self._ports.get(address.partition("/")[0])
        if port is not None and not port.closed and port.alive:
            for message in messages:
                port.arrive(message, self.clock.monotonic())

    def close(self) -> None:
        """Close every port and keep the knobs that moved; harmless when called twice.

        Raises
        ------
        HardwareError
            The knobs cannot be written.
        """
        if self._closed:
            return
        self._closed = True
        for port in self._ports.values():
            port.close()
        if self._state_path is not None and self.room.knobs() != self._kept:
            self.room.save(self._state_path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
