"""What a device says while its controls are moved, as any console's manual describes it, and what is made of it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.learning import Learner
from hardware.learning_shapes import Proposal

STEP_S = 0.01


def listen(messages: Iterable[bytes], *, step_s: float = STEP_S, learner: Learner | None = None) -> Learner:
    learner = learner or Learner()
    for count, message in enumerate(messages):
        learner.feed(message, count * step_s)
    return learner


def only(messages: Iterable[bytes], **options: float) -> Proposal:
    found = listen(messages, **options).proposals()
    assert len(found) == 1, found
    return found[0]


def cc(number: int, value: int, channel: int = 1) -> bytes:
    return bytes([0xB0 + channel - 1, number, value])


def up_and_down(high: int, step: int = 1) -> list[int]:
    up = list(range(0, high + 1, step))
    return up + up[::-1]


def nrpn(msb: int, lsb: int, *data: int) -> list[bytes]:
    return [cc(99, msb), cc(98, lsb), cc(6, data[0]), *([cc(38, data[1])] if data[1:] else [])]


def test_a_knob_run_through_one_value_at_a_time_is_continuous() -> None:
    heard = only(cc(7, value) for value in range(128))
    assert (heard.name, heard.kind, heard.channel, heard.times) == ("cc7", "cc", 1, 128)
    assert (heard.low, heard.high, heard.steps, heard.shape) == (0, 127, 128, "continuous")
    assert heard.control["cc"] == {"number": 7}
    assert heard.control["taper"] == {"kind": "offset", "raw": [0, 127]}


def test_a_half_moved_knob_keeps_the_range_heard_and_asks_for_the_ends() -> None:
    heard = only(cc(7, value) for value in range(20, 90, 3))
    assert (heard.low, heard.high) == (20, 89)
    assert any("from end to end" in reason for reason in heard.evidence)
    assert any("steps of 3" in reason for reason in heard.evidence)


def test_a_switch_has_two_codes_and_a_selector_comes_back_to_its_own() -> None:
    button, selector = listen(
        [cc(80, value) for value in (127, 0, 127, 0)] + [cc(81, value) for value in (0, 42, 85, 127, 85, 42, 0)]
    ).proposals()
    assert (button.shape, button.control["unit"]) == ("switch", "bool")
    assert button.control["taper"] == {"kind": "switch", "on": 127, "off": 0}
    assert (selector.shape, selector.steps) == ("positions", 4)
    assert [choice["send"] for choice in selector.control["taper"]["choices"]] == [0, 42, 85, 127]


def test_a_fast_sweep_with_few_values_is_no_selector() -> None:
    assert only(cc(7, value) for value in (0, 31, 77, 127)).shape == "continuous"


@pytest.mark.parametrize(("msb", "lsb"), [(1, 33), (109, 37)])
def test_two_controllers_that_always_come_together_are_one_of_14_bits(msb: int, lsb: int) -> None:
    heard = only(m for v in up_and_down(16383, 37) for m in (cc(msb, v >> 7), cc(lsb, v & 127)))
    assert (heard.kind, heard.name) == ("cc14", f"cc{msb}_{lsb}")
    assert heard.control["cc"] == {"number": msb, "lsb": lsb, "data": "left14"}
    assert (heard.low, heard.high) == (0, 16354)  # 442 steps of 37


def test_eight_bits_from_the_top_are_left_and_from_the_bottom_right() -> None:
    left = only(m for v in up_and_down(255) for m in (cc(109, v >> 1), cc(37, (v & 1) << 6)))
    assert (left.control["cc"]["data"], left.low, left.high) == ("left8", 0, 255)
    right = only(m for v in up_and_down(255) for m in (cc(109, v >> 7), cc(37, v & 127)))
    assert (right.control["cc"]["data"], right.low, right.high) == ("right8", 0, 255)
    coarse = only(m for v in up_and_down(127) for m in (cc(20, v), cc(52, 0)))
    assert (coarse.control["cc"]["data"], coarse.high) == ("left7", 127)


def test_the_lsb_first_order_of_a_usual_pair_is_kept() -> None:
    heard = only(m for v in up_and_down(16383, 41) for m in (cc(33, v & 127), cc(1, v >> 7)))
    assert heard.control["form"] == [{"send": ["B{c} 21 {v:left14.lo}", "B{c} 01 {v:left14.hi}"]}]


def test_two_faders_moved_at_once_stay_two_even_when_their_halves_interleave() -> None:
    one, other = up_and_down(16383, 61), up_and_down(16383, 61)[::-1]
    whole = [m for a, b in zip(one, other, strict=True) for m in
             (cc(1, a >> 7), cc(33, a & 127), cc(2, b >> 7), cc(34, b & 127))]  # fmt: skip
    mixed = [m for a, b in zip(one, other, strict=True) for m in
             (cc(1, a >> 7), cc(2, b >> 7), cc(33, a & 127), cc(34, b & 127))]  # fmt: skip
    for messages in (whole, mixed):
        found = listen(messages, step_s=0.001).proposals()
        assert [proposal.name for proposal in found] == ["cc1_33", "cc2_34"]
        assert all(proposal.high == 16348 for proposal in found)  # 268 steps of 61


def test_single_controllers_moved_at_once_stay_single() -> None:
    values = random.Random(4)
    one, other = (up_and_down(127) * 2 for _ in range(2))
    messages = [cc(20, a) if values.random() < 0.5 else cc(21, b) for a, b in zip(one, other, strict=True)]
    assert [proposal.kind for proposal in listen(messages).proposals()] == ["cc", "cc"]


def test_a_stereo_link_and_a_joystick_are_not_halves_of_one_value() -> None:
    linked = [m for v in up_and_down(127) for m in (cc(20, v), cc(21, v))]
    assert [p.name for p in listen(linked).proposals()] == ["cc20", "cc21"]
    wide = [m for v in up_and_down(120) for m in (cc(16, v), cc(17, v // 2 + 3))]
    assert [p.name for p in listen(wide).proposals()] == ["cc16", "cc17"]


def test_usual_numbers_moved_one_after_the_other_are_two_controls() -> None:
    messages = [cc(7, v) for v in up_and_down(127)] + [cc(39, v) for v in up_and_down(127)]
    assert [p.name for p in listen(messages).proposals()] == ["cc7", "cc39"]


def test_parameter_numbers_are_controls_of_their_own() -> None:
    messages = [m for v in up_and_down(16383, 129) for m in nrpn(1, 20, v >> 7, v & 127)]
    messages += [m for v in up_and_down(127) for m in nrpn(1, 21, v)]
    messages += [m for v in up_and_down(127) for m in nrpn(1, 22, 0, v)]
    messages += [m for v in (0, 1, 0, 1) for m in (cc(101, 0), cc(100, 5), cc(6, v), cc(101, 127), cc(100, 127))]
    wide, short, right, registered = listen(messages).proposals()
    assert wide.control["nrpn"] == {"msb": 1, "lsb": 20, "data": "left14"}
    assert (wide.name, wide.high) == ("nrpn1_20", 16383)
    assert short.control["nrpn"] == {"msb": 1, "lsb": 21, "data": "left7", "lsb_data": False}
    assert right.control["nrpn"] == {"msb": 1, "lsb": 22, "data": "right7"}
    assert registered.control["rpn"] == {"msb": 0, "lsb": 5, "data": "left7", "lsb_data": False, "null": True}
    assert registered.shape == "switch"


def test_data_entry_without_a_number_is_a_controller_like_others() -> None:
    assert only(cc(6, value) for value in range(128)).name == "cc6"


def test_data_entry_that_parameter_numbers_use_too_is_not_listened_to() -> None:
    messages = [cc(6, value) for value in range(128)] + [m for v in range(128) for m in nrpn(1, 20, v)]
    plain, parameter = listen(messages).proposals()
    assert (plain.name, plain.control["listen"]) == ("cc6", False)
    assert "listen" not in parameter.control


def test_interleaved_parameter_numbers_keep_their_values_apart() -> None:
    messages = [m for v in range(128) for m in (*nrpn(0, 1, v, 0), *nrpn(0, 2, 127 - v, 0))]
    one, other = listen(messages).proposals()
    assert (one.name, other.name) == ("nrpn0_1", "nrpn0_2")
    assert (one.low, one.high, other.low, other.high) == (0, 127, 0, 127)


def test_notes_are_switches_and_remember_how_they_are_let_go() -> None:
    velocity = only([bytes([0x90, 16, 127]), bytes([0x90, 16, 0])] * 3)
    assert velocity.control["note"] == {"number": 16, "off": "velocity-0"}
    off = only([bytes([0x90, 16, 90]), bytes([0x80, 16, 64])] * 3)
    assert off.control["note"] == {"number": 16, "off": "note-off"}
    assert any("velocity 90" in reason for reason in off.evidence)


def test_a_pitch_bend_fader_is_read_lsb_first_and_shows_its_bits() -> None:
    # A fader of ten bits, sent in the upper ten of 14: 1023 * 16 = 16368.
    heard = only(bytes([0xE2, (v << 4) & 127, v >> 3]) for v in up_and_down(1023, 3))
    assert heard.control["pitch_bend"] == {"data": "left10"}
    assert (heard.channel, heard.high, heard.name) == (3, 1023, "pitch_bend")


def test_programs_and_other_channels_are_told_apart() -> None:
    main = [cc(7, value) for value in range(128)]
    other = [cc(7, value, channel=4) for value in range(0, 128, 2)] + [bytes([0xC3, p]) for p in range(20)]
    knob, far, program = listen(main + other).proposals()
    assert (knob.name, far.name, program.name) == ("cc7", "ch4/cc7", "ch4/program")
    assert far.control["cc"] == {"number": 7, "channel": 4}
    assert program.control["form"] == [{"send": ["C3 {v}"]}]


def sysex(text: str) -> bytes:
    return bytes.fromhex(text)


def test_one_changing_byte_of_a_sysex_is_its_value() -> None:
    heard = only(sysex(f"F0 00 20 10 01 {v:02X} F7") for v in range(128))
    assert heard.control["form"] == [{"send": ["F0 00 20 10 01 {v} F7"]}]
    assert (heard.name, heard.channel, heard.high) == ("sysex1", None, 127)


def test_two_changing_bytes_are_msb_and_lsb_in_either_order() -> None:
    messages = [sysex(f"F0 43 10 3E {v >> 7:02X} {v & 127:02X} F7") for v in up_and_down(1023, 5)]
    assert only(messages).control["form"] == [{"send": ["F0 43 10 3E {v:left14.hi} {v:left14.lo} F7"]}]
    messages = [sysex(f"F0 43 10 3E {v & 127:02X} {v >> 7:02X} F7") for v in up_and_down(1023, 5)]
    assert only(messages).control["form"] == [{"send": ["F0 43 10 3E {v:left14.lo} {v:left14.hi} F7"]}]


def test_nibbles_are_known_in_either_order() -> None:
    high_first = only(sysex(f"F0 7D 01 {v >> 4:02X} {v & 15:02X} F7") for v in up_and_down(255))
    assert high_first.control["form"] == [{"send": ["F0 7D 01 {v:nib2} F7"]}]
    assert high_first.high == 255
    low_first = only(sysex(f"F0 7D 01 {v & 15:02X} {v >> 4:02X} F7") for v in up_and_down(255))
    assert low_first.control["form"] == [{"send": ["F0 7D 01 {v:nib2.lsb} F7"]}]


def test_a_roland_checksum_is_no_second_value() -> None:
    # (128 - (sum of address and data mod 128)) mod 128, as in the checksum of 40 00 7F 00 being 41.
    def message(value: int) -> bytes:
        body = [0x40, 0x00, 0x7F, value]
        return bytes([0xF0, 0x41, 0x10, 0x42, 0x12, *body, -sum(body) % 128, 0xF7])

    assert message(0)[-2] == 0x41
    form = only(message(value) for value in range(128)).control["form"]
    assert form == [{"send": ["F0 41 10 42 12 40 00 7F {v} {=twos7@5} F7"]}]


@pytest.mark.parametrize("together", [False, True])
def test_an_address_byte_tells_two_faders_apart(together: bool) -> None:
    one = [sysex(f"F0 43 10 05 {v:02X} F7") for v in up_and_down(127)]
    other = [sysex(f"F0 43 10 06 {v:02X} F7") for v in up_and_down(127)[::-1]]
    learner = Learner()
    if together:
        listen(itertools.chain.from_iterable(zip(one, other, strict=True)), learner=learner)
    else:
        for start_s, messages in ((0.0, one), (60.0, other)):
            for count, message in enumerate(messages):
                learner.feed(message, start_s + count * STEP_S)
    forms = [proposal.control["form"] for proposal in learner.proposals()]
    assert forms == [[{"send": ["F0 43 10 05 {v} F7"]}], [{"send": ["F0 43 10 06 {v} F7"]}]]


def test_noise_makes_no_control_and_is_named() -> None:
    learner = listen(
        [b"\xf8", b"\xfe", b"\xf1\x05", cc(123, 0), b"\xd0\x05", sysex("F0 7E 00 06 02 41 F7"), b"\xb0\x07"]
        + [cc(10, value) for value in (63, 64, 63, 64, 63)]
        + [cc(90, 127)] * 5
        + [cc(16, value) for value in (1, 1, 1, 1, 1, 127, 127, 127, 127)]
        + [bytes([0xF0, 0x7D, *range(100), 0xF7])]
    )
    assert learner.proposals() == ()
    told = "\n".join(learner.ignored())
    for word in ("jitter", "trigger", "endless encoder", "dumps", "2 real-time", "time code", "meters", "channel-mode"):
        assert word in told, word


def test_clock_inside_a_moving_control_changes_nothing() -> None:
    plain = listen([cc(7, value) for value in range(128)])
    noisy = listen([m for value in range(128) for m in (b"\xf8", cc(7, value)[:2], b"\xfe", cc(7, value)[2:])])
    assert noisy.proposals() == plain.proposals()


def test_what_is_new_is_told_once() -> None:
    learner = Learner()
    assert learner.feed(cc(7, 1), 0.0) == ("CC 7 on channel 1",)
    assert learner.feed(cc(7, 2), 0.1) == ()


@given(st.lists(st.binary(max_size=12), max_size=60))
def test_no_bytes_whatsoever_trip_the_learner(chunks: list[bytes]) -> None:
    learner = listen(chunks)
    names = [proposal.name for proposal in learner.proposals()]
    assert len(names) == len(set(names))
    learner.ignored()


@given(st.randoms(use_true_random=False))
def test_late_and_uneven_arrival_does_not_part_a_pair(order: random.Random) -> None:
    learner, at_s = Learner(), 0.0
    for v in up_and_down(16383, 257):
        for message in (cc(3, v >> 7), cc(35, v & 127)):
            at_s += order.uniform(0.0005, 0.02)
            learner.feed(message, at_s)
    assert [proposal.name for proposal in learner.proposals()] == ["cc3_35"]
