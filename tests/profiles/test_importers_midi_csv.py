"""The public MIDI lists as profiles: every trap of the format, in lists of devices that do not exist."""

from __future__ import annotations

import csv
import io
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardware.wire.examples import check_examples
from hardware.wire.messages import encode
from profiles.errors import ProfileError, ProfileSyntaxError
from profiles.importers.midi_csv import COLUMNS, Imported, import_midi_csv
from profiles.library import load_profile
from profiles.profile import Profile

HEADER = ",".join(COLUMNS)


def rows(*rows: dict[str, object], header: str = HEADER) -> str:
    """A list of rows; each names what it fills, the device is an invented one unless it says so."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    for row in rows:
        writer.writerow({"manufacturer": "Quillon", "device": "Ember 2", "orientation": "0-based", **row})
    return f"{header}\n{out.getvalue()}"


def cc(name: str, number: int, **more: object) -> dict[str, object]:
    return {"parameter_name": name, "cc_msb": number, "cc_min_value": 0, "cc_max_value": 127, **more}


def nrpn(name: str, msb: int, lsb: int, high: int = 127, **more: object) -> dict[str, object]:
    named = {"nrpn_msb": msb, "nrpn_lsb": lsb, "nrpn_min_value": 0, "nrpn_max_value": high}
    return {"parameter_name": name, **named, **more}


def imported(*entries: dict[str, object], **options: Any) -> Imported:
    return import_midi_csv(rows(*entries), file="Ember 2.csv", **options)


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(*entries: dict[str, object]) -> Profile:
        path = tmp_path / "made.toml"
        path.write_text(imported(*entries).text, encoding="utf-8")
        profile = load_profile(str(path))
        assert check_examples(profile).problems == ()
        return profile

    return load


def sent(profile: Profile, control: str, value: float | str) -> str:
    return " | ".join(message.hex(" ").upper() for message in encode(profile, control, value).messages)


def test_a_list_becomes_an_unverified_profile_that_names_its_source_and_licence(load) -> None:
    profile = load(cc("Drive", 20, section="Input", parameter_description="How hard the valve works"))
    assert (profile.id, profile.maker, profile.model) == ("quillon-ember-2", "Quillon", "Ember 2")
    assert profile.verification == "unverified"
    assert profile.notes == "community, unverified"
    assert len(profile.sources) == 1
    for word in ("Ember 2.csv", "CC BY-SA 4.0", "verified by measurement"):
        assert word in profile.sources[0]
    drive = profile.control("input/drive")
    assert (drive.unit, drive.role, drive.low, drive.high, drive.label) == ("raw", "raw", 0, 127, "Drive")
    assert drive.remark == "How hard the valve works."
    assert sent(profile, "input/drive", 100) == "B0 14 64"


def test_a_free_lsb_controller_is_sent_after_its_msb(load) -> None:
    profile = load(cc("Time", 109, cc_lsb=37, cc_max_value=16383))
    assert sent(profile, "time", 16383) == "B0 6D 7F | B0 25 7F"
    assert sent(profile, "time", 129) == "B0 6D 01 | B0 25 01"


@pytest.mark.parametrize(
    ("maker", "high", "value", "bytes_"),
    [
        # Right-justified: the value is the 14-bit number itself. Left-justified: the MSB is the value of 7 bits.
        ("Quillon", 127, 100, "B0 10 00 | B0 30 64"),
        ("Elektron", 127, 100, "B0 10 64 | B0 30 00"),
        ("Quillon", 99, 99, "B0 10 00 | B0 30 63"),
        ("Quillon", 255, 255, "B0 10 01 | B0 30 7F"),
        ("Elektron", 255, 255, "B0 10 7F | B0 30 40"),
        ("Elektron", 255, 128, "B0 10 40 | B0 30 00"),
        ("Quillon", 16383, 8192, "B0 10 40 | B0 30 00"),
        ("Elektron", 16383, 8192, "B0 10 40 | B0 30 00"),
        # 16256 = 127 * 128 and 16320 = 255 * 64 count in 14 bits, whoever made it: 64 * 128 = 8192 = 40 00 hex.
        ("Quillon", 16256, 8192, "B0 10 40 | B0 30 00"),
        ("Quillon", 16256, 16256, "B0 10 7F | B0 30 00"),
        ("Quillon", 16320, 64, "B0 10 00 | B0 30 40"),
        ("Quillon", 1000, 1000, "B0 10 07 | B0 30 68"),
    ],
)
def test_the_maximum_and_the_maker_say_where_the_bits_stand(load, maker, high, value, bytes_) -> None:
    profile = load(cc("Depth", 16, cc_lsb=48, cc_max_value=high, manufacturer=maker))
    assert sent(profile, "depth", value) == bytes_
    assert (profile.control("depth").low, profile.control("depth").high) == (0, high)


def test_an_assumed_justification_is_inferred_and_reported() -> None:
    made = imported(cc("Depth", 16, cc_lsb=48, cc_max_value=255), cc("Time", 17, cc_lsb=49, cc_max_value=16256))
    controls = tomllib.loads(made.text)["control"]
    assert [control.get("confidence") for control in controls] == ["I", None]
    notice = next(notice for notice in made.assumed if "right" in notice.what)
    assert notice.lines == (2,)


def test_an_nrpn_sends_its_number_then_both_data_bytes(load) -> None:
    profile = load(nrpn("Low", 1, 20), nrpn("High", 1, 21, 16383))
    assert sent(profile, "low", 5) == "B0 63 01 | B0 62 14 | B0 06 00 | B0 26 05"
    assert sent(profile, "high", 16383) == "B0 63 01 | B0 62 15 | B0 06 7F | B0 26 7F"


def test_of_a_cc_and_an_nrpn_the_cc_is_taken_where_it_reaches_as_far(load) -> None:
    profile = load(cc("A", 20) | nrpn("A", 0, 1), cc("B", 21) | nrpn("B", 0, 2, 1023))
    assert sent(profile, "a", 1) == "B0 14 01"
    assert profile.control("a").remark == "Also NRPN 0/1, 0 to 127."
    assert sent(profile, "b", 1023).startswith("B0 63 00 | B0 62 02")
    assert profile.control("b").remark == "Also CC 21, 0 to 127."


def test_rows_that_set_nothing_are_left_out_and_named() -> None:
    made = imported(
        cc("Mix", 7),
        {"parameter_name": "Nothing"},
        cc("Tap", 8, cc_min_value=127),
        nrpn("Null", 127, 127),
        {"parameter_name": "Half", "nrpn_msb": 3},
        {"parameter_name": "Lone", "cc_lsb": 33},
    )
    assert {notice.what: notice.lines for notice in made.skipped} == {
        "neither a CC nor an NRPN": (3,),
        "one value only, a trigger and no control": (4,),
        "NRPN 127/127, the null parameter": (5,),
        "half of an NRPN": (6,),
        "cc_lsb without cc_msb": (7,),
    }
    assert made.controls == 1
    assert "line 3: neither a CC nor an NRPN" in tomllib.loads(made.text)["not_covered"]


def test_positions_are_choices_with_the_codes_that_mean_them(load) -> None:
    profile = load(cc("Mode", 30, usage="0-42: warm; 43-85: bright; 86-127: off", cc_default_value=60))
    mode = profile.control("mode")
    assert (mode.unit, mode.choices, mode.default) == ("enum", ("warm", "bright", "off"), "bright")
    assert [mode.from_raw(code) for code in (0, 42, 43, 85, 86, 127)] == [
        "warm", "warm", "bright", "bright", "off", "off",
    ]  # fmt: skip
    assert sent(profile, "mode", "warm") == "B0 1E 00"
    assert sent(profile, "mode", "bright") == "B0 1E 40"
    assert sent(profile, "mode", "off") == "B0 1E 7F"


def test_exact_codes_leave_gaps_and_numbered_positions_stay_numbers(load) -> None:
    profile = load(
        cc("Ratio", 31, usage="0: 2; 40: 4; 80: 10"),
        cc("Poles", 32, usage="0-63: 2; 64-127: off"),
        cc("Twice", 33, usage="0: on; 1: on; 2: off"),
    )
    ratio = profile.control("ratio")
    assert [ratio.from_raw(code) for code in (0, 40, 80)] == [2.0, 4.0, 10.0]
    with pytest.raises(ProfileError):
        ratio.from_raw(41)
    assert profile.control("poles").choices == ("value 2", "off")
    assert profile.control("twice").choices == ("on", "on (1)", "off")


@pytest.mark.parametrize(
    ("usage", "assumed"),
    [
        ("0~127: more and more", ""),
        ("0: off; 1~127: more", ""),
        ("0-127: everything", ""),
        ("0-64: a; 64-127: b", "overlap"),
        ("64-0: a; 65-127: b", "backwards"),
        ("0-63: a; 64-200: b", "beyond its range"),
        ("half: a; half: b", "not written as"),
    ],
)
def test_a_usage_that_is_no_switch_leaves_a_number_and_its_words_in_the_remark(load, usage, assumed) -> None:
    entry = cc("Level", 34, usage=usage)
    profile = load(entry)
    assert (profile.control("level").unit, profile.control("level").high) == ("raw", 127)
    assert usage in profile.control("level").remark
    said = [notice.what for notice in imported(entry).assumed if "taken as a number" in notice.what]
    assert [assumed in what for what in said] == ([True] if assumed else [])


def test_centered_rests_in_the_centre_and_an_empty_orientation_is_reported(load) -> None:
    entries = (
        cc("Pan", 10, orientation="centered"),
        cc("Tone", 11, orientation="centered", cc_default_value=70),
        cc("Gain", 12, orientation=""),
    )
    profile = load(*entries)
    assert profile.control("pan").default == 64
    assert profile.control("tone").default == 70
    written = tomllib.loads(imported(*entries).text)["control"]
    assert [control["taper"].get("detents") for control in written] == [[64], [64], None]
    assert "does not say" in profile.control("gain").remark
    assert [notice.lines for notice in imported(*entries).assumed if "orientation" in notice.what] == [(4,)]


def test_modes_that_share_a_message_are_all_kept_and_the_first_is_heard(load) -> None:
    profile = load(cc("Time", 20, section="Delay"), cc("Size", 20, section="Room"), cc("Hold", 84, cc_lsb=20))
    assert list(profile.controls) == ["delay/time", "room/size", "hold"]
    assert [control.listened for control in profile.controls.values()] == [True, False, False]
    assert "Depends on the mode" in profile.control("room/size").remark
    assert sent(profile, "room/size", 3) == "B0 14 03"


def test_names_that_are_there_already_get_a_number(load) -> None:
    profile = load(cc("On", 20, section="A"), cc("On", 21, section="A"), cc("On", 22, section="B"), cc("★", 23))
    assert list(profile.controls) == ["a/on", "a/on_2", "b/on", "cc23"]


def test_a_controller_that_carries_nrpns_is_not_heard_as_itself(load) -> None:
    profile = load(nrpn("Deep", 2, 3), cc("Data", 6), cc("Other", 7))
    assert [control.listened for control in profile.controls.values()] == [True, False, True]


def test_what_would_lose_something_is_dangerous(load) -> None:
    profile = load(cc("Save preset", 27), cc("Restore", 28), cc("All notes off", 123))
    assert [control.dangerous for control in profile.controls.values()] == [True, False, True]


def test_open_ends_negative_ends_and_ends_out_of_reach_are_reported(load) -> None:
    entries = (
        {"parameter_name": "Open", "cc_msb": 20},
        cc("Wide", 21, cc_max_value=255),
        cc("Low", 22, cc_min_value=-64, cc_max_value=63, orientation="centered"),
        cc("Rest", 23, cc_default_value=200),
    )
    profile = load(*entries)
    assert (profile.control("open").high, profile.control("wide").high) == (127, 127)
    assert sent(profile, "low", -64) == "B0 16 00"
    assert profile.control("low").default == 0
    told = {notice.what: notice.lines for notice in imported(*entries).assumed}
    assert told["a maximum that the list leaves open is 127"] == (2,)
    assert told["one controller carries 128 values, so the maximum 255 is never reached"] == (3,)
    assert told["values are counted from the minimum -64, which is code 0"] == (4,)
    assert told["a default outside the range, or between its codes, is left out"] == (5,)


def test_a_byte_order_mark_and_windows_line_ends_are_no_obstacle() -> None:
    data = b"\xef\xbb\xbf" + rows(cc("Mix", 7)).replace("\n", "\r\n").encode()
    assert import_midi_csv(data, file="a.csv").controls == 1


def test_the_id_never_takes_the_place_of_another_profile() -> None:
    made = imported(cc("Mix", 7), taken=lambda name: name in ("quillon-ember-2", "quillon-ember-2-2"))
    assert made.id == "quillon-ember-2-3"
    assert imported(cc("Mix", 7), profile_id="mine").id == "mine"
    with pytest.raises(ProfileSyntaxError, match="cannot be a profile's id"):
        imported(cc("Mix", 7), profile_id="../mine")


def test_another_devices_name_in_the_list_is_reported() -> None:
    made = imported(cc("Mix", 7), cc("Dry", 8, device="Ember 3"))
    assert [notice.lines for notice in made.assumed if "Ember 3" in notice.what] == [(3,)]


NINE = "manufacturer,device,trigger,note,a,b,c,d,e\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (f"{HEADER}\n", "lists no parameters"),
        (b"\x00\x01\x02", ":1: holds a zero byte"),
        (HEADER.encode() + b"\n\xff\xfe,", ":2: is not UTF-8"),
        (rows(cc("Mix", 7)).encode("utf-16"), "UTF-16"),
        (HEADER.replace("cc_msb", "cc_mbs"), ":1: the header has no column cc_msb, but 'cc_mbs'"),
        (HEADER.replace(",usage", ""), "no column usage"),
        (HEADER.replace(",", ";"), "not separated by commas"),
        (NINE, "a list of triggers"),
        ("just a note to myself\n", "no column manufacturer"),
        (f'{HEADER}\n"Quillon,Ember', ":2: is not CSV"),
        (f"{HEADER}\nQuillon,Ember 2\n", ":2: has 2 fields where the header has 18"),
        (rows(cc("Mix", 7), cc("Dry", 128)), ":3: cc_msb is 128, outside 0 to 127"),
        (rows(cc("Mix", -1)), ":2: cc_msb is -1"),
        (rows(cc("Mix", 7, cc_lsb=700)), ":2: cc_lsb is 700"),
        (rows(cc("Mix", 7, cc_lsb=7)), ":2: cc_msb and cc_lsb are both 7"),
        (rows(cc("Mix", 7, cc_max_value="loud")), ":2: cc_max_value is 'loud'"),
        (rows(cc("Mix", 7, cc_max_value="7.5")), ":2: cc_max_value is '7.5'"),
        (rows(cc("Mix", 7, cc_max_value=16384)), ":2: cc_max_value is 16384"),
        (rows(cc("Mix", 7, cc_min_value=100, cc_max_value=9)), ":2: cc_min_value 100 is above cc_max_value 9"),
        (rows(nrpn("Mix", 7, 300)), ":2: nrpn_lsb is 300"),
        (rows(cc("Mix", 7, manufacturer="")), ":2: manufacturer is empty"),
        (rows({"parameter_name": "Nothing"}), "none of its 1 rows"),
        (rows(cc("Mix", 7, notes="two\nlines"), cc("Dry", 128)), ":4: cc_msb is 128"),
    ],
)
def test_a_file_that_is_no_such_list_is_refused_in_a_sentence(data, said) -> None:
    with pytest.raises(ProfileSyntaxError) as caught:
        import_midi_csv(data, file="odd.csv")
    assert str(caught.value).startswith("odd.csv")
    assert said in str(caught.value)
    assert caught.value.hint


def test_a_trigger_file_is_known_by_its_name() -> None:
    with pytest.raises(ProfileSyntaxError, match="list of triggers"):
        import_midi_csv(rows(cc("Mix", 7)), file="Ember.triggers.csv")


NUMBERS = st.sampled_from(["", "0", "1", "6", "33", "64", "99", "126", "127"])
ENDS = st.sampled_from(["", "0", "1", "64", "99", "127", "255", "1000", "16256", "16320", "16383", "-64", "-1"])
USAGES = st.sampled_from(
    [
        "", "0: a; 127: b", "0-63: off; 64-127: on", "0~127: x", "0:1;1:2;2:3",
        "0: 1e3; 1: nan; 2:  ", "0-8191: a; 8192-16383: b",
        "0-1: x; 1-2: y", "-64--1: low; 0-63: high", "0: x; 0-5: y", "0-100: a; 101-16256: a", ";;", "0: {v}; 1: \"q\"",
    ]
)  # fmt: skip
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["Mix", "Save", "{n}", "{", "off", "A/B", "Elektron", "\u2028", "id = 'x'"]
)
ROWS = st.fixed_dictionaries(
    {
        "manufacturer": st.sampled_from(["Quillon", "Elektron", "Ünikorn & Søn", "★"]),
        "device": st.sampled_from(["Ember 2", "{x}", "42"]),
        "section": TEXTS,
        "parameter_name": TEXTS,
        "parameter_description": TEXTS,
        "cc_msb": NUMBERS,
        "cc_lsb": NUMBERS,
        "cc_min_value": ENDS,
        "cc_max_value": ENDS,
        "cc_default_value": ENDS,
        "nrpn_msb": NUMBERS,
        "nrpn_lsb": NUMBERS,
        "nrpn_min_value": ENDS,
        "nrpn_max_value": ENDS,
        "nrpn_default_value": ENDS,
        "orientation": st.sampled_from(["", "0-based", "centered", "upside down"]),
        "notes": TEXTS,
        "usage": USAGES | st.text(max_size=20),
    }
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, min_size=1, max_size=6))
def test_whatever_the_rows_say_the_result_loads_and_checks_or_is_refused(tmp_path: Path, entries: list[Any]) -> None:
    try:
        made = import_midi_csv(rows(*entries), file="random.csv")
    except ProfileError as error:
        assert str(error).startswith("random.csv")
        return
    path = tmp_path / "random.toml"
    path.write_text(made.text, encoding="utf-8")
    profile = load_profile(str(path))
    assert check_examples(profile).problems == ()
    assert len(profile.controls) == made.controls
    left_out = {line for notice in made.skipped for line in notice.lines}
    assert len(left_out) + made.controls == len(entries)


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: f"{HEADER}\n{text}".encode()))
def test_junk_is_refused_and_never_trips_the_reader(data: bytes) -> None:
    try:
        import_midi_csv(data, file="junk.csv")
    except ProfileError as error:
        assert str(error).startswith("junk.csv")
