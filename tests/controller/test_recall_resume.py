"""A recall that was left half done goes on where it stopped, for what is sent and for what hands set."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from short_line import STRIPS, Line, song

from controller.cli.main import main
from controller.hands import hand_json
from controller.mix import save_new_mix
from controller.places import rig_home
from controller.project import Project
from controller.studio import Studio
from hardware.recall import HandStep
from hardware.room.inprocess import MemoryPort


def recall(capsys: pytest.CaptureFixture[str], project: Project, *arguments: str) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    code = main(["recall", *arguments[:1], str(project.root), "--json", *arguments[1:]])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else {}, said.err


def runs(number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((rig_home("demo").folder / "runs" / f"{number:04d}.json").read_text())
    return found


def sent_by(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    sent: list[bytes] = []
    send = MemoryPort.send

    def noted(port: MemoryPort, data: bytes) -> None:
        sent.append(data)
        send(port, data)

    monkeypatch.setattr(MemoryPort, "send", noted)
    return sent


def test_each_run_leaves_a_journal(line: Line, capsys) -> None:
    project = line.project(song(0.5))
    code, data, _ = recall(capsys, project, "send", "--yes", "--hands-done")
    assert code == 0
    journal = runs(1)
    assert (journal["schema"], journal["finished"], journal["failed_devices"]) == (1, True, {})
    assert (journal["project"], journal["mix"], journal["path"]) == (str(project.root.resolve()), "the mix", "analog")
    assert set(journal["results"]) == {control["address"] for control in data["controls"]}
    assert {entry["state"] for entry in journal["results"].values()} == {"settled"}
    assert set(journal["target"]) >= set(journal["results"])


def test_resume_goes_on_to_the_target_it_had_though_the_mix_has_changed(line: Line, capsys) -> None:
    project = line.project(song(0.5))
    line.set_room(faults=[{"kind": "nak", "control": "desk/ch04/fader"}])
    assert recall(capsys, project, "send", "--yes", "--hands-done")[0] == 3
    assert runs(1)["finished"] is False
    line.set_room()
    louder = [msgspec.structs.replace(strip, fader_db=strip.fader_db + 3.0) for strip in STRIPS]
    save_new_mix(msgspec.structs.replace(project.mix(), strips=tuple(louder)), project.mixes)
    code, data, _ = recall(capsys, project, "resume", "--yes")
    assert code == 0
    assert data["resumes"] == 1
    with Studio.open(line.rig) as studio:
        assert studio.room
        assert studio.room.room.knobs()["desk/ch04/fader"] == pytest.approx(-7.91, abs=0.15)
    assert runs(2)["finished"] is True
    assert runs(2)["target"] == runs(1)["target"]


def test_what_landed_before_a_crash_is_read_and_not_sent_again(line: Line, capsys, monkeypatch) -> None:
    project = line.project(song(0.5))
    send, count = MemoryPort.send, 0

    class PowerCutError(BaseException):
        """The program dies here: nothing is put right any more."""

    def dies(port: MemoryPort, data: bytes) -> None:
        nonlocal count
        count += port.name == "room:desk"
        if count == 150:
            raise PowerCutError
        send(port, data)

    monkeypatch.setattr(MemoryPort, "send", dies)
    with pytest.raises(PowerCutError):
        main(["recall", "send", str(project.root), "--yes", "--hands-done", "-q"])
    monkeypatch.setattr(MemoryPort, "send", send)
    assert runs(1)["finished"] is False
    with Studio.open(line.rig) as studio:
        assert studio.room
        knobs = studio.room.room.knobs()
        target = {
            address: studio.control(address).achieved(_value(entry)) for address, entry in runs(1)["target"].items()
        }
        landed = {a for a, value in target.items() if a.startswith("desk/") and knobs[a] == value}
    assert landed
    code, data, _ = recall(capsys, project, "resume", "--yes")
    assert code == 0
    again = {control["address"] for control in data["controls"]}
    assert not again & landed - {"desk/master/fader"}
    assert recall(capsys, project, "verify")[0] == 0


def _value(entry: dict[str, Any]) -> Any:
    return float("-inf") if "value_note" in entry else entry["value"]


def test_without_an_unfinished_run_resume_says_so_and_sends_nothing(line: Line, capsys, monkeypatch) -> None:
    project = line.project(song(0.5))
    sent = sent_by(monkeypatch)
    code, data, _ = recall(capsys, project, "resume", "--yes")
    assert (code, data["controls"], data["bytes"], data["resumes"], sent) == (0, [], 0, None, [])
    assert recall(capsys, project, "send", "--yes", "--hands-done")[0] == 0
    sent.clear()
    code, data, _ = recall(capsys, project, "resume", "--yes")
    assert (code, data["controls"], sent) == (0, [], [])
    capsys.readouterr()
    assert main(["recall", "resume", str(project.root)]) == 0
    assert capsys.readouterr().out.count(".") == 1, "one sentence"


def test_a_damaged_journal_is_named_and_left(line: Line, capsys) -> None:
    project = line.project(song(0.5))
    file = rig_home("demo").folder / "runs" / "0001.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"schema": 1')
    code, _, said = recall(capsys, project, "resume", "--yes")
    assert code == 2
    assert "0001.json is damaged" in said
    assert file.read_text() == '{"schema": 1'


def test_a_knob_that_was_ticked_stays_done(line: Line, capsys) -> None:
    project = line.project(song(0.5))
    _, before, _ = recall(capsys, project, "hands")
    first, second, *_ = [entry["address"] for entry in before["by_hand"]]
    code, data, _ = recall(capsys, project, "hands", "--done", first, "--done", second)
    assert (code, data["done"], data["left"]) == (0, sorted([first, second]), before["left"] - 2)
    _, after, _ = recall(capsys, project, "plan")
    assert not {first, second} & {entry["address"] for entry in after["by_hand"]}
    assert recall(capsys, project, "hands", "--done", first)[0] == 0, "ticked twice is ticked"
    code, _, said = recall(capsys, project, "hands", "--done", "desk/ch01/trimm")
    assert code == 2
    assert "desk/ch01/trimm" in said


def test_hands_cross_the_desk_once(line: Line, capsys) -> None:
    project = line.project(song(0.5), [*STRIPS[::-1]])
    _, data, _ = recall(capsys, project, "hands")
    strips = [entry["address"].split("/")[1] for entry in data["by_hand"] if entry["address"].startswith("desk/")]
    assert strips == sorted(strips)
    with Studio.open(line.rig) as studio:
        names = list(studio.profiles["desk"].controls)
    of_one = [names.index(e["address"].removeprefix("desk/")) for e in data["by_hand"] if "/ch01/" in e["address"]]
    assert of_one == sorted(of_one)


def test_by_hand_controls_say_which_way_how_far_and_how_exactly(line: Line, capsys) -> None:
    project = line.project(song(0.5), [msgspec.structs.replace(strip, trim_db=5.0) for strip in STRIPS])
    recall(capsys, project, "send", "--yes", "--hands-done")
    turned = [msgspec.structs.replace(strip, hpf_hz=80.0) for strip in STRIPS]
    save_new_mix(msgspec.structs.replace(project.mix(), strips=tuple(turned)), project.mixes)
    _, data, _ = recall(capsys, project, "plan")
    by_hand = {entry["address"]: entry for entry in data["by_hand"]}
    knob = by_hand["desk/ch01/hpf_freq"]
    assert knob["direction"] == "clockwise"
    assert knob["angle_to_deg"] > knob["angle_from_deg"] == -150.0, "from OFF, at the left end of 300 degrees"
    # Log scale 20 to 400 Hz over 900 of 1000 parts of the travel; a hand sets 5 of them: 80 · (20^(5/900) − 1) Hz.
    assert knob["tolerance"] == pytest.approx(80 * (20 ** (5 / 900) - 1), rel=0.15)
    with Studio.open(line.rig) as studio:
        step = HandStep("desk/ch01/polarity", None, True, studio.control("desk/ch01/polarity"))
    switch = hand_json(step, None)
    assert (switch["direction"], switch["tolerance"], switch["clock"]) == ("press", None, None)


def test_ticking_knob_by_knob_on_a_terminal(line: Line, capsys, monkeypatch) -> None:
    project = line.project(song(0.5))
    _, before, _ = recall(capsys, project, "hands")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("\ns\nq\n"))
    assert main(["recall", "hands", str(project.root)]) == 0
    said = capsys.readouterr()
    assert before["by_hand"][0]["address"] in said.err
    _, after, _ = recall(capsys, project, "hands")
    left = [entry["address"] for entry in after["by_hand"]]
    assert left == [entry["address"] for entry in before["by_hand"]][1:], "done, skipped, stopped"


def test_consent_to_what_the_rig_lacks_or_what_is_harmless_is_refused(line: Line, capsys) -> None:
    project = line.project(song(0.5))
    for address in ("desk/ch01/fadre", "desk/ch01/fader"):
        code, _, said = recall(capsys, project, "plan", "--consent", address)
        assert code == 2
        assert address in said


def test_the_state_on_disk_is_never_surer_than_the_run(line: Line, capsys, monkeypatch) -> None:
    """While a recall runs, what it touches counts as unknown on disk: a crash leaves no stale certainty."""
    project = line.project(song(0.5))
    recall(capsys, project, "send", "--yes", "--hands-done")
    moved = [msgspec.structs.replace(strip, fader_db=-20.0) for strip in STRIPS]
    save_new_mix(msgspec.structs.replace(project.mix(), strips=tuple(moved)), project.mixes)
    seen: list[str] = []
    send = MemoryPort.send

    def look(port: MemoryPort, data: bytes) -> None:
        state = json.loads(Path(rig_home("demo").state).read_text())["controls"]
        seen.append(state["desk/ch01/fader"]["how"])
        send(port, data)

    monkeypatch.setattr(MemoryPort, "send", look)
    assert recall(capsys, project, "send", "--yes", "--hands-done")[0] == 0
    assert set(seen) == {"assumed"}
    assert json.loads(Path(rig_home("demo").state).read_text())["controls"]["desk/ch01/fader"]["how"] == "read-back"
