"""A rig with its doors open: profiles loaded, what is known of it, and its ports when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from controller import files, places
from hardware.errors import HardwareError
from hardware.known import Known, RigState
from hardware.rig import Rig, load_rig
from hardware.rig_check import rig_profiles
from hardware.seams import AudioStream, BytePort, Clock, SystemClock
from profiles.profile import Control, Profile, Serial

if TYPE_CHECKING:
    from hardware.room.inprocess import InProcessRoom


@dataclass
class Studio:
    """One rig, opened for work.

    ``profiles`` maps device names to profiles; ``state`` is what is known of every control. Ports open on
    first use and stay open until :meth:`close`. A device whose port cannot be opened is kept in
    ``unreachable`` with the reason, and the rest of the rig goes on without it.
    """

    rig: Rig
    profiles: Mapping[str, Profile]
    state: RigState
    home: places.RigHome
    unreachable: dict[str, HardwareError] = field(default_factory=dict)
    _ports: dict[str, BytePort] = field(default_factory=dict)
    _room: InProcessRoom | None = None

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
            studio._enter_room(model)
        return studio

    def _enter_room(self, model: Path | None) -> None:
        from hardware.room.inprocess import InProcessRoom
        from hardware.room.model import load_model

        chosen = model or self.rig.room_model
        self._room = InProcessRoom(load_model(chosen), rate_hz=self.rig.audio.rate_hz, state_path=self.home.room_state)

    @property
    def room(self) -> InProcessRoom | None:
        """The in-process virtual room, where the rig stands in one."""
        return self._room

    @property
    def clock(self) -> Clock:
        """The clock that paces this rig: virtual in the in-process room, the machine's otherwise."""
        return self._room.clock if self._room is not None else SystemClock()

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
        device = self.rig.devices[name]
        kind, where, profile = device.transport, device.place, self.profiles[name]
        if kind == "room":
            assert self._room is not None  # noqa: S101 - open() enters the room whenever a port names it
            return self._room.open_port(where)
        if kind == "midi":
            from hardware.ports.midi import open_midi

            return open_midi(where, bytes_per_s=profile.pacing.bytes_per_s, clock=self.clock)
        if kind == "serial":
            from hardware.ports.serial import open_serial

            path = str(places.run_folder() / where[1:]) if where.startswith("@") else where
            line = profile.serial or Serial()
            return open_serial(
                path,
                baud=line.baud,
                bytesize=line.bits,
                parity=line.parity,
                stopbits=line.stop,
                terminator=line.terminator.encode("ascii"),
                clock=self.clock,
            )
        return None

    @contextmanager
    def stream(self) -> Iterator[AudioStream]:
        """Open the rig's duplex stream for the length of a ``with`` block."""
        audio = self.rig.audio
        if audio.port == "room" and self._room is not None:
            stream: AudioStream = self._room.open_stream(
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

    def remember(self, known: Mapping[str, Known]) -> None:
        """Add what was learnt to the known state and put it on disk."""
        self.state.update(known)
        self.state.save(self.home.state, files.replace_text)

    def close(self) -> None:
        """Close every port; the virtual room puts its knobs on disk."""
        for port in self._ports.values():
            port.close()
        self._ports.clear()
        if self._room is not None:
            self._room.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
