"""The null test goes down to the noise and says what it met on the way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsp.errors import DspError, NoAlignment, ShapeError
from dsp.null.nulltest import null_arrays, null_test

RATE = 48_000
SECONDS = 3
SINE_DB = 20.0 * math.log10(math.sqrt(2.0))


def song(times_s, seed=1):
    """Tones with swells at any times, (len(times_s), 2): delay and drift go into the times."""
    rng = np.random.default_rng(seed)
    out = np.zeros((times_s.size, 2))
    for hz in np.exp(rng.uniform(np.log(45.0), np.log(12_000.0), 40)):
        swell = (1.0 + 0.9 * np.sin(2.0 * np.pi * rng.uniform(0.5, 6.0) * times_s + rng.uniform(0.0, 6.0))) ** 2
        for channel in range(2):
            phase = rng.uniform(0.0, 6.28)
            out[:, channel] += 0.02 * (hz / 100.0) ** -0.5 * swell * np.sin(2.0 * np.pi * hz * times_s + phase)
    return out


def bed(frames, delay, seed=2):
    """Pink-ish noise to 19 kHz as a Fourier series, exactly delayed, (frames, 2)."""
    rng = np.random.default_rng(seed)
    k = np.arange(frames + 1)[:, None]
    hz = k * RATE / (2 * frames)
    shape = np.where((hz > 40.0) & (hz < 19_000.0), 1.0 / np.sqrt(np.maximum(hz, 40.0)), 0.0)
    series = shape * np.exp(2j * np.pi * (rng.random((frames + 1, 2)) - k * delay / (2 * frames)))
    out = np.fft.irfft(series, 2 * frames, axis=0)
    return 0.05 * (out / out.std())[:frames]


N = np.arange(SECONDS * RATE)
DELAY, GAIN = 731.37, -(10.0 ** (-0.37 / 20.0))


@pytest.fixture(scope="module")
def reference():
    return (song(N / RATE) + bed(N.size, 0.0)).astype(np.float32)


@pytest.fixture(scope="module")
def delayed():
    return GAIN * (song((N - DELAY) / RATE) + bed(N.size, DELAY))


@pytest.fixture(scope="module")
def drifting():
    return GAIN * song((N - DELAY - 12e-6 * N) / RATE)


def recorded(clean, sigma, seed=3):
    return (clean + np.random.default_rng(seed).normal(0.0, sigma, clean.shape)).astype(np.float32)


def noise_limit(clean, sigma):
    inside = clean[2 * RATE // 3 : -RATE // 2]
    return 20.0 * math.log10(sigma / math.sqrt(np.mean(inside**2)))


@pytest.mark.parametrize("noise_db", [-60.0, -80.0, -100.0])
def test_a_delayed_inverted_quieter_print_nulls_to_its_noise(reference, delayed, noise_db):
    sigma = 10.0 ** (noise_db / 20.0)
    found = null_test(reference, recorded(delayed, sigma), rate_hz=RATE, noise_dbfs=noise_db + SINE_DB)
    assert found.null_depth_db == pytest.approx(noise_limit(delayed, sigma), abs=0.5)
    assert found.null_depth_db == pytest.approx(found.limit_db, abs=0.5)
    assert found.null_depth_matched_db <= found.null_depth_db
    assert found.null_depth_matched_db == pytest.approx(found.limit_db, abs=0.5)
    assert found.delay_samples == pytest.approx(DELAY, abs=max(1e-5, 5.0 * found.delay_sd))
    assert found.polarity == (-1, -1)
    assert found.gain_db == pytest.approx((-0.37, -0.37), abs=max(1e-4, 5.0 * max(found.gain_sd_db)))
    assert found.drift_ppm == 0.0
    assert [stage.name for stage in found.stages] == ["delay", "gain", "fraction", "corners", "eq", "matrix", "curve"]
    assert found.events == ()


def test_the_residual_is_what_is_left_of_b(reference, delayed):
    b = recorded(delayed, 1e-3)
    found, arrays = null_arrays(reference, b, rate_hz=RATE)
    assert np.array_equal(arrays.aligned_b, b[found.first_frame : found.stop_frame])
    assert np.allclose(arrays.residual, arrays.aligned_b - arrays.aligned_a, atol=1e-6)
    by_hand = 20.0 * math.log10(float(np.std(arrays.residual) / np.std(arrays.aligned_b)))
    assert found.null_depth_db == pytest.approx(by_hand, abs=0.01)


def test_two_clocks_12_ppm_apart_null_to_the_noise_and_only_with_the_drift(drifting):
    a = song(N / RATE).astype(np.float32)
    found = null_test(a, recorded(drifting, 1e-5), rate_hz=RATE, noise_dbfs=-100.0 + SINE_DB)
    depths = {stage.name: stage.depth_db for stage in found.stages}
    assert depths["fraction"] > -30.0
    assert found.null_depth_db == pytest.approx(found.limit_db, abs=0.5)
    assert found.drift_ppm == pytest.approx(12.0, abs=5.0 * found.drift_sd_ppm + 1e-5)
    assert found.delay_samples == pytest.approx(DELAY, abs=5.0 * found.delay_sd + 1e-5)


def coupled(x, corner_hz):
    """First-order high-pass, exact for its own difference equation (bilinear transform), frame by frame."""
    from scipy.signal import bilinear, lfilter

    w = 2.0 * np.pi * corner_hz
    b, a = bilinear([1.0, 0.0], [1.0, w], fs=RATE)
    return lfilter(b, a, x, axis=0)


def test_couplings_and_a_drift_are_told_apart(drifting):
    a = song(N / RATE).astype(np.float32)
    through = coupled(coupled(drifting, 3.0), 1.6)
    found = null_test(a, recorded(through, 1e-4), rate_hz=RATE, noise_dbfs=-80.0 + SINE_DB)
    assert found.null_depth_db > -40.0
    assert found.null_depth_matched_db == pytest.approx(found.limit_db, abs=1.0)
    assert found.drift_ppm == pytest.approx(12.0, abs=1e-3)


def test_a_linear_path_is_matched_and_the_plain_null_shows_it(reference, delayed):
    from scipy.signal import butter, lfilter

    through = lfilter(*butter(2, 15_000.0, fs=RATE), delayed, axis=0)
    found = null_test(reference, recorded(through, 1e-4), rate_hz=RATE, noise_dbfs=-80.0 + SINE_DB)
    assert found.null_depth_db > -30.0
    assert found.null_depth_matched_db == pytest.approx(found.limit_db, abs=1.0)
    assert found.drift_ppm == 0.0
    by_band = dict(found.third_octave)
    assert by_band[12_500.0] > by_band[1000.0] + 10.0
    plain = null_test(reference, recorded(through, 1e-4), rate_hz=RATE, matched=False)
    assert plain.null_depth_matched_db == plain.null_depth_db
    assert [stage.name for stage in plain.stages] == ["delay", "gain", "fraction"]


def test_identical_files_have_no_depth_and_say_so(reference):
    found, arrays = null_arrays(reference, reference, rate_hz=RATE)
    assert found.null_depth_db is None
    assert found.null_depth_matched_db is None
    assert found.note == "identical"
    assert found.delay_samples == 0.0
    assert not np.any(arrays.residual)


def test_whole_sample_shifts_and_inversions_of_a_file_are_identical_too(reference):
    shifted = np.concatenate([np.zeros((37, 2), np.float32), reference])[: len(reference)]
    shifted[:, 1] *= -1.0
    found = null_test(reference, shifted, rate_hz=RATE)
    assert found.null_depth_db is None
    assert found.note == "identical (37 samples later, channel 2 inverted)"
    assert (found.delay_samples, found.polarity) == (37.0, (1, -1))
    earlier = null_test(reference[5:], reference, rate_hz=RATE)
    assert earlier.delay_samples == 5.0
    assert null_test(reference, reference[5:], rate_hz=RATE).delay_samples == -5.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_programme_of_nothing_but_tones_is_identical_to_itself(seed):
    tones = song(np.arange(3 * RATE + 1000) / RATE, seed)
    a = tones[: 3 * RATE]
    assert null_test(a, a, rate_hz=RATE).note == "identical"
    assert null_test(a, a[: 2 * RATE], rate_hz=RATE).note == "identical"
    assert null_test(a, -tones[37 : 3 * RATE + 37], rate_hz=RATE).note.startswith("identical (37 samples earlier, ")


def test_a_file_that_loses_a_frame_is_not_identical(reference):
    b = np.concatenate([reference[: 2 * RATE], reference[2 * RATE + 1 :]])
    found = null_test(reference, b, rate_hz=RATE, matched=False)
    assert found.note == ""
    assert [change.what for change in found.changes] == ["1 frame lost at 2.000000 s (frame 96000)"]


def test_gain_is_of_b_relative_to_a_per_channel(reference):
    b = reference * np.array([0.5, -2.0], dtype=np.float32)
    found = null_test(reference, b, rate_hz=RATE)
    assert found.gain_db == pytest.approx((-6.0206, 6.0206), abs=1e-3)
    assert found.polarity == (1, -1)
    assert found.null_depth_db is None or found.null_depth_db < -140.0


def test_a_dropout_and_a_click_are_named_with_their_times(reference, delayed):
    b = recorded(delayed, 1e-4)
    b[70_000:70_480] = 0.0
    b[110_000, 0] += 0.2
    found = null_test(reference, b, rate_hz=RATE, noise_dbfs=-77.0, matched=False)
    dropout, click = found.changes
    assert dropout.what == "dropout of 480 frames at 1.458333 s (frame 70000)"
    assert click.what == "click at 2.291667 s (frame 110000), channel 1"
    assert [event.at_s for event in found.events] == pytest.approx([70_000 / RATE, 110_000 / RATE])


def test_lost_frames_are_found_and_the_null_goes_on(reference, delayed):
    b = recorded(delayed, 1e-4)
    b = np.concatenate([b[: 2 * RATE], b[2 * RATE + 256 :]])
    found = null_test(reference, b, rate_hz=RATE, noise_dbfs=-80.0 + SINE_DB, matched=False)
    assert [change.what for change in found.changes] == ["256 frames lost at 2.000000 s (frame 96000)"]
    assert found.delay_samples == pytest.approx(DELAY, abs=1e-3)
    assert found.null_depth_db == pytest.approx(found.limit_db, abs=0.5)


def test_the_limit_is_estimated_from_quiet_passages_when_there_are_any(reference, delayed):
    gate = np.ones((N.size, 1))
    gate[RATE : RATE + 24_000] = 0.0
    gate_b = np.roll(gate, 731, axis=0)
    b = recorded(delayed * gate_b, 1e-4)
    a = reference * gate.astype(np.float32)
    found = null_test(a, b, rate_hz=RATE)
    given = null_test(a, b, rate_hz=RATE, noise_dbfs=-80.0 + SINE_DB, matched=False)
    assert found.limit_db == pytest.approx(given.limit_db, abs=0.5)
    assert "estimated" in found.limit_note


def test_no_limit_is_invented_where_the_programme_never_pauses(reference, delayed):
    found = null_test(reference, recorded(delayed, 1e-4), rate_hz=RATE)
    assert found.limit_db is None
    assert "no passage is quiet enough" in found.limit_note


def test_bands_are_the_31_of_iso_266(reference, delayed):
    found = null_test(reference, recorded(delayed, 1e-3), rate_hz=RATE, matched=False)
    centres = [hz for hz, _ in found.third_octave]
    assert len(centres) == 31
    assert centres[:4] == [20.0, 25.0, 31.5, 40.0]
    assert centres[-3:] == [12_500.0, 16_000.0, 20_000.0]
    # the bed falls with 1/f and so holds equal power in every third octave, the noise gains 1 dB from band to band
    by_band = dict(found.third_octave)
    assert by_band[16_000.0] > by_band[1600.0]


def test_a_mono_file_is_compared_with_both_channels(reference):
    mono = reference[:, 0]
    found = null_test(mono, np.stack([mono, -0.5 * mono], axis=1), rate_hz=RATE)
    assert found.polarity == (1, -1)
    assert found.gain_db == pytest.approx((0.0, -6.0206), abs=1e-3)


def test_a_channel_that_is_silent_in_b_reads_as_no_gain(reference, delayed):
    b = recorded(delayed, 1e-5)
    b[:, 1] = 0.0
    found = null_test(reference, b, rate_hz=RATE, matched=False)
    assert found.gain_db[1] == -math.inf
    assert found.gain_db[0] == pytest.approx(-0.37, abs=1e-3)


def test_neither_file_is_changed(reference, delayed):
    a, b = reference.copy(), recorded(delayed, 1e-4)
    before = b.copy()
    null_test(a, b, rate_hz=RATE)
    assert np.array_equal(a, reference)
    assert np.array_equal(b, before)


def test_what_cannot_be_nulled_is_refused_in_one_sentence(reference):
    silent = np.zeros_like(reference)
    with pytest.raises(NoAlignment, match="A is silent"):
        null_test(silent, reference, rate_hz=RATE)
    with pytest.raises(NoAlignment, match="B is silent"):
        null_test(reference, silent, rate_hz=RATE)
    with pytest.raises(NoAlignment, match="nothing in common"):
        null_test(reference, np.random.default_rng(9).normal(0.0, 0.1, reference.shape), rate_hz=RATE)
    with pytest.raises(NoAlignment, match="frames long"):
        null_test(reference, reference[:100], rate_hz=RATE)
    with pytest.raises(NoAlignment, match="B holds a steady value"):
        null_test(reference, np.ones((RATE, 3)), rate_hz=RATE)
    with pytest.raises(ShapeError, match="B has shape"):
        null_test(reference, np.ones((RATE, 2, 2)), rate_hz=RATE)
    with pytest.raises(DspError, match="not numbers"):
        null_test(reference, np.full((RATE, 2), np.nan), rate_hz=RATE)
