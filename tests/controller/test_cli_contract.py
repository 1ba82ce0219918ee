"""What scripts of other people depend on: JSON keys, exit codes, and that a dry run does nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_line import IN_SHORT, STEM_FRAMES, Line

from controller import errors
from hardware.errors import (
    AudioDropoutError,
    AudioUnavailableError,
    PortNotFoundError,
    ReplyTimeoutError,
    SilentInputError,
)

RECALL_KEYS = {"controls", "by_hand", "seconds_estimated", "bytes"}


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path, monkeypatch, capsys)


def test_doctor_lists_checks_with_hints(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    from controller import doctor

    checks = (doctor.Check("disk", True, "80 GB free"), doctor.Check("jack", False, "not running", "Start it."))
    monkeypatch.setattr(doctor, "examine", lambda *, warm, emit: doctor.Doctor(True, checks))
    told = line.json("doctor")
    assert told["ok"] is True
    assert [set(check) >= {"name", "ok", "detail", "hint"} for check in told["checks"]] == [True, True]
    said = line.run("doctor")
    assert (said.code, said.err) == (0, "")
    assert "✕ jack: not running\n    Start it." in said.out


def test_doctor_exits_1_when_the_main_job_cannot_run(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    from controller import doctor

    monkeypatch.setattr(doctor, "examine", lambda *, warm, emit: doctor.Doctor(False, ()))
    assert line.run("doctor").code == 1


def test_new_names_project_stems_and_mix_relative_to_here(line: Line) -> None:
    line.add_project()
    told = line.json("new", "again", "--stems", "stems", "--rig", "small")
    assert told["project"] == "again"
    assert told["mix"] == "again/mixes/mix-1.toml"
    assert told["stems"][1] == {
        "name": "keys",
        "file": "again/stems/keys.wav",
        "channels": 2,
        "frames": STEM_FRAMES,
        "rate_hz": 48_000,
    }


def test_new_keeps_a_rig_file_by_a_path_that_holds_from_everywhere(line: Line) -> None:
    line.add_project()
    own = line.home / "rigs" / "small.toml"
    (line.folder / "here.toml").write_bytes(own.read_bytes())
    assert line.json("new", "b", "--stems", "stems", "--rig", "here.toml")["rig"] == str(line.folder / "here.toml")
    assert line.run("report", "b", "--out", "b.html").code == 0


def test_rig_check_says_where_what_and_what_to_do(line: Line) -> None:
    assert line.json("rig", "check", "--rig", "small") == {"schema": 1, "ok": True, "rig": "small", "problems": []}
    rig = line.home / "rigs" / "small.toml"
    rig.write_text(rig.read_text().replace("outputs = 4", "outputs = 3"))
    told = line.json("rig", "check", "--rig", "small", code=1)
    assert told["ok"] is False
    assert all(set(problem) == {"where", "what", "hint"} for problem in told["problems"])
    assert "output 4" in told["problems"][0]["what"]


def test_rig_list_leaves_out_the_room_models_beside_the_rigs(line: Line) -> None:
    line.add_rig("broken-room", faults=['kind = "dead"\nchannel = 3'])
    names = [rig["name"] for rig in line.json("rig", "list")["rigs"]]
    assert names == ["demo", "room", "broken-room", "small"]


def test_profile_list_names_the_library(line: Line) -> None:
    profiles = {profile["id"]: profile for profile in line.json("profile", "list")["profiles"]}
    keys = {"id", "maker", "model", "kind", "transports", "controls", "verification"}
    assert all(set(profile) >= keys for profile in profiles.values())
    assert {"room-desk-24", "room-comp", "extron-sis-matrix", "yamaha-01v96", "mcu-host"} <= set(profiles)
    assert profiles["cmlabs-sixtyfour"]["transports"] == ["midi", "serial"]


def test_profile_check_runs_the_examples(line: Line) -> None:
    told = line.json("profile", "check")
    assert told["ok"] is True
    assert told["examples_run"] > 30
    assert told["problems"] == []
    one = line.json("profile", "check", "extron-sis-matrix")
    assert 0 < one["examples_run"] < told["examples_run"]


def test_profile_check_of_a_wrong_example_exits_1(line: Line) -> None:
    import profiles

    text = (Path(profiles.__file__).parent / "outboard" / "room-comp.toml").read_text()
    wrong = line.folder / "wrong.toml"
    wrong.write_text(text.replace("number = 20", "number = 26", 1))
    told = line.json("profile", "check", "wrong.toml", code=1)
    assert told["ok"] is False
    assert all(set(problem) >= {"where", "what", "hint"} for problem in told["problems"])
    assert "room-comp" in told["problems"][0]["where"]


# Expected bytes: Yamaha 01V96 parameter list (change `F0 43 1n 3E 7F 01 ee pp cc data F7`, input fader element 1Ch,
# data four 7-bit bytes, 10-bit law with (424, −19.95 dB) and (1023, +10 dB) joined by a line: 823 is 0 dB and 703 is
# −6 dB); Extron SIS: `i*o$` ties audio, answered `Outoo Inii Aud`; `o*vV` sets a volume.
@pytest.mark.parametrize(
    ("profile", "control", "value", "written"),
    [
        ("yamaha-01v96", "ch01/fader", "0", "F0 43 10 3E 7F 01 1C 00 00 00 00 06 37 F7"),
        ("yamaha-01v96", "ch01/fader", "-6", "F0 43 10 3E 7F 01 1C 00 00 00 00 05 3F F7"),
        ("yamaha-01v96", "ch32/fader", "off", "F0 43 10 3E 7F 01 1C 00 1F 00 00 00 00 F7"),
        ("extron-sis-matrix", "out03/tie", "1", b"1*3$".hex(" ").upper()),
        ("extron-sis-matrix", "out02/volume", "64", b"2*64V".hex(" ").upper()),
    ],
)
def test_profile_encode_gives_the_documented_bytes(
    line: Line, profile: str, control: str, value: str, written: str
) -> None:
    told = line.json("profile", "encode", profile, control, value)
    assert [message["bytes_hex"] for message in told["messages"]] == [written]
    assert told["messages"][0]["port"] in {"midi", "serial"}
    assert isinstance(told["raw"], int)


def test_minus_infinity_is_null_with_a_note(line: Line) -> None:
    told = line.json("profile", "encode", "room-desk-24", "ch07/fader", "off")
    assert told["value"] is None
    assert "infinity" in told["value_note"]


@pytest.mark.parametrize(
    ("profile", "written", "control", "value"),
    [
        ("yamaha-01v96", "F0 43 10 3E 7F 01 1C 00 00 00 00 06 37 F7", "ch01/fader", 0.0),
        ("yamaha-01v96", "f043103e7f011c000000000637f7", "ch01/fader", 0.0),
        ("extron-sis-matrix", b"Out03 In01 Aud\r\n".hex(), "out03/tie", 1.0),
        ("extron-sis-matrix", b"Out03 In01 Aud".hex(":"), "out03/tie", 1.0),
    ],
)
def test_profile_decode_reads_documented_bytes(
    line: Line, profile: str, written: str, control: str, value: float
) -> None:
    told = line.json("profile", "decode", profile, "--hex", written)
    (change,) = told["changes"]
    assert (change["control"], change["value"]) == (control, pytest.approx(value, abs=0.03))
    assert told["unparsed_hex"] == ""


@pytest.mark.parametrize("written", ["F0 43 10 3E 7F 01 1C 00 00", "F0 7E 00 F7", "12"])
def test_profile_decode_gives_back_what_it_does_not_understand(line: Line, written: str) -> None:
    told = line.json("profile", "decode", "yamaha-01v96", "--hex", written, code=1)
    assert told["changes"] == []
    assert told["unparsed_hex"] == written


def test_profile_schema_is_a_json_schema(line: Line) -> None:
    assert json.loads(line.run("profile", "schema").out)["$schema"].startswith("https://json-schema.org/")
    assert "$defs" in line.json("profile", "schema")["json_schema"]


def test_the_line_from_calibration_to_report(line: Line) -> None:
    """Calibrate, recall, print both ways, null, report: the keys of each, and files relative to here."""
    line.add_project(insert=True)
    told = line.json("calibrate", "--rig", "small", "--yes")
    assert told["calibration"] == "home/rigs/small/calibrations/0001-calibration.json"
    assert (told["rate_hz"], told["problems"]) == (48_000, [])
    loop = {
        "output", "input", "expected_input", "present", "polarity", "latency_samples", "latency_sd", "gain_db",
        "gain_sd", "noise_dbfs",
    }  # fmt: skip
    assert [found["output"] for found in told["loops"]] == [1, 2, 3, 4]
    assert all(set(found) >= loop for found in told["loops"])

    planned = line.json("recall", "plan", "song")
    assert set(planned) >= RECALL_KEYS
    assert all(set(control) >= {"address", "from", "to", "known", "state"} for control in planned["controls"])
    addresses = [control["address"] for control in planned["controls"]]
    assert len(addresses) == len(set(addresses)), "each control stands once"
    assert {control["state"] for control in planned["controls"]} == {"planned"}
    assert {step["address"] for step in planned["steps"]} == set(addresses)
    assert planned["bytes"] > 0
    assert planned["seconds_estimated"] > 0

    sent = line.json("recall", "send", "song", "--yes", "--hands-done")
    assert {control["state"] for control in sent["controls"]} <= {"read-back", "acknowledged", "sent"}
    assert all(control["known"] for control in sent["controls"])
    assert all(control["known"] == "by-hand" for control in sent["by_hand"])
    assert sent["failed_devices"] == {}
    again = line.json("recall", "resume", "song", "--yes")
    assert (again["controls"], again["by_hand"], again["bytes"]) == ([], [], 0)

    seen = line.json("recall", "verify", "song")
    assert set(seen) >= RECALL_KEYS
    assert {control["state"] for control in seen["controls"]} == {"confirmed", "unreadable"}
    assert seen["mismatches"] == 0
    assert again["unchanged"] == len(seen["controls"])

    keys = {"print", "file", "rate_hz", "frames", "path", "allocation", "xruns", "repairs", "provenance"}
    analog = line.json("print", "song", "--path", "analog", "--yes")
    itb = line.json("print", "song", "--path", "itb")
    for print_, path in ((analog, "analog"), (itb, "itb")):
        assert set(print_) >= keys
        assert (print_["path"], print_["rate_hz"]) == (path, 48_000)
        assert all(set(placed) >= {"strip", "stage", "where", "why"} for placed in print_["allocation"])
        assert Path(print_["file"]).is_file()
        assert Path(print_["provenance"]).is_file()
    assert analog["file"] == "song/prints/0001-analog.wav"
    assert {"strip": "bus", "stage": "comp"}.items() <= analog["allocation"][-2].items()

    nulled = line.json("null", itb["file"], analog["file"], "--tolerance", "-20")
    assert set(nulled) >= {
        "rate_hz", "delay_samples", "delay_sd", "drift_ppm", "polarity", "gain_db", "null_depth_db",
        "null_depth_matched_db", "limit_db", "stages", "events", "residual_file", "verdict",
    }  # fmt: skip
    assert all(set(stage) == {"name", "depth_db"} for stage in nulled["stages"])
    assert Path(nulled["residual_file"]).is_file()
    assert not Path(nulled["residual_file"]).is_absolute()
    too_strict = line.run("null", itb["file"], analog["file"], "--tolerance", "-140")
    assert too_strict.code == 1

    report = line.json("report", "song")["report"]
    assert report == "song/reports/0001-report.html"
    assert "<html" in Path(report).read_text("utf-8")


def test_identical_files_null_without_a_number(line: Line) -> None:
    line.add_project()
    told = line.json("null", "stems/bass.wav", "stems/bass.wav")
    assert told["null_depth_db"] is None
    assert told["null_depth_db_note"] == "identical"
    assert told["verdict"] == "pass"


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("calibrate", "--rig", "small"), {"calibration", "rate_hz", "loops", "problems", "plan"}),
        (("recall", "plan", "song"), RECALL_KEYS),
        (("recall", "send", "song"), RECALL_KEYS | {"ports"}),
        (("recall", "send", "song", "--yes", "--hands-done"), RECALL_KEYS | {"ports"}),
        (("recall", "resume", "song"), RECALL_KEYS),
        (("recall", "verify", "song"), RECALL_KEYS),
        (("recall", "sheet", "song", "--html", "sheet.html"), RECALL_KEYS),
        (("print", "song", "--path", "analog"), {"print", "allocation", "recall", "problems"}),
        (("print", "song", "--path", "hybrid", "--yes"), {"print", "allocation", "recall", "problems"}),
        (("print", "song", "--path", "itb"), {"print", "allocation", "frames", "provenance"}),
    ],
)
def test_a_dry_run_shows_the_plan_and_writes_nothing(line: Line, words: tuple[str, ...], keys: set[str]) -> None:
    line.add_project(insert=True)
    before = line.files()
    told = line.json(*words, "--dry-run")
    assert set(told) >= keys
    said = line.run(*words, "--dry-run")
    assert said.code == 0
    assert said.out
    assert line.files() == before


def test_a_dry_print_says_that_the_calibration_is_missing(line: Line) -> None:
    line.add_project()
    told = line.json("print", "song", "--path", "analog", "--dry-run")
    assert "calibrate" in told["problems"][0]["hint"]
    assert told["print_note"].startswith("dry run")


def test_a_dry_recall_lists_the_bytes_by_port(line: Line) -> None:
    line.add_project(insert=True)
    ports = line.json("recall", "send", "song", "--dry-run")["ports"]
    assert set(ports) == {"room:desk", "room:comp", "room:matrix"}
    assert b"1*1$".hex(" ").upper() in ports["room:matrix"], "Extron SIS: tie input 1 to output 1, audio only"


@pytest.mark.parametrize(
    "words", [("calibrate", "--rig", "small"), ("recall", "send", "song"), ("print", "song", "--path", "analog")]
)
def test_nothing_moves_when_nobody_can_accept_the_plan(line: Line, words: tuple[str, ...]) -> None:
    line.add_project()
    line.calibrated()
    before = line.files()
    said = line.run(*words)
    assert (said.code, said.out) == (1, "")
    assert "--yes" in said.err
    assert "not accepted" in said.sentence
    assert line.files() == before


def test_data_goes_to_stdout_and_talk_to_stderr(line: Line) -> None:
    line.add_project()
    said = line.run("calibrate", "--rig", "small", "--yes", *IN_SHORT)
    assert "desk/ch01" in said.out
    assert "Calibrate" in said.err
    assert "Calibrate" not in said.out
    quiet = line.run("calibrate", "--rig", "small", "--yes", "-q", *IN_SHORT)
    assert "4 of 4 loops" in said.err
    assert "4 of 4 loops" not in quiet.err
    assert "Turn the monitors down" in quiet.err, "the plan is shown in any case"


def test_a_calibration_with_a_wrong_loop_exits_1(line: Line) -> None:
    line.add_rig("wrong", faults=['kind = "inverted"\nchannel = 2'])
    told = line.json("calibrate", "--rig", "wrong", "--yes", *IN_SHORT, code=1)
    (problem,) = told["problems"]
    assert set(problem) == {"where", "what", "hint"}
    assert "polarity" in problem["what"]
    assert "desk/ch02" in problem["where"]


def test_a_dead_loop_has_no_numbers_but_a_note(line: Line) -> None:
    line.add_rig("wrong", faults=['kind = "dead"\nchannel = 3'])
    dead = line.json("calibrate", "--rig", "wrong", "--yes", *IN_SHORT, code=1)["loops"][2]
    assert (dead["present"], dead["gain_db"], dead["latency_samples"]) == (False, None, None)
    assert dead["gain_db_note"]


def test_a_control_that_somebody_moved_exits_1_from_verify(line: Line) -> None:
    line.add_project()
    line.run("recall", "send", "song", "--yes", "--hands-done")
    knobs = line.home / "rigs" / "small" / "room_state.json"
    state: dict[str, Any] = json.loads(knobs.read_text())
    state["knobs"]["desk/ch02/pan"] = 100.0
    knobs.write_text(json.dumps(state))
    told = line.json("recall", "verify", "song", code=1)
    assert told["mismatches"] == 1
    (moved,) = [control for control in told["controls"] if control["state"] == "elsewhere"]
    assert (moved["address"], moved["from"], moved["known"]) == ("desk/ch02/pan", 100.0, "read-back")


def test_a_room_where_nothing_comes_back_exits_5(line: Line) -> None:
    line.add_rig("dead", faults=[f'kind = "dead"\nchannel = {n}' for n in range(1, 5)])
    said = line.run("calibrate", "--rig", "dead", "--yes")
    assert said.code == 5
    assert "Nothing came back" in said.sentence


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DeclinedError("no"), 1),
        (errors.CalibrationError("stale"), 1),
        (errors.NoAlignment("nothing in common"), 1),
        (errors.UsageError("what"), 2),
        (errors.MixError("line 3"), 2),
        (errors.DiskFullError("full"), 2),
        (errors.CalibrationFileError("damaged"), 2),
        (PermissionError(13, "Permission denied"), 2),
        (PortNotFoundError("none"), 3),
        (AudioUnavailableError("no PortAudio"), 3),
        (ReplyTimeoutError("silence"), 4),
        (TimeoutError("silence"), 4),
        (AudioDropoutError("lost"), 5),
        (SilentInputError("silent"), 5),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_kind_of_failure_has_its_exit_code(
    line: Line, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    from controller.cli import rig_command

    def fail(args: object) -> int:
        raise error

    monkeypatch.setattr(rig_command, "run", fail)
    said = line.run("rig", "check")
    assert (said.code, said.out) == (code, "")
    assert said.sentence


def test_a_fault_of_the_program_shows_where_it_is(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    from controller.cli import rig_command

    def fail(args: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(rig_command, "run", fail)
    with pytest.raises(ZeroDivisionError):
        line.run("rig", "check")


def test_a_recall_interrupted_by_the_engineer_exits_130_and_resumes(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hardware.room.inprocess import MemoryPort

    line.add_project()
    send = MemoryPort.send
    count = 0

    def stop_after_some(port: MemoryPort, data: bytes) -> None:
        nonlocal count
        count += 1
        if count == 20:
            raise KeyboardInterrupt
        send(port, data)

    monkeypatch.setattr(MemoryPort, "send", stop_after_some)
    told = line.json("recall", "send", "song", "--yes", "--hands-done", code=130)
    states = {control["state"] for control in told["controls"]}
    assert "not-sent" in states
    monkeypatch.setattr(MemoryPort, "send", send)
    resumed = line.json("recall", "resume", "song", "--yes")
    assert 0 < len(resumed["controls"]) <= len(told["controls"])
    assert line.json("recall", "plan", "song")["controls"] == []


def test_the_demo_runs_the_whole_line(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    from controller import demo

    monkeypatch.setattr(demo, "SONG_SECONDS", 2.0)
    told = line.json("demo", "--out", "tour")
    assert told["project"] == "tour/song"
    assert told["report"] == "tour/song/reports/0001-report.html"
    assert told["null_depth_db"] < -40
    assert told["seconds"] > 0
    assert line.run("demo", "--out", "tour").code == 2
    assert not (line.home / "rigs" / "demo").exists(), "the user's own rigs are not touched"


@pytest.mark.skipif(sys.platform == "win32", reason="serving needs pseudo-terminals")
def test_room_serve_says_ready_in_one_line_of_json(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    from hardware.room import serve as serving

    def serve(room: Any, *, name: str, serial_folder: Path, ready: Any) -> None:
        assert (name, serial_folder) == ("HalfnormalRoom", line.home / "run")
        ready({"ready": True, "audio": {"device": name}, "midi": [], "serial": {"matrix": "/dev/pts/1"}})

    monkeypatch.setattr(serving, "serve", serve)
    told = line.json("room", "serve")
    assert set(told) == {"schema", "ready", "audio", "midi", "serial"}
