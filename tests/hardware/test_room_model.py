"""A room's model file is read whole or refused with its file and key."""

from __future__ import annotations

import math

import pytest

from hardware.errors import RoomModelError
from hardware.room.model import Fault, RoomModel, load_model
from hardware.room.room import Room


def write(tmp_path, text):
    path = tmp_path / "room.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_means_the_built_in_desk():
    model = load_model(None)
    assert model == RoomModel()
    assert (model.desk.bus_noise_dbfs, model.converters.latency_samples) == (-90.0, 137.37)


def test_a_full_file_is_understood(tmp_path):
    model = load_model(
        write(
            tmp_path,
            """
schema = 1
name = "wrong"
seed = 7
[converters]
latency_samples = 64
skew_samples = [0, 0.5]
[desk]
bus_noise_dbfs = "off"
crosstalk_db = -60
[comp]
threshold_error_db = 1.5
[[fault]]
kind = "fader_off"
channel = 7
db = 1.3
[[fault]]
kind = "swapped"
channels = [3, 4]
[[fault]]
kind = "nak"
control = "ch05/fader"
[[fault]]
kind = "vanish"
device = "desk"
after_messages = 12
""",
        )
    )
    assert (model.name, model.seed, model.converters.latency_samples) == ("wrong", 7, 64.0)
    assert model.converters.skew_samples == (0.0, 0.5)
    assert (model.desk.bus_noise_dbfs, model.desk.crosstalk_db) == (-math.inf, -60.0)
    assert model.comp.threshold_error_db == 1.5
    assert model.faults == (
        Fault("fader_off", channels=(7,), db=1.3),
        Fault("swapped", channels=(3, 4)),
        Fault("nak", control="ch05/fader"),
        Fault("vanish", device="desk", after_messages=12),
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "schema"),
        ("schema = 2", "schema"),
        ("schema = true", "schema"),
        ("schema = 1\ncolour = 3", "colour"),
        ("schema = 1\n[desk]\nbus_noise = -90", "desk.bus_noise"),
        ("schema = 1\n[desk]\nbus_noise_dbfs = true", "desk.bus_noise_dbfs"),
        ('schema = 1\n[desk]\nmains_hz = "off"', "desk.mains_hz"),
        ("schema = 1\n[desk]\ncrosstalk_db = 3", "desk.crosstalk_db"),
        ("schema = 1\n[desk]\nmains_hz = nan", "desk.mains_hz"),
        ("schema = 1\n[converters]\nlatency_samples = 20.5", "converters.latency_samples"),
        ("schema = 1\n[converters]\nlatency_samples = 5\nskew_samples = [-6]", "converters.latency_samples"),
        ('schema = 1\n[[fault]]\nkind = "melted"', "fault 1.kind"),
        ('schema = 1\n[[fault]]\nkind = "dead"', "fault 1.channel"),
        ('schema = 1\n[[fault]]\nkind = "dead"\nchannel = 25', "fault 1.channel"),
        ('schema = 1\n[[fault]]\nkind = "swapped"\nchannels = [3, 3]', "fault 1.channels"),
        ('schema = 1\n[[fault]]\nkind = "vanish"\ndevice = "piano"\nafter_messages = 1', "fault 1.device"),
        ('schema = 1\n[[fault]]\nkind = "nak"\ncontrol = "comp/ratio"', "fault 1.control"),
        ("schema = 1\nschema", "not valid TOML"),
    ],
)
def test_a_wrong_file_names_itself_and_the_key(tmp_path, text, key):
    path = write(tmp_path, text)
    with pytest.raises(RoomModelError, match=r"room\.toml") as caught:
        load_model(path)
    assert key in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RoomModelError, match=r"nowhere\.toml"):
        load_model(tmp_path / "nowhere.toml")


def test_knobs_are_kept_over_night(tmp_path):
    room = Room(RoomModel.ideal())
    settings = {
        "desk/ch01/fader": -10.0, "desk/ch01/hpf_freq": 80.0, "desk/ch09/mute": True, "desk/master/insert": True,
        "comp/ratio": 4.0, "comp/attack": 0.3, "matrix/out03/tie": 3, "matrix/in02/gain": -6,
    }  # fmt: skip
    for address, value in settings.items():
        room.turn(address, value)
    room.save(tmp_path / "state" / "knobs.json")
    again = Room(RoomModel.ideal())
    again.load(tmp_path / "state" / "knobs.json")
    assert again.knobs() == room.knobs()
    assert {address: again.knobs()[address] for address in settings} == settings


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema": 2, "knobs": {}}',
        '{"schema": 1, "knobs": {"desk/ch01/mute": true, "desk/ch99/mute": true}}',
    ],
)
def test_a_damaged_file_of_knobs_moves_nothing(tmp_path, text):
    path = tmp_path / "knobs.json"
    path.write_text(text, encoding="utf-8")
    room = Room(RoomModel.ideal())
    before = room.knobs()
    with pytest.raises(RoomModelError, match=r"knobs\.json"):
        room.load(path)
    assert room.knobs() == before
    assert path.read_text(encoding="utf-8") == text
