"""``halfnormal advise``: from stems of known level to proposals with a number, a reason and a place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from cli_line import Line
from numpy.typing import NDArray

from controller.advise import Advice, advise
from controller.events import Event, Progress, silent
from controller.mix import AddedBus, Bus, Comp, Mix, Strip, save_new_mix
from controller.project import Project, create_project
from controller.proposals import Proposal

RATE_HZ = 48_000
SECONDS = 3.0
FRAMES = round(SECONDS * RATE_HZ)
AT_S = np.arange(FRAMES) / RATE_HZ
Audio = NDArray[np.float64]


def sine(freq_hz: float, level_dbfs: float) -> Audio:
    wave: Audio = 10.0 ** (level_dbfs / 20.0) * np.sin(2.0 * np.pi * freq_hz * AT_S)
    return wave


def project_of(folder: Path, stems: dict[str, Audio]) -> Project:
    (folder / "in").mkdir()
    for name, audio in stems.items():
        soundfile.write(folder / "in" / f"{name}.wav", audio, RATE_HZ, subtype="FLOAT")
    return create_project(folder / "song", stems=folder / "in")


def advice_of(folder: Path, stems: dict[str, Audio], *strips: Strip, **mix: Any) -> Advice:
    project = project_of(folder, stems)
    strips = strips or tuple(Strip(name=name, stem=f"{name}.wav") for name in stems)
    return advise(project, Mix(name="m", strips=strips, **mix), emit=silent)


def of_kind(advice: Advice, kind: str) -> dict[str, Proposal]:
    found = [proposal for proposal in advice.proposals if proposal.kind == kind]
    assert len({proposal.strip for proposal in found}) == len(found)
    return {proposal.strip: proposal for proposal in found}


def strip(name: str, **settings: Any) -> Strip:
    return Strip(name=name, stem=f"{name}.wav", **settings)


def test_gain_staging_and_balance_follow_from_the_level_of_a_sine(tmp_path: Path) -> None:
    """A mono sine of 997 Hz reads its peak less 3.01 in LUFS (BS.1770-5 Annex 1), so −33 dBFS is −36.01 LUFS.

    Two strips then stand at −26.01 and −36.01 LUFS after centred pan (−3.01 dB twice); their mean power is that of
    −28.61 LUFS.
    """
    stems = {"a": sine(997.0, -23.0), "b": sine(997.0, -33.0)}
    advice = advice_of(tmp_path, stems, strip("a", trim_db=0.0), strip("b", fader_db=-1.0, trim_db=1.0))
    gain = of_kind(advice, "gain")
    assert gain["a"].by_db == pytest.approx(6.01, abs=0.05) and gain["a"].to_db == pytest.approx(6.01, abs=0.05)
    assert gain["b"].by_db == pytest.approx(15.01, abs=0.05) and gain["b"].to_db == pytest.approx(16.01, abs=0.05)
    balance = of_kind(advice, "balance")
    mean = 10.0 * np.log10((10**-2.601 + 10**-3.601) / 2.0)
    assert balance["a"].to_db == pytest.approx(mean + 20.0, abs=0.06)
    assert balance["b"].to_db == pytest.approx(mean + 20.0, abs=0.06)
    assert "starting point" in balance["a"].why


def test_a_peak_holds_the_trim_back_and_the_reason_says_so(tmp_path: Path) -> None:
    """A tick of −8 dBFS a second in a sine of −40 dBFS: 2 dB are left below −6."""
    audio = sine(997.0, -40.0)
    audio[::RATE_HZ] = 10 ** (-8.0 / 20.0)
    proposal = of_kind(advice_of(tmp_path, {"ticks": audio}), "gain")["ticks"]
    assert proposal.by_db == pytest.approx(2.0, abs=0.01)
    assert "-6" in proposal.why and "peak" in proposal.why


def test_a_compressor_before_the_fader_is_told_of(tmp_path: Path) -> None:
    stems = {"a": sine(997.0, -30.0)}
    advice = advice_of(tmp_path, stems, strip("a", comp=Comp(on=True, threshold_db=-10.0)))
    assert "measure again" in of_kind(advice, "gain")["a"].why


def test_silent_and_muted_strips_are_measured_and_not_balanced(tmp_path: Path) -> None:
    stems = {"a": sine(400.0, -20.0), "b": sine(400.0, -30.0), "c": sine(400.0, -25.0), "none": np.zeros(FRAMES)}
    advice = advice_of(tmp_path, stems, strip("a"), strip("b"), strip("c", mute=True), strip("none"))
    assert set(of_kind(advice, "balance")) == {"a", "b"}
    assert "c" in of_kind(advice, "gain") and "none" not in of_kind(advice, "gain")
    assert not [one for one in advice.proposals if one.kind == "masking" and "c" in (one.strip, one.other)]


def test_an_inverted_stereo_strip_loses_everything_in_mono(tmp_path: Path) -> None:
    side = sine(500.0, -20.0)
    stems = {"wide": np.stack([side, -side], axis=1), "even": np.stack([side, side], axis=1)}
    mono = of_kind(advice_of(tmp_path, stems, strip("wide"), strip("even", fader_db=-20.0)), "mono")
    assert set(mono) == {"wide", "bus"}
    assert (
        (mono["wide"].by_db or 0.0) < -120.0
        and "all is lost" in mono["wide"].what
        and "turned round" in mono["wide"].why
    )
    # Sides of 1 + 0.1 and −1 + 0.1 of the sine: (0.2)² of 1.1² + 0.9² is left.
    assert mono["bus"].by_db == pytest.approx(10.0 * np.log10(0.04 / 2.02), abs=0.02)


def noise(low_hz: float, high_hz: float, seed: int) -> Audio:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(FRAMES))
    freqs_hz = np.fft.rfftfreq(FRAMES, 1.0 / RATE_HZ)
    spectrum[(freqs_hz < low_hz) | (freqs_hz > high_hz)] = 0.0
    audio = np.fft.irfft(spectrum, FRAMES)
    audio *= 0.05 / np.sqrt(np.mean(audio**2))
    return audio


@pytest.mark.parametrize(
    ("second_hz", "pan", "hints"),
    [((900.0, 1_100.0), 20.0, 1), ((900.0, 1_100.0), 60.0, 0), ((3_000.0, 3_500.0), 0.0, 0)],
)
def test_two_noises_mask_in_one_band_and_side_only(
    tmp_path: Path, second_hz: tuple[float, float], pan: float, hints: int
) -> None:
    stems = {"a": noise(900.0, 1_100.0, 1), "b": noise(*second_hz, 2)}
    found = of_kind(advice_of(tmp_path, stems, strip("a"), strip("b", pan=pan)), "masking")
    assert len(found) == hints
    for hint in found.values():
        assert {hint.strip, hint.other} == {"a", "b"}
        assert hint.band_hz == pytest.approx((891.25, 1122.02), rel=1e-4)
        assert hint.spans_s == ((0.0, 3.0),) and abs(hint.by_db or 99.0) < 1.5


def test_a_clipped_stem_is_named_with_its_first_second(tmp_path: Path) -> None:
    """Twice too loud from 1.5 s to 1.6 s at 100 Hz: ten periods, cut at both ends of each."""
    audio = sine(100.0, -20.0)
    hot = slice(round(1.5 * RATE_HZ), round(1.6 * RATE_HZ))
    audio[hot] = np.clip(20.0 * audio[hot], -1.0, 1.0)
    advice = advice_of(tmp_path, {"a": audio, "fine": sine(100.0, -20.0)})
    clips = [one for one in advice.proposals if one.kind == "clip"]
    assert [one.strip for one in clips] == ["a"]
    assert clips[0].at_s == pytest.approx(1.5, abs=0.01) and "20 times" in clips[0].why


def test_strip_and_busses_above_full_scale_are_named_with_peak_and_first_second(tmp_path: Path) -> None:
    """+3 dBFS by the trim from second 1 on; hard left, both busses have it, the main bus 6 dB louder by its fader."""
    audio = np.where(AT_S >= 1.0, sine(100.0, -3.0), 0.0)
    advice = advice_of(
        tmp_path,
        {"a": audio},
        strip("a", trim_db=6.0, pan=-100.0, output="group"),
        busses=(AddedBus(name="group"),),
        bus=Bus(fader_db=6.0),
    )
    clips = of_kind(advice, "clip")
    assert set(clips) == {"a", "group", "bus"}
    for name, peak_dbfs in (("a", 3.0), ("group", 3.0), ("bus", 9.0)):
        assert clips[name].by_db == pytest.approx(-peak_dbfs, abs=0.02)
        assert f"+{peak_dbfs:.1f} dBFS" in clips[name].what
        assert clips[name].at_s == pytest.approx(1.0, abs=0.01)


def test_advice_writes_nothing_and_tells_how_far_it_is(tmp_path: Path) -> None:
    project = project_of(tmp_path, {"a": sine(200.0, -20.0)})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    heard: list[Event] = []
    advise(project, project.mix(), emit=heard.append)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert [event for event in heard if isinstance(event, Progress)][-1].done == 1.0


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """A folder of its own, and a command line in it."""
    return Line(tmp_path, monkeypatch, capsys)


def test_the_command_tells_a_person_and_a_script_the_same(line: Line) -> None:
    side = sine(500.0, -20.0)
    project = project_of(line.folder, {"deep": sine(90.0, -32.0), "wide": np.stack([side, -side], axis=1)})
    save_new_mix(Mix(name="two", strips=(strip("deep"), strip("wide", fader_db=-3.0))), project.mixes)
    told = line.json("advise", "song", "--mix", "mix-2", "--target", "-23")
    assert [one["name"] for one in told["strips"]] == ["deep", "wide"]
    assert told["target_lufs"] == -23.0 and told["mix"] == "two"
    for proposal in told["proposals"]:
        assert set(proposal) >= {"kind", "strip", "what", "by_db", "band_hz", "at_s", "why"}
        assert proposal["kind"] in told["method"]
    said = line.run("advise", "song", "--mix", "mix-2", "--target", "-23")
    assert said.code == 0 and all(one["what"] in said.out for one in told["proposals"])
    assert "main bus" in said.out and "all is lost" in said.out


def test_a_target_that_no_strip_can_have_is_refused(line: Line) -> None:
    project_of(line.folder, {"a": sine(200.0, -20.0)})
    said = line.run("advise", "song", "--target", "3")
    assert said.code == 2 and "--target 3" in said.sentence
