"""Taking snapshots: what is kept and how it is known, what is asked, and that nothing is half-written.

At power-on every fader of the virtual desk is down (docs/devices/room-desk-24.md).
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from cli_line import ROOT, Line
from snapshot_line import PNG, known, names, of, taken

from controller import files
from controller.errors import DiskFullError, StorageError
from controller.events import Event, Finding, Progress
from controller.snapshot_diff import diff
from controller.snapshot_photo import read_photo
from controller.snapshot_take import Look, plan_take
from controller.snapshots import NOT_READ, Entry, RigFacts, find, is_action, known_now, list_folder, store, target_of
from controller.studio import Studio
from hardware.known import Known
from profiles.library import load_profile


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path, monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


# What is kept, and how it is known


def test_a_snapshot_reads_back_what_the_devices_can_tell(line: Line, folder: Path) -> None:
    def moved(studio: Studio) -> None:
        assert studio.room
        studio.room.turn("desk/ch01/fader", -20.0)
        studio.room.turn("desk/ch02/mute", True)
        studio.room.turn("matrix/out03/tie", 2)

    controls = taken(folder, prepare=moved).snapshot.controls
    assert (controls["desk/ch01/fader"].known.value, controls["desk/ch01/fader"].unit) == (-20.0, "dB")
    assert controls["desk/ch02/mute"].known.value is True
    assert controls["matrix/out03/tie"].known.value == 2.0
    assert {controls[a].known.how for a in ("desk/ch01/fader", "desk/ch02/mute", "matrix/out03/tie")} == {"read-back"}


def test_what_was_sent_to_a_device_that_never_answers_is_kept_as_sent(line: Line, folder: Path) -> None:
    def sent(studio: Studio) -> None:
        studio.remember({"comp/threshold": known(-4.0, "sent")})

    snapshot = taken(folder, prepare=sent).snapshot
    assert snapshot.controls["comp/threshold"] == Entry(known(-4.0, "sent"), "dBu")
    assert "comp/ratio" in snapshot.unknown


def test_nothing_is_invented_for_what_nobody_looked_at(line: Line, folder: Path) -> None:
    def guessed(studio: Studio) -> None:
        studio.remember({"desk/ch01/trim": known(3.0, "assumed")})

    result = taken(folder, prepare=guessed, answers={"desk/ch03/trim": 6.5})
    snapshot = result.snapshot
    assert "desk/ch02/trim" not in snapshot.controls
    assert {"desk/ch01/trim", "desk/ch02/trim"} <= set(snapshot.unknown) & set(result.unanswered)
    assert snapshot.controls["desk/ch01/trim"].known.how == "assumed"
    assert snapshot.controls["desk/ch03/trim"].known == Known(
        6.5, "by-hand", snapshot.controls["desk/ch03/trim"].known.at
    )
    target = target_of(snapshot)
    assert target["desk/ch03/trim"] == 6.5
    assert not {"desk/ch01/trim", "desk/ch02/trim"} & set(target)


def test_the_eyes_are_asked_strip_by_strip_and_only_for_what_is_not_known(line: Line, folder: Path) -> None:
    asked: list[Look] = []

    def ask(look: Look) -> float | None:
        asked.append(look)
        if look.address == "desk/ch02/polarity":
            raise EOFError
        return {"desk/ch01/trim": 4.0, "desk/ch01/hpf_freq": None}.get(look.address, look.guess)

    def some_known(studio: Studio) -> None:
        studio.remember(
            {"desk/ch01/eq/lf_freq": known(60.0, "by-hand"), "desk/ch01/polarity": known(True, "assumed")}
            | {"desk/ch02/trim": known(1.0, "by-hand")}
        )

    snapshot = taken(folder, prepare=some_known, ask=ask).snapshot
    addresses = [look.address for look in asked]
    assert addresses[:3] == ["desk/ch01/trim", "desk/ch01/polarity", "desk/ch01/hpf_freq"]
    assert not {"desk/ch01/eq/lf_freq", "desk/ch02/trim"} & set(addresses)
    assert addresses[-1] == "desk/ch02/polarity"
    assert (asked[0].guess, asked[1].guess) == (None, True)
    assert snapshot.controls["desk/ch01/trim"].known.value == 4.0
    assert snapshot.controls["desk/ch01/polarity"].known.how == "by-hand"
    assert "desk/ch01/hpf_freq" in snapshot.unknown
    assert "desk/ch02/polarity" in snapshot.unknown


def test_the_rig_learns_what_was_read_and_answered(line: Line, folder: Path) -> None:
    snapshot = taken(folder, answers={"desk/ch01/trim": 2.0}).snapshot
    with Studio.open("small") as studio:
        assert studio.state["desk/ch01/trim"].how == "by-hand"
        assert studio.state["desk/ch05/pan"].how == "read-back"
        assert "desk/ch01/trim" not in plan_take(studio).to_ask
        assert not diff(snapshot, known_now(studio)).differs


@pytest.mark.parametrize("how", ["read-back", "acknowledged"])
def test_a_silent_device_keeps_its_older_values_and_each_says_so(line: Line, folder: Path, how: str) -> None:
    line.add_rig("small", faults=['kind = "silent_serial"'])
    said: list[Event] = []

    def before(studio: Studio) -> None:
        studio.remember({"matrix/out01/tie": known(4.0, how)})

    result = taken(folder, prepare=before, emit=said.append)
    assert set(result.failures) == {"matrix"}
    kept = result.snapshot.controls["matrix/out01/tie"]
    assert (kept.known, kept.note) == (known(4.0, how), NOT_READ)
    assert result.snapshot.controls["desk/ch01/fader"].note == ""
    assert "matrix" in result.snapshot.devices["matrix"].not_read
    assert result.snapshot.devices["desk"].not_read == ""
    assert [event.where for event in said if isinstance(event, Finding) and event.severity == "problem"] == ["matrix"]


def test_without_reading_no_port_is_opened(line: Line, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: Studio) -> None:
        raise AssertionError("a port was opened")

    monkeypatch.setattr(Studio, "ports", closed)

    def before(studio: Studio) -> None:
        studio.remember({"desk/ch01/fader": known(-10.0)})

    controls = taken(folder, prepare=before, read=False).snapshot.controls
    assert controls == {"desk/ch01/fader": Entry(known(-10.0), "dB", NOT_READ)}


def test_what_a_device_says_of_itself_stands_before_what_somebody_saw(line: Line, folder: Path) -> None:
    said: list[Event] = []
    result = taken(folder, answers={"desk/ch01/fader": -10.0, "desk/ch02/fader": -math.inf}, emit=said.append)
    # At power-on every fader is down.
    assert result.snapshot.controls["desk/ch01/fader"].known.value == -math.inf
    warned = [event.where for event in said if isinstance(event, Finding) and event.severity == "warning"]
    assert warned == ["desk/ch01/fader"]


def test_a_snapshot_names_rig_and_profiles_by_content(line: Line, folder: Path) -> None:
    snapshot = taken(folder, note="late", device_notes={"comp": "hums"}).snapshot
    rig = line.home / "rigs" / "small.toml"
    assert snapshot.rig == RigFacts("small", files.content_hash(rig))
    desk, comp = snapshot.devices["desk"], snapshot.devices["comp"]
    profile = ROOT / "profiles" / "consoles" / "room-desk-24.toml"
    assert (desk.profile, desk.hash) == ("room-desk-24", files.content_hash(profile))
    assert (snapshot.note, comp.note, desk.note) == ("late", "hums", "")


# Numbered, immutable, whole or not at all


def test_snapshots_are_numbered_and_read_back_as_they_were_written(line: Line, folder: Path) -> None:
    first, second = (taken(folder, name=name).snapshot for name in ("verse", ""))
    assert names(folder) == ["0001.json", "0002.json"]
    assert [(s.number, s.name) for s in list_folder(folder).snapshots] == [(1, "verse"), (2, "snapshot 2")]
    assert find(folder, 1) == first
    assert find(folder) == second
    facts = json.loads((folder / "0001.json").read_text("utf-8"))
    assert facts["schema"] == 1
    fader = facts["controls"]["desk/ch01/fader"]
    assert (fader["value"], fader["value_note"], fader["how"]) == (None, "off (minus infinity)", "read-back")


def test_what_only_acts_is_no_part_of_a_snapshot(line: Line, folder: Path) -> None:
    """Storing and recalling a preset of the matrix are no states; phantom power that can be read is one."""
    snapshot = taken(folder).snapshot
    told = {*snapshot.controls, *snapshot.unknown}
    assert "matrix/out01/tie" in told
    assert not [address for address in told if address.startswith("matrix/preset/")]
    octamic = load_profile("rme-octamic-xtc")
    assert not is_action(octamic.controls["mic1/phantom"])
    assert is_action(octamic.controls["preset/save"])


@pytest.mark.skipif(os.name == "nt", reason="needs a file-size limit")
def test_a_disk_that_fills_up_leaves_neither_snapshot_nor_photo(line: Line, folder: Path) -> None:
    import resource

    picture = folder.parent / "desk.png"
    picture.write_bytes(PNG)
    photos = {"desk": [read_photo(picture)]}
    store(of({}), folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(DiskFullError) as caught:
            taken(folder, photos=photos, read=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "0002.json" in str(caught.value)
    assert names(folder) == ["0001.json"]


def test_ctrl_c_while_it_is_written_leaves_nothing(line: Line, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = folder.parent / "desk.png"
    picture.write_bytes(PNG)
    write = files.write_new

    def interrupted(path: Path, data: bytes | str) -> None:
        if path.name == "0001.json":
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(files, "write_new", interrupted)
    with pytest.raises(KeyboardInterrupt):
        taken(folder, photos={"desk": [read_photo(picture)]}, read=False)
    assert names(folder) == []


def test_ctrl_c_among_the_questions_loses_no_answer_and_writes_no_snapshot(line: Line, folder: Path) -> None:
    def ask(look: Look) -> float:
        if look.number == 3:
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        taken(folder, ask=ask)
    assert not folder.exists()
    with Studio.open("small") as studio:
        assert [known.how for known in studio.state.values()].count("by-hand") == 2
        assert studio.state["desk/ch01/fader"].how == "read-back"


def test_ctrl_c_while_devices_are_read_keeps_what_they_said(line: Line, folder: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taken(folder, emit=stop)
    assert not folder.exists()
    with Studio.open("small") as studio:
        assert [known.how for known in studio.state.values()] == ["read-back"]


def test_a_read_only_folder_is_one_sentence(read_only_folder: Path) -> None:
    with pytest.raises(StorageError, match="permission denied"):
        store(of({}), read_only_folder / "snapshots")
