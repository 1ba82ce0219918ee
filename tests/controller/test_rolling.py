"""A machine and MIDI time code run with a pass: at its start, again at a repair's, and no further than asked."""

from __future__ import annotations

from typing import Any

import pytest
from short_line import Line

from controller.errors import UsageError
from controller.events import Finding
from controller.rolling import Along, Roll, plan_rolling
from controller.studio import Studio
from hardware.errors import ReplyTimeoutError
from hardware.seams import VirtualClock
from hardware.timecode import RATES, Timecode

RATE_HZ = 48_000
HOUR = Timecode(1, 0, 0, 0, RATES["25"])


class Stream:
    rate_hz = RATE_HZ
    block_frames = 480


class Port:
    name = "listener"

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)


class Machine:
    """Notes what it is told, and when."""

    def __init__(self, clock: VirtualClock, *, stops: bool = True) -> None:
        self.clock, self.stops, self.told = clock, stops, []

    def locate(self, place: Timecode) -> bool:
        self.told.append((self.clock.monotonic(), str(place)))
        return True

    def tell(self, name: str) -> None:
        if name == "stop" and not self.stops:
            raise ReplyTimeoutError("deck did not send the answer to 'stop' within 1 s.")
        self.told.append((self.clock.monotonic(), name))


def along(*, machine: Any = None, mtc: Any = None, clock: Any = None, **roll: Any) -> Along:
    settings = {"start": HOUR, "machine": "deck", **roll}
    return Along(None, roll=Roll(**settings), machine=machine, mtc=mtc, stream=Stream(), clock=clock or VirtualClock())


def test_time_code_starts_with_the_whole_address_and_goes_on_in_quarter_frames() -> None:
    port = Port()
    on_block = along(mtc=port).begin(0)
    for frame in range(0, RATE_HZ, 480):
        on_block(frame)
    # F0 7F 7F 01 01 hr mn sc fr F7 with rate 1 (25); then 100 quarter frames a second, 10 ms apart, nearest block.
    assert port.sent[0].hex() == "f07f7f010121000000f7"
    assert len(port.sent) == 1 + 100
    assert [message[0] for message in port.sent[1:]] == [0xF1] * 100
    assert [message[1] for message in port.sent[1:9]] == [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x61, 0x72]


def test_a_repair_sends_time_code_from_its_own_place() -> None:
    port = Port()
    along(mtc=port).begin(90 * RATE_HZ)
    assert port.sent == [bytes.fromhex("f07f7f0101210" + "11e00f7")]


def test_a_machine_is_cued_before_the_start_played_and_given_its_pre_roll() -> None:
    clock = VirtualClock()
    machine = Machine(clock)
    rolling = along(machine=machine, clock=clock)
    rolling.begin(0)
    assert machine.told == [(0.0, "00:59:55:00"), (0.0, "play")]
    assert clock.monotonic() == pytest.approx(5.0)
    rolling.begin(10 * RATE_HZ)
    assert [what for _, what in machine.told[2:]] == ["stop", "01:00:05:00", "play"]
    rolling.end(lambda event: None)
    assert machine.told[-1][1] == "stop"


def test_an_armed_machine_records_from_the_first_frame_of_the_song() -> None:
    clock = VirtualClock()
    machine = Machine(clock)
    along(machine=machine, clock=clock, armed=True).begin(0)
    assert machine.told[-1] == (pytest.approx(5.0), "record")


def test_a_machine_that_does_not_stop_is_told_of_and_stops_nothing_else() -> None:
    clock = VirtualClock()
    rolling = along(machine=Machine(clock, stops=False), clock=clock)
    said: list[Any] = []
    rolling.begin(0)
    rolling.end(said.append)
    assert isinstance(said[0], Finding)
    assert "stop it by hand" in said[0].hint


def test_what_is_no_transport_is_refused_before_anything_moves(line: Line) -> None:
    with Studio.open(line.rig) as studio:
        with pytest.raises(UsageError, match="desk is no transport: room-desk-24 is a console"):
            plan_rolling(studio, Roll(start=HOUR, machine="desk"))
        with pytest.raises(UsageError, match="no device 'deck'"):
            plan_rolling(studio, Roll(start=HOUR, machine="deck"))
        with pytest.raises(UsageError, match="matrix has no MIDI port"):
            plan_rolling(studio, Roll(start=HOUR, mtc="matrix"))
