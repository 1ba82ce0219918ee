"""The compressor behind the matrix, and every fault a model can ask for, heard or seen from outside."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hardware.errors import HardwareError
from hardware.room.decoder_comp import CompDecoder
from hardware.room.model import Fault, RoomModel
from hardware.room.room import Room

RATE = 48_000
TIES = {f"matrix/out0{output}/tie": output for output in range(1, 5)}


def built(knobs: dict[str, object], *faults: Fault) -> Room:
    room = Room(RoomModel.ideal(latency_samples=0.0, faults=faults), rate_hz=RATE)
    for address, value in knobs.items():
        room.turn(address, value)
    return room


def level(room: Room, channel: int, peak: float, *, side: int = 0, frames: int = RATE) -> float:
    """Where a constant voltage on one D/A comes out after a second."""
    block = np.zeros((frames, 24), dtype=np.float32)
    block[:, channel - 1] = peak
    return float(room.process(block)[-1, side])


# --- compressor ----------------------------------------------------------------------------------------------------


def test_controllers_choose_positions_as_the_panel_prints_them():
    comp = CompDecoder()
    for controller, value in ((20, 127), (21, 106), (22, 10), (23, 112), (24, 0), (25, 127)):
        assert comp.receive(bytes([0xB0, controller, value])) == []
    assert comp.knobs() == {
        "threshold": 20.0, "ratio": 10.0, "attack": 0.1, "release": 1200.0, "makeup": -5.0, "bypass": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("controller", "name", "edges"),
    [
        (21, "ratio", {0: 2.0, 42: 2.0, 43: 4.0, 84: 4.0, 85: 10.0}),
        (22, "attack", {20: 0.1, 21: 0.3, 41: 0.3, 42: 1.0, 63: 1.0, 64: 3.0, 84: 3.0, 85: 10.0, 105: 10.0, 106: 30.0}),
        (23, "release", {31: 100.0, 32: 300.0, 63: 300.0, 64: 600.0, 95: 600.0, 96: 1200.0}),
        (25, "bypass", {63: False, 64: True}),
    ],
)
def test_switch_ranges_end_where_the_manual_says(controller, name, edges):
    for value, expected in edges.items():
        comp = CompDecoder()
        comp.receive(bytes([0xB0, controller, value]))
        assert comp.knobs()[name] == expected


def test_a_hand_turns_the_compressor_too():
    comp = CompDecoder()
    comp.turn("ratio", "4:1")
    comp.turn("attack", 30.0)
    assert (comp.knobs()["ratio"], comp.knobs()["attack"]) == (4.0, 30.0)
    with pytest.raises(HardwareError, match="100, 300, 600, 1200"):
        comp.turn("release", 99.0)


INSERTED = TIES | {
    "desk/ch01/fader": 0.0, "desk/ch01/pan": -100.0, "desk/master/insert": True, "comp/threshold": 0.0,
    "comp/ratio": 4.0, "comp/attack": 0.1, "comp/release": 100.0, "comp/makeup": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("over_db", "reduction_db"),
    [(-10.0, 0.0), (-3.0, 0.0), (0.0, -0.75 * 9 / 12), (3.0, -0.75 * 3), (12.0, -0.75 * 12)],
)
def test_the_compressor_follows_its_static_curve(over_db, reduction_db):
    """Quadratic knee of 6 dB (Giannoulis, Massberg & Reiss 2012): (1/R − 1)·(over + 3)²/12 inside it."""
    room = built(INSERTED)
    knobs = room.knobs()
    threshold_dbfs = float(knobs["comp/threshold"]) - 18.0
    makeup_db = float(knobs["comp/makeup"])
    peak = 10 ** ((threshold_dbfs + over_db) / 20)
    gain_db = 20 * math.log10(level(room, 1, peak) / peak)
    assert gain_db == pytest.approx(reduction_db + makeup_db, abs=1e-3)


def test_attack_reaches_63_per_cent_of_the_reduction_in_its_time():
    room = built(INSERTED | {"comp/attack": 10.0})
    threshold_dbfs = float(room.knobs()["comp/threshold"]) - 18.0
    makeup_db = float(room.knobs()["comp/makeup"])
    peak = 10 ** ((threshold_dbfs + 12.0) / 20)
    block = np.zeros((480, 24), dtype=np.float32)
    block[:, 0] = peak
    gain_db = 20 * math.log10(float(room.process(block)[-1, 0]) / peak) - makeup_db
    assert gain_db == pytest.approx(-9.0 * (1 - math.exp(-1)), abs=0.01)


def test_bypass_is_a_wire_and_so_is_the_insert_switched_out():
    assert level(built(INSERTED | {"comp/bypass": True}), 1, 0.5) == 0.5
    assert level(built(INSERTED | {"desk/master/insert": False}), 1, 0.5) == 0.5


def test_both_sides_are_compressed_alike():
    room = built(INSERTED | {"desk/ch02/fader": -20.0, "desk/ch02/pan": 100.0})
    block = np.zeros((RATE, 24), dtype=np.float32)
    block[:, :2] = 0.5
    left, right = room.process(block)[-1]
    assert left < 0.4
    assert right / left == pytest.approx(0.1, rel=1e-6)


# --- matrix --------------------------------------------------------------------------------------------------------


def test_an_untied_return_is_silence():
    assert level(built(INSERTED | {"matrix/out03/tie": 0}), 1, 0.1) == 0.0
    assert level(built(INSERTED | {"matrix/out01/tie": 0}), 1, 0.1) == 0.0


def test_crossed_ties_cross_the_sides():
    room = built(INSERTED | {"matrix/out03/tie": 4, "matrix/out04/tie": 3, "comp/bypass": True})
    assert level(room, 1, 0.1) == 0.0
    assert level(room, 1, 0.1, side=1) == pytest.approx(0.1)


def test_a_return_tied_to_the_send_leaves_the_compressor_out():
    assert level(built(INSERTED | {"matrix/out03/tie": 1}), 1, 0.5) == 0.5


def test_matrix_gain_volume_and_mute_act_on_the_audio():
    bypassed = INSERTED | {"comp/bypass": True}
    assert level(built(bypassed | {"matrix/in01/gain": -6}), 1, 0.1) == pytest.approx(0.1 * 10 ** (-6 / 20))
    assert level(built(bypassed | {"matrix/out03/volume": 54}), 1, 0.1) == pytest.approx(0.1 * 10 ** (-10 / 20))
    assert level(built(bypassed | {"matrix/out03/volume": 0}), 1, 0.1) == 0.0
    assert level(built(bypassed | {"matrix/out03/mute": True}), 1, 0.1) == 0.0


def test_a_feedback_tie_howls_but_stays_finite():
    room = built(INSERTED | {"matrix/out01/tie": 3, "matrix/in03/gain": 24})
    room.turn("matrix/out01/tie", 1)
    level(room, 1, 0.1, frames=1000)
    room.turn("matrix/out01/tie", 3)
    block = np.full((RATE, 24), 0.1, dtype=np.float32)
    out = room.process(block)
    assert np.isfinite(out).all()
    assert np.max(np.abs(out)) <= 1.0


# --- faults --------------------------------------------------------------------------------------------------------

OPEN = {f"desk/ch{n:02d}/fader": 0.0 for n in range(1, 25)} | {f"desk/ch{n:02d}/pan": -100.0 for n in range(1, 25)}


def test_a_fader_that_is_off_by_1_3_db():
    room = built(OPEN, Fault("fader_off", channels=(7,), db=1.3))
    assert 20 * math.log10(level(room, 7, 0.1) / 0.1) == pytest.approx(1.3, abs=1e-4)
    assert level(room, 8, 0.1) == pytest.approx(0.1)
    assert room.knobs()["desk/ch07/fader"] == 0.0


def test_a_dead_channel_passes_nothing():
    room = built(OPEN, Fault("dead", channels=(9,)))
    assert level(room, 9, 0.5) == 0.0
    assert level(room, 10, 0.5) == pytest.approx(0.5)


def test_swapped_cables_feed_each_others_strips():
    room = built({"desk/ch03/fader": 0.0, "desk/ch03/pan": -100.0}, Fault("swapped", channels=(3, 4)))
    assert level(room, 3, 0.5) == 0.0
    assert level(room, 4, 0.5) == pytest.approx(0.5)


def test_an_inverted_channel_comes_back_upside_down():
    assert level(built(OPEN, Fault("inverted", channels=(2,))), 2, 0.5) == pytest.approx(-0.5)


def test_a_refusing_control_answers_nak():
    room = built({}, Fault("nak", control="ch05/fader"))
    answer = [reply for message in ("B06310", "B06204", "B00660", "B02600") for reply in room.receive("desk", bytes.fromhex(message))]  # fmt: skip  # noqa: E501
    assert answer == [bytes.fromhex("F07D484E7F1004F7")]
    assert room.knobs()["desk/ch05/fader"] == -math.inf


@pytest.mark.parametrize(("kind", "answers"), [("silent_serial", 0), ("garbage_serial", 1)])
def test_a_serial_line_that_says_nothing_or_nonsense(kind, answers):
    room = built({}, Fault(kind))
    replies = room.receive("matrix", b"1*3$")
    assert len(replies) == answers
    assert b"Out03 In01 Aud\r\n" not in replies
    assert room.knobs()["matrix/out03/tie"] == 0


def test_a_vanished_device_is_gone_after_so_many_messages():
    room = built({}, Fault("vanish", device="desk", after_messages=2))
    room.receive("desk", bytes.fromhex("90007F"))
    assert not room.vanished("desk")
    room.receive("desk", bytes.fromhex("90017F"))
    assert room.vanished("desk")
    assert room.receive("desk", bytes.fromhex("90027F")) == []
    knobs = room.knobs()
    assert [knobs[f"desk/ch0{n}/mute"] for n in (1, 2, 3)] == [True, True, False]
    assert not room.vanished("matrix")
