"""A snapshot recalled: everything goes back to where it was, and what the rig has no more is named and left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from short_line import STRIPS, Line, song

from controller.cli.main import main
from controller.events import silent
from controller.mix import save_new_mix
from controller.places import rig_home
from controller.project import Project
from controller.snapshot_take import take
from controller.studio import Studio


def recall(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    code = main(["recall", *arguments[:1], str(root), "--json", *arguments[1:]])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else {}, said.err


def newest_journal() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(max((rig_home("demo").folder / "runs").iterdir()).read_text())
    return found


def knobs(line: Line) -> dict[str, Any]:
    with Studio.open(line.rig) as studio:
        assert studio.room
        return studio.room.room.knobs()


@pytest.fixture
def project(line: Line, capsys: pytest.CaptureFixture[str]) -> Project:
    """A song whose mix was recalled and kept as snapshot 1; then a louder mix was recalled in its place."""
    made = line.project(song(0.5))
    assert recall(capsys, made.root, "send", "--yes", "--hands-done")[0] == 0
    with Studio.open(line.rig) as studio:
        take(studio, made.snapshots, name="verse", emit=silent)
    louder = [msgspec.structs.replace(strip, fader_db=strip.fader_db + 3.0, hpf_hz=80.0) for strip in STRIPS]
    save_new_mix(msgspec.structs.replace(made.mix(), strips=tuple(louder)), made.mixes)
    return made


def test_a_snapshot_brings_the_room_back(line: Line, project: Project, capsys) -> None:
    before = knobs(line)
    assert recall(capsys, project.root, "send", "--yes", "--hands-done")[0] == 0
    assert knobs(line) != before
    code, plan, _ = recall(capsys, project.root, "plan", "--snapshot", "1")
    assert code == 0
    faders = {control["address"]: control["to"] for control in plan["controls"]}
    assert faders["desk/ch01/fader"] == before["desk/ch01/fader"]
    assert {entry["address"] for entry in plan["by_hand"]} >= {"desk/ch01/hpf_freq"}
    assert plan["left_out"] == []
    assert recall(capsys, project.root, "verify", "--snapshot", "1")[0] == 1
    assert recall(capsys, project.root, "send", "--snapshot", "1", "--yes", "--hands-done")[0] == 0
    assert knobs(line) == before
    assert recall(capsys, project.root, "verify", "--snapshot", "1")[0] == 0
    code, plan, _ = recall(capsys, project.root, "plan", "--snapshot", "1")
    assert (plan["controls"], plan["by_hand"], plan["bytes"]) == ([], [], 0)


def test_the_file_of_a_snapshot_serves_as_well_as_its_number(project: Project, capsys) -> None:
    by_number = recall(capsys, project.root, "plan", "--snapshot", "1")[1]
    by_file = recall(capsys, project.root, "plan", "--snapshot", str(project.snapshots / "0001.json"))[1]
    assert by_file == by_number
    code, _, said = recall(capsys, project.root, "plan", "--snapshot", "7")
    assert code == 2
    assert "has no snapshot 7; there is 1" in said
    for wrong in (
        ["--snapshot", "now"],
        ["--snapshot", "1", "--mix", "mix-1"],
        ["--snapshot", "1", "--path", "hybrid"],
    ):
        assert recall(capsys, project.root, "plan", *wrong)[0] == 2


def test_sheet_and_ticks_of_a_snapshot(line: Line, project: Project, capsys, tmp_path: Path) -> None:
    assert recall(capsys, project.root, "send", "--yes", "--hands-done")[0] == 0
    page = tmp_path / "sheet.html"
    code, data, _ = recall(capsys, project.root, "sheet", "--snapshot", "1", "--html", str(page))
    assert code == 0
    html = page.read_text("utf-8")
    assert "verse" in html
    assert all(f'data-address="{entry["address"]}"' in html for entry in data["by_hand"])
    first = data["by_hand"][0]["address"]
    code, told, _ = recall(capsys, project.root, "hands", "--snapshot", "1", "--done", first)
    assert (code, told["done"], told["left"]) == (0, [first], len(data["by_hand"]) - 1)


def edited(project: Project, change: Any) -> None:
    """Put a changed copy of snapshot 1 beside it as snapshot 2."""
    facts = json.loads((project.snapshots / "0001.json").read_text())
    facts["number"] = 2
    change(facts)
    (project.snapshots / "0002.json").write_text(json.dumps(facts))


def test_what_the_rig_has_no_more_is_named_once_and_the_rest_is_recalled(line: Line, project: Project, capsys) -> None:
    def change(facts: dict[str, Any]) -> None:
        entry = facts["controls"]["desk/ch01/fader"]
        facts["devices"]["tape"] = facts["devices"]["desk"]
        facts["controls"] |= {f"tape/track{n}/level": entry for n in range(1, 4)}
        facts["controls"]["desk/ch01/sparkle"] = entry
        facts["controls"]["desk/ch02/fader"] = {**entry, "value": 40.0}
        facts["controls"]["desk/ch03/fader"] = {**entry, "value": -30.0, "how": "assumed"}

    edited(project, change)
    code, plan, said = recall(capsys, project.root, "plan", "--snapshot", "2")
    assert code == 0
    left = {entry["where"]: entry["what"] for entry in plan["left_out"]}
    assert set(left) == {"tape", "desk/ch01/sparkle", "desk/ch02/fader"}
    assert "3 controls" in left["tape"]
    assert "cannot stand at 40" in left["desk/ch02/fader"]
    assert said.count("tape: left out") == 1
    assert recall(capsys, project.root, "send", "--snapshot", "2", "--yes", "--hands-done")[0] == 0
    assert recall(capsys, project.root, "verify", "--snapshot", "2")[0] == 0


def test_dangerous_controls_of_a_snapshot_need_consent(line: Line, project: Project, capsys) -> None:
    """A snapshot of an earlier program may hold an action, such as storing a preset of the matrix."""

    def change(facts: dict[str, Any]) -> None:
        facts["controls"]["matrix/preset/save"] = {"value": 3.0, "unit": "raw", "how": "sent", "at": facts["at"]}

    edited(project, change)
    _, plan, _ = recall(capsys, project.root, "plan", "--snapshot", "2")
    assert plan["withheld"] == ["matrix/preset/save"]
    assert "matrix/preset/save" not in {control["address"] for control in plan["controls"]}
    _, plan, _ = recall(capsys, project.root, "plan", "--snapshot", "2", "--consent", "matrix/preset/save")
    assert plan["withheld"] == []
    assert "matrix/preset/save" in {control["address"] for control in plan["controls"]}


def test_a_recall_of_a_snapshot_is_resumed_to_that_snapshot(line: Line, project: Project, capsys) -> None:
    assert recall(capsys, project.root, "send", "--yes", "--hands-done")[0] == 0
    line.set_room(faults=[{"kind": "nak", "control": "desk/ch04/fader"}])
    assert recall(capsys, project.root, "send", "--snapshot", "1", "--yes", "--hands-done")[0] == 3
    journal = newest_journal()
    assert journal["snapshot"] == "snapshots/0001.json"
    assert "mix" not in journal
    assert journal["finished"] is False
    line.set_room()
    assert recall(capsys, project.root, "resume", "--snapshot", "1", "--yes")[0] == 2
    code, data, _ = recall(capsys, project.root, "resume", "--yes")
    assert code == 0
    assert data["resumes"] == journal_number() - 1
    assert (newest_journal()["snapshot"], newest_journal()["finished"]) == ("snapshots/0001.json", True)
    assert recall(capsys, project.root, "verify", "--snapshot", "1")[0] == 0


def journal_number() -> int:
    return len(list((rig_home("demo").folder / "runs").iterdir()))


def test_a_project_that_was_moved_keeps_its_unfinished_run(line: Line, project: Project, capsys) -> None:
    line.set_room(faults=[{"kind": "nak", "control": "desk/ch04/fader"}])
    assert recall(capsys, project.root, "send", "--yes", "--hands-done")[0] == 3
    line.set_room()
    unfinished = journal_number()
    copy = project.root.with_name("copy of the song")
    shutil.copytree(project.root, copy)
    assert recall(capsys, copy, "resume", "--yes")[1]["resumes"] is None, "the run is the original's, which is there"
    shutil.rmtree(copy)
    moved = project.root.rename(project.root.with_name("elsewhere"))
    code, data, _ = recall(capsys, moved, "resume", "--yes")
    assert (code, data["resumes"]) == (0, unfinished)


def test_a_project_of_another_title_in_the_same_folder_does_not_take_the_run(
    line: Line, project: Project, capsys
) -> None:
    line.set_room(faults=[{"kind": "nak", "control": "desk/ch04/fader"}])
    assert recall(capsys, project.root, "send", "--yes", "--hands-done")[0] == 3
    line.set_room()
    file = project.root / "project.toml"
    file.write_text(file.read_text().replace(f'title = "{project.title}"', 'title = "another song"'))
    assert recall(capsys, project.root, "resume", "--yes")[1]["resumes"] is None


def test_a_print_takes_the_place_of_an_unfinished_recall(line: Line, capsys) -> None:
    """What a print recalls is where the rig shall be from then on: nothing goes back to an older target."""
    line.calibrated()
    project = line.project(song(0.5))
    line.set_room(faults=[{"kind": "nak", "control": "desk/ch04/fader"}])
    quiet = [msgspec.structs.replace(strip, fader_db=-30.0) for strip in STRIPS]
    save_new_mix(msgspec.structs.replace(project.mix(), strips=tuple(quiet)), project.mixes)
    assert recall(capsys, project.root, "send", "--yes", "--hands-done")[0] == 3
    line.set_room()
    save_new_mix(msgspec.structs.replace(project.mix(), strips=tuple(STRIPS)), project.mixes)
    line.print(project)
    assert (newest_journal()["finished"], newest_journal()["mix"]) == (True, project.mix().name)
    assert recall(capsys, project.root, "resume", "--yes")[1]["resumes"] is None


def test_a_prints_snapshot_is_one_as_all_others_and_can_be_recalled(line: Line, capsys) -> None:
    line.calibrated()
    project = line.project(song(0.5))
    made = line.print(project)
    facts = json.loads(made.provenance_file.read_text())
    assert facts["snapshot"]["file"] == "0001.json"
    on_file = json.loads((project.snapshots / "0001.json").read_text())
    assert (on_file["kind"], on_file["number"], on_file["name"]) == ("snapshot", 1, "of a print")
    assert set(on_file["devices"]) == {"desk", "comp", "matrix"}
    code, plan, _ = recall(capsys, project.root, "plan", "--snapshot", "1")
    assert (code, plan["controls"]) == (0, [])
