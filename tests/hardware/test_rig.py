from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import RigError
from hardware.rig import FigureLimits, load_rig, shipped_rigs
from hardware.rig_file import expand_addresses, expand_channels

SMALL = """
schema = 1
name = "small"

[audio]
port = "Fireface"
outputs = 4
inputs = 2

[[device]]
name = "desk"
profile = "room-desk-24"
port = "midi:Desk"

[[wire]]
outputs = "1-4"
to = "desk/ch05-08"

[[return]]
from = "desk/mix"
inputs = "1-2"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> tuple[str, str]:
    path = written(folder, text)
    with pytest.raises(RigError) as error:
        load_rig(path)
    assert path.read_text(encoding="utf-8") == text, "a refused file is left as it is"
    return str(error.value), error.value.hint


def test_both_shipped_rigs_describe_the_same_room_behind_different_ports() -> None:
    demo, room = load_rig("demo"), load_rig("room")
    assert set(shipped_rigs()) >= {"demo", "room"}
    assert demo.outputs == room.outputs == {n: f"desk/ch{n:02d}" for n in range(1, 25)}
    assert demo.returns == room.returns == {1: "desk/mix/l", 2: "desk/mix/r"}
    assert [device.port for device in demo.device_list] == ["room:desk", "room:comp", "room:matrix"]
    assert [device.port for device in room.device_list] == [
        "midi:HalfnormalRoom desk",
        "midi:HalfnormalRoom comp",
        "serial:@matrix",
    ]
    assert room.audio.port == "HalfnormalRoom"
    assert room.audio.host_api == "JACK Audio Connection Kit"
    assert demo.audio.dbu_at_0dbfs == 18.0, "EBU R68"


def test_an_insert_names_the_settings_that_switch_it_in() -> None:
    (insert,) = load_rig("demo").inserts
    assert (insert.at, insert.device) == ("desk/mix", "comp")
    assert insert.switch["desk/master/insert"] is True
    assert [insert.switch[f"matrix/out{n:02d}/tie"] for n in range(1, 5)] == [1.0, 2.0, 3.0, 4.0]


def test_a_range_of_outputs_lands_on_the_range_of_inputs(tmp_path: Path) -> None:
    rig = load_rig(written(tmp_path, SMALL))
    assert rig.outputs == {1: "desk/ch05", 2: "desk/ch06", 3: "desk/ch07", 4: "desk/ch08"}
    assert rig.devices["desk"].transport == "midi"
    assert rig.devices["desk"].place == "Desk"


def test_a_single_channel_may_be_a_plain_number(tmp_path: Path) -> None:
    rig = load_rig(written(tmp_path, SMALL.replace('outputs = "1-4"', "outputs = 3").replace("ch05-08", "ch05")))
    assert rig.outputs == {3: "desk/ch05"}


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_word(tmp_path: Path) -> None:
    message, hint = refusal(tmp_path, SMALL.replace("outputs = 4", "output = 4"))
    assert "line 7" in message
    assert "'output'" in message
    assert "outputs" in hint


@pytest.mark.parametrize(
    ("old", "new", "line", "word"),
    [
        ("inputs = 2", 'inputs = "two"', "line 8", "inputs"),
        ("inputs = 2", "inputs = 0", "line 8", "inputs"),
        ("inputs = 2", "dbu_at_0dbfs = nan", "line 8", "dbu_at_0dbfs"),
        ('profile = "room-desk-24"', "", "line 10", "profile"),
        ('name = "desk"', "name = 7", "line 11", "name"),
        ("schema = 1", "schema = true", "line 2", "schema"),
        ("[audio]", "[audio", "line 5", "TOML"),
    ],
)
def test_a_wrong_value_is_named_with_file_line_and_key(
    tmp_path: Path, old: str, new: str, line: str, word: str
) -> None:
    message, hint = refusal(tmp_path, SMALL.replace(old, new, 1))
    assert "mine.toml" in message
    assert line in message
    assert word in message
    assert hint


FIGURES = """
[tolerance.figures]
thd_db = { max = -80 }
noise_dbfs = { max = -90.0, change = 2 }

[tolerance.figures.gain_db]
min = -1
max = 1.0
"""


def test_a_rig_sets_limits_figure_by_figure(tmp_path: Path) -> None:
    figures = load_rig(written(tmp_path, SMALL + FIGURES)).tolerance.figures
    assert figures["thd_db"] == FigureLimits(max=-80.0)
    assert figures["noise_dbfs"] == FigureLimits(max=-90.0, change=2.0)
    assert figures["gain_db"] == FigureLimits(min=-1.0, max=1.0)
    assert load_rig("demo").tolerance.figures == {}


@pytest.mark.parametrize(
    ("old", "new", "line", "word", "said"),
    [
        ("change = 2", "chnge = 2", "line 25", "tolerance.figures.noise_dbfs", "change"),
        ("change = 2", "change = 0", "line 25", "tolerance.figures.noise_dbfs.change", "> 0"),
        ("max = 1.0", 'max = "loud"', "line 29", "tolerance.figures.gain_db.max", "number"),
        ("max = 1.0", "max = inf", "line 29", "tolerance.figures.gain_db.max", "finite"),
        ("thd_db = { max = -80 }", "thd_db = -80", "line 24", "tolerance.figures.thd_db", "table"),
    ],
)
def test_a_wrong_limit_is_named_with_line_and_figure(
    tmp_path: Path, old: str, new: str, line: str, word: str, said: str
) -> None:
    message, hint = refusal(tmp_path, SMALL + FIGURES.replace(old, new))
    assert f"{line}:" in message
    assert word in message
    assert said in message + hint


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    message, hint = refusal(tmp_path, SMALL.replace("schema = 1", "schema = 2\nfrobnicate = 1"))
    assert "schema 2" in message
    assert "Update" in hint


def test_wiring_whose_ends_differ_in_number_is_refused(tmp_path: Path) -> None:
    message, _ = refusal(tmp_path, SMALL.replace("ch05-08", "ch05-07"))
    assert "4 channels" in message
    assert "3 places" in message


@pytest.mark.parametrize("spec", ["4-1", "0-3", "one", "1-", "-3", "1..4", ""])
def test_a_senseless_range_is_refused(tmp_path: Path, spec: str) -> None:
    message, hint = refusal(tmp_path, SMALL.replace('"1-4"', f'"{spec}"'))
    assert "[[wire]]" in message
    assert hint


def test_an_unknown_rig_lists_the_nearest_names() -> None:
    with pytest.raises(RigError) as error:
        load_rig("dmeo")
    assert "demo" in error.value.hint


def test_a_missing_file_and_a_file_that_is_no_text_are_one_sentence_each(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="no rig file"):
        load_rig(tmp_path / "none.toml")
    (tmp_path / "bin.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RigError, match="UTF-8"):
        load_rig(tmp_path / "bin.toml")


def test_the_users_own_rig_wins_over_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text(SMALL, encoding="utf-8")
    assert load_rig("demo", folders=[tmp_path]).name == "small"


@given(st.integers(1, 2000), st.integers(0, 200))
def test_a_range_is_the_numbers_from_first_to_last(first: int, more: int) -> None:
    assert expand_channels(f"{first}-{first + more}", what="") == tuple(range(first, first + more + 1))


def test_address_ranges_keep_the_leading_zeros_and_join_with_commas() -> None:
    assert expand_addresses("desk/ch09-11, desk/mix", what="") == ("desk/ch09", "desk/ch10", "desk/ch11", "desk/mix")
    assert expand_addresses("desk/aux1-2/in", what="") == ("desk/aux1-2/in",)


def test_a_device_says_how_it_is_set_up_and_where_it_answers(tmp_path: Path) -> None:
    more = 'port = "midi:Desk"\nchannel = 16\nreceive = "Desk out"\noptions = {polarity = "sequencer"}'
    desk = load_rig(written(tmp_path, SMALL.replace('port = "midi:Desk"', more))).devices["desk"]
    assert (desk.channel, desk.receive, desk.options) == (16, "Desk out", {"polarity": "sequencer"})
    assert load_rig(written(tmp_path, SMALL)).devices["desk"].channel is None


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("channel = 0", "channel"),
        ("channel = 17", "channel"),
        ('channel = "3"', "channel"),
        ("options = {polarity = 1}", "options"),
        ("options.polarity = 1", "options"),
        ("receive = 3", "receive"),
    ],
)
def test_a_wrong_set_up_is_named_with_its_line(tmp_path: Path, line: str, key: str) -> None:
    text = SMALL.replace('port = "midi:Desk"', f'port = "midi:Desk"\n{line}')
    sentence, hint = refusal(tmp_path, text)
    assert f"line {text.splitlines().index(line) + 1}" in sentence
    assert key in sentence
    assert hint


def test_tables_below_a_device_are_found_by_line(tmp_path: Path) -> None:
    text = SMALL.replace("[[wire]]", "[device.options]\npolarity = 'x'\n[[wire]]")
    desk = load_rig(written(tmp_path, text)).devices["desk"]
    assert desk.line("options.polarity") == text.splitlines().index("polarity = 'x'") + 1
    assert desk.line("options.nothing") == text.splitlines().index("[device.options]") + 1
    assert desk.line("channel") == text.splitlines().index("[[device]]") + 1
