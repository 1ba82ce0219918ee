"""Any two recordings of the same thing are laid over each other, whatever their length, order and channels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError, NoAlignment, ShapeError
from dsp.null.nulltest import null_test

RATE = 48_000


def bed(frames, channels, seed):
    """Noise falling with frequency: nothing in it repeats."""
    white = np.random.default_rng(seed).normal(0.0, 0.1, (frames + 2, channels))
    return white[2:] + 0.9 * white[1:-1] + 0.5 * white[:-2]


@pytest.fixture(scope="module")
def song():
    return bed(20 * RATE, 2, 1)


def noisy(x, seed=5):
    return x + np.random.default_rng(seed).normal(0.0, 1e-4, x.shape)


@pytest.mark.parametrize(("start", "stop"), [(0, 4), (9, 12), (17, 20)])
def test_an_excerpt_is_found_in_the_whole_and_the_whole_around_the_excerpt(song, start, stop):
    part = noisy(0.7 * song[start * RATE : stop * RATE])
    inside = null_test(song, part, rate_hz=RATE, matched=False)
    assert inside.delay_samples == pytest.approx(-start * RATE, abs=1e-4)
    around = null_test(part, song, rate_hz=RATE, matched=False)
    assert around.delay_samples == pytest.approx(start * RATE, abs=1e-4)
    assert inside.gain_db[0] == pytest.approx(-around.gain_db[0], abs=1e-3)


def test_swapped_channels_are_found_and_reported(song):
    found = null_test(song, noisy(song[:, ::-1] * [1.0, -1.0]), rate_hz=RATE, matched=False)
    assert found.channels == ((1, 0), (0, 1))
    assert found.polarity == (1, -1)
    assert found.null_depth_db < -60.0


def test_two_of_many_channels_are_found():
    many = bed(4 * RATE, 4, 2)
    found = null_test(many, noisy(many[:, [3, 1]]), rate_hz=RATE, matched=False)
    assert found.channels == ((3, 0), (1, 1))
    assert found.null_depth_db < -60.0


@settings(max_examples=6, deadline=None)
@given(
    gain_db=st.floats(-30.0, 20.0),
    sign=st.sampled_from([-1, 1]),
    delay=st.integers(-9000, 9000),
    seed=st.integers(0, 99),
)
def test_depth_does_not_depend_on_gain_polarity_or_delay(gain_db, sign, delay, seed):
    whole = bed(RATE + 20_000, 1, seed)
    a = whole[10_000:-10_000]
    b = whole[10_000 - delay : RATE + 10_000 - delay] + np.random.default_rng(seed).normal(0.0, 1e-3, (RATE, 1))
    found = null_test(a, sign * 10.0 ** (gain_db / 20.0) * b, rate_hz=RATE, matched=False)
    assert found.delay_samples == pytest.approx(delay, abs=1e-3)
    assert found.gain_db[0] == pytest.approx(gain_db, abs=0.01)
    assert found.polarity == (sign,)
    expected = 20.0 * np.log10(1e-3 / np.std(b))
    assert found.null_depth_db == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize(
    ("b", "error", "says"),
    [
        (np.zeros((RATE, 2)), NoAlignment, "B is silent"),
        (np.full((RATE, 2), 0.25), NoAlignment, "B holds a steady value"),
        (np.ones((1, 2)), NoAlignment, "B is only 1 frame long"),
        (np.full((RATE, 2), np.nan), DspError, "B holds samples that are not numbers"),
        (np.zeros((0, 2)), ShapeError, "B has shape"),
        (bed(3 * RATE, 2, 77), NoAlignment, "nothing in common"),
    ],
)
def test_what_cannot_be_nulled_is_refused_in_one_sentence(song, b, error, says):
    with pytest.raises(error, match=says) as refused:
        null_test(song, b, rate_hz=RATE)
    assert "\n" not in str(refused.value)


def test_a_clipped_recording_nulls_where_it_is_not_clipped(song):
    clipped = np.clip(song, -0.3, 0.3)
    found = null_test(song, clipped, rate_hz=RATE, matched=False)
    assert found.delay_samples == pytest.approx(0.0, abs=1e-3)
    assert found.null_depth_db < -10.0


def tones(times_s, seed, count=40):
    """Swelling sines at any times, (len(times_s), 1)."""
    rng = np.random.default_rng(seed)
    out = np.zeros((times_s.size, 1))
    for hz in np.exp(rng.uniform(np.log(80.0), np.log(10_000.0), count)):
        swell = 0.55 + 0.45 * np.sin(2.0 * np.pi * rng.uniform(0.3, 1.9) * times_s + rng.uniform(0.0, 6.28))
        wave = 0.02 * swell * np.sin(2.0 * np.pi * hz * times_s + rng.uniform(0.0, 6.28))
        out += wave[:, None] * rng.uniform(0.3, 1.0)
    return out


SECOND = np.arange(3 * RATE) / RATE
WRONG = {
    "another song": lambda: tones(SECOND, 51),
    "another key": lambda: tones(SECOND * 2.0 ** (1.0 / 12.0), 1),
    "another tempo": lambda: tones(SECOND * 1.01, 1),
    "a part that shares little": lambda: tones(SECOND + 2.6, 1),
    "noise": lambda: np.random.default_rng(8).normal(0.0, 0.1, (SECOND.size, 1)),
    "another song on the same bass note": lambda: (
        tones(SECOND, 51) + 0.1 * np.sin(2.0 * np.pi * 55.0 * SECOND)[:, None]
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_alignment_is_refused_and_never_reported(what):
    a = tones(SECOND, 1) + 0.1 * np.sin(2.0 * np.pi * 55.0 * SECOND)[:, None] * ("bass" in what)
    with pytest.raises(NoAlignment, match="nothing in common"):
        null_test(a, noisy(WRONG[what]()), rate_hz=RATE)


@pytest.mark.parametrize("noise_db", [0.0, 6.0, 10.0])
def test_a_recording_buried_in_noise_is_still_aligned(song, noise_db):
    b = np.roll(song[: 10 * RATE], 1000, axis=0)
    b += np.random.default_rng(5).normal(0.0, np.std(song) * 10.0 ** (noise_db / 20.0), b.shape)
    found = null_test(song[: 10 * RATE], b, rate_hz=RATE, matched=False)
    assert found.delay_samples == pytest.approx(1000.0, abs=0.05)
    assert found.null_depth_db == pytest.approx(-10.0 * np.log10(1.0 + 10.0 ** (-noise_db / 10.0)), abs=0.05)
    assert found.changes == ()


def test_one_stem_is_found_under_the_others(song):
    others = 3.0 * bed(10 * RATE, 2, 44)
    found = null_test(song[: 10 * RATE], np.roll(song[: 10 * RATE], 777, axis=0) + others, rate_hz=RATE, matched=False)
    assert found.delay_samples == pytest.approx(777.0, abs=0.05)
    assert found.gain_db[0] == pytest.approx(0.0, abs=0.1)


BAR = RATE // 4


def looped(bars, voice, seed=6):
    """Four bars again and again, with a voice that never repeats: (frames, 1)."""
    rng = np.random.default_rng(seed)
    four = rng.normal(0.0, 0.1, 4 * BAR) * np.tile(np.exp(-np.arange(BAR // 2) / 1500.0), 8)
    again = np.tile(four, bars // 4)
    return (again + voice * rng.normal(0.0, 0.02, again.size))[:, None]


@pytest.mark.parametrize("voice", [1.0, 0.2])
@pytest.mark.parametrize("bars", [-3, 8, 360])
def test_the_right_bar_of_music_made_of_loops_is_found(voice, bars):
    a = looped(64, voice)
    before = np.random.default_rng(7).normal(0.0, 0.05, (max(0, bars) * BAR, 1))
    b = noisy(np.concatenate([before, a[max(0, -bars) * BAR :]]))
    found = null_test(a, b, rate_hz=RATE, matched=False)
    assert found.delay_samples == pytest.approx(bars * BAR, abs=1e-3)
    assert found.null_depth_db < -40.0
    back = null_test(b, a, rate_hz=RATE, matched=False)
    assert back.delay_samples == pytest.approx(-bars * BAR, abs=1e-3)


def test_an_excerpt_of_loops_does_not_make_an_edit_of_the_rest():
    a = looped(64, 0.2)
    found = null_test(a[8 * BAR : 20 * BAR], noisy(a), rate_hz=RATE, matched=False)
    assert found.delay_samples == pytest.approx(8 * BAR, abs=1e-3)
    assert {change.kind for change in found.changes} <= {"begins", "ends"}


@settings(max_examples=6, deadline=None)
@given(delay=st.integers(-4000, 4000), gain_db=st.floats(-20.0, 20.0), seed=st.integers(0, 99))
def test_exchanged_files_negate_delay_and_gain(delay, gain_db, seed):
    whole = bed(RATE + 10_000, 1, seed)
    a = whole[5000:-5000]
    b = 10.0 ** (gain_db / 20.0) * noisy(whole[5000 - delay : RATE + 5000 - delay])
    one, other = (null_test(x, y, rate_hz=RATE, matched=False) for x, y in ((a, b), (b, a)))
    assert one.delay_samples == pytest.approx(-other.delay_samples, abs=1e-4)
    assert one.gain_db[0] == pytest.approx(-other.gain_db[0], abs=1e-3)
    assert one.null_depth_db == pytest.approx(other.null_depth_db, abs=0.05)


@pytest.mark.parametrize("factor", [2.0, 0.5, -4.0])
def test_scaling_both_files_changes_nothing(factor):
    a = bed(RATE, 1, 3)
    b = noisy(np.roll(a, 100))
    plain, scaled = (null_test(k * a, k * b, rate_hz=RATE, matched=False) for k in (1.0, factor))
    assert scaled.delay_samples == pytest.approx(plain.delay_samples, abs=1e-9)
    assert scaled.null_depth_db == pytest.approx(plain.null_depth_db, abs=1e-6)
    assert scaled.gain_db == pytest.approx(plain.gain_db, abs=1e-9)
