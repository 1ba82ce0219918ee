"""A room that changed after its calibration is refused before a note is recorded: which loop, by how much."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from short_line import LATENCY, STRIPS, Line, song

from controller.cli.main import main
from controller.errors import CalibrationError, MixError, ProjectError
from controller.mix import EqBand, Strip
from hardware.errors import HardwareError
from hardware.room.inprocess import RoomStream


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(line: Line, project: Any, error: type[Exception] = CalibrationError, **options: Any) -> str:
    """Print, and be refused; the project is what it was."""
    before = contents(project.root)
    with pytest.raises(error) as caught:
        line.print(project, **options)
    assert contents(project.root) == before
    assert getattr(caught.value, "hint", "")
    return str(caught.value)


# The song's seats: bass 1, drums 2 3, guitar 4, keys 5 6, vox 7.
AFTERWARDS: dict[str, tuple[Mapping[str, Any], list[str]]] = {
    "a fader too loud": ({"kind": "fader_off", "channel": 4, "db": 1.3}, ["loop 4 → desk/ch04 is +1.30 dB"]),
    "a fader too soft": ({"kind": "fader_off", "channel": 7, "db": -1.3}, ["loop 7 → desk/ch07 is -1.30 dB"]),
    "a dead channel": ({"kind": "dead", "channel": 3}, ["loop 3 → desk/ch03 is silent"]),
    "an inverted channel": ({"kind": "inverted", "channel": 1}, ["loop 1 → desk/ch01 has changed polarity"]),
    "swapped, hard left and right": ({"kind": "swapped", "channels": [2, 3]}, ["loop 2 → desk/ch02", "loop 3 →"]),
    "swapped, of other levels": ({"kind": "swapped", "channels": [1, 4]}, ["loop 1 → desk/ch01 is", "loop 4 →"]),
    "a seat swapped with an idle strip": ({"kind": "swapped", "channels": [7, 20]}, ["loop 7 → desk/ch07 is silent"]),
}


@pytest.mark.parametrize(("fault", "said"), AFTERWARDS.values(), ids=AFTERWARDS)
def test_a_room_that_went_wrong_after_its_calibration_refuses_to_print(line: Line, fault, said) -> None:
    line.calibrated()
    line.set_room(faults=[fault])
    message = refused(line, line.project(song(0.5)))
    assert "contradicts its calibration" in message
    assert "Nothing was recorded" in message
    for part in said:
        assert part in message
    named = {int(number) for number in re.findall(r"loop (\d+)", message)}
    assert named <= set(fault.get("channels", [fault.get("channel")]))


@pytest.mark.parametrize("kind", ["fader_off", "dead", "swapped", "inverted"])
def test_noise_and_crosstalk_of_a_real_desk_hide_none_of_it(line: Line, kind: str) -> None:
    fault = {"fader_off": {"channel": 4, "db": 1.3}, "swapped": {"channels": [2, 3]}}.get(kind, {"channel": 4})
    line.calibrated(base={})
    line.set_room(base={}, faults=[{"kind": kind, **fault}])
    message = refused(line, line.project(song(0.5)))
    wrong = {"fader_off": "loop 4 → desk/ch04 is +1.3", "swapped": "loop 2 → desk/ch02 is silent"}
    assert wrong.get(kind, "loop 4 → desk/ch04") in message
    assert len(set(re.findall(r"loop \d+", message))) == (2 if kind == "swapped" else 1)


def test_the_equaliser_the_mix_sets_on_the_desk_is_no_contradiction(line: Line) -> None:
    line.calibrated()
    eq = {"lf": EqBand(freq_hz=120.0, gain_db=9.0), "hmf": EqBand(freq_hz=2_500.0, gain_db=-7.5, q=0.8)}
    strips = [Strip(name=s.name, stem=s.stem, fader_db=s.fader_db - 6, pan=s.pan, hpf_hz=150.0, eq=eq) for s in STRIPS]
    project = line.project(strips=strips)
    assert line.print(project).number == 1


def test_a_muted_channel_may_be_wrong_because_nobody_hears_it(line: Line) -> None:
    line.calibrated()
    line.set_room(faults=[{"kind": "dead", "channel": 1}])
    strips = [Strip(name="bass", stem="bass.wav", mute=True), Strip(name="vox", stem="vox.wav")]
    assert line.print(line.project(strips=strips)).number == 1


def test_a_stream_that_starts_later_on_all_loops_alike_is_measured_and_not_refused(line: Line) -> None:
    line.calibrated()
    line.set_room(converters={"latency_samples": float(LATENCY + 256)})
    made = line.print(line.project())
    assert made.facts["latency_samples"] == pytest.approx(LATENCY + 256, abs=0.01)
    assert any("+256 samples from the calibrated latency" in said for said in line.findings())


def test_the_reping_takes_at_most_half_a_second_of_signal(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.calibrated()
    frames: list[int] = []
    run = RoomStream.run

    def counted(self: Any, source: Any, sink: Any, length: int, **options: Any) -> Any:
        frames.append(length)
        return run(self, source, sink, length, **options)

    monkeypatch.setattr(RoomStream, "run", counted)
    line.print(line.project(song(0.5)))
    assert sum(frames[:2]) <= 0.5 * 48_000, "silence and comb come before the pass"
    assert frames[2] >= 0.5 * 48_000


def test_cables_exchanged_between_strips_set_alike_are_suspected_where_the_strips_differ(line: Line) -> None:
    desk = {"gain_spread_db": 0.45, "bus_noise_dbfs": -90.0}
    strips = [Strip(name=name, stem=f"{name}.wav", fader_db=-3.0) for name in ("bass", "guitar", "vox")]
    line.calibrated(desk=desk)
    line.print(line.project(song(0.5), strips))
    assert not any("exchanged" in said for said in line.findings())
    line.set_room(desk=desk, faults=[{"kind": "swapped", "channels": [1, 2]}])
    line.print(line.project(song(0.5), strips))
    (said,) = [said for said in line.findings() if "exchanged" in said]
    assert "the gain and latency that the other had" in said


def test_strips_that_are_alike_are_not_suspected(line: Line) -> None:
    strips = [Strip(name=name, stem=f"{name}.wav", fader_db=-3.0) for name in ("bass", "guitar", "vox")]
    line.calibrated()
    line.set_room(faults=[{"kind": "swapped", "channels": [1, 2]}])
    line.print(line.project(song(0.5), strips))
    assert not any("exchanged" in said for said in line.findings())


def test_one_loop_that_arrives_elsewhere_is_refused(line: Line) -> None:
    line.calibrated()
    line.set_room(converters={"skew_samples": [0.0, 0.0, 0.0, 3.0]})
    assert "loop 4 → desk/ch04 arrives +3.00 samples from its calibration" in refused(line, line.project())


def test_a_desk_that_was_switched_off_since_is_refused_and_found_out_by_verify(line: Line) -> None:
    line.calibrated()
    project = line.project()
    line.print(project)
    (line.folder / "home" / "rigs" / "demo" / "room_state.json").unlink()  # power-on: faders down
    message = refused(line, project)
    assert all(f"loop {seat} → desk/ch{seat:02d} is silent" in message for seat in range(1, 8))
    assert main(["recall", "verify", str(project.root)]) == 1
    assert line.print(project).number == 2


def test_a_mix_that_is_muted_altogether_has_nothing_to_print(line: Line) -> None:
    line.calibrated()
    project = line.project(strips=[Strip(name="vox", stem="vox.wav", mute=True)])
    assert "muted or faded out" in refused(line, project)


def test_a_rig_that_was_never_calibrated_does_not_print(line: Line) -> None:
    message = refused(line, line.project())
    assert "never been calibrated" in message


def test_a_stale_calibration_does_not_print(line: Line) -> None:
    stored = line.calibrated()
    old = json.loads(stored.path.read_text())
    old["made_at"] = (datetime.now(UTC) - timedelta(hours=25)).isoformat(timespec="seconds")
    stored.path.write_text(json.dumps(old))
    project = line.project()
    message = refused(line, project)
    assert "0001-calibration.json is 25 hours old; this rig allows 24" in message
    line.calibrate()
    assert line.print(project).number == 1


def test_a_calibration_of_another_rate_does_not_print(line: Line) -> None:
    stored = line.calibrated()
    other = json.loads(stored.path.read_text())
    stored.path.write_text(json.dumps({**other, "rate_hz": 96_000}))
    assert "made at 96000 Hz, the rig runs at 48000 Hz" in refused(line, line.project())


def test_a_project_of_another_rate_than_the_rigs_does_not_print(line: Line) -> None:
    line.rig.write_text(line.rig.read_text().replace("rate_hz = 48000", "rate_hz = 96000"))
    line.calibrate()
    message = refused(line, line.project(), ProjectError)
    assert "project is at 48000 Hz" in message
    assert "96000 Hz" in message


@pytest.mark.parametrize("damage", ["{", "[]", '{"schema": 2}'])
def test_a_damaged_or_newer_calibration_is_named_and_left_untouched(line: Line, damage: str) -> None:
    stored = line.calibrated()
    stored.path.write_text(damage)
    assert "0001-calibration.json" in refused(line, line.project())
    assert stored.path.read_text() == damage


def test_hands_that_have_not_been_set_are_asked_for_first(line: Line) -> None:
    line.calibrated()
    strips = [Strip(name="bass", stem="bass.wav", hpf_hz=80.0), Strip(name="vox", stem="vox.wav")]
    project = line.project(song(1.0), strips)
    assert "1 controls have to be set by hand first (desk/ch01/hpf_freq" in refused(line, project, hands_done=False)


def test_a_feed_that_would_clip_its_converter_is_named_and_nothing_plays(line: Line) -> None:
    line.calibrated()
    stems = song(1.0)
    stems["vox"] *= 0.9 / abs(stems["vox"]).max()
    project = line.project(stems, [Strip(name="vox", stem="vox.wav", trim_db=6.0, fader_db=-6.0)])
    message = refused(line, project, MixError)
    # 0.9 of full scale and 6 dB more; the fader has −6 dB at 0.026 dB from a step (168 of 256).
    assert re.search(r"'vox' would clip output 1 by 5\.\d dB", message)


def test_a_control_that_the_desk_refuses_is_named_and_nothing_is_recorded(line: Line) -> None:
    line.calibrated()
    line.set_room(faults=[{"kind": "nak", "control": "ch04/fader"}])
    assert "desk refused desk/ch04/fader" in refused(line, line.project(), HardwareError)
