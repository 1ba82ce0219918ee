"""A rig with its doors open: profiles loaded, what is known of it, and its ports when they are needed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from controller import files, places
from hardware.errors import (
    BadReplyError,
    ChannelCountError,
    DisconnectedError,
    HardwareError,
    PortNotFoundError,
    RefusedError,
    ReplyTimeoutError,
    TransportError,
)
from hardware.identities import Identities, Identity, OtherUnitError
from hardware.known import Known, RigState
from hardware.ports.shared import SharedPort
from hardware.rig import Rig, load_rig
from hardware.rig_check import rig_profiles
from hardware.seams import AudioStream, BytePort, Clock, SystemClock
from profiles.profile import Control, Profile, Serial

if TYPE_CHECKING:
    from hardware.live.messages import LiveGraph
    from hardware.live.seam import LiveStream
    from hardware.room.inprocess import InProcessRoom
    from hardware.room.model import RoomModel

LIVE_RING_S = 2.0
"""How much of a song the ring of a live stream holds [s]."""

_FAILURES: Mapping[str, type[TransportError]] = {
    "silent": ReplyTimeoutError,
    "refused": RefusedError,
    "garbled": BadReplyError,
    "port": DisconnectedError,
}


@dataclass
class Studio:
    """One rig, opened for work.

    ``profiles`` maps device names to profiles; ``state`` is what is known of every control. Ports open on
    first use and stay open until :meth:`close`; one that several devices stand on opens once. A device whose port
    cannot be opened is kept in ``unreachable`` with the reason, and the rest of the rig goes on without it.
    """

    rig: Rig
    profiles: Mapping[str, Profile]
    state: RigState
    home: places.RigHome
    unreachable: dict[str, HardwareError] = field(default_factory=dict)
    _ports: dict[str, BytePort] = field(default_factory=dict)
    _wires: dict[str, SharedPort] = field(default_factory=dict)
    _model: RoomModel | None = None
    """The virtual room's, where the rig stands in one."""
    _entered: InProcessRoom | None = None

    @classmethod
    def open(cls, ref: str | Path, *, model: Path | None = None) -> Studio:
        """Load the rig ``ref`` (a name or a file), its profiles and its known state. Opens no port.

        Raises
        ------
        RigError, ProfileError
            The rig or one of its profiles cannot be read.
        """
        folders = [places.rigs_folder()]
        rig = load_rig(ref, folders=folders)
        profiles = rig_profiles(rig, profile_folders=[places.profiles_folder()])
        home = places.rig_home(rig.name)
        studio = cls(rig=rig, profiles=profiles, state=RigState.load(home.state, rig=rig.name), home=home)
        if rig.audio.port == "room" or any(d.transport == "room" for d in rig.devices.values()):
            from hardware.room.model import load_model

            studio._model = load_model(model or rig.room_model)
        return studio

    @property
    def stands_in_room(self) -> bool:
        """Whether the rig stands in the in-process virtual room; asking does not enter it."""
        return self._model is not None

    @property
    def room(self) -> InProcessRoom | None:
        """The in-process virtual room, where the rig stands in one; entered when it is first asked for."""
        if self._entered is None and self._model is not None:
            from hardware.room.inprocess import InProcessRoom

            rate_hz = self.rig.audio.rate_hz
            self._entered = InProcessRoom(self._model, rate_hz=rate_hz, state_path=self.home.room_state)
        return self._entered

    @property
    def clock(self) -> Clock:
        """The clock that paces this rig: virtual in the in-process room, the machine's otherwise."""
        return self.room.clock if self.room is not None else SystemClock()

    def control(self, address: str) -> Control:
        """Return the control at ``device/section/name``."""
        device, _, name = address.partition("/")
        return self.profiles[device].controls[name]

    def ports(self) -> dict[str, BytePort]:
        """Open the port of every device that has one; those that fail go to ``unreachable``."""
        for name in self.rig.devices:
            if name in self._ports or name in self.unreachable:
                continue
            try:
                port = self._open_port(name)
            except HardwareError as error:
                self.unreachable[name] = error
                continue
            if port is not None:
                self._ports[name] = port
        return dict(self._ports)

    def _open_port(self, name: str) -> BytePort | None:
        """Open a device's port, or its end of one that other devices stand on too; None where there is no port."""
        device = self.rig.devices[name]
        if device.transport in ("", "hand"):
            return None
        together = self._together(name)
        if len(together) == 1:
            return self._open_wire(together)
        wire = self._wires.get(device.port)
        if wire is None or not wire.devices:
            wire = self._wires[device.port] = SharedPort(lambda: self._open_wire(together))
        return wire.tap(name)

    def _together(self, name: str) -> list[str]:
        """Name the devices on the port of ``name``, itself among them, in the rig's order."""
        return [other.name for other in self.rig.devices.values() if other.port == self.rig.devices[name].port]

    def _open_wire(self, names: Sequence[str]) -> BytePort:
        """Open the port that the devices ``names`` stand on, at the pace of the slowest."""
        device, profile = self.rig.devices[names[0]], self.profiles[names[0]]
        where = device.place
        if device.transport == "room":
            room = self.room
            assert room is not None  # noqa: S101 - open() finds a model whenever a port names the room
            return room.open_port(_known_again(where, room.port_names()))
        if device.transport == "midi":
            from hardware.ports.midi import open_midi

            pace = min(self.profiles[name].pacing.bytes_per_s for name in names)
            return open_midi(where, receive_name=device.receive or None, bytes_per_s=pace, clock=self.clock)
        from hardware.ports.serial import open_serial

        path = str(served_line(where[1:])) if where.startswith("@") else where
        line = profile.serial or Serial()
        return open_serial(
            path,
            baud=line.baud,
            bytesize=line.bits,
            parity=line.parity,
            stopbits=line.stop,
            terminator=line.terminator.encode("ascii") if profile.framing == "lines" else b"",
            clock=self.clock,
        )

    def reopen(self, name: str) -> BytePort:
        """Close the port of the device ``name``, find it again by its name, and see that the same unit is on it.

        Ports of devices on the same wire come back with it. What was returned earlier for a port of its own stays
        closed: use what this returns. A device that fails here is in ``unreachable``.

        Raises
        ------
        PortNotFoundError, PortBusyError, TransportError
            The port does not open, or the device has none.
        OtherUnitError
            Another unit answers on it than the one known there.
        DisconnectedError, ReplyTimeoutError, RefusedError, BadReplyError
            The device can be asked who it is, and did not say.
        """
        old = self._ports.pop(name, None)
        wire = self._wires.get(self.rig.devices[name].port)
        port: BytePort | None = None
        try:
            if wire is not None and wire.devices:
                wire.reopen()
                port = old or wire.tap(name)
            else:
                if old is not None:
                    old.close()
                port = self._open_port(name)
            if port is None:
                raise PortNotFoundError(f"{name} has no port to open again.", hint="Give it one in the rig file.")
            self._check_unit(name, port)
        except HardwareError as error:
            for left in (old, port):
                if left is not None:
                    left.close()
            self.unreachable[name] = error
            raise
        self._ports[name] = port
        self.unreachable.pop(name, None)
        for other in self._together(name):
            if not isinstance(self.unreachable.get(other), OtherUnitError):
                self.unreachable.pop(other, None)
        return port

    def distrust(self, names: Iterable[str]) -> None:
        """Close the MIDI ports of devices that were silent; the next :meth:`ports` opens them anew.

        A port that was away while nobody looked is there again under its name, but no longer connected to the one that
        is open, and all it shows is silence. Serial ports stay open: they say so, and opening one restarts some boards.
        """
        midi = [name for name in names if self.rig.devices[name].transport == "midi"]
        for name in {other for first in midi for other in self._together(first)}:
            port = self._ports.pop(name, None)
            if port is not None:
                port.close()

    def _check_unit(self, name: str, port: BytePort) -> None:
        from hardware.device_health import ask_health

        if self.profiles[name].identity is None:
            return
        health = ask_health({name: self.profiles[name]}, {name: port}, self.clock, only_identity=True)[name]
        if health.identity is None:
            trouble = health.troubles[-1]
            raise _FAILURES[trouble.kind](f"{name} {trouble.what}", hint=trouble.hint)
        for error in self.meet({name: health.identity}).values():
            raise error

    def meet(self, answers: Mapping[str, Identity]) -> dict[str, OtherUnitError]:
        """Compare who answered with who is known there, and keep first answers on disk; return the strangers.

        Raises
        ------
        RigError, StorageError
            The file of identities is damaged, or cannot be written.
        """
        known = Identities.load(self._identities_file, rig=self.rig.name)
        strangers: dict[str, OtherUnitError] = {}
        new = False
        for name, answer in answers.items():
            try:
                new |= known.meet(name, answer)
            except OtherUnitError as error:
                strangers[name] = error
        if new:
            known.save(self._identities_file, files.replace_text)
        return strangers

    def forget(self, name: str) -> None:
        """Take whatever unit answers next on the port of ``name`` as that device.

        Raises
        ------
        RigError, StorageError
            The file of identities is damaged, or cannot be written.
        """
        known = Identities.load(self._identities_file, rig=self.rig.name)
        if known.pop(name, None) is not None:
            known.save(self._identities_file, files.replace_text)

    def known_identities(self) -> Identities:
        """Read who answered on each port at first contact.

        Raises
        ------
        RigError
            The file is damaged or of a newer version.
        """
        return Identities.load(self._identities_file, rig=self.rig.name)

    @property
    def _identities_file(self) -> Path:
        return self.home.folder / "identities.json"

    @contextmanager
    def stream(self) -> Iterator[AudioStream]:
        """Open the rig's duplex stream for the length of a ``with`` block."""
        audio = self.rig.audio
        if audio.port == "room" and self.room is not None:
            stream: AudioStream = self.room.open_stream(
                rate_hz=audio.rate_hz, block_frames=audio.block_frames, outputs=audio.outputs, inputs=audio.inputs
            )
        else:
            from hardware.ports.audio import open_audio

            stream = open_audio(
                audio.port,
                host_api=audio.host_api,
                rate_hz=audio.rate_hz,
                block_frames=audio.block_frames,
                outputs=audio.outputs,
                inputs=audio.inputs,
            )
        try:
            yield stream
        finally:
            stream.close()

    def monitor_pair(self) -> tuple[int, int]:
        """Return the numbers, from 1, of the two outputs on which a mix is listened to.

        Raises
        ------
        ChannelCountError
            The rig has no such outputs.
        """
        audio = self.rig.audio
        left, right = audio.monitor
        if not (min(left, right) >= 1 and max(left, right) <= audio.outputs):
            raise ChannelCountError(
                f"The rig {self.rig.title} has {audio.outputs} outputs; a mix is to be heard on {left} and {right}.",
                hint="Set monitor under [audio] in the rig file, and outputs to what the interface has.",
            )
        return left, right

    def live(self, graph: LiveGraph, *, block_frames: int | None = None, clock: Clock | None = None) -> LiveStream:
        """Open a stream that plays ``graph`` to the monitor's outputs, in silence at first.

        In the room inside the program it is paced by ``clock``, left out by the room's own, which waits for nobody.

        Raises
        ------
        AudioError, DspError
            The device does not open, or the graph cannot be built.
        """
        audio = self.rig.audio
        left, right = self.monitor_pair()
        frames = block_frames or audio.block_frames
        if audio.port == "room" and self.room is not None:
            from hardware.live.inprocess import InProcessLive

            return InProcessLive(
                graph,
                clock=clock or self.room.clock,
                rate_hz=audio.rate_hz,
                block_frames=frames,
                outputs=(left - 1, right - 1),
                channels_out=audio.outputs,
                ring_s=LIVE_RING_S,
            )
        from hardware.ports.live import LiveProcess

        return LiveProcess(
            audio.port,
            graph,
            host_api=audio.host_api,
            rate_hz=audio.rate_hz,
            block_frames=frames,
            outputs=(left - 1, right - 1),
            channels_out=audio.outputs,
            ring_s=LIVE_RING_S,
        )

    def remember(self, known: Mapping[str, Known]) -> None:
        """Add what was learnt to the known state and put it on disk."""
        self.state.update(known)
        self.state.save(self.home.state, files.replace_text)

    def close(self) -> None:
        """Close every port; the virtual room puts its knobs on disk."""
        for port in self._ports.values():
            port.close()
        self._ports.clear()
        if self._entered is not None:
            self._entered.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def served_line(name: str) -> Path:
    """Find the line that a served room announces under ``name``, also when it is back as ``name-2``."""
    folder = places.run_folder()
    there = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return folder / _known_again(name, there)


def _known_again(name: str, there: Sequence[str]) -> str:
    """Find the port that ``name`` means now: one that is plugged in again may be back as ``desk-2``."""
    back = [other for other in there if re.fullmatch(rf"{re.escape(name)}-\d+", other)]
    return back[0] if name not in there and len(back) == 1 else name
