from __future__ import annotations

from pathlib import Path

import pytest

from hardware.rig import load_rig
from hardware.rig_check import RigProblem, check_rig

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
        ('port = "midi:Comp"', 'port = "midi:Desk"', "shares the port", ""),
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
