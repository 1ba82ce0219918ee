"""Machines by their profile's commands: Sony 9-pin with its ACK and NAK, and MIDI machine control.

Bytes: Sony's protocol as JLCooper's and Alesis's sheets print it (20 01 21 plays, 10 01 11 is the ACK, 11 12 the NAK,
24 31 cues up, BCD frames first, 73 20 answers 61 20 03 with three status bytes, bit 0 of the last is "cue complete");
MMC as the MIDI 1.0 specification has it (F0 7F dd 06 44 06 01 hr mn sc fr sf F7 locates).
"""

from __future__ import annotations

from collections import deque

import pytest

from hardware.errors import RefusedError, ReplyTimeoutError, TransportError
from hardware.seams import Token, VirtualClock
from hardware.timecode import RATES, Timecode
from hardware.transport import Transport
from profiles.errors import UnknownControlError
from profiles.library import load_profile

HEAD = """\
schema = 1
id = "{id}"
maker = "any"
model = "any"
kind = "transport"
verification = "unverified"
confidence = "M"
sources = ["written for this test"]
not_covered = "everything else"
control = []
"""
NINE_PIN = (
    HEAD.format(id="nine-pin")
    + """\
transports = ["serial"]
[serial]
baud = 38400
parity = "odd"
[serial.frame]
kind = "counted"
mask = 0x0F
plus = 3
[pacing]
settle_s = 0.0
[ack]
kind = "accepted"
timeout_s = 0.05
accepted = ["10 01 {=sum8}"]
[[refusal]]
reply = "11 12 {code} {=sum8}"
codes = {"1" = "unknown command", "4" = "checksum error"}
[[command]]
name = "stop"
send = ["20 00 {=sum8}"]
[[command]]
name = "play"
send = ["20 01 {=sum8}"]
[[command]]
name = "record"
send = ["20 02 {=sum8}"]
dangerous = true
[[command]]
name = "locate"
send = ["24 31 {frames:bcd} {seconds:bcd} {minutes:bcd} {hours:bcd} {=sum8}"]
[[command]]
name = "status"
send = ["61 20 03 {=sum8}"]
[[report]]
means = "state"
reply = "73 20 {*} {*} {cued:bit0} {=sum8}"
"""
)
MMC = (
    HEAD.format(id="mmc")
    + """\
transports = ["midi"]
[[command]]
name = "stop"
send = ["F0 7F 7F 06 01 F7"]
[[command]]
name = "play"
send = ["F0 7F 7F 06 02 F7"]
[[command]]
name = "locate"
send = ["F0 7F 7F 06 44 06 01 {hours} {minutes} {seconds} {frames} 00 F7"]
"""
)
ACK = bytes([0x10, 0x01, 0x11])
PLACE = Timecode(1, 2, 33, 14, RATES["25"])


class Machine:
    """A port whose other end answers each frame with the next of its answers to it."""

    name = "deck"

    def __init__(self, clock, answers):
        self.clock = clock
        self.answers = {bytes.fromhex(asked): deque(said) for asked, said in answers.items()}
        self.sent = []
        self.inbox = deque()

    def send(self, data):
        self.sent.append(data)
        said = self.answers.get(data)
        if said:
            answer = said.popleft() if len(said) > 1 else said[0]
            self.inbox.append(Token(self.clock.monotonic() + 0.009, answer))

    def receive(self, timeout_s):
        if not self.inbox:
            self.clock.sleep(timeout_s)
            return []
        self.clock.sleep(max(0.0, self.inbox[0].at_s - self.clock.monotonic()))
        return [self.inbox.popleft()]

    def close(self):
        pass


@pytest.fixture
def deck(tmp_path):
    def make(text, answers, **options):
        path = tmp_path / "machine.toml"
        path.write_text(text)
        clock = VirtualClock()
        port = Machine(clock, answers)
        return Transport("deck", load_profile(str(path)), port, clock, rate=RATES["25"], **options), port

    return make


def status(cued):
    frame = bytes([0x73, 0x20, 0x00, 0x20, cued])
    return frame + bytes([sum(frame) & 0xFF])


CUE = "24 31 14 33 02 01 9f"
ASK = "61 20 03 84"


def test_play_waits_for_its_ack(deck):
    machine, port = deck(NINE_PIN, {"20 01 21": [ACK]})
    machine.tell("play")
    assert port.sent == [bytes.fromhex("20 01 21")]
    assert port.clock.monotonic() >= 0.009


def test_locate_sends_bcd_frames_first_and_asks_until_the_machine_stands_there(deck):
    machine, port = deck(NINE_PIN, {CUE: [ACK], ASK: [status(0), status(0), status(1)]})
    assert machine.locate(PLACE)
    assert port.sent[0].hex(" ") == CUE
    assert [sent.hex(" ") for sent in port.sent[1:]] == [ASK] * 3


def test_a_nak_is_an_error_with_its_reason(deck):
    nak = bytes([0x11, 0x12, 0x01, 0x24])
    machine, _ = deck(NINE_PIN, {"20 01 21": [nak]})
    with pytest.raises(RefusedError, match="deck refused a command"):
        machine.tell("play")


def test_a_machine_that_says_nothing_times_out(deck):
    machine, port = deck(NINE_PIN, {})
    with pytest.raises(ReplyTimeoutError, match=r"'play' within 0\.05 s"):
        machine.tell("play")
    assert port.clock.monotonic() == pytest.approx(0.05, abs=0.01)


def test_a_machine_that_never_arrives_is_told_to_stop(deck):
    machine, port = deck(NINE_PIN, {CUE: [ACK], ASK: [status(0)], "20 00 20": [ACK]})
    with pytest.raises(ReplyTimeoutError, match="did not arrive at 01:02:33:14 within 3 s"):
        machine.locate(PLACE, timeout_s=3.0)
    assert port.sent[-1].hex(" ") == "20 00 20"


def test_recording_needs_the_engineers_word_and_nothing_is_sent_without_it(deck):
    machine, port = deck(NINE_PIN, {"20 02 22": [ACK]})
    with pytest.raises(TransportError, match="overwrites what is on the tape"):
        machine.tell("record")
    assert port.sent == []
    armed, port = deck(NINE_PIN, {"20 02 22": [ACK]}, armed=True)
    armed.tell("record")
    assert port.sent == [bytes.fromhex("20 02 22")]


def test_machine_control_locates_and_cannot_say_whether_it_arrived(deck):
    machine, port = deck(MMC, {})
    assert not machine.locate(PLACE)
    assert not machine.confirms
    assert port.sent[0].hex(" ") == "f0 7f 7f 06 44 06 01 01 02 21 0e 00 f7"


def test_a_command_that_the_profile_lacks_is_named(deck):
    machine, _ = deck(MMC, {})
    with pytest.raises(UnknownControlError, match="mmc has no command 'rewind'"):
        machine.tell("rewind")
