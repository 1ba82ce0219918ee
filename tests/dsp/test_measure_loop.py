"""Loops are measured to what the noise allows; the simulator puts delay and polarity into the phase of each tone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError, ShapeError
from dsp.measure.loop import measure_loops, noise_floor_dbfs
from dsp.measure.probe import comb, ping_comb

RATE = 48_000
OUTPUTS, INPUTS = 24, 2


@pytest.fixture(scope="module")
def rig_comb():
    return comb(OUTPUTS, rate_hz=RATE, level_dbfs=-20.0, seed=7)


def steady_return(probe, delays, gains, responses=None):
    """One period of what comes back: every tone turned by its own delay, (frames, inputs); no estimator code."""
    frames = probe.frames
    whole = np.fft.rfft(probe.period.astype(np.float64), axis=0)
    k = np.arange(frames // 2 + 1)
    out = np.zeros((frames, gains.shape[1]))
    for i in range(gains.shape[1]):
        turned = whole * np.exp(-2j * np.pi * k[:, None] * delays[:, i] / frames) * gains[:, i]
        if responses is not None:
            turned = turned * responses
        turned[~np.isin(k, np.concatenate(probe.bins))] = 0.0
        out[:, i] = np.fft.irfft(turned.sum(axis=1), frames)
    return out


def captured(period, periods, sigma, rng):
    whole = np.tile(period, (periods, 1))
    return (whole + rng.normal(0.0, sigma, whole.shape)).astype(np.float32)


def random_rig(rng, furthest=12_000.0):
    delays = rng.uniform(0.0, furthest, (OUTPUTS, INPUTS))
    gains = 10.0 ** (rng.uniform(-12.0, 6.0, delays.shape) / 20.0) * rng.choice([-1.0, 1.0], delays.shape)
    return delays, gains


def crlb(probe, gain, sigma, periods):
    """Cramér-Rao bound of the delay: σ/√(Σ x'(n)²), x' the derivative of the signal per sample, over all periods."""
    out = []
    for output in range(probe.outputs):
        spectrum = np.fft.rfft(probe.period[:, output].astype(np.float64))
        slope = np.fft.irfft(2j * np.pi * np.arange(spectrum.size) / probe.frames * spectrum, probe.frames)
        out.append(sigma / math.sqrt(periods * np.sum(slope**2)))
    return np.array(out)[:, None] / np.abs(gain)


def test_every_loop_of_24_into_2_within_a_hundredth_of_a_sample_and_of_a_db_at_minus_90(rig_comb):
    rng = np.random.default_rng(1)
    delays, gains = random_rig(rng)
    sigma = 10.0 ** (-90.0 / 20.0) / math.sqrt(2.0)
    found = measure_loops(captured(steady_return(rig_comb, delays, gains), 3, sigma, rng), rig_comb)
    assert found.present.all()
    assert np.abs(found.latency_samples - delays).max() < 0.01
    assert np.abs(found.gain_db - 20.0 * np.log10(np.abs(gains))).max() < 0.01
    assert np.array_equal(found.polarity, np.sign(gains))


def test_latency_sits_on_the_cramer_rao_bound_and_says_so(rig_comb):
    rng = np.random.default_rng(2)
    delays, gains = random_rig(rng)
    clean = steady_return(rig_comb, delays, gains)
    sigma = 1e-4
    in_bounds, in_sds, gain_in_sds = [], [], []
    for _ in range(12):
        found = measure_loops(captured(clean, 2, sigma, rng), rig_comb)
        error = found.latency_samples - delays
        in_bounds.append(error / crlb(rig_comb, gains, sigma, 2))
        in_sds.append(error / found.latency_sd)
        gain_in_sds.append((found.gain_db - 20.0 * np.log10(np.abs(gains))) / found.gain_sd)
    assert np.sqrt(np.mean(np.square(in_bounds))) < 1.2
    assert np.sqrt(np.mean(np.square(in_sds))) == pytest.approx(1.0, abs=0.12)
    assert np.sqrt(np.mean(np.square(gain_in_sds))) == pytest.approx(1.0, abs=0.12)


def test_no_fraction_of_a_sample_is_biased():
    probe = comb(1, rate_hz=RATE, level_dbfs=-20.0, seed=3, period_frames=2048)
    n, k = np.arange(probe.frames), probe.bins[0]
    size, phase = 2.0 * np.abs(probe.spectra[0]) / probe.frames, np.angle(probe.spectra[0])
    for delay in 300.0 + np.arange(0.0, 1.0, 0.05):
        tones = size * np.cos(2.0 * np.pi * k / probe.frames * (n[:, None] - delay) + phase)
        found = measure_loops(tones.sum(axis=1)[:, None], probe)
        assert abs(found.latency_samples[0, 0] - delay) < 1e-6
        assert abs(found.gain_db[0, 0]) < 1e-6


def test_polarity_is_never_wrong_in_384_noisy_loops(rig_comb):
    rng = np.random.default_rng(4)
    for _ in range(8):
        delays, gains = random_rig(rng)
        found = measure_loops(captured(steady_return(rig_comb, delays, gains), 2, 1e-2, rng), rig_comb)
        assert np.array_equal(found.polarity, np.sign(gains))
        assert np.abs(found.latency_samples - delays).max() < 0.5


def test_a_loop_a_little_early_reads_as_a_negative_latency(rig_comb):
    delays, gains = np.full((OUTPUTS, 1), -2.25), np.ones((OUTPUTS, 1))
    found = measure_loops(captured(steady_return(rig_comb, delays, gains), 2, 1e-6, np.random.default_rng(5)), rig_comb)
    assert found.latency_samples == pytest.approx(delays, abs=1e-3)


def test_leakage_is_reported_as_a_level_and_not_as_a_return(rig_comb):
    rng = np.random.default_rng(6)
    delays, gains = random_rig(rng)
    gains[:, 0], gains[:, 1] = 1.0, 10.0 ** (-75.0 / 20.0)
    found = measure_loops(captured(steady_return(rig_comb, delays, gains), 4, 1e-5, rng), rig_comb)
    assert found.present[:, 0].all()
    assert not found.present[:, 1].any()
    assert found.detected[:, 1].all()
    assert found.level_db[:, 1] == pytest.approx(np.full(OUTPUTS, -75.0), abs=0.2)


def test_an_output_that_only_leaks_is_not_present_anywhere(rig_comb):
    rng = np.random.default_rng(7)
    delays, gains = random_rig(rng)
    gains[4] = 10.0 ** (-70.0 / 20.0)
    found = measure_loops(captured(steady_return(rig_comb, delays, gains), 4, 1e-5, rng), rig_comb)
    assert not found.present[4].any()
    assert found.detected[4].all()


def test_a_dead_output_is_told_with_the_level_it_would_have_needed(rig_comb):
    rng = np.random.default_rng(8)
    delays, gains = random_rig(rng)
    gains[11] = 0.0
    found = measure_loops(captured(steady_return(rig_comb, delays, gains), 3, 1e-4, rng), rig_comb)
    assert not found.detected[11].any()
    assert np.isnan(found.latency_samples[11]).all()
    assert (found.polarity[11] == 0).all()
    assert (found.level_db[11] < found.detection_limit_db[11]).all()
    assert (found.detection_limit_db[11] < -80.0).all()


def test_noise_alone_is_never_taken_for_a_loop(rig_comb):
    rng = np.random.default_rng(9)
    for _ in range(20):
        found = measure_loops(rng.normal(0.0, 1e-3, (2 * rig_comb.frames, INPUTS)), rig_comb)
        assert not found.detected.any()


def test_swapped_cables_show_at_the_input_they_come_back_on(rig_comb):
    rng = np.random.default_rng(10)
    delays, gains = np.full((OUTPUTS, INPUTS), 500.3), np.zeros((OUTPUTS, INPUTS))
    gains[::2, 0], gains[1::2, 1] = 1.0, 1.0
    gains[[6, 7]] = gains[[7, 6]]
    found = measure_loops(captured(steady_return(rig_comb, delays, gains), 2, 1e-4, rng), rig_comb)
    assert np.array_equal(found.present, gains != 0.0)


def bell(hz, centre_hz, gain_db, q):
    """Peaking EQ of the Audio EQ Cookbook (R. Bristow-Johnson), as the analog prototype on the jω axis."""
    s, a = 1j * hz / centre_hz, 10.0 ** (gain_db / 40.0)
    return (s**2 + s * a / q + 1.0) / (s**2 + s / (a * q) + 1.0)


def test_a_known_equaliser_is_taken_out_and_an_unknown_one_is_seen(rig_comb):
    rng = np.random.default_rng(11)
    delays, gains = np.full((OUTPUTS, 1), 731.37), np.full((OUTPUTS, 1), -0.8)
    hz = np.arange(rig_comb.frames // 2 + 1)[:, None] * RATE / rig_comb.frames
    capture = captured(steady_return(rig_comb, delays, gains, bell(hz, 3000.0, 6.0, 1.0)), 3, 1e-5, rng)
    expected = [bell(bins * RATE / rig_comb.frames, 3000.0, 6.0, 1.0) for bins in rig_comb.bins]
    known = measure_loops(capture, rig_comb, predicted=expected)
    assert known.latency_samples == pytest.approx(delays, abs=1e-3)
    assert known.gain_db == pytest.approx(np.full((OUTPUTS, 1), 20.0 * math.log10(0.8)), abs=1e-3)
    assert known.chi2.max() < 2.0
    unknown = measure_loops(capture, rig_comb)
    assert unknown.chi2.min() > 100.0
    assert (unknown.misfit_db > -20.0).all()
    assert known.misfit_db.max() < -70.0


def test_the_response_of_a_loop_is_measured_tone_by_tone(rig_comb):
    rng = np.random.default_rng(12)
    delays, gains = np.full((OUTPUTS, 1), 40.5), np.full((OUTPUTS, 1), 0.5)
    found = measure_loops(captured(steady_return(rig_comb, delays, gains), 3, 1e-6, rng), rig_comb)
    turned = 0.5 * np.exp(-2j * np.pi * rig_comb.bins[3] * 40.5 / rig_comb.frames)
    assert found.responses[3][:, 0] == pytest.approx(turned, abs=1e-3)


def test_noise_of_an_input_is_told_under_the_comb_and_in_silence(rig_comb):
    rng = np.random.default_rng(13)
    delays, gains = random_rig(rng)
    sigma = 1e-4
    in_band = 20.0 * math.log10(sigma * math.sqrt(2.0)) + 10.0 * math.log10((20_000.0 - 20.0) / (RATE / 2.0))
    found = measure_loops(captured(steady_return(rig_comb, delays, gains), 4, sigma, rng), rig_comb)
    assert found.noise_dbfs == pytest.approx(np.full(INPUTS, in_band), abs=0.2)
    assert found.residue_dbfs == pytest.approx(np.full(INPUTS, in_band), abs=1.0)
    silence = rng.normal(0.0, sigma, (RATE, 2)).astype(np.float32)
    assert noise_floor_dbfs(silence, rate_hz=RATE) == pytest.approx(np.full(2, in_band), abs=0.15)
    assert noise_floor_dbfs(np.zeros((RATE, 1)), rate_hz=RATE)[0] == -math.inf


def test_a_full_scale_sine_of_1_khz_reads_0_dbfs():
    sine = np.sin(2.0 * np.pi * 1000.0 * np.arange(RATE) / RATE)[:, None]
    assert noise_floor_dbfs(sine, rate_hz=RATE)[0] == pytest.approx(0.0, abs=1e-6)


def test_two_clocks_are_seen_to_drift_and_one_clock_is_not(rig_comb):
    rng = np.random.default_rng(14)
    delays, gains = np.full((OUTPUTS, 1), 300.0), np.ones((OUTPUTS, 1))
    locked = measure_loops(captured(steady_return(rig_comb, delays, gains), 4, 1e-4, rng), rig_comb)
    assert abs(locked.drift_ppm[0]) < 4.0 * locked.drift_sd_ppm[0]
    per_period = 2.0e-6 * rig_comb.frames
    moving = [steady_return(rig_comb, delays + p * per_period, gains) for p in range(4)]
    found = measure_loops(np.concatenate(moving) + rng.normal(0.0, 1e-4, (4 * rig_comb.frames, 1)), rig_comb)
    assert found.drift_ppm[0] == pytest.approx(2.0, abs=0.01)


def test_a_silent_output_of_a_selection_is_neither_present_nor_an_error(rig_comb):
    few = rig_comb.select([0, 1])
    delays, gains = np.full((OUTPUTS, 1), 10.0), np.ones((OUTPUTS, 1))
    found = measure_loops(captured(steady_return(few, delays, gains), 2, 1e-4, np.random.default_rng(15)), few)
    assert np.flatnonzero(found.present[:, 0]).tolist() == [0, 1]


def test_one_period_is_enough_for_the_loops(rig_comb):
    rng = np.random.default_rng(16)
    delays, gains = random_rig(rng)
    found = measure_loops(captured(steady_return(rig_comb, delays, gains), 1, 1e-4, rng), rig_comb)
    assert found.present.all()
    assert np.isnan(found.drift_ppm).all()


def test_a_capture_without_a_trace_of_noise_is_measured_too(rig_comb):
    delays, gains = np.full((OUTPUTS, 1), 100.0), np.ones((OUTPUTS, 1))
    clean = np.tile(np.roll(rig_comb.period.sum(axis=1, keepdims=True), 100, axis=0), (2, 1))
    found = measure_loops(clean, rig_comb)
    assert found.latency_samples == pytest.approx(delays, abs=1e-5)
    assert found.gain_db == pytest.approx(np.zeros_like(gains), abs=1e-5)
    silent = measure_loops(np.zeros_like(clean), rig_comb)
    assert not silent.detected.any()


def test_captures_that_cannot_be_measured_are_refused(rig_comb):
    with pytest.raises(ShapeError, match="whole periods"):
        measure_loops(np.zeros((rig_comb.frames + 1, 2)), rig_comb)
    with pytest.raises(DspError, match="not numbers"):
        measure_loops(np.full((rig_comb.frames, 2), np.nan), rig_comb)
    with pytest.raises(ShapeError, match="predicted for output 1"):
        measure_loops(np.zeros((rig_comb.frames, 2)), rig_comb, predicted=[np.ones(3, dtype=np.complex128)])
    with pytest.raises(ShapeError, match=r"0\.1 s"):
        noise_floor_dbfs(np.zeros((10, 1)), rate_hz=RATE)


def played_tones(probe, delays, gains, frames, drift=0.0):
    """Each tone ``size·cos(ω·t + phase)`` at the times ``t = n − delay − drift·(n − middle)``: (frames, inputs)."""
    n = np.arange(frames)
    times = n - drift * (n - 0.5 * frames)
    out = np.zeros((frames, gains.shape[1]))
    for output in range(probe.outputs):
        omega = 2.0 * np.pi * probe.bins[output] / probe.frames
        sizes, phases = 2.0 * np.abs(probe.spectra[output]) / probe.frames, np.angle(probe.spectra[output])
        turned = (sizes * np.exp(1j * phases))[:, None] * gains[output] * np.exp(-1j * omega[:, None] * delays[output])
        for start in range(0, frames, 4096):
            out[start : start + 4096] += (np.exp(1j * times[start : start + 4096, None] * omega) @ turned).real
    return out


@pytest.fixture(scope="module")
def pings():
    """A hundred loops, each with a delay and a polarity of its own, and the ping they return."""
    probe = ping_comb(rate_hz=RATE, peak_dbfs=-6.0)
    rng = np.random.default_rng(20)
    delays = rng.uniform(0.0, 3000.0, (1, 100))
    gains = rng.choice([-1.0, 1.0], (1, 100))
    return probe, delays, gains, played_tones(probe, delays, gains, probe.frames)


@pytest.mark.parametrize("noise_dbfs", [-100.0, -80.0, -60.0, -40.0])
def test_a_ping_of_85_ms_sits_on_the_bound_from_minus_100_to_minus_40(pings, noise_dbfs):
    probe, delays, gains, clean = pings
    rng = np.random.default_rng(21)
    sigma = 10.0 ** (noise_dbfs / 20.0)
    found = [measure_loops(clean + rng.normal(0.0, sigma, clean.shape), probe) for _ in range(4)]
    errors = np.stack([f.latency_samples - delays for f in found])
    assert np.sqrt(np.mean((errors / crlb(probe, gains, sigma, 1)) ** 2)) <= 1.2
    assert all(np.array_equal(f.polarity, gains) for f in found)
    if noise_dbfs <= -80.0:
        assert np.sqrt(np.mean(errors**2)) <= 1e-5
    if noise_dbfs <= -60.0:
        assert np.sqrt(np.mean(np.stack([f.gain_db for f in found]) ** 2)) <= 1e-3


def test_no_fraction_is_biased_after_24_bits_of_dithered_quantisation():
    probe = ping_comb(rate_hz=RATE)
    fractions = 700.0 + np.arange(0.0, 1.0, 0.05)[None, :]
    clean = played_tones(probe, fractions, np.ones_like(fractions), probe.frames)
    rng = np.random.default_rng(22)
    dither = rng.random(clean.shape) - rng.random(clean.shape)
    found = measure_loops(np.round(clean * 2**23 + dither) / 2**23, probe)
    assert np.abs(found.latency_samples - fractions).max() <= 1e-6


def test_skew_between_32_channels_is_within_a_ten_thousandth_of_a_sample():
    probe = comb(32, rate_hz=RATE, level_dbfs=-20.0, seed=3)
    rng = np.random.default_rng(23)
    delays, gains = 500.0 + rng.uniform(0.0, 8.0, (32, 1)), np.ones((32, 1))
    clean = played_tones(probe, delays, gains, probe.frames)
    found = measure_loops(clean + rng.normal(0.0, 1e-4, clean.shape), probe)
    error = (found.latency_samples - delays)[:, 0]
    assert np.ptp(error) <= 1e-4


def test_a_short_period_and_a_known_latency_give_the_whole_latency():
    probe = ping_comb(rate_hz=RATE)
    delays = np.array([[10_000.25]])
    found = measure_loops(played_tones(probe, delays, np.ones((1, 1)), probe.frames), probe, near_samples=9_000.0)
    assert found.latency_samples[0, 0] == pytest.approx(10_000.25, abs=1e-5)


@pytest.mark.parametrize("ppm", [-40.0, 0.7, 15.0])
def test_two_free_clocks_leak_nothing_into_the_other_outputs(ppm):
    probe = comb(4, rate_hz=RATE, level_dbfs=-20.0, seed=2, period_frames=8192)
    delays, gains = np.array([[200.3], [230.7], [250.1], [0.0]]), np.array([[1.0], [-0.5], [0.001], [0.0]])
    clean = played_tones(probe, delays, gains, 3 * probe.frames, ppm * 1e-6)
    found = measure_loops(clean + np.random.default_rng(24).normal(0.0, 1e-5, clean.shape), probe)
    assert found.drift_ppm[0] == pytest.approx(ppm, abs=5.0 * found.drift_sd_ppm[0])
    assert np.abs(found.latency_samples - delays)[:3].max() < 5.0 * np.nanmax(found.latency_sd)
    assert not found.detected[3, 0]
    assert found.note == ""


def test_clocks_too_far_apart_for_the_period_are_named():
    probe = comb(2, rate_hz=RATE, level_dbfs=-20.0, seed=2, period_frames=8192)
    found = measure_loops(played_tones(probe, np.full((2, 1), 9.0), np.ones((2, 1)), 2 * 8192, 200e-6), probe)
    assert "200 ppm" in found.note
    assert found.drift_ppm[0] == pytest.approx(200.0, abs=2.0)


@settings(max_examples=15, deadline=None)
@given(
    gain=st.floats(0.05, 2.0),
    sign=st.sampled_from([-1.0, 1.0]),
    delay=st.floats(0.0, 3000.0),
    order=st.permutations(range(3)),
)
def test_gain_polarity_and_delay_are_told_apart_and_inputs_keep_their_order(gain, sign, delay, order):
    probe = comb(3, rate_hz=RATE, level_dbfs=-20.0, seed=9, period_frames=4096)
    gains = gain * np.diag([1.0, -1.0, sign])[:, order]
    delays = np.full((3, 3), delay) + np.arange(3.0)[:, None]
    found = measure_loops(steady_return(probe, delays, gains), probe)
    assert np.array_equal(found.present, gains != 0.0)
    assert np.array_equal(found.polarity[found.present], np.sign(gains[gains != 0.0]))
    assert found.latency_samples[found.present] == pytest.approx(delays[gains != 0.0], abs=1e-4)
    assert found.gain_db[found.present] == pytest.approx(np.full(3, 20.0 * math.log10(gain)), abs=1e-4)
