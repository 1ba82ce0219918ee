"""``halfnormal snapshot`` as people and scripts have it: words, keys, exit codes, questions, and what is on disk."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from cli_line import Line
from snapshot_line import PNG

from controller.studio import Studio


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path, monkeypatch, capsys)


def turn(address: str, value: float) -> None:
    """Put a hand on a knob of the room."""
    with Studio.open("small") as studio:
        assert studio.room
        studio.room.turn(address, value)


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_take_names_its_file_and_every_control_with_how_it_is_known(line: Line) -> None:
    line.add_project()
    turn("desk/ch02/fader", -20.0)
    told = line.json(
        "snapshot", "take", "song", "--note", "before lunch", "--note", "desk=hums", "--set", "desk/ch01/trim=2.5"
    )
    assert told["snapshot"] == "song/snapshots/0001.json"
    assert (told["number"], told["rig"]["name"], told["note"]) == (1, "small", "before lunch")
    fader = told["controls"]["desk/ch02/fader"]
    assert (fader["value"], fader["unit"], fader["how"]) == (-20.0, "dB", "read-back")
    off = told["controls"]["desk/ch03/fader"]
    assert (off["value"], off["value_note"]) == (None, "off (minus infinity)")
    assert told["controls"]["desk/ch01/trim"]["how"] == "by-hand"
    assert "desk/ch02/trim" in told["unknown"]
    assert told["devices"]["desk"]["note"] == "hums"
    assert told["failed_devices"] == {}
    on_file = json.loads((line.folder / "song" / "snapshots" / "0001.json").read_text("utf-8"))
    assert on_file["controls"] == told["controls"]


def test_without_a_project_a_snapshot_goes_to_the_rigs_home(line: Line) -> None:
    said = line.run("snapshot", "take", "--rig", "small", "--no-read")
    assert said.code == 0
    assert "0001.json: nothing known" in said.out
    assert (line.home / "rigs" / "small" / "snapshots" / "0001.json").is_file()
    assert [s["number"] for s in line.json("snapshot", "list", "--rig", "small")["snapshots"]] == [1]


def test_inside_a_project_its_own_snapshots_are_meant(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.add_project()
    monkeypatch.chdir(line.folder / "song")
    assert line.json("snapshot", "take", "--no-read")["snapshot"] == "snapshots/0001.json"
    assert line.json("snapshot", "show")["snapshot"] == "snapshots/0001.json"


def test_a_dry_run_says_what_would_be_read_and_asked_and_does_neither(line: Line) -> None:
    line.add_project()
    before = line.files()
    told = line.json("snapshot", "take", "song", "--dry-run")
    assert told["snapshot"] is None
    assert {"desk/ch01/fader", "matrix/out01/tie"} <= set(told["to_read"])
    assert "desk/ch24/trim" in told["to_ask"]
    assert "comp/threshold" not in told["to_read"] + told["to_ask"]
    assert line.files() == before


def test_questions_are_asked_one_by_one_and_a_wrong_answer_again(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.add_project()
    # trim 1: too far, then right; polarity 1: reversed; high-pass 1: off; then no answer, a dash, and the end.
    answer(monkeypatch, "99\n+3.5\non\noff\n\n-\nq\nnever read\n")
    said = line.run("snapshot", "take", "song", "--ask", "-q", "--json")
    assert said.code == 0
    told = json.loads(said.out)
    controls = told["controls"]
    assert controls["desk/ch01/trim"]["value"] == 3.5
    assert controls["desk/ch01/polarity"]["value"] is True
    assert (controls["desk/ch01/hpf_freq"]["value"], controls["desk/ch01/hpf_freq"]["how"]) == ("off", "by-hand")
    assert {"desk/ch01/eq/lf_freq", "desk/ch01/eq/lmf_freq", "desk/ch02/trim"} <= set(told["unknown"])
    assert [entry["how"] for entry in controls.values()].count("by-hand") == 3
    assert "outside its range" in said.err
    # What was answered is not asked again; the next question is the first that stayed open.
    answer(monkeypatch, "")
    assert "1/213 desk/ch01/eq/lf_freq" in line.run("snapshot", "take", "song", "--ask", "--no-read").err


def test_enter_takes_the_guess_in_brackets(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.add_project()
    with Studio.open("small") as studio:
        studio.state.mark_by_hand({"desk/ch01/trim": 4.0})
        known = studio.state["desk/ch01/trim"]
        studio.remember({"desk/ch01/trim": type(known)(4.0, "assumed", known.at)})
    answer(monkeypatch, "\n")
    said = line.run("snapshot", "take", "song", "--ask", "--no-read", "--json")
    assert "desk/ch01/trim (-10 to 20 dB) [+4.00 dB]: " in said.err
    assert json.loads(said.out)["controls"]["desk/ch01/trim"]["how"] == "by-hand"


def test_nobody_is_asked_where_nobody_sits_and_the_open_ones_are_listed(line: Line) -> None:
    line.add_project()
    said = line.run("snapshot", "take", "song")
    assert said.code == 0
    assert "216 by-hand controls are unknown" in said.err
    assert "desk/ch01 … ch24/trim (24)" in said.out


def test_a_device_that_does_not_answer_is_named_and_the_snapshot_says_so(line: Line) -> None:
    line.add_project()
    line.add_rig("small", faults=['kind = "silent_serial"'])
    told = line.json("snapshot", "take", "song", code=4)
    assert list(told["failed_devices"]) == ["matrix"]
    shown = line.run("snapshot", "show", "song")
    assert "not read: matrix" in shown.out
    assert line.json("snapshot", "show", "song", "1")["devices"]["matrix"]["not_read"]


def test_a_device_without_a_port_is_named(line: Line) -> None:
    line.add_project()
    line.add_rig("small", desk="room:dsek")
    said = line.run("snapshot", "take", "song")
    assert said.code == 3
    assert "desk: has no port: no port room:dsek" in said.err
    assert (line.folder / "song" / "snapshots" / "0001.json").is_file()


def test_list_shows_numbers_names_and_notes(line: Line) -> None:
    line.add_project()
    assert line.run("snapshot", "list", "song").out == "No snapshot yet.\n"
    line.run("snapshot", "take", "song", "--name", "verse", "--note", "loud\nand clear")
    line.run("snapshot", "take", "song", "--no-read")
    first, second = line.json("snapshot", "list", "song")["snapshots"]
    assert (first["snapshot"], first["name"], first["rig"]) == ("song/snapshots/0001.json", "verse", "small")
    assert (first["controls"], first["unknown"], first["photos"]) == (226, 222, 0)
    assert second["name"] == "snapshot 2"
    assert "verse: loud\n" in line.run("snapshot", "list", "song").out


def test_list_names_a_damaged_file_and_shows_the_others(line: Line) -> None:
    line.add_project()
    line.run("snapshot", "take", "song", "--no-read")
    bad = line.folder / "song" / "snapshots" / "0002.json"
    bad.write_text("{")
    told = line.json("snapshot", "list", "song", code=2)
    assert [s["number"] for s in told["snapshots"]] == [1]
    assert "song/snapshots/0002.json is damaged" in told["problems"][0]["what"]
    assert bad.read_text() == "{"
    assert line.run("snapshot", "show", "song", "2").code == 2


def test_diff_gives_three_lists_and_exits_1(line: Line) -> None:
    line.add_project()
    line.run("snapshot", "take", "song", "--set", "desk/ch01/trim=1")
    turn("desk/ch02/fader", -10.0)
    turn("matrix/out03/tie", 2)
    line.run("snapshot", "take", "song", "--set", "desk/ch02/trim=4", "--set", "desk/ch01/trim=1")
    told = line.json("snapshot", "diff", "1", "2", "song", code=1)
    assert told["only_left"] == []
    assert [(c["address"], c["value"], c["how"]) for c in told["only_right"]] == [("desk/ch02/trim", 4.0, "by-hand")]
    changed = {c["address"]: (c["left"]["value"], c["right"]["value"]) for c in told["changed"]}
    assert changed == {"desk/ch02/fader": (None, -10.0), "matrix/out03/tie": (0.0, 2.0)}
    assert (told["left"], told["right"]) == ("song/snapshots/0001.json", "song/snapshots/0002.json")
    said = line.run("snapshot", "diff", "1", "2", "song")
    assert said.code == 1
    assert "only in song/snapshots/0002.json:" in said.out
    assert "off (read-back)" in said.out


def test_diff_with_now_and_with_files(line: Line) -> None:
    line.add_project()
    line.run("snapshot", "take", "song")
    assert line.json("snapshot", "diff", "1", "now", "song")["changed"] == []
    line.run("snapshot", "take", "song", "--set", "desk/ch01/trim=1")
    assert [c["address"] for c in line.json("snapshot", "diff", "1", "now", "song", code=1)["only_right"]] == [
        "desk/ch01/trim"
    ]
    copy = line.folder / "elsewhere.json"
    copy.write_bytes((line.folder / "song" / "snapshots" / "0001.json").read_bytes())
    said = line.run("snapshot", "diff", "elsewhere.json", "song/snapshots/0001.json")
    assert said.code == 0
    assert "are the same in all 226 controls" in said.out


def test_show_says_where_each_control_stands_and_what_became_of_photos(line: Line) -> None:
    line.add_project()
    (line.folder / "desk.png").write_bytes(PNG)
    line.run("snapshot", "take", "song", "--photo", "desk=desk.png", "--note", "loud", "--set", "desk/ch01/trim=1")
    said = line.run("snapshot", "show", "song", "1")
    assert said.code == 0
    assert "desk/ch01/trim" in said.out
    assert "(desk.png)" in said.out
    (photo,) = line.json("snapshot", "show", "song")["devices"]["desk"]["photos"]
    (line.folder / "song" / "snapshots" / photo["file"]).unlink()
    assert "the photo desk.png is gone" in line.run("snapshot", "show", "song").err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("take", "song", "--photo", "desk=stems/vox.wav"), "stems/vox.wav is no photo"),
        (("take", "song", "--photo", "desk=absent.png"), "There is no photo absent.png"),
        (("take", "song", "--photo", "dsek=x.png"), 'no device "dsek", did you mean "desk"?'),
        (("take", "song", "--photo", "desk.png"), "--photo desk.png names no device"),
        (("take", "song", "--set", "desk/ch01/trim"), "gives no value"),
        (("take", "song", "--set", "desk/ch01/trim=loud"), "cannot be set to 'loud'"),
        (("take", "song", "--set", "desk/ch01/trim=99"), "outside its range"),
        (("take", "song", "--set", "desk/ch01/trimm=1"), "no control 'ch01/trimm'"),
        (("take", "song", "--set", "desk/ch01/trim=1", "--set", "desk/ch01/trim=2"), "gives desk/ch01/trim twice"),
        (("take", "nowhere"), "there is no project at nowhere"),
        (("take",), "not said whose snapshots"),
        (("take", "--rig", "smal"), "no rig named 'smal'"),
        (("list", "song", "again"), "no use for 'again'"),
        (("list", "song", "--ask"), "no use for --ask"),
        (("show", "song", "1"), "holds no snapshot"),
        (("show", "absent.json"), "no snapshot file absent.json"),
        (("show", "song/project.toml"), "song/project.toml is damaged"),
        (("diff", "1", "song"), "needs two snapshots"),
        (("diff", "1", "2", "3", "song"), "no use for '3'"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_changes_nothing(
    line: Line, words: tuple[str, ...], sentence: str
) -> None:
    line.add_project()
    before = line.files()
    said = line.run("snapshot", *words)
    assert said.code == 2
    assert sentence in said.sentence
    assert line.files() == before


def test_a_note_on_a_device_that_is_not_there_is_kept_and_told(line: Line) -> None:
    line.add_project()
    said = line.run("snapshot", "take", "song", "--no-read", "--note", "dekk=hums")
    assert "Did you mean desk?" in said.err
    assert line.json("snapshot", "show", "song")["note"] == "dekk=hums"


def test_ctrl_c_at_a_question_exits_130_and_writes_no_snapshot(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.add_project()

    class Interrupted(io.StringIO):
        def readline(self, size: int = -1, /) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Interrupted())
    said = line.run("snapshot", "take", "song", "--ask")
    assert said.code == 130
    assert list((line.folder / "song" / "snapshots").iterdir()) == []
