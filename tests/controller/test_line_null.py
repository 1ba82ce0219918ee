"""The song through the desk is the song in the box, down to what the model file puts between the two.

Depths are asserted far above what is reached where that depends on float rounding; "plain" mixes are summed here.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from short_line import (
    LATENCY,
    RATE_HZ,
    STRIPS,
    Audio,
    Line,
    depth_db,
    fader_steps_db,
    plain_mix,
    read,
    rms,
    seat_gains,
    song,
)

from controller.mix import Bus, Comp, EqBand, Reverb, Strip
from controller.project import Project
from controller.studio import Studio

ASKED_DB = -80.0
FLOAT_DB = -130.0
"""What rounding to 32-bit float leaves of a null, with room to spare; −145 dB is reached."""

EQ = {
    "lf": EqBand(freq_hz=120.0, gain_db=4.1),
    "lmf": EqBand(freq_hz=500.0, gain_db=-3.3, q=1.4),
    "hmf": EqBand(freq_hz=2_500.0, gain_db=3.5, q=0.8),
    "hf": EqBand(freq_hz=9_000.0, gain_db=2.6),
}
BUS_COMP = Comp(on=True, threshold_db=-16.0, ratio=4.0, attack_ms=3.0, release_ms=100.0, makeup_db=1.0)


def each(**changes: Any) -> list[Strip]:
    """The song's strips, all of them changed alike."""
    return [msgspec.structs.replace(strip, **changes) for strip in STRIPS]


def only(name: str, **changes: Any) -> list[Strip]:
    """The song's strips, one of them changed."""
    return [msgspec.structs.replace(strip, **changes) if strip.name == name else strip for strip in STRIPS]


def both_ways(line: Line, project: Project, path: str = "analog") -> tuple[Audio, Audio]:
    """The mix through the desk, and in the box."""
    analog = read(line.print(project, path).file)
    return analog, read(line.print(project, "itb", like=path).file)


def places(facts: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(entry["strip"], entry["stage"]): entry["where"] for entry in facts["allocation"]}


def test_the_songs_faders_lie_between_the_desks_steps() -> None:
    nearest = [np.abs(fader_steps_db() - strip.fader_db).min() for strip in STRIPS]
    assert sum(miss > 0.03 for miss in nearest) >= 3


@pytest.mark.parametrize(
    ("strips", "mix"),
    [
        (STRIPS, {}),
        (STRIPS, {"pan_law_db": -4.5}),
        (STRIPS, {"pan_law_db": -6.0}),
        (only("guitar", mute=True), {}),
        ([*only("vox", solo=True)[:1], *only("vox", solo=True)[1:]], {}),
        (only("bass", polarity="inverted"), {}),
        (only("drums", fader_db=-math.inf), {}),
        (only("vox", fader_db=-63.3), {}),
        (each(pan=-100.0), {}),
        (only("keys", trim_db=-5.0, fader_db=4.21), {}),
    ],
    ids=["odd faders", "law -4.5", "law -6", "mute", "solo", "polarity", "off", "far down", "hard left", "trim"],
)
def test_an_ideal_desk_prints_the_mix_as_numpy_sums_it(line: Line, strips: list[Strip], mix: dict[str, Any]) -> None:
    line.calibrated()
    analog, itb = both_ways(line, line.project(song(1.0), strips, **mix))
    plain = plain_mix(song(1.0), strips, law_db=mix.get("pan_law_db", -3.0), frames=len(analog))
    assert depth_db(analog - itb, itb) <= FLOAT_DB
    assert depth_db(itb - plain, plain) <= FLOAT_DB
    assert depth_db(analog - plain, plain) <= FLOAT_DB


def test_a_24_bit_print_through_fractional_latency_and_a_desk_of_spread_gains_nulls(line: Line) -> None:
    line.calibrated(converters={"latency_samples": 137.37}, desk={"gain_spread_db": 0.4})
    project = line.project()
    analog = line.print(project, format_="24")
    itb = line.print(project, "itb", format_="24")
    data = line.null(itb.file, analog.file).data
    assert data["null_depth_db"] <= ASKED_DB - 15
    assert data["delay_samples"] == pytest.approx(0.37, abs=0.001)
    assert data["gain_db"] == pytest.approx([0.0, 0.0], abs=0.001)
    assert data["polarity"] == [1, 1]
    assert analog.facts["latency_rest_samples"] == pytest.approx(0.37, abs=0.001)


def test_loops_of_other_lengths_are_made_to_arrive_together(line: Line) -> None:
    line.calibrated(converters={"skew_samples": [0.0, 1.0, -3.0, 20.0, 7.0, 0.0, -1.0]})
    analog, itb = both_ways(line, line.project(song(1.0)))
    assert depth_db(analog - itb, itb) <= FLOAT_DB


def test_loops_that_differ_by_fractions_of_a_sample_arrive_together_too(line: Line) -> None:
    line.calibrated(converters={"skew_samples": [0.0, 0.31, -0.44, 0.5, 7.25, 0.0, -1.13]})
    analog, itb = both_ways(line, line.project(song(1.0)))
    assert depth_db(analog - itb, itb) <= ASKED_DB


def test_the_song_begins_at_its_first_frame_and_keeps_its_length_and_tail(line: Line) -> None:
    line.calibrated()
    click = np.zeros((RATE_HZ // 2, 1))
    click[0] = click[-1] = 0.5
    strips = [Strip(name="click", stem="click.wav")]
    made = line.print(line.project({"click": click}, strips))
    audio = read(made.file)
    loud = np.flatnonzero(np.abs(audio[:, 0]) > 0.1)
    assert loud.tolist() == [0, RATE_HZ // 2 - 1]
    assert len(audio) == made.facts["frames"] == RATE_HZ // 2 + RATE_HZ // 2
    assert made.facts["latency_samples"] == pytest.approx(LATENCY, abs=0.01)


def test_a_bus_compressor_behind_the_matrix_is_the_box_compressor(line: Line) -> None:
    line.calibrated()
    project = line.project(bus=Bus(comp=BUS_COMP, fader_db=-2.77))
    made = line.print(project)
    itb = read(line.print(project, "itb").file)
    assert places(made.facts)["bus", "comp"] == "comp"
    assert depth_db(read(made.file) - itb, itb) <= -60.0
    plain = plain_mix(song(), frames=len(itb)) * 10 ** (-2.77 / 20)
    assert depth_db(itb - plain, plain) > -25.0  # it does compress


def test_the_desks_equaliser_is_the_boxs_within_its_tolerance(line: Line) -> None:
    line.calibrated()
    project = line.project(strips=each(eq=EQ, hpf_hz=80.0))
    made = line.print(project)
    itb = read(line.print(project, "itb").file)
    assert {where for (_, stage), where in places(made.facts).items() if stage in ("eq", "hpf")} == {
        f"desk/{seat}" for seat in ("ch01", "ch02+03", "ch04", "ch05+06", "ch07")
    }
    # Two designs of one analog curve: equal to a few ten-thousandths in this song.
    assert depth_db(read(made.file) - itb, itb) <= -60.0


def test_hybrid_leaves_the_hands_alone_and_nulls_as_deep(line: Line) -> None:
    line.calibrated()
    project = line.project(strips=each(eq=EQ, hpf_hz=80.0), bus=Bus(comp=BUS_COMP))
    # All pots stand where the calibration left them: nothing is to be set by hand, so the print asks for no hands.
    made = line.print(project, "hybrid", hands_done=False)
    itb = read(line.print(project, "itb", like="hybrid").file)
    assert {where for (_, stage), where in places(made.facts).items() if stage in ("eq", "hpf")} == {"box"}
    assert depth_db(read(made.file) - itb, itb) <= ASKED_DB


def test_box_strips_and_reverb_join_through_a_free_pair_of_the_desk(line: Line) -> None:
    line.calibrated()
    strips = [
        msgspec.structs.replace(s, send_db=-12.0, place={"sum": "box"} if s.name == "vox" else {}) for s in STRIPS
    ]
    project = line.project(strips=strips, reverb=Reverb(decay_s=0.5), bus=Bus(comp=BUS_COMP))
    made = line.print(project)
    itb = read(line.print(project, "itb").file)
    assert places(made.facts)["box", "return"] == "desk/ch23+24"
    assert places(made.facts)["bus", "comp"] == "comp"
    assert depth_db(read(made.file) - itb, itb) <= ASKED_DB


def test_without_a_free_pair_the_box_is_added_after_the_return(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    line = Line(tmp_path, strips=5)
    line.calibrated()
    project = line.project(strips=each(send_db=-12.0), reverb=Reverb(decay_s=0.5), bus=Bus(fader_db=-2.77))
    made = line.print(project)
    where = places(made.facts)
    assert where["box", "return"] == "after the A/D"
    assert (where["keys", "sum"], where["vox", "sum"]) == ("box", "box")
    itb = read(line.print(project, "itb").file)
    assert depth_db(read(made.file) - itb, itb) <= ASKED_DB


def test_a_dead_loop_keeps_its_strip_in_the_box_says_why_and_the_print_still_nulls(line: Line) -> None:
    line.calibrated(faults=[{"kind": "dead", "channel": 4}])
    project = line.project(song(1.0))
    made = line.print(project)
    entry = next(e for e in made.facts["allocation"] if (e["strip"], e["stage"]) == ("guitar", "sum"))
    assert entry["where"] == "box"
    assert "loop 4 → desk/ch04 failed its calibration" in entry["why"]
    assert "desk/ch04 is dead" in entry["why"]
    analog, itb = read(made.file), read(line.print(project, "itb").file)
    assert depth_db(analog - itb, itb) <= FLOAT_DB


@pytest.mark.parametrize(
    ("noise_dbfs", "crosstalk_db"),
    [(-80.0, -75.0), (-100.0, -60.0), (-78.0, -58.0)],
    ids=["noise", "crosstalk", "both"],
)
def test_the_residual_is_the_models_own_noise_and_crosstalk(line: Line, noise_dbfs: float, crosstalk_db: float) -> None:
    line.calibrated(
        desk={"bus_noise_dbfs": noise_dbfs, "channel_noise_dbfs": noise_dbfs - 12, "crosstalk_db": crosstalk_db}
    )
    project = line.project()
    itb = line.print(project, "itb")
    found = line.null(itb.file, line.print(project).file).data
    expected = expected_residual_dbfs(line, read(itb.file), noise_dbfs, crosstalk_db)
    assert found["residual_dbfs"] == pytest.approx(expected, abs=1.0)
    assert found["null_depth_db"] == pytest.approx(expected - dbfs(read(itb.file)[measured(itb.file)]), abs=1.0)


def measured(path: Path) -> slice:
    """The frames a null test looks at: all but half a second at either end."""
    return slice(RATE_HZ // 2, len(read(path)) - RATE_HZ // 2)


def dbfs(audio: Audio) -> float:
    """Level re the rms of a full-scale sine (AES17)."""
    return 20 * math.log10(rms(audio) / math.sqrt(0.5))


def expected_residual_dbfs(line: Line, itb: Audio, noise_dbfs: float, crosstalk_db: float) -> float:
    """What a gain match leaves of the model's crosstalk and noise, from the model file's figures and the stems.

    Crosstalk: what a strip sends behind its fader leaks into the pan pots of its two neighbours. Noise: each sum's
    own, and each open strip's through fader and pan.
    """
    with Studio.open(line.rig) as studio:
        assert studio.room
        pans = [float(studio.room.room.knobs()[f"desk/ch{strip:02d}/pan"]) for strip in range(1, 25)]
    angles = [(pan + 100) / 200 * math.pi / 2 for pan in pans]
    stems, seat = song(), 0
    leaked = np.zeros_like(itb)
    noise = np.full(2, 10 ** (noise_dbfs / 10))
    for strip in STRIPS:
        sign = -1.0 if strip.polarity == "inverted" else 1.0
        audio = stems[strip.stem.removesuffix(".wav")]
        for channel, gains in enumerate(seat_gains(strip)):
            sent = sign * audio[:, channel] * math.hypot(*gains)
            for near in (seat - 1, seat + 1):
                if 0 <= near < 24:
                    pot = np.array([math.cos(angles[near]), math.sin(angles[near])])
                    leaked[: len(audio)] += 10 ** (crosstalk_db / 20) * sent[:, None] * pot
            noise += 10 ** ((noise_dbfs - 12) / 10) * np.square(gains)
            seat += 1
    inside = slice(RATE_HZ // 2, len(itb) - RATE_HZ // 2)
    mix, leak = itb[inside], leaked[inside]
    matched = leak - mix * (np.sum(mix * leak, axis=0) / np.sum(mix * mix, axis=0))
    power = np.mean(np.square(matched), axis=0) / 0.5 + noise
    return 10 * math.log10(float(np.mean(power)))


def test_two_runs_under_one_seed_give_the_same_bytes(tmp_path: Path, monkeypatch) -> None:
    prints = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / name / "home"))
        line = Line(tmp_path / name)
        line.set_room(base={}, seed=11)
        line.calibrate()
        project = line.project(song(1.0), each(send_db=-15.0), bus=Bus(comp=BUS_COMP))
        prints.append([line.print(project, path, format_="24").file for path in ("analog", "itb")])
    for first, second in zip(*prints, strict=True):
        ours, theirs = (soundfile.read(path, dtype="int32")[0].tobytes() for path in (first, second))
        assert ours == theirs


def test_another_seed_is_another_room(line: Line) -> None:
    line.calibrated(base={}, seed=11)
    project = line.project(song(1.0))
    first = read(line.print(project).file)
    line.set_room(base={}, seed=12)
    assert not np.array_equal(first, read(line.print(project).file))


def test_a_print_tells_where_it_comes_from_and_changes_nothing_else(line: Line) -> None:
    stored = line.calibrated()
    project = line.project(song(1.0))
    stems = {path: path.read_bytes() for path in (project.root / "stems").iterdir()}
    made = line.print(project)
    facts = msgspec.json.decode(made.provenance_file.read_bytes())
    assert facts["calibration"]["hash"] == stored.content_hash
    assert facts["mix"]["file"] == "mix-2.toml"
    assert {entry["strip"] for entry in facts["stems"]} == {strip.name for strip in STRIPS}
    assert (facts["xruns"], facts["repairs"]) == ([], [])
    assert {path: path.read_bytes() for path in (project.root / "stems").iterdir()} == stems
    left = {path.relative_to(project.root).as_posix() for path in project.root.rglob("*") if path.is_file()}
    assert {name for name in left if name.startswith((".", "prints", "snapshots"))} == {
        "prints/0001-analog.wav",
        "prints/0001-analog.json",
        "snapshots/0001.json",
    }
