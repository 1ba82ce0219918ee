from __future__ import annotations

from pathlib import Path

import pytest

from hardware.rig import load_rig
from hardware.rig_check import RigProblem, check_rig, rig_profiles

GOOD = """
schema = 1
name = "small"
[audio]
port = "Fireface"
outputs = 24
inputs = 2
dbu_at_0dbfs = 18.0
[[device]]
name = "desk"
profile = "room-desk-24"
port = "midi:Desk"
[[device]]
name = "comp"
profile = "room-comp"
port = "midi:Comp"
[[wire]]
outputs = "1-24"
to = "desk/ch01-24"
[[return]]
from = "desk/mix"
inputs = "1-2"
[[insert]]
at = "desk/mix"
device = "comp"
switch = { "desk/master/insert" = true }
"""


def problems(folder: Path, text: str) -> list[RigProblem]:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return check_rig(load_rig(path))


@pytest.mark.parametrize("name", ["demo", "room"])
def test_the_shipped_rigs_hold(name: str) -> None:
    assert check_rig(load_rig(name)) == []


def test_a_rig_without_contradictions_has_no_problems(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "says", "helps"),
    [
        ("[[return]]", '[[wire]]\noutputs = 24\nto = "desk/ch01"\n[[return]]', "both feed desk/ch01", ""),
        ("[[return]]", '[[wire]]\noutputs = 3\nto = "comp/l"\n[[return]]', "output 3 is wired twice", ""),
        ("outputs = 24", "outputs = 16", "interface output 17 (desk/ch17) does not exist", "outputs"),
        ('inputs = "1-2"', 'inputs = "2-3"', "interface input 3 (desk/mix/r) does not exist", "inputs"),
        ('inputs = "1-2"', 'inputs = "1-2"\n[[return]]\nfrom = "comp/l"\ninputs = 1', "input 1 is wired twice", ""),
        ('"room-desk-24"', '"room-desk-42"', "no profile 'room-desk-42'", "room-desk-24"),
        ('to = "desk/ch01-24"', 'to = "desk/ch02-25"', "no input 'ch25'", "ch2"),
        ('to = "desk/ch01-24"', 'to = "desc/ch01-24"', "'desc', which is no device", "desk"),
        ('from = "desk/mix"', 'from = "desl/mix"', "'desl', which is no device", "desk"),
        ('port = "midi:Comp"', "", "it has no port", "hand"),
        ('port = "midi:Comp"', 'port = "usb:Comp"', "names no transport", "midi:"),
        ('port = "midi:Comp"', 'port = "midi:"', "names no transport", "midi:"),
        ('port = "midi:Comp"', 'port = "midi:Desk"', "with desk, and both are on MIDI channel 1", "channel"),
        (
            'port = "midi:Comp"',
            'port = "midi:Desk"\nchannel = 2\nreceive = "Back"',
            "answers on another input",
            "same receive",
        ),
        ('port = "midi:Comp"', 'port = "hand"\nreceive = "Back"', "stands on 'hand'", "take the line out"),
        ('port = "midi:Comp"', 'port = "room:comp"', "audio goes to 'Fireface'", "same room"),
        ('port = "midi:Comp"', 'port = "serial:/dev/ttyUSB0"', "speaks midi", ""),
        ('name = "comp"', 'name = "desk"', "two devices are named 'desk'", "name of its own"),
        ('device = "comp"', 'device = "comb"', "inserts 'comb'", "comp"),
        ('"desk/master/insert" =', '"desk/master/inset" =', "no control 'master/inset'", "master/insert"),
        ('"desk/master/insert" =', '"dsk/master/insert" =', "'dsk', which is no device", "desk"),
        ('"desk/master/insert" = true', '"comp/ratio" = "3:7"', "comp/ratio cannot be '3:7'", ""),
        ("dbu_at_0dbfs = 18.0", "dbu_at_0dbfs = 180.0", "0 dBFS cannot be +180 dBu", "R68"),
        ("[[wire]]", '[room]\nmodel = "none.toml"\n[[wire]]', "no model file", "built-in"),
    ],
)
def test_each_contradiction_is_named_with_what_to_do(tmp_path: Path, old: str, new: str, says: str, helps: str) -> None:
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    match = [problem for problem in found if says in problem.what]
    assert match, [problem.what for problem in found]
    assert helps in match[0].hint
    assert match[0].where
    assert match[0].hint


def test_cables_are_named_with_file_and_line(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, GOOD.replace('to = "desk/ch01-24"', 'to = "desk/ch02-25"'))
    assert problem.where == f"mine.toml line {GOOD.splitlines().index('[[wire]]') + 1}, [[wire]]"


def test_two_devices_may_share_a_port_on_channels_of_their_own(tmp_path: Path) -> None:
    shared = GOOD.replace('port = "midi:Comp"', 'port = "midi:Desk"\nchannel = 2')
    assert problems(tmp_path, shared) == []


MATRIX = """
[[device]]
name = "matrix"
profile = "extron-sis-matrix"
port = "serial:/dev/ttyUSB0"
"""


def test_devices_on_a_serial_line_cannot_be_told_apart(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, GOOD + MATRIX + MATRIX.replace('"matrix"', '"matrix2"'))
    assert "shares the port 'serial:/dev/ttyUSB0' with matrix" in problem.what


def test_a_serial_device_has_no_midi_channel_and_a_misspelt_adapter_is_named(tmp_path: Path) -> None:
    text = GOOD + MATRIX.replace("/dev/ttyUSB0", "usb:403:6001") + "channel = 2\n"
    channel, port = problems(tmp_path, text)
    lines = text.splitlines()
    assert channel.where == f"mine.toml line {lines.index('channel = 2') + 1}, device matrix"
    assert "has no MIDI channel" in channel.what
    misspelt = lines.index('port = "serial:usb:403:6001"') + 1
    assert port.where == f"mine.toml line {misspelt}, device matrix"
    assert "names no USB serial adapter" in port.what


PROFILE = """
schema = 1
id = "gate"
maker = "Nobody"
model = "Gate"
kind = "outboard"
transports = ["midi"]
verification = "unverified"
confidence = "M"
sources = []
not_covered = ""
[options.polarity]
choices = ["sampler", "sequencer"]
default = "sampler"
[tapers.mute]
kind = "switch"
on = 127
off = 0
[[variant]]
when = {polarity = "sequencer"}
tapers.mute = {kind = "switch", on = 0, off = 127}
[[control]]
name = "mute"
unit = "bool"
role = "mute"
taper = "mute"
cc = {number = 7}
"""


@pytest.fixture
def gate(tmp_path: Path) -> str:
    """A rig text with a device that has an option."""
    (tmp_path / "gate.toml").write_text(PROFILE, encoding="utf-8")
    profile = (tmp_path / "gate.toml").as_posix()
    return f'{GOOD}[[device]]\nname = "gate"\nprofile = "{profile}"\nport = "midi:Gate"\n'


def test_a_device_is_loaded_as_the_rig_sets_it_up(tmp_path: Path, gate: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(gate + 'options = {polarity = "sequencer"}\nchannel = 3\n', encoding="utf-8")
    profile = rig_profiles(load_rig(path))["gate"]
    assert profile.midi_channel == 3
    assert profile.options == {"polarity": "sequencer"}
    assert profile.controls["mute"].to_raw(True) == 0
    assert problems(tmp_path, gate + 'options = {polarity = "sequencer"}\nchannel = 3\n') == []


@pytest.mark.parametrize(
    ("lines", "at", "says", "helps"),
    [
        (['options = {polarty = "sampler"}'], 0, "gate has no option 'polarty'", "polarity"),
        (['options = {polarity = "sequence"}'], 0, "cannot be 'sequence'", "sequencer"),
        (["[device.options]", 'polarity = "dampler"'], 1, "cannot be 'dampler'", "sampler"),
        (['options.polarity = "x"'], 0, "cannot be 'x'", "sampler, sequencer"),
    ],
)
def test_a_wrong_option_is_named_with_its_line_and_the_nearest_word(
    tmp_path: Path, gate: str, lines: list[str], at: int, says: str, helps: str
) -> None:
    text = gate + "\n".join(lines) + "\n"
    (problem,) = problems(tmp_path, text)
    assert problem.where == f"mine.toml line {text.splitlines().index(lines[at]) + 1}, device gate"
    assert says in problem.what
    assert helps in problem.hint


def test_an_option_of_a_device_without_options_is_named(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, GOOD.replace('port = "midi:Comp"', 'port = "midi:Comp"\noptions = {a = "b"}'))
    assert "room-comp has no option 'a'" in problem.what
    assert "no options" in problem.hint
