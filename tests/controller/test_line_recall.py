"""A mix becomes bytes, and what the room decodes from them is the mix on the desk's published scales."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from short_line import STRIPS, Line, fader_steps_db, pan_angles, song

from controller.cli.main import main
from controller.mix import Bus, Comp, EqBand
from controller.project import Project
from controller.studio import Studio

DEVICE, TIMEOUT = 3, 4
LANDED = {"read-back", "acknowledged", "sent"}
COMPRESSED = Bus(comp=Comp(on=True, threshold_db=-16.0, ratio=4.0, attack_ms=3.0, release_ms=100.0, makeup_db=1.0))
SEATS = {"bass": [1], "drums": [2, 3], "guitar": [4], "keys": [5, 6], "vox": [7]}


def knobs(line: Line) -> dict[str, Any]:
    with Studio.open(line.rig) as studio:
        assert studio.room
        return studio.room.room.knobs()


def recall(capsys: pytest.CaptureFixture[str], project: Project, *arguments: str) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    code = main(["recall", *arguments[:1], str(project.root), "--json", *arguments[1:]])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


def send(capsys: pytest.CaptureFixture[str], project: Project) -> tuple[int, dict[str, Any], str]:
    return recall(capsys, project, "send", "--yes", "--hands-done")


def nearest(steps: Any, wanted: float) -> float:
    return float(steps[np.argmin(np.abs(steps - wanted))])


def test_the_room_decodes_the_mix_on_the_desks_own_scales(line: Line, capsys) -> None:
    eq = {"lf": EqBand(freq_hz=120.0, gain_db=4.1), "hmf": EqBand(freq_hz=2_500.0, gain_db=-3.3, q=0.8)}
    strips = [msgspec.structs.replace(s, eq=eq, hpf_hz=80.0) if s.name == "guitar" else s for s in STRIPS]
    project = line.project(song(0.5), strips, bus=COMPRESSED)
    code, data, _ = send(capsys, project)
    assert code == 0
    stands = knobs(line)
    pans = (pan_angles() / (math.pi / 2) * 2 - 1) * 100
    for strip in STRIPS:
        sides = [-100.0, 100.0] if len(SEATS[strip.name]) == 2 else [nearest(pans, strip.pan)]
        for seat, pan in zip(SEATS[strip.name], sides, strict=True):
            assert stands[f"desk/ch{seat:02d}/mute"] is False
            assert stands[f"desk/ch{seat:02d}/pan"] == pytest.approx(pan, abs=1e-6)
    for name in ("bass", "guitar", "vox", "drums"):
        wanted = next(strip.fader_db for strip in STRIPS if strip.name == name)
        for seat in SEATS[name]:
            assert stands[f"desk/ch{seat:02d}/fader"] == pytest.approx(nearest(fader_steps_db(), wanted), abs=1e-6)
    # The balance of the keys: to the right, so that the left side is lower.
    left, right = stands["desk/ch05/fader"], stands["desk/ch06/fader"]
    assert right == pytest.approx(nearest(fader_steps_db(), -5.43), abs=1e-6)
    assert left < right
    assert all(stands[f"desk/ch{seat:02d}/mute"] is True for seat in range(8, 25))
    # EQ gains have steps of 0.25 dB; the pots were set by hand, as the sheet says.
    assert stands["desk/ch04/eq/in"] is True
    assert (stands["desk/ch04/eq/lf_gain"], stands["desk/ch04/eq/hmf_gain"]) == (4.0, -3.25)
    assert stands["desk/ch04/eq/lmf_gain"] == 0.0
    assert (stands["desk/ch04/eq/lf_freq"], stands["desk/ch04/hpf_freq"]) == (120.0, 80.0)
    # Compressor: dBu = dBFS + 18, in 127 steps of 40 dB; the matrix carries the insert.
    assert stands["comp/threshold"] == pytest.approx(nearest(-20 + 40 * np.arange(128) / 127, 2.0), abs=1e-6)
    assert (stands["comp/ratio"], stands["comp/attack"], stands["comp/release"]) == (4.0, 3.0, 100.0)
    assert [stands[f"matrix/out{output:02d}/tie"] for output in range(1, 5)] == [1, 2, 3, 4]
    assert stands["desk/master/insert"] is True
    assert {control["state"] for control in data["controls"]} <= LANDED


def test_every_control_says_how_it_is_known_afterwards(line: Line, capsys) -> None:
    project = line.project(song(0.5), bus=COMPRESSED)
    _, data, _ = send(capsys, project)
    known = {control["address"]: control["known"] for control in data["controls"]}
    assert known["desk/ch01/fader"] == "read-back"
    assert known["comp/threshold"] == "sent"
    assert known["matrix/out01/tie"] in ("read-back", "acknowledged")
    assert all(entry["known"] == "by-hand" for entry in data["by_hand"])


def test_a_second_recall_has_nothing_to_send(line: Line, capsys) -> None:
    project = line.project(song(0.5))
    send(capsys, project)
    code, data, _ = recall(capsys, project, "plan")
    assert (code, data["controls"], data["by_hand"], data["bytes"]) == (0, [], [], 0)


def test_a_dry_run_shows_the_bytes_per_port_and_sends_none(line: Line, capsys) -> None:
    project = line.project(song(0.5), bus=COMPRESSED)
    before = knobs(line)
    code, data, _ = recall(capsys, project, "send", "--dry-run")
    assert code == 0
    assert set(data["ports"]) == {"room:desk", "room:comp", "room:matrix"}
    # Fader 1 to −2.37 dB: between 144 (−10 dB) and 192 (0 dB), 180.6 → 181 = B5h, left-justified in 14 bits.
    messages = " ".join(data["ports"]["room:desk"])
    assert "B0 63 10 B0 62 00 B0 06 5A B0 26 40" in messages
    assert knobs(line) == before


@pytest.mark.parametrize("refused", ["ch04/fader", "ch08/mute", "ch05/pan"])
def test_a_refusal_stops_the_desk_is_named_and_resume_sends_only_the_rest(line: Line, capsys, refused: str) -> None:
    project = line.project(song(0.5), bus=COMPRESSED)
    line.set_room(faults=[{"kind": "nak", "control": refused}])
    code, data, talk = send(capsys, project)
    assert code == DEVICE
    assert f"desk/{refused}" in talk
    states = {control["address"]: control["state"] for control in data["controls"]}
    assert states[f"desk/{refused}"] == "refused"
    done = {address for address, state in states.items() if state in LANDED}
    # The other devices went on.
    assert {address for address in states if address.startswith(("comp/", "matrix/"))} <= done
    line.set_room()
    code, data, _ = recall(capsys, project, "resume", "--yes", "--hands-done")
    assert code == 0
    again = {control["address"] for control in data["controls"]}
    assert f"desk/{refused}" in again
    assert not again & done
    assert recall(capsys, project, "verify")[0] == 0


def test_a_desk_that_vanishes_in_mid_recall_is_resumed(line: Line, capsys) -> None:
    project = line.project(song(0.5))
    line.set_room(faults=[{"kind": "vanish", "device": "desk", "after_messages": 40}])
    code, _, talk = send(capsys, project)
    assert code == DEVICE
    assert "vanished" in talk
    line.set_room()
    assert recall(capsys, project, "resume", "--yes", "--hands-done")[0] == 0
    assert recall(capsys, project, "verify")[0] == 0


@pytest.mark.parametrize(("kind", "exit_code"), [("silent_serial", TIMEOUT), ("garbage_serial", DEVICE)])
def test_a_matrix_that_does_not_answer_well_is_named(line: Line, capsys, kind: str, exit_code: int) -> None:
    project = line.project(song(0.5), bus=COMPRESSED)
    line.set_room(faults=[{"kind": kind}])
    code, data, talk = send(capsys, project)
    assert code == exit_code
    assert "matrix" in talk
    states = {control["address"]: control["state"] for control in data["controls"]}
    assert states["desk/ch01/fader"] in LANDED
    assert states["matrix/out01/tie"] not in LANDED


def test_a_fader_that_somebody_moved_is_found_by_verify(line: Line, capsys) -> None:
    project = line.project(song(0.5))
    send(capsys, project)
    with Studio.open(line.rig) as studio:
        assert studio.room
        studio.room.turn("desk/ch04/fader", -20.0)
    code, _, talk = recall(capsys, project, "verify")
    assert code == 1
    assert "desk/ch04/fader: is at -20.00 dB, wanted -7.9" in talk
