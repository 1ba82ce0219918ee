"""Finding, reading and refusing profile files."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from profiles.errors import (
    ProfileError,
    ProfileSyntaxError,
    ProfileVersionError,
    UnknownControlError,
    UnknownProfileError,
    ValueRangeError,
)
from profiles.library import check_profile, load_profile, read_library
from profiles.schema import json_schema

SHIPPED = {
    "cmlabs-sixtyfour", "extron-sis-matrix", "mcu-host", "oto-boum", "room-comp", "room-desk-24", "yamaha-01v96",
}  # fmt: skip
GOOD = """\
schema = 1
id = "acme-one"
maker = "Acme"
model = "One"
kind = "outboard"
transports = ["midi"]
verification = "sourced"
confidence = "V1"
sources = ["Acme One manual"]
not_covered = "nothing"

[tapers.level]
kind = "offset"
raw = [1, 127]
offset = -127
off = 0

[[control]]
name = "out{n:02}/level"
role = "gain"
unit = "dB"
taper = "level"
repeat = {n = [1, 2]}
cc = {number = "6+n"}

[[example]]
control = "out01/level"
value = 0
bytes = ["B0 07 7F"]
source = "Acme One manual p. 3"
"""


def written(folder: Path, text: str, name: str = "one.toml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def refusal(folder: Path, text: str) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        load_profile(written(folder, text))
    return caught.value


def test_shipped_profiles_all_load_and_hold() -> None:
    profiles = read_library().profiles
    assert {profile.id for profile in profiles} >= SHIPPED
    for profile in profiles:
        assert check_profile(profile) == []
        assert len(profile.examples) >= 3 or profile.transports == ("hand",) or profile.verification == "unverified"
        assert profile.not_covered
        assert profile.path is not None
        assert profile.path.stem == profile.id


def test_desk_has_what_its_manual_lists() -> None:
    desk = load_profile("room-desk-24")
    assert desk.strips == tuple(range(1, 25))
    assert len(desk.controls) == 24 * 17 + 2
    assert desk.audio.pan_law_db == -3.0
    assert desk.pacing.bytes_per_s == 3125.0
    lmf = desk.control_for("eq_gain", strip=4, band=2)
    assert lmf is not None
    assert (lmf.name, lmf.low, lmf.high, lmf.unit) == ("ch04/eq/lmf_gain", -15.0, 15.0, "dB")
    by_hand = {control.role for control in desk.controls.values() if control.by_hand}
    assert by_hand == {"trim", "polarity", "hpf_freq", "eq_freq", "eq_q"}
    assert all(control.readable != control.by_hand for control in desk.controls.values())
    assert desk.controls["ch01/fader"].default == -math.inf
    assert desk.controls["ch01/hpf_freq"].default == "off"
    assert desk.controls["master/fader"].default == 0.0
    eq = desk.stage("eq")
    assert eq is not None
    assert eq.bands == ["low_shelf", "bell", "bell", "high_shelf"]
    assert desk.stage("compressor") is None


def test_a_pot_stands_where_the_hand_puts_it() -> None:
    trim = load_profile("room-desk-24").controls["ch01/trim"]
    assert trim.achieved(3.3) == 3.3
    assert trim.step_at(3.3) == 0.0
    assert trim.angle_deg(5.0) == pytest.approx(0.0)  # half of -10 to +20 dB
    assert trim.angle_deg(-10.0) == -150.0
    with pytest.raises(ValueRangeError, match=r"ch01/trim \(dB\)"):
        trim.achieved(21.0)
    hpf = load_profile("room-desk-24").controls["ch01/hpf_freq"]
    assert hpf.achieved("off") == "off"
    assert hpf.angle_deg("off") == -150.0


def test_serial_line_speed_counts_every_bit(tmp_path: Path) -> None:
    assert load_profile("extron-sis-matrix").pacing.bytes_per_s == 960.0  # 9600 baud, 8N1
    text = GOOD.replace('["midi"]', '["serial"]').replace('cc = {number = "6+n"}', 'form = [{send = ["{n}*{v}"]}]')
    text = text.replace('"B0 07 7F"', '"1*127"') + "[serial]\nbaud = 38400\nparity = 'odd'\n"
    assert load_profile(written(tmp_path, text)).pacing.bytes_per_s == pytest.approx(38400 / 11)


def test_a_users_profile_stands_in_for_a_shipped_one(tmp_path: Path) -> None:
    written(tmp_path, GOOD.replace("acme-one", "room-comp"))
    assert load_profile("room-comp", folders=[tmp_path]).maker == "Acme"
    assert load_profile("room-comp").maker == "Halfnormal"
    names = [profile.id for profile in read_library(folders=[tmp_path]).profiles]
    assert names.count("room-comp") == 1


def test_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(UnknownProfileError) as caught:
        load_profile("room-desk")
    assert "room-desk-24" in caught.value.hint
    with pytest.raises(UnknownProfileError):
        load_profile("nowhere/none.toml")


def test_unknown_control_names_the_nearest() -> None:
    with pytest.raises(UnknownControlError) as caught:
        load_profile("room-comp").control("treshold")
    assert "threshold" in caught.value.hint


def test_newer_schema_is_left_alone(tmp_path: Path) -> None:
    error = refusal(tmp_path, "schema = 2\nwhatever = 1\n")
    assert isinstance(error, ProfileVersionError)
    assert "schema 2" in str(error)
    assert error.hint


@pytest.mark.parametrize(
    ("change", "line", "says", "hint"),
    [
        (('kind = "outboard"', 'kind = "outbord"'), 5, "outbord", "outboard"),
        (("[[control]]\nname", "[[control]]\nrolle = 1\nname"), 19, "rolle", "role"),
        (('unit = "dB"', 'unit = "db"'), 21, "'db'", "dB"),
        (('taper = "level"', 'taper = "levle"'), 22, "levle", "level"),
        (("raw = [1, 127]", "raw = [1, 127, 3]"), 14, "length 2", ""),
        (("raw = [1, 127]", 'raw = "1-127"'), 14, "expected", ""),
        (("offset = -127", "offset = -127\nstep = 0"), 12, "flat", "differ"),
        (("off = 0", "off = 5"), 12, "off code 5", "beside"),
        (("off = 0", "of = 0"), 16, "tapers, level, of", "off"),
        (('kind = "offset"', 'kind = "ofset"'), 13, "'ofset'", "offset"),
        (('"6+n"', '"6+k"'), 18, "k", ""),
        (('"6+n"', '"6+"'), 18, "6+", "sum"),
        (('cc = {number = "6+n"}', ""), 18, "nothing says how it is set", "cc"),
        (('cc = {number = "6+n"}', 'cc = {number = "6+n"}\nnote = {number = 1}'), 18, "several ways", ""),
        (('cc = {number = "6+n"}', 'cc = {number = "6+n"}\nhand = {}'), 18, "both a hand and messages", ""),
        (('cc = {number = "6+n"}', 'cc = {number = "6+n"}\ndefault = 3'), 18, "outside its range", ""),
        (("{n = [1, 2]}", "{v = [1, 2]}"), 23, "no repeat", "meanings of their own"),
        (("{n = [1, 2]}", "{n = [2, 1]}"), 23, "no repeat", ""),
        (('name = "out{n:02}/level"', 'name = "out/level"'), 19, "already taken", ""),
        (('name = "out{n:02}/level"', 'name = "out{m}{n}"'), 19, "m", "repeat"),
        (('name = "out{n:02}/level"', 'name = "out{n.real}"'), 19, "stray", ""),
        (('control = "out01/level"', 'control = "out1/level"'), 27, "out1/level", "out01/level"),
        (('"B0 07 7F"', '"B0 07 7G"'), 26, "hex", ""),
        (("schema = 1\n", ""), None, "schema", "schema = 1"),
        (('model = "One"\n', ""), None, "model", "model"),
        (("schema = 1\n", "schema = 1\nschema\n"), None, "not TOML", ""),
        (('["midi"]', '["serial"]'), 6, "[serial]", "baud"),
    ],
)  # fmt: skip
def test_bad_profile_is_refused_in_one_sentence(
    tmp_path: Path, change: tuple[str, str], line: int | None, says: str, hint: str
) -> None:
    assert change[0] in GOOD
    error = refusal(tmp_path, GOOD.replace(*change, 1))
    assert isinstance(error, ProfileSyntaxError)
    sentence = str(error)
    assert "one.toml" in sentence
    assert says in sentence
    assert hint in error.hint
    assert "\n" not in sentence
    if line is not None:
        assert f"one.toml:{line}:" in sentence


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_bytes(b"\xff\xfe\x00schema")
    with pytest.raises(ProfileSyntaxError, match=r"one\.toml"):
        load_profile("room-comp", folders=[tmp_path])


def test_one_broken_file_is_named_and_the_rest_of_the_library_is_there(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_bytes(b"\xff\xfe\x00schema")
    (tmp_path / "two.toml").write_text('schema = 1\nid = "two"\nmaker = 3\n')
    library = read_library(folders=[tmp_path])
    assert {profile.id for profile in library.profiles} >= SHIPPED
    assert [any(name in str(error) for error in library.broken) for name in ("one.toml", "two.toml")] == [True, True]


def test_without_examples_a_profile_is_unverified(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("[[example]]")]
    assert load_profile(written(tmp_path, text)).verification == "unverified"
    assert load_profile(written(tmp_path, GOOD)).verification == "sourced"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ch01/fader", "-6", -6.0),
        ("ch01/fader", "off", -math.inf),
        ("ch01/fader", "-inf", -math.inf),
        ("ch01/mute", "on", True),
        ("ch01/mute", "off", False),
        ("ch01/mute", "true", True),
        ("ch01/hpf_freq", "off", "off"),
        ("ch01/hpf_freq", "80", 80.0),
    ],
)
def test_values_as_people_type_them(name: str, text: str, value: float | bool | str) -> None:
    assert load_profile("room-desk-24").controls[name].value_from_text(text) == value


def test_a_value_nobody_understands() -> None:
    with pytest.raises(ValueRangeError):
        load_profile("room-desk-24").controls["ch01/fader"].value_from_text("loud")
    with pytest.raises(ValueRangeError):
        load_profile("room-desk-24").controls["ch01/mute"].value_from_text("maybe")


def test_schema_names_every_key() -> None:
    schema = json_schema()
    assert "$defs" in schema
    assert {"control", "example", "tapers"} <= set(schema["$defs"]["ProfileTable"]["properties"])


def test_teaching_page_is_a_valid_profile(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page.split("## Many strips")[0], flags=re.DOTALL)
    profile = load_profile(written(tmp_path, "\n".join(map(textwrap.dedent, blocks))))
    assert set(profile.controls) == {"output", "polarity", "input"}
    assert check_profile(profile) == []
    assert profile.controls["input"].choices == ("mic", "line", "di")


def test_library_starts_without_heavy_libraries() -> None:
    code = "import sys, profiles.library; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert not {"numpy", "scipy", "numba", "rich", "textual"} & set(out.stdout.split())
