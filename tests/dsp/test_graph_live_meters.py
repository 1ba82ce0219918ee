"""Meters of a running graph against what standards and plain arithmetic say, for any cut into blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from graph_effects import Late

from dsp.dynamics import Compressor
from dsp.graph import MixGraph
from dsp.graph_settings import Feed, GraphBus, GraphStrip, Insert
from dsp.loudness import LoudnessMeter
from dsp.processors.compressor import Compressor as CompressorInsert
from dsp.processors.limiter import Limiter
from dsp.processors.trim import Trim

RATE = 48_000
THROUGH = ((1.0, 0.0), (0.0, 1.0))


def tone(freq_hz, level_db, seconds, *, rate_hz=RATE, channels=2, phase=0.0):
    sine = np.sin(2 * np.pi * freq_hz / rate_hz * np.arange(round(seconds * rate_hz)) + phase)
    return np.repeat(10 ** (level_db / 20) * sine[:, None], channels, axis=1).astype(np.float32)


def run(graph, stems, block=64):
    for start in range(0, len(stems[0]), block):
        graph.process([stem[start : start + block] for stem in stems])
    assert graph.meters is not None
    return graph.meters


def heard(x, *, rate_hz=RATE, block=64, **options):
    strip = GraphStrip("x", channels=x.shape[1], gains=THROUGH[: x.shape[1]])
    with MixGraph([strip], rate_hz=rate_hz, threads=1, meters=True, **options) as graph:
        return run(graph, [x], block)


@pytest.mark.parametrize("level_dbfs", [-23.0, -33.0])
@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
def test_a_stereo_sine_of_1_khz_reads_its_level_in_lufs(level_dbfs, rate_hz) -> None:
    # EBU Tech 3341, test cases 1 and 2: within 0.1 LU.
    meters = heard(tone(1_000, level_dbfs, 3.2, rate_hz=rate_hz), rate_hz=rate_hz, block=512)
    assert meters.momentary_lufs == pytest.approx(level_dbfs, abs=0.1)
    assert meters.short_term_lufs == pytest.approx(level_dbfs, abs=0.1)


@pytest.mark.parametrize("block", [1_000, 4_801])
def test_loudness_is_that_of_the_loudness_meter_at_every_moment(block) -> None:
    rng = np.random.default_rng(1)
    x = (0.1 * rng.standard_normal((4 * RATE, 2)) * np.linspace(0.05, 1.0, 4 * RATE)[:, None]).astype(np.float32)
    expected = LoudnessMeter(RATE, 2)
    with MixGraph([GraphStrip("x", 2, gains=THROUGH)], rate_hz=RATE, threads=1, meters=True) as graph:
        for start in range(0, len(x), block):
            graph.process([x[start : start + block]])
            expected.process(x[start : start + block])
            for ours, theirs in (
                (graph.meters.momentary_lufs, expected.momentary_lufs),
                (graph.meters.short_term_lufs, expected.short_term_lufs),
            ):
                assert theirs == -math.inf or ours == pytest.approx(theirs, abs=1e-6)
    assert expected.short_term_lufs > -40


def test_silence_is_no_loudness_and_no_level() -> None:
    meters = heard(np.zeros((4_800, 2), np.float32))
    assert meters.momentary_lufs == meters.short_term_lufs == -math.inf
    assert not any(
        np.any(values) for values in (meters.strip_peaks, meters.strip_rms, meters.bus_peaks, meters.true_peak)
    )


@pytest.mark.parametrize(
    ("freq_hz", "phase", "level_db", "expected_dbtp"),
    # EBU Tech 3341, test cases 15 to 18: sines of a quarter, a sixth … of the rate; +0.2, −0.4 dB.
    [
        (12_000, 0.0, -6.0, -6.0),
        (12_000, math.pi / 4, -6.0, -6.0),
        (8_000, math.pi / 3, -6.0, -6.0),
        (6_000, 3 * math.pi / 8, -6.0, -6.0),
    ],
)
def test_a_true_peak_lies_between_the_samples(freq_hz, phase, level_db, expected_dbtp) -> None:
    x = tone(freq_hz, level_db, 0.5, phase=phase)
    x *= np.hanning(len(x))[:, None].astype(np.float32)
    meters = heard(x)
    found = 20 * np.log10(meters.true_peak_max)
    assert np.all((found < expected_dbtp + 0.2) & (found > expected_dbtp - 0.4))


@pytest.mark.parametrize("block", [16, 64, 977, 20_000])
def test_peaks_and_rms_of_strips_and_busses(block) -> None:
    x, y = tone(997, -6.0, 2.0), tone(501, -12.0, 2.0, channels=1)
    x[:, 1] *= np.float32(0.5)
    strips = [
        GraphStrip("y", gains=((0.0, 0.0),), output="group", post=(Insert(Trim(gain_db=-3.0)),)),
        GraphStrip("x", 2, gains=THROUGH, pre=(Insert(Late(frames=5.0)),), feeds=(Feed("group", THROUGH),)),
    ]
    group = GraphBus(name="group", feeds=(Feed(gains=((0.0, 0.0), (0.0, 0.0))),))
    with MixGraph(strips, [group], GraphBus(fader_db=-20.0), rate_hz=RATE, threads=1, meters=True) as graph:
        meters = run(graph, [y, x], block)
    levels_db = np.array([-15.0, -6.0, -12.04])
    assert meters.first_channels == (0, 1)
    assert meters.busses == ("group", "bus")
    # In two seconds a mean square comes within 0.13 % of where it goes, and a peak falls 0.5 dB between two periods.
    np.testing.assert_allclose(20 * np.log10(meters.strip_rms), levels_db - 3.01, atol=0.03)
    np.testing.assert_allclose(20 * np.log10(meters.strip_peaks), levels_db, atol=0.05)
    np.testing.assert_allclose(20 * np.log10(meters.bus_peaks), [[-6.0, -12.04], [-26.0, -32.04]], atol=0.05)
    np.testing.assert_allclose(20 * np.log10(meters.bus_rms), [[-9.01, -15.05], [-29.01, -35.05]], atol=0.03)


def test_peaks_fall_by_20_db_in_1_7_s_and_mean_squares_by_63_percent_in_300_ms() -> None:
    x = np.zeros((RATE, 2), np.float32)
    x[0] = 1.0
    steady = np.ones((3 * RATE, 2), np.float32)
    with MixGraph([GraphStrip("x", 2, gains=THROUGH)], rate_hz=RATE, threads=1, meters=True) as graph:
        meters = run(graph, [x])
        for peaks in (meters.strip_peaks, meters.bus_peaks[0]):
            np.testing.assert_allclose(20 * np.log10(peaks), -20 / 1.7, atol=0.05)
        graph.reset()
        assert not np.any(meters.strip_peaks)
        run(graph, [steady])
        run(graph, [np.zeros((14_400, 2), np.float32)])
        np.testing.assert_allclose(meters.strip_rms**2, math.exp(-1.0), rtol=2e-3)


def test_gain_reduction_of_strips_and_inserts_is_what_is_taken_away() -> None:
    hard = Compressor(-20.0, 4.0, 1.0, 100.0, 0.0)
    inserts = (Insert(CompressorInsert(threshold_db=-20.0, ratio=2.0, knee_db=0.0)), Insert(Trim()))
    strips = [
        GraphStrip("own", compressor=hard),
        GraphStrip("none", post=inserts),
    ]
    main = GraphBus(post=(Insert(Limiter(ceiling_dbtp=-10.0)),))
    x = np.ones((RATE, 1), np.float32)
    with MixGraph(strips, (), main, rate_hz=RATE, threads=1, meters=True) as graph:
        meters = run(graph, [x, x], 512)
        assert meters.inserts == (("strip none", 0), ("bus bus", 0))
        # A direct voltage of full scale is 20 dB above the threshold; of these 1/4 or 1/2 remains.
        np.testing.assert_allclose(meters.strip_reduction_db, [-15.0, 0.0], atol=0.05)
        assert meters.insert_reduction_db[0] == pytest.approx(-10.0, abs=0.05)
        # Both strips come out at √½ of −15 and −10 dB, in all −5.2 dB.
        total_db = 20 * math.log10(math.sqrt(0.5) * (10 ** (-15 / 20) + 10 ** (-10 / 20)))
        assert meters.insert_reduction_db[1] == pytest.approx(-10.0 - total_db, abs=0.2)
        assert graph.change([GraphStrip("own"), strips[1]], (), main)
        run(graph, [x[:4_800], x[:4_800]])
        assert meters.strip_reduction_db.tolist() == [0.0, 0.0]


def test_gain_reduction_of_busses_is_what_is_taken_away() -> None:
    group = GraphBus(name="group", compressor=Compressor(-20.0, 4.0, 1.0, 100.0, 0.0), feeds=(Feed(),))
    plain = GraphBus(name="plain", feeds=(Feed(""),))
    main = GraphBus(compressor=Compressor(-20.0, 2.0, 1.0, 100.0, 0.0))
    strip = GraphStrip("x", output="group", gains=((1.0, 1.0),))
    with MixGraph([strip], (group, plain), main, rate_hz=RATE, threads=1, meters=True) as graph:
        meters = run(graph, [np.ones((RATE, 1), np.float32)], 512)
        assert meters.busses == ("group", "plain", "bus")
        # Full scale is 20 dB above the group's threshold, of which 5 remain: as many above the bus's, of which half.
        np.testing.assert_allclose(meters.bus_reduction_db, [-15.0, 0.0, -2.5], atol=0.05)
        meters.reset()
        assert not np.any(meters.bus_reduction_db)


def test_meters_change_nothing_and_peaks_can_still_be_asked_for() -> None:
    x = np.random.default_rng(1).standard_normal((4_800, 2)).astype(np.float32)
    strip = GraphStrip("x", 2, gains=THROUGH, hpf_hz=100.0)
    with (
        MixGraph([strip], rate_hz=RATE, threads=1) as plain,
        MixGraph([strip], rate_hz=RATE, threads=1, meters=True) as metered,
    ):
        assert plain.meters is None
        assert np.array_equal(plain.process([x]).bus, metered.process([x]).bus)
        for one, other in zip(plain.peaks(), metered.peaks(), strict=True):
            assert np.array_equal(one, other)
        assert not np.any(metered.peaks()[0])
