"""Timecode by published figures: SMPTE drop-frame counts, and MIDI time code's bytes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import HardwareError
from hardware.timecode import RATES, Timecode, full_frame, quarter_frames, running

DF = RATES["29.97df"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("00:00:59;29", 1_799),
        ("00:01:00;02", 1_800),  # ;00 and ;01 have no numbers
        ("00:09:59;29", 17_981),
        ("00:10:00;00", 17_982),  # 17 982 frames in ten minutes
        ("01:00:00;00", 107_892),  # 107 892 an hour
        ("10:00:00;00", 1_078_920),
        ("23:59:59;29", 2_589_407),  # 2 589 408 a day
    ],
)
def test_drop_frame_counts_are_the_published_ones(text, count):
    assert Timecode.parse(text, DF).count == count
    assert str(Timecode.of_count(count, DF)) == text


def test_an_hour_of_drop_frame_is_an_hour_within_four_milliseconds():
    assert Timecode.parse("01:00:00;00", DF).at_s == pytest.approx(3600.0, abs=0.004)


@pytest.mark.parametrize("text", ["00:01:00;00", "00:19:00;01", "24:00:00:00", "00:00:00:30", "00:60:00:00"])
def test_frames_that_are_not_there_are_refused(text):
    with pytest.raises(HardwareError):
        Timecode.parse(text, DF)


@given(st.sampled_from(sorted(RATES)), st.integers(0, 2_000_000))
def test_every_count_has_an_address_and_back_in_order(name, count):
    rate = RATES[name]
    here, after = Timecode.of_count(count, rate), Timecode.of_count(count + 1, rate)
    assert here.count == count
    order = [(t.hours, t.minutes, t.seconds, t.frames) for t in (here, after)]
    assert order[0] < order[1]


def test_the_full_message_says_rate_and_place():
    # F0 7F 7F 01 01 0rrhhhhh mn sc fr F7, rr = 1 for 25 frames a second.
    assert full_frame(Timecode(1, 2, 3, 4, RATES["25"])).hex(" ") == "f0 7f 7f 01 01 21 02 03 04 f7"


def test_eight_quarter_frames_say_one_address():
    # 01:37:52:16 at 30: frames 10h, seconds 34h, minutes 25h, hours 01h with rate 3 in bits 5 and 6: 61h.
    said = [message.hex() for message in quarter_frames(Timecode(1, 37, 52, 16, RATES["30"]))]
    assert said == ["f100", "f111", "f124", "f133", "f145", "f152", "f161", "f176"]


@pytest.mark.parametrize(("name", "a_second"), [("24", 96.0), ("25", 100.0), ("29.97df", 119.88012), ("30", 120.0)])
def test_quarter_frames_come_four_a_picture_and_never_drift(name, a_second):
    sent = list(itertools.islice(running(Timecode(0, 59, 59, 20, RATES[name])), 8_001))
    assert sent[8_000][0] - sent[0][0] == pytest.approx(8_000 / a_second, rel=1e-6)
    assert [message[1] >> 4 for _, message in sent[:16]] == list(range(8)) * 2


def test_the_first_of_eight_falls_on_an_even_frame_of_its_own_address():
    sent = list(itertools.islice(running(Timecode(0, 0, 0, 5, RATES["25"])), 8))
    assert sent[0][0] == pytest.approx(0.04)
    assert sent[0][1] == bytes([0xF1, 0x06])
