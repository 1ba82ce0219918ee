"""Noise, DC and hum against signals that were written down."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError, ShapeError
from dsp.measure.loop import noise_floor_dbfs
from dsp.measure.noise import measure_noise

RATE = 48_000


def white(seconds, sigma, seed, inputs=1):
    return np.random.default_rng(seed).normal(0.0, sigma, (int(seconds * RATE), inputs))


def hum(seconds, mains_hz, levels_dbfs, rate_hz=RATE):
    """Lines of ``mains_hz`` at AES17 levels {harmonic: dBFS}: a peak of 1.0 is 0 dBFS."""
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return sum(10.0 ** (v / 20.0) * np.cos(2.0 * np.pi * mains_hz * k * t + 1.3 * k) for k, v in levels_dbfs.items())


def table_db(standard):
    if standard == "a":  # IEC 61672-1, annex E, pole frequencies as printed there
        f = np.arange(20.0, 20_000.0)
        gain = 12194.0**2 * f**4 / ((f**2 + 20.6**2) * (f**2 + 12194.0**2))
        gain /= np.sqrt((f**2 + 107.7**2) * (f**2 + 737.9**2))
        return f, 20.0 * np.log10(gain) + 2.0
    # ITU-R BS.468-4, table 1, less 5.6 dB
    points = {
        20: -33.8, 31.5: -29.9, 63: -23.9, 100: -19.8, 200: -13.8, 400: -7.8, 800: -1.9, 1000: 0.0, 2000: 5.6,
        3150: 9.0, 4000: 10.5, 5000: 11.7, 6300: 12.2, 7100: 12.0, 8000: 11.4, 9000: 10.1, 10000: 8.1, 12500: 0.0,
        14000: -5.3, 16000: -11.7, 20000: -22.2,
    }  # fmt: skip
    f = np.arange(20.0, 20_000.0)
    return f, np.interp(np.log(f), np.log(list(points)), list(points.values())) - 5.6


def test_white_noise_reads_its_share_of_the_band_and_as_the_loop_s_noise_floor_does():
    x = white(2.0, 1e-4, 1, inputs=2)
    found = measure_noise(x, rate_hz=RATE)
    assert [f.flat_dbfs.value for f in found] == pytest.approx(noise_floor_dbfs(x, rate_hz=RATE), abs=1e-9)
    expected = 20.0 * math.log10(1e-4) + 10.0 * math.log10(2.0 * 19_980.0 / 24_000.0)
    for facts in found:
        assert facts.flat_dbfs.value == pytest.approx(expected, abs=4.0 * facts.flat_dbfs.sd)
        assert facts.flat_dbfs.sd == pytest.approx(4.343 / math.sqrt(19_980.0 * 2.0), rel=0.05)


@pytest.mark.parametrize(("standard", "pick"), [("a", "a_dbfs"), ("ccir", "ccir_dbfs")])
def test_weighted_white_noise_is_the_integral_of_the_standard_s_curve(standard, pick):
    sigma = 1e-4
    _, weight_db = table_db(standard)
    expected = 10.0 * math.log10(2.0 * sigma**2 * np.sum(10.0 ** (weight_db / 10.0)) / 24_000.0)
    figure = getattr(measure_noise(white(8.0, sigma, 2), rate_hz=RATE)[0], pick)
    assert figure.value == pytest.approx(expected, abs=0.15)


def test_the_stated_spread_is_what_readings_scatter_flat_and_weighted():
    found = measure_noise(white(0.25, 1e-4, 3, inputs=120), rate_hz=RATE)
    for pick in ("flat_dbfs", "a_dbfs", "ccir_dbfs"):
        values = [getattr(f, pick).value for f in found]
        assert np.std(values) == pytest.approx(np.mean([getattr(f, pick).sd for f in found]), rel=0.25), pick


def test_white_noise_has_no_hum_and_names_no_line():
    for facts in measure_noise(white(1.0, 1e-4, 4, inputs=60), rate_hz=RATE):
        assert facts.mains_hz is None
        assert facts.lines == ()
        assert facts.hum_dbfs.note.startswith("not observable: no line of 50 or 60 Hz")


@pytest.mark.parametrize("mains_hz", [49.02, 49.973, 50.0, 50.11, 59.06, 60.02, 60.95])
def test_every_line_of_the_mains_is_named_with_its_level(mains_hz):
    levels = {k: -95.0 - 0.5 * k for k in range(1, 21)}
    x = hum(4.0, mains_hz, levels)[:, None] + white(4.0, 1e-5, 5)
    facts = measure_noise(x, rate_hz=RATE)[0]
    assert facts.mains_hz == pytest.approx(mains_hz, abs=1e-3)
    assert [line.harmonic for line in facts.lines] == list(range(1, 21))
    for line in facts.lines:
        assert line.hz == pytest.approx(line.harmonic * mains_hz, abs=0.01)
        assert line.level_dbfs.value == pytest.approx(levels[line.harmonic], abs=4.5 * line.level_dbfs.sd + 0.005)
    together = 10.0 * math.log10(sum(10.0 ** (v / 10.0) for v in levels.values()))
    assert facts.hum_dbfs.value == pytest.approx(together, abs=0.05)
    noise = 20.0 * math.log10(1e-5) + 10.0 * math.log10(2.0 * 19_980.0 / 24_000.0)
    assert facts.without_hum_dbfs.value == pytest.approx(noise, abs=0.06)
    assert facts.flat_dbfs.value > facts.without_hum_dbfs.value


def test_hum_counts_in_a_weighted_noise_with_the_standard_s_gain_at_its_place():
    # 50.3 Hz does not fit into the capture, and A at 50 Hz is −30 dB: smeared hum would read too high.
    facts = measure_noise(hum(1.0, 50.3, {1: -40.0})[:, None] + white(1.0, 1e-8, 15), rate_hz=RATE)[0]
    f = 50.3
    gain = 12194.0**2 * f**4 / ((f**2 + 20.6**2) * (f**2 + 12194.0**2))
    gain /= math.sqrt((f**2 + 107.7**2) * (f**2 + 737.9**2))
    assert facts.a_dbfs.value == pytest.approx(-40.0 + 20.0 * math.log10(gain) + 2.0, abs=0.02)
    assert facts.flat_dbfs.value == pytest.approx(-40.0, abs=0.001)


def test_lines_below_the_noise_are_not_named():
    levels = {1: -90.0, 2: -150.0, 3: -95.0, 7: -150.0}
    for seed in range(6):
        facts = measure_noise(hum(2.0, 50.03, levels)[:, None] + white(2.0, 1e-5, seed), rate_hz=RATE)[0]
        assert [line.harmonic for line in facts.lines] == [1, 3]


def test_a_spur_at_1_khz_is_no_hum():
    t = np.arange(4 * RATE) / RATE
    x = white(4.0, 1e-5, 6) + (1e-4 * np.cos(2.0 * np.pi * 1000.0 * t))[:, None]
    facts = measure_noise(x, rate_hz=RATE)[0]
    assert facts.mains_hz is None
    assert facts.lines == ()


def test_buzz_of_a_rectifier_has_only_even_lines():
    levels = {2: -90.0, 4: -92.0, 6: -94.0, 12: -96.0, 20: -98.0}
    facts = measure_noise(hum(3.0, 60.01, levels)[:, None] + white(3.0, 1e-5, 7), rate_hz=RATE)[0]
    assert facts.mains_hz == pytest.approx(60.01, abs=2e-3)
    assert [line.harmonic for line in facts.lines] == [2, 4, 6, 12, 20]


@pytest.mark.parametrize("rate_hz", [44_100, 96_000, 192_000])
def test_hum_is_found_at_every_rate(rate_hz):
    x = hum(2.0, 50.02, {1: -80.0, 3: -85.0, 20: -90.0}, rate_hz)
    x = x + np.random.default_rng(8).normal(0.0, 1e-5, x.size)
    facts = measure_noise(x[:, None], rate_hz=rate_hz)[0]
    assert [line.harmonic for line in facts.lines] == [1, 3, 20]
    assert [line.level_dbfs.value for line in facts.lines] == pytest.approx([-80.0, -85.0, -90.0], abs=0.02)


def test_dc_within_a_millionth_of_full_scale_under_loud_hum():
    x = 3e-6 + hum(1.0, 50.07, {1: -50.0, 2: -60.0, 3: -55.0})[:, None] + white(1.0, 1e-5, 9)
    facts = measure_noise(x, rate_hz=RATE)[0]
    assert facts.dc_fs.value == pytest.approx(3e-6, abs=1e-6)


def test_dc_has_the_spread_of_white_noise_and_a_wider_one_when_the_noise_rises_towards_dc():
    found = measure_noise(white(1.0, 1e-4, 10, inputs=100), rate_hz=RATE)
    values, stated = [f.dc_fs.value for f in found], np.mean([f.dc_fs.sd for f in found])
    assert stated == pytest.approx(1e-4 / math.sqrt(RATE), rel=0.15)
    assert np.std(values) == pytest.approx(stated, rel=0.25)
    # Noise through a one-pole low-pass of 20 Hz, many times that of the white floor at DC.
    pole, slow = math.exp(-2.0 * math.pi * 20.0 / RATE), white(1.2, 1e-5, 11, inputs=40)
    for n in range(1, len(slow)):
        slow[n] += pole * slow[n - 1]
    found = measure_noise(slow[-RATE:], rate_hz=RATE)
    spread, stated = np.std([f.dc_fs.value for f in found]), np.mean([f.dc_fs.sd for f in found])
    assert stated > 20.0 * 1e-5 / math.sqrt(RATE)
    assert 0.6 <= spread / stated <= 1.6


@settings(max_examples=10, deadline=None)
@given(scale=st.floats(1e-3, 10.0), dc=st.floats(-0.1, 0.1), flip=st.booleans())
def test_scale_moves_levels_alike_and_dc_moves_only_dc(scale, dc, flip):
    x = white(0.5, 1e-4, 12) + hum(0.5, 50.0, {1: -70.0})[:, None]
    one = measure_noise(x, rate_hz=RATE)[0]
    other = measure_noise((-scale if flip else scale) * x + dc, rate_hz=RATE)[0]
    shift = 20.0 * math.log10(scale)
    for pick in ("flat_dbfs", "a_dbfs", "ccir_dbfs", "hum_dbfs", "without_hum_dbfs"):
        assert getattr(other, pick).value == pytest.approx(getattr(one, pick).value + shift, abs=1e-4), pick
    assert other.dc_fs.value == pytest.approx((-scale if flip else scale) * one.dc_fs.value + dc, abs=1e-9)
    assert other.mains_hz == pytest.approx(one.mains_hz, abs=1e-6)


def test_digital_silence_has_no_level_no_hum_and_no_dc():
    facts = measure_noise(np.zeros((RATE, 1)), rate_hz=RATE)[0]
    assert "digital silence" in facts.flat_dbfs.note
    assert not facts.hum_dbfs.observable
    assert facts.dc_fs.value == 0.0
    steady = measure_noise(np.full((RATE, 1), 0.25), rate_hz=RATE)[0]
    assert steady.mains_hz is None
    assert steady.dc_fs.value == pytest.approx(0.25)


@pytest.mark.parametrize("bad", [np.zeros(RATE), np.zeros((1, 2)), np.zeros((0, 2))])
def test_one_sample_and_a_lone_channel_are_refused(bad):
    with pytest.raises(ShapeError) as caught:
        measure_noise(bad, rate_hz=RATE)
    assert caught.value.hint


def test_frames_that_are_no_numbers_are_named_with_their_input():
    x = white(1.0, 1e-4, 13, inputs=3)
    x[77, 1] = np.inf
    with pytest.raises(DspError, match=r"Input 1 holds .* frame 77"):
        measure_noise(x, rate_hz=RATE)


def test_a_tenth_of_a_second_is_enough():
    facts = measure_noise(white(0.1, 1e-4, 14), rate_hz=RATE)[0]
    assert facts.flat_dbfs.sd == pytest.approx(4.343 / math.sqrt(19_980.0 * 0.1), rel=0.15)
