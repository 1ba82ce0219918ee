"""Moves during a pass: the mix's lanes on the desk, sent in time with the song, and what hands move meanwhile."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller import recall
from controller.allocation import Allocation
from controller.events import Emit, Event, Finding
from controller.loops import Calibration
from controller.studio import Studio
from hardware.errors import HardwareError, RefusedError
from hardware.known import Known, utc_now
from hardware.lanes import SHARE, Schedule, TimedSetting, schedule_lanes
from hardware.seams import AudioStream, BytePort
from hardware.wire.messages import Change, Parser, Refusal
from profiles.profile import Profile, Value

TIMING = (
    "a setting has arrived when the song's sample reaches the desk: the pass's own frame, and of the loop's round trip "
    "the half on the way out"
)


@dataclass(frozen=True)
class PlannedMoves:
    """What the devices of a rig do during a song, by device."""

    schedules: Mapping[str, Schedule]

    @property
    def settings(self) -> int:
        """How many settings are sent in all during a pass."""
        return sum(len(schedule.settings) for schedule in self.schedules.values())

    def lines(self) -> tuple[str, ...]:
        """Write the plan as a person reads it: one line for each device and each lane."""
        lines: list[str] = []
        for device, schedule in self.schedules.items():
            size = sum(setting.size for setting in schedule.settings)
            lanes = len(schedule.figures)
            lines.append(
                f"{device} moves during the song: {lanes} lane{'' if lanes == 1 else 's'}, "
                f"{len(schedule.settings)} settings, {size} bytes, never more than {SHARE:.0%} of its wire."
            )
            for lane in schedule.figures:
                worst = "" if lane.worst is None else f", at most {recall.say(lane.worst, lane.unit).lstrip('+')} off"
                thinned = f", thinned from {lane.steps}" if lane.thinned else ""
                lines.append(f"  {lane.address}: {lane.sent} settings{thinned}{worst}, {lane.late_ms:.0f} ms late")
        return tuple(lines)

    def facts(self, desk_frames: float, rate_hz: int) -> dict[str, Any]:
        """Return what a print's provenance says of its moves; nothing where nothing moves."""
        lanes = [lane for schedule in self.schedules.values() for lane in schedule.figures]
        if not lanes:
            return {}
        errors = [lane.worst for lane in lanes if lane.worst is not None and lane.unit == "dB"]
        return {
            "moves": {
                "lanes": [
                    {
                        "address": lane.address,
                        "steps": lane.steps,
                        "settings": lane.sent,
                        "worst_error": lane.worst,
                        "unit": lane.unit,
                        "late_ms": round(lane.late_ms, 3),
                        "thinned": lane.thinned,
                    }
                    for lane in lanes
                ],
                "messages": self.settings,
                "worst_error_db": max(errors, default=None),
                "thinned": any(lane.thinned for lane in lanes),
                "song_to_desk_ms": round(1000.0 * desk_frames / rate_hz, 3),
                "timing": TIMING,
            }
        }


def plan_moves(profiles: Mapping[str, Profile], allocation: Allocation) -> PlannedMoves:
    """Schedule the lanes of ``allocation``, each device's for its own wire."""
    devices = dict.fromkeys(lane.address.partition("/")[0] for lane in allocation.lanes)
    return PlannedMoves(
        {
            device: schedule_lanes(
                [lane for lane in allocation.lanes if lane.address.startswith(f"{device}/")], profiles[device]
            )
            for device in devices
        }
    )


def return_way_frames(calibration: Calibration, allocation: Allocation) -> float:
    """Return how many frames a sample takes from the desk's input back to the box, near enough.

    The loop's round trip is measured, its two halves are not: D/A and A/D of one interface take about the same time,
    so half of it is the way back.
    """
    facts = calibration.by_output()
    latencies = [facts[route.output].latency_samples for route in allocation.routes if route.output in facts]
    return statistics.median(latencies) / 2.0 if latencies else 0.0


@dataclass(frozen=True)
class Heard:
    """A control that moved by itself during a pass: when, in seconds of the song as the desk hears it, and to where."""

    at_s: float
    address: str
    value: Value


@dataclass
class _Line:
    """One device's port with what it said."""

    port: BytePort
    parser: Parser
    settings: tuple[TimedSetting, ...] = ()
    next: int = 0
    lanes: frozenset[str] = field(default_factory=frozenset)


class Riding:
    """Sends the planned settings of a pass at their frames, and listens to what hands move.

    ``desk_frames`` is how many frames after its frame of the song a sample reaches the desk. ``still`` are the mix's
    standing values, to which every moved control returns in :meth:`end`. ``listening`` takes down what moves on every
    device that is heard, in ``heard``; what the mix moves itself is left out. ``in_pass`` is None where nothing is to
    be done during a pass.
    """

    def __init__(
        self,
        studio: Studio,
        planned: PlannedMoves,
        still: Mapping[str, Value],
        stream: AudioStream,
        *,
        desk_frames: float,
        emit: Emit,
        listening: bool = False,
    ) -> None:
        self._studio = studio
        self._planned = planned
        self._still = still
        self._rate_hz = stream.rate_hz
        self._ahead = stream.block_frames / 2.0
        self._desk_frames = desk_frames
        self._emit = emit
        self._listening = listening
        self._lines: dict[str, _Line] = {}
        self._began = False
        self.heard: list[Heard] = []

    @property
    def in_pass(self) -> Riding | None:
        """Itself where a pass has anything to send or to listen for, otherwise None."""
        return self if self._planned.schedules or self._listening else None

    @property
    def _addresses(self) -> list[str]:
        return [lane.address for schedule in self._planned.schedules.values() for lane in schedule.figures]

    def begin(self, start: int) -> Callable[[int], None]:
        """Bring every lane to where it stands at frame ``start`` of the pass; return what a run calls each block.

        Until :meth:`end` the known state on disk says nothing of the controls that move: a power cut in mid-song
        leaves them unknown and not wrong.

        Raises
        ------
        HardwareError
            A device does not take its settings.
        """
        song_s = self._song_s(start)
        self._began = True
        target = {
            address: value
            for schedule in self._planned.schedules.values()
            for address, value in schedule.standing(song_s).items()
        }
        recall.land_plan(self._studio, recall.plan_target(self._studio, target), emit=self._findings)
        self._forget_on_disk()
        self._lines = self._open_lines(song_s)
        for line in self._lines.values():
            line.port.receive(0.0)
        self.heard = [move for move in self.heard if move.at_s < song_s]

        def on_block(frame: int) -> None:
            self._at(start + frame)

        return on_block

    def _song_s(self, frame: float) -> float:
        return (frame - self._desk_frames) / self._rate_hz

    def _findings(self, event: Event) -> None:
        if isinstance(event, Finding):
            self._emit(event)

    def _forget_on_disk(self) -> None:
        state = self._studio.state
        moving = {address: state.pop(address) for address in self._addresses if address in state}
        self._studio.remember({})
        state.update(moving)

    def _open_lines(self, song_s: float) -> dict[str, _Line]:
        lines = {}
        for device, port in self._studio.ports().items():
            schedule = self._planned.schedules.get(device, Schedule())
            if not schedule.figures and not self._listening:
                continue
            parser = Parser(self._studio.profiles[device])
            begun = sum(setting.at_s <= song_s for setting in schedule.settings)
            lanes = frozenset(lane.address for lane in schedule.figures)
            lines[device] = _Line(port, parser, schedule.settings, begun, lanes)
        return lines

    def _at(self, frame: int) -> None:
        """Send what is due nearest to this block's beginning, and take in what the devices said."""
        until_s = self._song_s(frame + self._ahead)
        for device, line in self._lines.items():
            self._listen(device, line, self._song_s(frame))
            while line.next < len(line.settings) and line.settings[line.next].at_s <= until_s:
                self._send(line, line.settings[line.next])
                line.next += 1

    def _send(self, line: _Line, setting: TimedSetting) -> None:
        # Half-sent or not, it is unknown until all of it is out.
        self._studio.state.pop(setting.address, None)
        for message in setting.messages:
            line.port.send(message)
        self._studio.state[setting.address] = Known(setting.value, "sent", utc_now())

    def _listen(self, device: str, line: _Line, song_s: float) -> None:
        for token in line.port.receive(0.0):
            for item in line.parser.feed(token.data):
                if isinstance(item, Refusal):
                    self._refused(device, line, item, song_s)
                elif isinstance(item, Change):
                    address = f"{device}/{item.control}"
                    self._studio.state[address] = Known(item.value, "read-back", utc_now())
                    if self._listening and address not in line.lanes:
                        self.heard.append(Heard(song_s, address, item.value))

    def _refused(self, device: str, line: _Line, refusal: Refusal, song_s: float) -> None:
        if not line.lanes:
            return
        where = f"{device}/{refusal.control}" if refusal.control else device
        for address in [where] if refusal.control else line.lanes:
            self._studio.state.pop(address, None)
        raise RefusedError(
            f"{where} refused a move at {song_s:.1f} s ({refusal.text or refusal.code}); the pass was stopped.",
            hint="Put the device right, or take the move out of the mix.",
        )

    def end(self) -> None:
        """Bring every moved control back to the mix's standing value, and put on disk what is known of it.

        Raises nothing for what a device does: it is told as a finding, and the control's state is unknown then.
        """
        if not self._began:
            return
        self._began = False
        self._studio.remember({})
        target = {address: self._still[address] for address in self._addresses if address in self._still}
        try:
            recall.send_plan(self._studio, recall.plan_target(self._studio, target), emit=self._findings)
        except HardwareError as error:
            self._emit(Finding("moves", str(error), error.hint, "problem"))
