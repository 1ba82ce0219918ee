"""Alignment against signals whose delay is in their formula: tones written out with the delay in their phase."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import NoAlignment
from dsp.null.align import Alignment, refine
from dsp.null.reader import filtered, read
from dsp.null.search import coarse_delay, first_guess

RATE = 48_000


def song(times_s, seed, tones=24, channels=2):
    """Tones from 60 Hz to 9 kHz, each swelling at its own pace, at any times: (channels, len(times_s))."""
    rng = np.random.default_rng(seed)
    out = np.zeros((channels, times_s.size))
    for hz in np.exp(rng.uniform(np.log(60.0), np.log(9000.0), tones)):
        swell = (1.0 + 0.9 * np.sin(2.0 * np.pi * rng.uniform(0.5, 6.0) * times_s + rng.uniform(0.0, 6.0))) ** 2
        for row in out:
            row += 0.03 * (hz / 100.0) ** -0.5 * swell * np.sin(2.0 * np.pi * hz * times_s + rng.uniform(0.0, 6.28))
    return out


def wideband(frames, seed):
    """Noise falling 3 dB per octave up to 20 kHz as a Fourier series over 2·frames, so that any delay is exact."""
    rng = np.random.default_rng(seed)
    k = np.arange(frames + 1)
    hz = k * RATE / (2 * frames)
    shape = np.where((hz > 30.0) & (hz < 20_000.0), 1.0 / np.sqrt(np.maximum(hz, 30.0)), 0.0)
    series = shape * np.exp(2j * np.pi * rng.random(k.size))

    def at(delay):
        turned = series * np.exp(-2j * np.pi * k * delay / (2 * frames))
        out = np.fft.irfft(turned, 2 * frames)
        return 0.1 * (out / out.std())[:frames]

    return at


def aligned(a, b, *, with_drift):
    guess = first_guess(a, b, rate_hz=RATE)
    rough = Alignment(guess.delay_samples, 0.0, guess.drift, 0.0, (), ())
    span = rough.overlap(a.shape[1], b.shape[1])
    return refine(a, b, delay=guess.delay_samples, drift=guess.drift, span=span, with_drift=with_drift)


@pytest.mark.parametrize("hz", [50.0, 1000.0, 10_000.0, 20_000.0, 22_000.0])
@pytest.mark.parametrize("drift", [0.0, 12e-6, -300e-6])
def test_the_reader_reads_between_samples_to_140_db_below_the_tone(hz, drift):
    n = np.arange(60_000)
    tone = np.sin(2.0 * np.pi * hz / RATE * n + 0.3)[None]
    m = np.arange(1000, 59_000)
    times = m - 731.4142 + 600.0 - drift * m
    got, slope = read(tone, delay=131.4142, drift=drift, start=1000, stop=59_000, slope=True)
    error = got[0] - np.sin(2.0 * np.pi * hz / RATE * times + 0.3)
    assert 20.0 * np.log10(np.sqrt(2.0 * np.mean(error**2))) < -140.0
    exact = -2.0 * np.pi * hz / RATE * np.cos(2.0 * np.pi * hz / RATE * times + 0.3)
    assert np.abs(slope[0] - exact).max() < 1e-4


def test_the_reader_hears_silence_outside_the_recording():
    got, _ = read(np.ones((1, 100)), delay=1000.25, drift=0.0, start=0, stop=500)
    assert not np.any(got)


def test_a_filter_runs_with_its_middle_tap_at_no_delay():
    x = np.random.default_rng(1).normal(size=(2, 5000))
    taps = np.random.default_rng(2).normal(size=(2, 31))
    by_hand = np.stack([np.convolve(row, h, mode="same") for row, h in zip(x, taps, strict=True)])
    assert filtered(x, taps, start=0, stop=5000) == pytest.approx(by_hand, abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(
    delay=st.floats(-3000.0, 3000.0),
    gains_db=st.tuples(st.floats(-20.0, 12.0), st.floats(-20.0, 12.0)),
    signs=st.tuples(st.sampled_from([-1.0, 1.0]), st.sampled_from([-1.0, 1.0])),
    seed=st.integers(0, 1000),
)
def test_delay_gain_and_polarity_are_recovered_whatever_they_are(delay, gains_db, signs, seed):
    frames = 24_000
    left, right = wideband(frames, seed), wideband(frames, seed + 5000)
    gains = np.array(signs) * 10.0 ** (np.array(gains_db) / 20.0)
    a = np.stack([left(0.0), right(0.0)])
    b = gains[:, None] * np.stack([left(delay), right(delay)])
    found = aligned(a, b, with_drift=False)
    assert found.delay_samples == pytest.approx(delay, abs=1e-4)
    assert found.gains == pytest.approx(tuple(gains), rel=1e-4)
    assert found.polarity == tuple(int(s) for s in signs)


def test_spreads_are_those_of_repeated_trials():
    frames, delay, sigma = 12_000, 411.37, 1e-3
    left, right = wideband(frames, 1), wideband(frames, 2)
    a = np.stack([left(0.0), right(0.0)])
    clean = np.stack([-0.7 * left(delay), 0.9 * right(delay)])
    rng = np.random.default_rng(3)
    span = (1000, frames - 1000)
    errors = []
    for _ in range(50):
        b = clean + rng.normal(0.0, sigma, clean.shape)
        fit = refine(a, b, delay=411.2, drift=0.0, span=span, with_drift=True)
        at_middle = fit.delay_samples + fit.drift * frames / 2
        errors.append(
            [
                (fit.delay_samples - delay) / fit.delay_sd,
                fit.drift / fit.drift_sd,
                (fit.gains[0] + 0.7) / fit.gain_sds[0],
                (fit.gains[1] - 0.9) / fit.gain_sds[1],
            ]
        )
        assert abs(at_middle - delay) < 1e-3
    assert np.sqrt(np.mean(np.square(errors), axis=0)) == pytest.approx(np.ones(4), abs=0.3)


def test_the_delay_reaches_the_cramer_rao_bound():
    frames, delay, sigma = 12_000, 57.81, 1e-4
    left = wideband(frames, 4)
    a = left(0.0)[None]
    rng = np.random.default_rng(5)
    slope = (left(delay - 0.01) - left(delay + 0.01))[1000:-1000] / 0.02
    bound = sigma / np.sqrt(np.sum(slope**2))
    errors = [
        refine(
            a,
            left(delay)[None] + rng.normal(0.0, sigma, (1, frames)),
            delay=58.0,
            drift=0.0,
            span=(1000, frames - 1000),
            with_drift=False,
        ).delay_samples
        - delay
        for _ in range(50)
    ]
    assert np.sqrt(np.mean(np.square(errors))) < 1.3 * bound


@pytest.mark.parametrize(("delay", "ppm"), [(731.4142, 12.0), (-20_731.37, -80.0), (3.37, 0.5), (60_000.0, 100.0)])
def test_drift_and_offsets_of_seconds_are_found_together(delay, ppm):
    n = np.arange(4 * RATE)
    a = song(n / RATE, 6)
    b = song((n - delay - ppm * 1e-6 * n) / RATE, 6) * np.array([[-0.958], [1.03]])
    b += np.random.default_rng(7).normal(0.0, 1e-4, b.shape)
    found = aligned(a, b, with_drift=True)
    assert abs(found.delay_samples - delay) < 5.0 * found.delay_sd + 1e-5
    assert abs(found.drift * 1e6 - ppm) < 5.0 * found.drift_sd * 1e6 + 1e-5
    assert found.drift_sd < 1e-8
    assert found.polarity == (-1, 1)


def test_recordings_of_different_length_are_aligned():
    n = np.arange(3 * RATE)
    a = song(n / RATE, 8)
    b = song((n[: RATE + 11] - 300.5 + RATE) / RATE, 8)
    found = aligned(a, b, with_drift=False)
    assert found.delay_samples == pytest.approx(300.5 - RATE, abs=1e-4)


def test_a_wrong_polarity_on_one_channel_does_not_hide_the_delay():
    n = np.arange(RATE)
    mono = song(n / RATE, 9, channels=1)
    a = np.repeat(mono, 2, axis=0)
    b = np.concatenate([np.roll(mono, 500, axis=1), -np.roll(mono, 500, axis=1)])
    assert abs(coarse_delay(a, b, rate_hz=RATE) - 500) < 20


def test_a_delay_is_found_in_noise_as_loud_as_the_programme():
    frames = 2 * RATE
    left = wideband(frames, 10)
    b = left(777.0)[None] + np.random.default_rng(11).normal(0.0, 0.1, (1, frames))
    found = aligned(left(0.0)[None], b, with_drift=False)
    assert abs(found.delay_samples - 777.0) < 0.05


def test_a_programme_of_little_but_bass_is_found_where_it_lies():
    walk = np.cumsum(np.random.default_rng(15).normal(0.0, 0.1, (2, 4 * RATE)), axis=1)
    b = np.random.default_rng(16).normal(0.0, 1e-3, walk.shape)
    b[:, 500:] -= walk[:, :-500]
    assert abs(coarse_delay(walk, b, rate_hz=RATE) - 500) < 20
    assert first_guess(walk, b, rate_hz=RATE).delay_samples == pytest.approx(500.0, abs=1.0)


def test_unrelated_recordings_are_not_aligned():
    a = wideband(2 * RATE, 12)(0.0)[None]
    b = wideband(2 * RATE, 13)(0.0)[None]
    with pytest.raises(NoAlignment, match="nothing in common"):
        coarse_delay(a, b, rate_hz=RATE)


def test_lost_frames_leave_the_alignment_of_the_longer_part():
    n = np.arange(8 * RATE)
    a = song(n / RATE, 14)
    b = song((n - 100.0) / RATE, 14)
    b = np.concatenate([b[:, : 5 * RATE], b[:, 5 * RATE + 64 :]], axis=1)
    guess = first_guess(a, b, rate_hz=RATE)
    assert guess.drift == 0.0
    assert guess.delay_samples == pytest.approx(100.0, abs=1.0)
    before, after = guess.pieces
    assert before.stop <= 5 * RATE <= after.start
    assert after.delay == pytest.approx(36.0, abs=1.0)
