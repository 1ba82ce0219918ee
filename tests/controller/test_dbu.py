"""dBu: meters and their classes, what follows from one reading, and trims; expected values from the definitions."""

from __future__ import annotations

import dataclasses
import io
import math
from pathlib import Path

import numpy as np
import pytest
from cli_line import Line
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_shelf import calibration, loop, shelve

from controller import dbu, sounding, trim
from controller.dbu import combined, derive, parse_accuracy, parse_reading, uncertainty
from controller.dbu_reading import Request, read_dbu
from controller.errors import StorageError, UsageError
from controller.events import Event, Finding, Question
from controller.figures import Figure
from controller.studio import Studio
from hardware.errors import AudioError
from hardware.seams import RunReport, Sink, Source


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("text", "volts", "digit_v"),
    [
        ("1.2285 V", 1.2285, 1e-4),
        ("1.2285", 1.2285, 1e-4),
        ("1,2285 V", 1.2285, 1e-4),
        ("1228.5 mV", 1.2285, 1e-4),
        ("0 dBu", math.sqrt(0.6), math.sqrt(0.6) * math.log(10) / 20),
        ("+4.00 dBu", math.sqrt(0.6) * 10**0.2, 0.01 * math.sqrt(0.6) * 10**0.2 * math.log(10) / 20),
        ("-2.2 dBV", 10**-0.11, 0.1 * 10**-0.11 * math.log(10) / 20),
    ],
)
def test_a_reading_is_volts_with_the_worth_of_its_last_digit(text: str, volts: float, digit_v: float) -> None:
    reading = parse_reading(text)
    assert reading.volts == pytest.approx(volts, rel=1e-12)
    assert reading.digit_v == pytest.approx(digit_v, rel=1e-9)


def test_four_dbu_is_the_voltage_of_the_textbooks() -> None:
    assert parse_reading("1.228 V").dbu == pytest.approx(4.0, abs=0.003)
    assert parse_reading("0.7746 V").dbu == pytest.approx(0.0, abs=1e-4)
    assert parse_reading("1 V").dbu == pytest.approx(2.218, abs=1e-3)


@pytest.mark.parametrize("text", ["", "V", "1.2 A", "0 V", "-1 V", "nan V", "1e3", "99999 V", "999 dBu", "one volt"])
def test_what_is_no_reading_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_reading(text)
    assert error.value.hint


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_a_reading_or_a_sentence(text: str) -> None:
    for parse in (parse_reading, parse_accuracy):
        try:
            parse(text)
        except UsageError as error:
            assert str(error)


# A bound a of the reading is a/√3 as a standard uncertainty (GUM 4.3.7); 20·log10(1 + r) ≈ 8.686 r.
@pytest.mark.parametrize(
    ("text", "bound", "divisor"),
    [
        ("0.5%", 0.005, math.sqrt(3)),
        ("±0.5 %", 0.005, math.sqrt(3)),
        ("0,5%", 0.005, math.sqrt(3)),
        ("0.5% of reading", 0.005, math.sqrt(3)),
        ("0.5%+3digits", 0.005 + 3e-4 / 1.2, math.sqrt(3)),
        ("0.5% + 3", 0.005 + 3e-4 / 1.2, math.sqrt(3)),
        ("0.06% + 0.03% of 10V", 0.0006 + 0.003 / 1.2, math.sqrt(3)),
        ("class 1.5 of 3 V", 0.045 / 1.2, math.sqrt(3)),
        ("2 mV", 0.002 / 1.2, math.sqrt(3)),
        ("1% k=2", 0.01, 2.0),
        ("1% (k=2)", 0.01, 2.0),
    ],
)
def test_a_meters_class_becomes_a_standard_uncertainty(text: str, bound: float, divisor: float) -> None:
    reading = parse_reading("1.2000 V")
    assert parse_accuracy(text).standard_db(reading) == pytest.approx(20 / math.log(10) * bound / divisor, rel=1e-9)


def test_decibels_of_a_class_stay_decibels() -> None:
    assert parse_accuracy("0.1 dB").standard_db(parse_reading("1 V")) == pytest.approx(0.1 / math.sqrt(3))


@pytest.mark.parametrize("text", ["", "good", "0%", "0.5%%", "k=2", "0.5% k=0", "class 1.5", "120%", "-1%"])
def test_what_is_no_accuracy_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_accuracy(text)
    assert "0.5%+3digits" in error.value.hint


def test_a_one_per_cent_meter_is_better_than_a_tenth_of_a_db() -> None:
    parts = uncertainty([parse_reading("1.228 V")], parse_accuracy("1%+2digits"), steadiness_db=0.001)
    assert [part.name for part in parts] == ["meter", "tone"]
    assert combined(parts) <= 0.1
    assert combined(parts) == pytest.approx(math.hypot(8.686 * (0.01 + 0.002 / 1.228) / math.sqrt(3), 0.001), rel=1e-3)


def test_repeated_readings_share_the_meters_class_and_show_their_scatter() -> None:
    readings = [parse_reading(text) for text in ("1.228 V", "1.230 V", "1.226 V", "1.228 V")]
    parts = {p.name: p.sd_db for p in uncertainty(readings, parse_accuracy("0.5%"), steadiness_db=None)}
    one = {p.name: p.sd_db for p in uncertainty(readings[:1], parse_accuracy("0.5%"), steadiness_db=None)}
    assert parts["meter"] == pytest.approx(one["meter"])
    scatter = np.std([20 * math.log10(v) for v in (1.228, 1.230, 1.226, 1.228)], ddof=1) / 2
    assert parts["repeatability"] == pytest.approx(scatter)
    assert one["last digit"] == pytest.approx(8.686 * 1e-3 / 1.228 / math.sqrt(12), rel=1e-3)


def test_channel_to_channel_no_meter_is_in_it() -> None:
    loops = [loop(n, gain_db=-1.0 + 0.01 * n, gain_sd=5e-4, input=1 + n % 2) for n in range(1, 6)]
    outputs, inputs = derive(1, Figure(18.03, 0.06), calibration(*loops), pad_db=6.0)
    assert [channel.channel for channel in outputs] == [1, 3, 5], "2 and 4 come back on the other input"
    third = outputs[1]
    assert third.re_read_db.value == pytest.approx(0.02)
    assert third.re_read_db.sd is not None
    assert third.re_read_db.sd <= 0.002
    assert third.dbu_at_0dbfs.value == pytest.approx(18.05)
    assert third.dbu_at_0dbfs.sd == pytest.approx(0.06, rel=1e-3)
    (back,) = inputs
    assert (back.channel, back.dbu_at_0dbfs.value) == (2, pytest.approx(18.03 - 6.0 + 0.99))


def test_without_a_loop_only_the_output_that_was_read_is_known() -> None:
    for known in (None, calibration(loop(2)), calibration(loop(1, present=False, input=None))):
        outputs, inputs = derive(1, Figure(18.0, 0.1), known, pad_db=0.0)
        assert [channel.channel for channel in outputs] == [1]
        assert inputs == ()


def test_the_gain_at_the_tones_frequency_wins_over_the_broadband_one() -> None:
    exact = loop(1, {"gain_997_db": Figure(-0.5, 1e-3)}, gain_db=-1.0)
    assert dbu.loop_gain(exact) == (-0.5, 1e-3)
    assert dbu.loop_gain(loop(1, {"gain_997_db": Figure(None, None, "not observable")})) == (-1.0, 1e-4)


# The tone


def fitted(amplitude: float, noise: float, *, frames: int = 48_000, seed: int = 1) -> sounding.Heard:
    rng = np.random.default_rng(seed)
    t = np.arange(frames)
    x = amplitude * np.sin(2 * np.pi * 997.0 / 48_000 * t + 0.7) + 0.01 + noise * rng.standard_normal(frames)
    return sounding.read_tone(x[:, None], rate_hz=48_000)


def test_a_full_scale_sine_reads_0_dbfs_and_its_error_bar_is_that_of_the_noise() -> None:
    assert fitted(1.0, 0.0).level_dbfs[0] == pytest.approx(0.0, abs=1e-9)
    errors = [(h := fitted(0.1, 1e-3, frames=4800, seed=s)).level_dbfs[0] + 20.0 for s in range(200)]
    told = h.sd_db[0]
    assert told == pytest.approx(20 / math.log(10) * 1e-3 * math.sqrt(2 / 4800) / 0.1, rel=0.1)
    assert np.std(errors) == pytest.approx(told, rel=0.15)


def test_silence_and_noise_are_not_heard_as_a_tone() -> None:
    for heard in (fitted(0.0, 0.0), fitted(0.0, 1e-2)):
        assert heard.at(1) is None
        assert heard.loudest is None


def test_it_climbs_from_minus_60() -> None:
    assert sounding.stages(-14.0) == (-60.0, -50.0, -40.0, -30.0, -20.0)
    assert sounding.stages(-20.0) == (-60.0, -50.0, -40.0, -30.0)
    assert sounding.stages(-60.0) == ()


class Cable:
    """A stream that is a cable with a gain, from every output to input 1; ``played`` is what was sounded."""

    rate_hz, block_frames, outputs, inputs = 8_000, 256, 2, 2

    def __init__(self, gain_at: object = None) -> None:
        self.gain_at = gain_at or (lambda peak: 0.5)
        self.played: list[np.ndarray] = []

    def run(
        self, source: Source, sink: Sink, frames: int, *, progress: object = None, on_block: object = None
    ) -> RunReport:
        for at in range(0, frames, self.block_frames):
            if on_block is not None:
                on_block(at)  # type: ignore[operator]
            block = np.array(source.read(min(self.block_frames, frames - at)))
            self.played.append(block)
            peak = float(np.abs(block).max())
            back = np.zeros_like(block)
            back[:, 0] = block.sum(axis=1) * self.gain_at(peak)  # type: ignore[operator]
            sink.write(back)
        return RunReport(frames, ())


def test_the_tone_fades_in_and_out_and_stops_when_it_is_told_to() -> None:
    stream = Cable()
    heard = sounding.listen(stream, 2, -20.0, windows=50, window_s=0.1, enough=lambda window: True)  # type: ignore[arg-type]
    assert len(heard) == 1
    assert heard[0].level_dbfs[0] == pytest.approx(-20.0 + 20 * math.log10(0.5), abs=1e-4)
    played = np.concatenate(stream.played)
    assert not played[:, 0].any(), "only output 2 sounds"
    assert np.abs(np.diff(played[:, 1])).max() < 0.1 * 2 * np.pi * 997 / 8_000 * 1.01, "no step, no click"
    assert abs(played[-1, 1]) < 0.01
    assert len(played) < 8_000


def test_an_overload_and_a_runaway_stop_the_tone() -> None:
    with pytest.raises(AudioError, match="overloads"):
        sounding.listen(Cable(lambda peak: 50.0), 1, -20.0, windows=1)  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="rose"):
        sounding.climb(Cable(lambda peak: 0.01 if peak < 0.002 else 0.1), 1, -14.0)  # type: ignore[arg-type]


# A reading through the room: every strip at unity, both returns, what the file of the room says


def test_a_reading_is_filed_with_all_that_follows(line: Line) -> None:
    line.calibrated()
    words = ("loops", "dbu", "--rig", "small", "--output", "1", "--accuracy", "0.5%+3digits", "--yes")
    told = line.json(*words, "--reading", "1.2285", "V")
    assert told["reading"].endswith("0001-dbu.json")
    assert told["dbu_at_0dbfs"] == pytest.approx(20 * math.log10(1.2285 / math.sqrt(0.6)) + 14.0)
    meter = 20 / math.log(10) * (0.005 + 3e-4 / 1.2285) / math.sqrt(3)
    assert told["dbu_at_0dbfs_sd"] == pytest.approx(meter, rel=0.05)
    assert [channel["channel"] for channel in told["outputs"]] == [1, 3]
    assert told["outputs"][1]["re_read_sd"] <= 0.002
    assert {part["name"] for part in told["uncertainty"]} == {"meter", "tone"}
    assert line.json(*words, "--meter", "4.01 dBu")["reading"].endswith("0002-dbu.json")


def test_the_tone_waits_for_the_one_who_reads(line: Line) -> None:
    line.calibrated()
    asked: list[str] = []
    heard: list[Event] = []

    def ask() -> list[dbu.Reading]:
        asked.append("meter")
        return [parse_reading("1.2285 V"), parse_reading("1.2287 V")]

    with Studio.open("small") as studio:
        request = Request(2, -14.0, parse_accuracy("1%"))
        stored = read_dbu(studio, request, ask=ask, emit=heard.append, accept=lambda question: True)
    assert asked == ["meter"]
    assert stored.reading.readings == ("1.2285 V", "1.2287 V")
    assert any(isinstance(e, Finding) and "outputs 1, 3 come back on another input" in e.what for e in heard)


class Terminal(io.StringIO):
    """A keyboard with somebody at it."""

    def isatty(self) -> bool:
        return True


def test_what_is_typed_is_asked_again_until_it_is_a_reading(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("y\nloud\n1.2285 V\n"))
    said = line.run("loops", "dbu", "--rig", "small", "--output", "1", "--accuracy", "1%")
    assert said.code == 0
    assert "'loud' is no reading of a meter" in said.err
    assert "nothing follows" not in said.err, "there is no calibration to speak of"
    assert "+18.006" in said.out
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert "No reading was typed" in line.run("loops", "dbu", "--output", "1", "--accuracy", "1%").sentence


def test_enter_goes_on_to_the_next_line(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.calibrated()
    read = ("--output", "1", "--accuracy", "1%", "--reading", "1.5 V", "--yes")
    assert line.run("loops", "dbu", "--rig", "small", *read).code == 0
    monkeypatch.setattr("sys.stdin", Terminal("\n\n\n\n"))
    words = ("loops", "trim", "--rig", "small", "--standard", "EBU-R68", "--output", "1")
    assert line.run(*words, "--dry-run").code == 0
    told = line.json(*words, "--yes", code=1)
    # 1.5 V at -14 dBFS is 1.74 dB too hot for R68
    assert told["lines"][0]["turn_up_db"] == pytest.approx(-20 * math.log10(1.5 / (math.sqrt(0.6) * 10**0.2)), abs=0.01)
    assert "turn line 1 (desk/ch01) down 1.74 dB" in told["lines"][0]["what"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--output", "9", "--accuracy", "1%", "--reading", "1 V"), "has no output 9"),
        (("--output", "1", "--accuracy", "1%", "--reading", "1 V", "--level", "3"), "3 dBFS cannot be played"),
        (("--output", "1", "--accuracy", "fine", "--reading", "1 V"), "'fine' is no accuracy"),
        (("--output", "1", "--accuracy", "1%", "--reading", "loud"), "'loud' is no reading"),
        (("--output", "1", "--accuracy", "1%"), "Nobody is here to read the meter"),
        (("--output", "1"), "needs --output and --accuracy"),
    ],
)
def test_a_reading_that_cannot_be_taken_is_one_sentence(line: Line, words: tuple[str, ...], said: str) -> None:
    told = line.run("loops", "dbu", "--rig", "small", "--yes", *words)
    assert (told.code, told.out) == (2, "")
    assert said in told.sentence
    assert not (line.home / "rigs" / "small" / "readings").exists()


def test_nothing_sounds_in_a_dry_run_or_without_consent(line: Line) -> None:
    words = ("loops", "dbu", "--rig", "small", "--output", "1", "--accuracy", "1%", "--reading", "1 V")
    told = line.json(*words, "--dry-run")
    assert any("-14 dBFS" in text for text in told["plan"])
    assert line.run(*words).code == 1
    assert not (line.home / "rigs" / "small" / "readings").exists()


def test_a_damaged_reading_is_named_and_left(tmp_path: Path) -> None:
    path = tmp_path / "0001-dbu.json"
    for text in ("{", '{"schema": 99}', "[]"):
        path.write_text(text)
        with pytest.raises(StorageError) as error:
            dbu.all_readings(tmp_path)
        assert "0001-dbu.json" in str(error.value)
        assert path.read_text() == text


# Trims


@pytest.mark.parametrize(
    ("word", "level_dbfs", "level_dbu", "full_scale_dbu"),
    [("EBU-R68", -18.0, 0.0, 18.0), ("smpte-rp155", -20.0, 4.0, 24.0), ("DBU=22", -20.0, 2.0, 22.0)],
)
def test_standards_are_those_of_the_books(
    word: str, level_dbfs: float, level_dbu: float, full_scale_dbu: float
) -> None:
    found = trim.standard(word)
    assert (found.level_dbfs, found.level_dbu, found.dbu_at_0dbfs) == (level_dbfs, level_dbu, full_scale_dbu)


@pytest.mark.parametrize("word", ["", "R69", "DBU=", "DBU=99", "DBU=nan"])
def test_another_standard_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="no standard"):
        trim.standard(word)


def heard_at(level_dbfs: float, sd_db: float = 0.001) -> sounding.Heard:
    return sounding.Heard(np.array([level_dbfs, -math.inf]), np.array([sd_db, math.nan]))


def test_what_to_turn_comes_with_its_way_amount_and_error_bar() -> None:
    # Input 1: 0 dBFS is +19 dBu, path without loss; R68 wants 0 dBu. Heard: -19.13 dBFS, that is -0.13 dBu.
    reference = dbu.ChannelLevel(1, "", Figure(19.0, 0.04), Figure(0.0, 0.0))
    seventh = trim.Line(7, "desk/ch07", 1, reference, 0.0)
    request = trim.Request(trim.standard("EBU-R68"))
    reading = trim.judge(seventh, request, [heard_at(-19.13)])
    assert reading.level.value == pytest.approx(-0.13)
    assert reading.sentence == "turn line 7 (desk/ch07) up 0.13 dB (± 0.04)"
    assert not reading.inside
    assert "down 0.20 dB" in trim.judge(seventh, request, [heard_at(-18.8)]).sentence
    assert trim.judge(seventh, request, [heard_at(-19.05)]).inside
    silent = trim.judge(dataclasses.replace(seventh, input=2), request, [heard_at(-19.0)])
    assert (silent.inside, silent.sentence) == (False, "line 7 (desk/ch07) is silent")


def test_an_inputs_trim_is_judged_by_what_arrives() -> None:
    # Output: +18.1 dBu at 0 dBFS, so -18 dBFS arrives as +0.1 dBu; R68: that should read -17.9 dBFS.
    reference = dbu.ChannelLevel(1, "", Figure(18.1, 0.04), Figure(0.0, 0.0))
    request = trim.Request(trim.standard("EBU-R68"), side="input")
    reading = trim.judge(trim.Line(1, "desk/ch01", 1, reference, 0.0), request, [heard_at(-18.1)])
    assert reading.error_db.value == pytest.approx(0.2)
    assert reading.sentence.startswith("turn input 1 up 0.20 dB")


def test_trim_once_measures_every_line_that_a_reading_reaches(line: Line) -> None:
    words = ("loops", "trim", "--rig", "small", "--standard", "EBU-R68", "--once", "--yes")
    assert "never been calibrated" in line.run(*words).sentence
    line.calibrated()
    assert "No meter has been read" in line.run(*words).sentence
    # What a meter shows of -14 dBFS where full scale is exactly +18 dBu, and 0.3 dB less of the same
    right = math.sqrt(0.6) * 10 ** (4 / 20)
    for output, volts in ((1, right), (2, right * 10 ** (-0.3 / 20))):
        read = ("--output", str(output), "--accuracy", "0.5%", "--reading", f"{volts:.6f} V")
        assert line.run("loops", "dbu", "--rig", "small", "--yes", *read).code == 0
    told = line.json(*words, code=1)
    by_output = {entry["output"]: entry for entry in told["lines"]}
    assert set(by_output) == {1, 2, 3, 4}
    # Through the room's desk a line that was read itself stands where its meter said.
    assert by_output[1]["turn_up_db"] == pytest.approx(0.0, abs=0.01)
    assert by_output[2]["turn_up_db"] == pytest.approx(0.3, abs=0.01)
    assert by_output[1]["turn_up_sd"] == pytest.approx(20 / math.log(10) * 0.005 / math.sqrt(3), rel=0.05)
    assert told["problems"][0]["what"].startswith("turn line 2 (desk/ch02) up 0.30 dB")


def test_a_hand_is_led_until_the_line_stays_inside(line: Line) -> None:
    line.calibrated()
    right = math.sqrt(0.6) * 10 ** (4 / 20)
    line.run("loops", "dbu", "--rig", "small", "--output", "1", "--accuracy", "1%", "--yes", "--reading", f"{right} V")
    watched: list[trim.LineReading] = []
    asked: list[Question] = []

    def accept(question: Question) -> bool:
        asked.append(question)
        return True

    def watch(reading: trim.LineReading) -> bool:
        watched.append(reading)
        return False

    with Studio.open("small") as studio:
        request = trim.Request(trim.standard("EBU-R68"), outputs=(1,))
        (ended,) = trim.trim(studio, request, emit=lambda event: None, accept=accept, watch=watch)
    assert ended.inside
    assert len(watched) == trim.INSIDE_WINDOWS
    assert any("0001-dbu.json" in text for text in asked[0].lines)


def test_trimming_without_a_hand_or_a_standard_is_one_sentence(line: Line) -> None:
    for words, said in (
        ((), "needs --standard"),
        (("--standard", "EBU-R68"), "Nobody is here to turn"),
        (("--standard", "EBU-R69", "--once"), "no standard 'EBU-R69'"),
        (("--standard", "EBU-R68", "--once", "--tolerance", "0"), "is none"),
    ):
        told = line.run("loops", "trim", "--rig", "small", "--yes", *words)
        assert (told.code, told.out) == (2, "")
        assert said in told.sentence


def test_a_line_out_of_reach_says_which_output_to_read(line: Line) -> None:
    shelve(line.home / "rigs" / "small" / "calibrations", calibration(loop(1), loop(2, input=2, expected_input=2)))
    reading = ("--output", "1", "--accuracy", "1%", "--reading", "1.228 V", "--yes")
    assert line.run("loops", "dbu", "--rig", "small", *reading).code == 0
    assert "days old" in line.run("loops", "dbu", "--rig", "small", *reading).err, "what it builds on has expired"
    told = line.run("loops", "trim", "--rig", "small", "--standard", "EBU-R68", "--once", "--yes", "--output", "2")
    assert told.code == 2
    assert "Output 2 cannot be aligned" in told.sentence
    assert "--output 2" in told.err
