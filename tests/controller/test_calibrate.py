"""A calibration measures what the room's model says, and names what is wrong with a room in plain words."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from short_line import IDEAL, Line

from controller.cli.main import main
from controller.errors import CalibrationError, DeclinedError, UsageError
from controller.studio import Studio
from hardware.errors import HardwareError, SilentInputError

NOISE_DBFS = -90.0
CHANNEL_DBFS, AD_DBFS = -112.0, -106.0


def bus_noise_dbfs() -> float:
    """What is left for the sums when twelve strips and an A/D share −90 dBFS with them in each return."""
    others = 12 * 10 ** (CHANNEL_DBFS / 10) + 10 ** (AD_DBFS / 10)
    return 10 * math.log10(10 ** (NOISE_DBFS / 10) - others)


def calibrate_by_command(line: Line, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    code = main(["calibrate", "--rig", str(line.rig), "--yes", "--json", "--only", "patch", "--only", "noise"])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


def words(data: dict[str, Any]) -> list[str]:
    return [f"{problem['where']}: {problem['what']}" for problem in data["problems"]]


@pytest.mark.parametrize("seed", [1, 29, 4711])
def test_latency_and_gain_of_every_loop_are_the_models_at_minus_90_dbfs_noise(line: Line, seed: int) -> None:
    rng = np.random.default_rng(seed)
    skews = [round(float(skew), 3) for skew in rng.uniform(-30, 30, 24)]
    line.set_room(
        seed=seed,
        converters={"latency_samples": 137.37, "skew_samples": skews, "ad_noise_dbfs": AD_DBFS},
        desk={
            "bus_noise_dbfs": bus_noise_dbfs(),
            "channel_noise_dbfs": CHANNEL_DBFS,
            "gain_spread_db": 0.4,
            "crosstalk_db": -75.0,
            "h2_db": -78.0,
            "h3_db": -75.0,
            "hum_dbfs": -105.0,
        },
        comp={"noise_dbfs": -105.0},
    )
    with Studio.open(line.rig) as studio:
        assert studio.room
        errors_db = studio.room.room.strip_errors_db
    loops = line.calibrate().calibration.loops
    assert max(errors_db) - min(errors_db) > 0.5
    latency_off = [loop.latency_samples - 137.37 - skew for loop, skew in zip(loops, skews, strict=True)]
    gain_off = [loop.gain_db - error for loop, error in zip(loops, errors_db, strict=True)]
    assert len(loops) == 24
    assert max(map(abs, latency_off)) <= 0.01
    assert max(map(abs, gain_off)) <= 0.01
    # A floor is read from 20 Hz to 20 kHz (AES17); the model's noise is white up to half the rate.
    heard_dbfs = NOISE_DBFS + 10 * math.log10((20_000 - 20) / 24_000)
    assert all(abs(loop.noise_dbfs - heard_dbfs) < 0.2 for loop in loops)
    assert all(loop.latency_sd < 0.01 and loop.gain_sd < 0.01 for loop in loops)


def test_an_ideal_room_has_whole_latencies_unity_gains_and_no_problem(line: Line, capsys) -> None:
    code, data, _ = calibrate_by_command(line, capsys)
    assert code == 0
    assert data["problems"] == []
    assert data["rate_hz"] == 48_000
    assert [loop["output"] for loop in data["loops"]] == list(range(1, 25))
    for loop in data["loops"]:
        assert loop["latency_samples"] == pytest.approx(137.0, abs=1e-4)
        assert loop["gain_db"] == pytest.approx(0.0, abs=1e-4)
        assert (loop["present"], loop["polarity"], loop["ok"]) == (True, 1, True)
        assert loop["input"] == loop["expected_input"]
        assert loop["strip_found"] == f"desk/ch{loop['output']:02d}"


BUILT_IN: dict[str, dict[str, Any]] = {}


@pytest.mark.parametrize(
    ("fault", "bad", "said"),
    [
        ({"kind": "fader_off", "channel": 7, "db": 1.3}, [7], ["output 7", "desk/ch07", "dB above the other loops"]),
        ({"kind": "fader_off", "channel": 7, "db": -1.3}, [7], ["output 7", "desk/ch07", "dB below the other loops"]),
        ({"kind": "dead", "channel": 3}, [3], ["output 3", "desk/ch03 is dead"]),
        (
            {"kind": "swapped", "channels": [5, 6]},
            [5, 6],
            ["output 5 feeds desk/ch06, not desk/ch05 and output 6 feeds desk/ch05: the cables are swapped"],
        ),
        (
            {"kind": "swapped", "channels": [2, 20]},
            [2, 20],
            ["output 2 feeds desk/ch20, not desk/ch02 and output 20 feeds desk/ch02: the cables are swapped"],
        ),
        ({"kind": "inverted", "channel": 12}, [12], ["output 12", "desk/ch12 comes back with inverted polarity"]),
        ({"kind": "split", "channels": [3, 5]}, [3, 5], ["output 3 feeds desk/ch03 and desk/ch05: its line is split"]),
        (
            {"kind": "shorted", "channels": [3, 4]},
            [3, 4],
            ["outputs 3 and 4 are joined: both feed desk/ch03 and desk/ch04"],
        ),
        ({"kind": "pulled", "channel": 7, "seconds": 5.0}, [7], ["loop 7 vanished", "s into the search for the loops"]),
    ],
    ids=[
        "too loud",
        "too soft",
        "dead",
        "swapped neighbours",
        "swapped far",
        "inverted",
        "split",
        "shorted",
        "pulled",
    ],
)
def test_a_wrong_room_is_named_in_plain_words(line: Line, capsys, fault, bad, said) -> None:
    line.set_room(base=BUILT_IN, faults=[fault])
    code, data, talk = calibrate_by_command(line, capsys)
    assert code == 1
    assert [loop["output"] for loop in data["loops"] if not loop["ok"]] == bad
    assert len(data["problems"]) == len(bad)
    for part in said:
        assert part in words(data)[0]
        assert part.removeprefix("output 7").removeprefix("output 3").removeprefix("output 12") in talk
    assert all(problem["hint"] for problem in data["problems"])


def test_two_outputs_on_one_strip_are_named(line: Line, capsys) -> None:
    line.set_room(faults=[{"kind": "summed", "channels": [3, 4]}])
    code, data, _ = calibrate_by_command(line, capsys)
    assert code == 1
    assert any("output 4 feeds desk/ch03, as output 3 does, and not desk/ch04" in said for said in words(data))


def test_exchanged_returns_are_one_problem_and_not_one_a_strip(line: Line, capsys) -> None:
    text = line.rig.read_text()
    wired = 'from = "desk/mix"\ninputs = "1-2"\n'
    turned = 'from = "desk/mix/l"\ninputs = 2\n\n[[return]]\nfrom = "desk/mix/r"\ninputs = 1\n'
    assert wired in text
    line.rig.write_text(text.replace(wired, turned))
    code, data, _ = calibrate_by_command(line, capsys)
    assert code == 1
    (problem,) = data["problems"]
    assert "inputs 1 and 2 are exchanged" in problem["what"]
    assert not any(loop["ok"] for loop in data["loops"])
    assert {loop["strip_found"] for loop in data["loops"]} == {None}


def test_the_amount_of_a_wrong_fader_is_told(line: Line, capsys) -> None:
    line.set_room(faults=[{"kind": "fader_off", "channel": 7, "db": 1.3}])
    _, data, _ = calibrate_by_command(line, capsys)
    assert "1.30 dB above" in words(data)[0]
    assert data["loops"][6]["gain_db"] == pytest.approx(1.3, abs=0.01)


def test_a_dead_channel_has_no_figures_and_says_so(line: Line, capsys) -> None:
    line.set_room(faults=[{"kind": "dead", "channel": 3}])
    _, data, _ = calibrate_by_command(line, capsys)
    dead = data["loops"][2]
    assert (dead["present"], dead["input"], dead["latency_samples"], dead["gain_db"]) == (False, None, None, None)
    assert dead["latency_samples_note"] == "nothing came back"


def test_every_fault_of_a_very_wrong_room_is_named(line: Line, capsys) -> None:
    faults = [
        {"kind": "fader_off", "channel": 1, "db": -1.3},
        {"kind": "dead", "channel": 9},
        {"kind": "swapped", "channels": [14, 15]},
        {"kind": "inverted", "channel": 24},
    ]
    line.set_room(base=BUILT_IN, faults=faults)
    code, data, _ = calibrate_by_command(line, capsys)
    assert code == 1
    assert [problem["where"] for problem in data["problems"]] == [
        f"output {number} → desk/ch{number:02d}" for number in (1, 9, 14, 15, 24)
    ]


def test_a_swap_with_an_inverted_channel_is_both(line: Line, capsys) -> None:
    line.set_room(faults=[{"kind": "swapped", "channels": [5, 6]}, {"kind": "inverted", "channel": 5}])
    _, data, _ = calibrate_by_command(line, capsys)
    assert any("swapped" in text for text in words(data))
    # The strip of channel 5 turns what output 6 plays.
    assert [loop["output"] for loop in data["loops"] if loop["polarity"] < 0] == [6]
    assert any(text.startswith("output 6 ") and "inverted polarity" in text for text in words(data))


@pytest.mark.parametrize("base", [BUILT_IN, IDEAL], ids=["noisy", "ideal"])
def test_a_room_where_everything_is_dead_is_an_error_of_its_own_and_nothing_is_stored(line: Line, base) -> None:
    line.set_room(base=base, faults=[{"kind": "dead", "channel": number} for number in range(1, 25)])
    with pytest.raises(SilentInputError, match="Nothing came back on any return") as caught:
        line.calibrate()
    assert "[[return]]" in caught.value.hint
    assert not list((line.folder / "home").rglob("*-calibration.json"))


def test_a_desk_that_refuses_a_fader_is_not_calibrated(line: Line) -> None:
    line.set_room(faults=[{"kind": "nak", "control": "ch05/fader"}])
    with pytest.raises((CalibrationError, HardwareError), match=r"desk .*ch05/fader"):
        line.calibrate()
    assert not list((line.folder / "home").rglob("*-calibration.json"))


def test_a_declined_calibration_moves_nothing(line: Line) -> None:
    line.accept = lambda question: False  # type: ignore[method-assign]
    with Studio.open(line.rig) as studio:
        assert studio.room
        before = studio.room.room.knobs()
    with pytest.raises(DeclinedError):
        line.calibrate()
    with Studio.open(line.rig) as studio:
        assert studio.room
        assert studio.room.room.knobs() == before


def test_the_plan_says_how_loud_and_how_long_before_anything_sounds(line: Line) -> None:
    line.calibrate()
    plan = " ".join(line.asked[0].lines)
    assert "24 loops" in plan
    assert "-60 to -40 dBFS" in plan
    assert "monitors" in plan


def test_calibrations_are_numbered_and_an_older_one_is_never_touched(line: Line) -> None:
    first = line.calibrate()
    kept = first.path.read_bytes()
    second = line.calibrate()
    assert (first.path.name, second.path.name) == ("0001-calibration.json", "0002-calibration.json")
    assert first.path.read_bytes() == kept


def test_what_is_measured_does_not_depend_on_where_the_knobs_stood_or_were_believed_to(line: Line) -> None:
    line.set_room(converters={"latency_samples": 200.25}, desk={"gain_spread_db": 0.3})
    clean = line.calibrate().calibration
    with Studio.open(line.rig) as studio:
        assert studio.room
        # Nobody listened while these were moved, or the desk was switched off over night.
        for address, value in {
            "desk/ch04/fader": -20.0,
            "desk/ch05/mute": True,
            "desk/ch06/pan": 0.0,
            "desk/ch08/eq/in": True,
            "desk/master/fader": -12.0,
            "desk/master/insert": True,
        }.items():
            studio.room.turn(address, value)
        assert studio.state["desk/ch04/fader"].value == 0.0
    again = line.calibrate().calibration
    assert again.problems == ()
    for before, after in zip(clean.loops, again.loops, strict=True):
        assert after.latency_samples == pytest.approx(before.latency_samples, abs=1e-3)
        assert after.gain_db == pytest.approx(before.gain_db, abs=1e-3)


def test_a_part_that_does_not_exist_is_refused(line: Line) -> None:
    with pytest.raises(UsageError, match="'colour'") as caught:
        line.calibrate(only=["colour"])
    assert "latency" in caught.value.hint
