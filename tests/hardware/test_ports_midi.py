"""MIDI ports over an rtmidi that needs no MIDI system: names, pace, SysEx, stamps, loss."""

from __future__ import annotations

from collections import deque

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import DisconnectedError, PortNotFoundError, TransportError
from hardware.ports import midi
from hardware.ports.midi import MidiPortName, list_midi_ports, open_midi, open_midi_input, open_virtual_midi
from hardware.ports.sysex import SysexAssembler
from hardware.seams import VirtualClock

CC = bytes([0xB0, 7, 100])


class FakeRtmidi:
    """One MIDI system; what is sent is kept with the time it left."""

    API_LINUX_ALSA, API_UNIX_JACK, API_MACOSX_CORE, API_WINDOWS_MM = 2, 3, 1, 4

    def __init__(self, clock: VirtualClock, outs: list[str], ins: list[str], working: tuple[int, ...] = (3,)) -> None:
        self.clock, self.outs, self.ins, self.working = clock, outs, ins, working
        self.sent: list[tuple[float, bytes]] = []
        self.arriving: deque[tuple[list[int], float]] = deque()
        self.opened: list[str] = []
        self.ignoring: dict[str, bool] = {}
        self.alive = 0

    def get_compiled_api(self) -> list[int]:
        return [2, 3]

    def get_api_display_name(self, api: int) -> str:
        return {1: "CoreMIDI", 2: "ALSA", 3: "JACK", 4: "Windows MM"}[api]

    def MidiIn(self, rtapi: int, name: str, queue_size_limit: int) -> FakeClient:
        return FakeClient(self, rtapi, self.ins)

    def MidiOut(self, rtapi: int, name: str) -> FakeClient:
        return FakeClient(self, rtapi, self.outs)


class FakeClient:
    def __init__(self, system: FakeRtmidi, api: int, names: list[str]) -> None:
        if api not in system.working:
            raise OSError("server not running?")
        self.system, self.names, self.api = system, names, api
        system.alive += 1

    def get_current_api(self) -> int:
        return self.api

    def get_ports(self) -> list[str]:
        return list(self.names)

    def open_port(self, index: int, label: str) -> None:
        self.system.opened.append(self.names[index])

    def open_virtual_port(self, name: str) -> None:
        self.system.opened.append(name)

    def ignore_types(self, **which: bool) -> None:
        self.system.ignoring = which

    def send_message(self, data: bytes) -> None:
        self.system.sent.append((self.system.clock.monotonic(), bytes(data)))

    def get_message(self) -> tuple[list[int], float] | None:
        return self.system.arriving.popleft() if self.system.arriving else None

    def delete(self) -> None:
        self.system.alive -= 1


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def system(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> FakeRtmidi:
    fake = FakeRtmidi(clock, ["Room desk:in", "Room desk 2:in", "Comp:in"], ["Room desk reply:out", "Other:out"])
    monkeypatch.setattr(midi, "_rtmidi", lambda: fake)
    monkeypatch.delenv(midi.API_VARIABLE, raising=False)
    return fake


def test_every_port_is_listed_and_the_clients_are_let_go(system: FakeRtmidi) -> None:
    assert list_midi_ports()[0] == MidiPortName("Room desk:in", "out")
    assert list_midi_ports()[-1] == MidiPortName("Other:out", "in")
    assert system.alive == 0


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        ("Room desk:in", ["Room desk:in"]),
        ("Room desk", ["Room desk:in", "Room desk reply:out"]),
        ("desk 2", ["Room desk 2:in"]),
        ("comp", ["Comp:in"]),
    ],
)
def test_exact_beats_partial(system: FakeRtmidi, clock: VirtualClock, name: str, opened: list[str]) -> None:
    port = open_midi(name, clock=clock)
    assert system.opened == opened
    port.close()
    port.close()
    assert system.alive == 0


def test_an_ambiguous_name_lists_the_candidates(system: FakeRtmidi) -> None:
    with pytest.raises(PortNotFoundError, match='more than one MIDI output: "Room desk:in", "Room desk 2:in"'):
        open_midi("room")
    assert system.alive == 0


def test_a_missing_port_lists_those_that_exist(system: FakeRtmidi) -> None:
    with pytest.raises(PortNotFoundError, match=r'No MIDI output "SSL". There are: "Room desk:in".*"Comp:in"'):
        open_midi("SSL")
    with pytest.raises(PortNotFoundError, match=r'No MIDI input "SSL". There are: "Room desk reply:out"'):
        open_midi("Comp", receive_name="SSL")
    assert system.alive == 0


def test_a_port_that_came_back_under_another_index_and_alsa_number_is_found_by_its_name(
    system: FakeRtmidi, clock: VirtualClock
) -> None:
    system.outs[:] = ["Midi Through:Midi Through Port-0 14:0", "UM-ONE:UM-ONE MIDI 1 20:0"]
    system.ins[:] = ["UM-ONE:UM-ONE MIDI 1 20:0"]
    port = open_midi("UM-ONE:UM-ONE MIDI 1 20:0", clock=clock)
    system.outs[:] = ["Desk:Desk MIDI 1 20:0", "Midi Through:Midi Through Port-0 14:0"]
    clock.sleep(1.0)
    with pytest.raises(DisconnectedError):
        port.send(CC)
    port.close()
    system.outs.append("UM-ONE:UM-ONE MIDI 1 28:0")
    system.ins[:] = ["Desk:Desk MIDI 1 20:0", "UM-ONE:UM-ONE MIDI 1 28:0"]
    system.opened.clear()
    open_midi("UM-ONE:UM-ONE MIDI 1 20:0", clock=clock).send(CC)
    assert system.opened == ["UM-ONE:UM-ONE MIDI 1 28:0"] * 2


def test_on_windows_the_count_behind_a_name_is_no_part_of_it(system: FakeRtmidi) -> None:
    system.working = (system.API_WINDOWS_MM,)
    system.get_compiled_api = lambda: [system.API_WINDOWS_MM]
    system.outs[:] = ["Microsoft GS Wavetable Synth 0", "UM-ONE 1"]
    system.ins[:] = ["UM-ONE 0"]
    open_midi("UM-ONE 2")
    assert system.opened == ["UM-ONE 1", "UM-ONE 0"]


def test_sysex_is_let_through(system: FakeRtmidi) -> None:
    open_midi("Room desk").close()
    assert system.ignoring["sysex"] is False


def test_messages_leave_no_faster_than_a_din_cable_carries_them(system: FakeRtmidi, clock: VirtualClock) -> None:
    port = open_midi("Comp", clock=clock)
    sysex = bytes([0xF0, *[1] * 300, 0xF7])
    for message in (CC, sysex, CC, CC):
        port.send(message)
    # 31 250 baud with a start and a stop bit: 320 us a byte.
    assert [at for at, _ in system.sent] == pytest.approx([0.0, 3 * 320e-6, 305 * 320e-6, 308 * 320e-6])
    assert [data for _, data in system.sent] == [CC, sysex, CC, CC]


def test_a_wire_that_has_rested_carries_at_once(system: FakeRtmidi, clock: VirtualClock) -> None:
    port = open_midi("Comp", clock=clock)
    port.send(CC)
    clock.sleep(1.0)
    port.send(CC)
    assert system.sent[1][0] == 1.0


@pytest.mark.parametrize("data", [b"", bytes([7, 100]), CC + CC, CC[:2], bytes([0xF0, 1, 2]), bytes([0xB0, 7, 200])])
def test_what_is_not_one_whole_message_is_refused(system: FakeRtmidi, data: bytes) -> None:
    port = open_midi("Comp")
    with pytest.raises(TransportError, match="Not one whole MIDI message"):
        port.send(data)
    assert not system.sent


def test_a_port_that_vanished_is_not_sent_to(system: FakeRtmidi, clock: VirtualClock) -> None:
    port = open_midi("Comp", clock=clock)
    system.outs.remove("Comp:in")
    clock.sleep(1.0)
    with pytest.raises(DisconnectedError, match='"Comp" vanished'):
        port.send(CC)
    assert not system.sent


def test_a_reply_side_that_vanished_ends_the_wait(system: FakeRtmidi, clock: VirtualClock) -> None:
    port = open_midi("Room desk", clock=clock)
    system.ins.clear()
    with pytest.raises(DisconnectedError):
        port.receive(10.0)


def test_a_keyboard_without_an_input_of_its_own_is_listened_to(system: FakeRtmidi, clock: VirtualClock) -> None:
    port = open_midi_input("other", clock=clock)
    assert system.opened == ["Other:out"]
    assert system.ignoring["sysex"] is False
    system.arriving.append(([0x90, 60, 100], 0.0))
    assert [token.data for token in port.receive(1.0)] == [bytes([0x90, 60, 100])]
    for send in (port.send, port.send_raw):
        with pytest.raises(TransportError, match='"other" was opened to listen'):
            send(CC)
    assert not system.sent
    port.close()
    port.close()
    assert system.alive == 0
    with pytest.raises(DisconnectedError, match="closed"):
        port.receive(0.0)


def test_a_keyboard_that_is_unplugged_is_a_vanished_port(system: FakeRtmidi, clock: VirtualClock) -> None:
    port = open_midi_input("Other", clock=clock)
    system.ins.remove("Other:out")
    with pytest.raises(DisconnectedError, match='"Other" vanished'):
        port.receive(10.0)


def test_an_input_that_is_missing_lists_the_inputs(system: FakeRtmidi) -> None:
    with pytest.raises(PortNotFoundError, match=r'No MIDI input "Comp". There are: "Room desk reply:out", "Other:out"'):
        open_midi_input("Comp")
    assert system.alive == 0


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (bytes([6, 0x20]), [bytes([6, 0x20])]),  # running status
        (bytes([0xB0, 0xF8, 7, 0xF8, 100]), [bytes([0xB0, 0xF8, 7]), bytes([0xF8, 100])]),  # real-time bytes inside
        (bytes([0xF0, 0x7D, 1, 2, 3]), [bytes([0xF0, 0x7D, 1, 2, 3])]),  # a SysEx that does not end
        (b"", []),
    ],
)
def test_bytes_that_are_no_message_leave_as_they_are(
    system: FakeRtmidi, clock: VirtualClock, data: bytes, pieces: list[bytes]
) -> None:
    port = open_virtual_midi("Desk", clock=clock)
    port.send_raw(data)
    assert system.sent == [(0.0, piece) for piece in pieces]
    port.close()
    with pytest.raises(DisconnectedError, match="closed"):
        port.send_raw(CC)


def test_a_closed_port_says_so(system: FakeRtmidi) -> None:
    port = open_midi("Comp")
    port.close()
    with pytest.raises(DisconnectedError, match="closed"):
        port.send(CC)
    with pytest.raises(DisconnectedError, match="closed"):
        port.receive(0.0)


def test_receive_waits_as_long_as_told_and_no_longer(system: FakeRtmidi, clock: VirtualClock) -> None:
    port = open_midi("Room desk", clock=clock)
    assert port.receive(0.2) == []
    assert clock.monotonic() == pytest.approx(0.2, abs=0.0011)


def test_messages_read_late_keep_their_distance_in_time(system: FakeRtmidi, clock: VirtualClock) -> None:
    port = open_midi("Room desk", clock=clock)
    clock.sleep(5.0)
    system.arriving += [(list(CC), 0.0)]
    first = port.receive(0.0)
    clock.sleep(2.0)
    system.arriving += [(list(CC), 0.5), ([0xF0, 1, 2], 0.25), ([3, 0xF7], 0.25)]
    later = port.receive(0.0)
    assert [token.at_s for token in first + later] == pytest.approx([5.0, 5.5, 6.0])
    assert [token.data for token in later] == [CC, bytes([0xF0, 1, 2, 3, 0xF7])]


def test_no_midi_system_says_what_was_tried(system: FakeRtmidi) -> None:
    system.working = ()
    with pytest.raises(TransportError, match=r"No MIDI system runs here .*JACK: server not running") as caught:
        list_midi_ports()
    assert "jackd" in caught.value.hint


def test_the_environment_chooses_the_system(system: FakeRtmidi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(midi.API_VARIABLE, "JACK")
    assert list_midi_ports()
    monkeypatch.setenv(midi.API_VARIABLE, "winmm")
    with pytest.raises(TransportError, match='HALFNORMAL_MIDI_API says "winmm"') as caught:
        list_midi_ports()
    assert "alsa, jack" in caught.value.hint


messages = st.one_of(
    st.lists(st.integers(0, 127), max_size=400).map(lambda body: bytes([0xF0, *body, 0xF7])),
    st.tuples(st.integers(0x80, 0xBF), st.integers(0, 127), st.integers(0, 127)).map(bytes),
)


@given(st.lists(messages, max_size=6), st.data())
def test_sysex_in_pieces_with_interleaved_realtime_comes_out_whole(sent: list[bytes], data: st.DataObject) -> None:
    assembler = SysexAssembler()
    out: list[bytes] = []
    for message in sent:
        start = 0
        while start < len(message):
            end = len(message)
            if message[0] == 0xF0:
                end = data.draw(st.integers(start + 1, len(message)))
                if start and data.draw(st.booleans()):
                    out += assembler.feed([0xFE])
            out += assembler.feed(message[start:end])
            start = end
    assert out == sent
    # mido reads the same messages out of the plain stream.
    assert [bytes(message.bytes()) for message in mido.Parser(b"".join(sent))] == sent


def test_a_sysex_cut_short_is_delivered_as_it_is_and_the_next_message_lives() -> None:
    assembler = SysexAssembler()
    assert assembler.feed([0xF0, 0x7D, 1]) == []
    assert assembler.feed(CC) == [bytes([0xF0, 0x7D, 1]), CC]
    assert assembler.feed([0xF0, 1, 0xF8, 2, 0xF7]) == [bytes([0xF0, 1, 2, 0xF7])]
