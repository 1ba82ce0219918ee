"""The measures behind mix assistance, on signals whose answers follow from formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dsp.advice import (
    OVER,
    BandPowers,
    BandTally,
    Levels,
    Overs,
    SignalTally,
    band_losses,
    equal_loudness,
    masking,
    trim_by,
)
from dsp.errors import DspError, ShapeError
from dsp.null.bands import NOMINAL_HZ

RATE_HZ = 48_000
KHZ = NOMINAL_HZ.index(1000.0)


def sine(freq_hz: float, amplitude: float, seconds: float) -> NDArray[np.float64]:
    return amplitude * np.sin(2.0 * np.pi * freq_hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


def stereo(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([left, right], axis=1)


def banded(*sides: NDArray[np.float64]) -> BandPowers:
    tally = BandTally(RATE_HZ)
    tally.process(stereo(*sides))
    return tally.finish()


def test_a_sine_of_997_hz_reads_its_level_by_all_three_definitions() -> None:
    """BS.1770-5 Annex 1: 0 dBFS in one channel is −3.01 LKFS; AES17: a sine's RMS level is its peak level."""
    tally = SignalTally(RATE_HZ, 1)
    tally.process(sine(997.0, 0.1, 2.0)[:, None])
    levels = tally.levels
    assert levels.peak_dbfs == pytest.approx(-20.0, abs=0.01)
    assert levels.rms_dbfs == pytest.approx(-20.0, abs=0.01)
    assert levels.loudness_lufs == pytest.approx(-23.01, abs=0.02)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_overs_are_the_same_for_any_cut_into_blocks(data: st.DataObject) -> None:
    """Against a reading of the whole signal as a string of ones and noughts."""
    high = data.draw(st.lists(st.booleans(), min_size=1, max_size=40))
    run = data.draw(st.integers(1, 4))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(high)), max_size=5)))
    overs = Overs(1.0, run)
    for part in np.split(np.array(high, np.float32)[:, None], cuts):
        overs.process(part)
    text = "".join("1" if one else "0" for one in high)
    runs = [piece for piece in text.split("0") if len(piece) >= run]
    assert overs.count == len(runs)
    assert overs.first_frame == (text.index("1" * run) if runs else None)


def test_full_scale_itself_is_no_over() -> None:
    overs = Overs(OVER)
    overs.process(np.array([[1.0, -1.0]], np.float32))
    assert overs.count == 0
    overs.process(np.array([[0.0, -1.000001]], np.float32))
    assert (overs.count, overs.first_frame) == (1, 1)


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.3])
def test_no_energy_is_lost_or_counted_twice(seconds: float) -> None:
    """Bands over all seconds add up to the sum of squares: Parseval, for noise between 100 Hz and 10 kHz."""
    rng = np.random.default_rng(1)
    frames = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal((frames, 2)), axis=0)
    freqs_hz = np.fft.rfftfreq(frames, 1 / RATE_HZ)
    spectrum[(freqs_hz < 100.0) | (freqs_hz > 10_000.0)] = 0.0
    audio = np.fft.irfft(spectrum, frames, axis=0)
    powers = banded(*audio.T)
    assert powers.stereo.shape == (math.ceil(seconds), len(NOMINAL_HZ))
    assert powers.stereo.sum() == pytest.approx(np.sum(audio**2) / RATE_HZ, rel=0.01)


def test_bands_are_the_same_for_any_blocks() -> None:
    audio = np.random.default_rng(2).standard_normal((70_000, 2))
    whole, cut = BandTally(RATE_HZ), BandTally(RATE_HZ)
    whole.process(audio)
    for part in np.split(audio, [1, 500, 33_000, 66_001]):
        cut.process(part)
    assert np.allclose(whole.finish().stereo, cut.finish().stereo, rtol=1e-12)


def test_a_sine_lies_in_its_band_and_its_seconds() -> None:
    silence = np.zeros(2 * RATE_HZ)
    side = np.concatenate([silence, sine(1000.0, 0.5, 2.0), silence])
    stereo_power = banded(side, silence.repeat(3)).stereo
    by_band = stereo_power.sum(axis=0)
    assert by_band[KHZ] == pytest.approx(2.0 * 0.125, rel=0.01)
    by_second = stereo_power[:, KHZ] / by_band[KHZ]
    assert by_second[2:4].sum() > 0.9 and by_second[[0, 5]].max() < 1e-6


@pytest.mark.parametrize(("other", "change_db"), [(1.0, 3.01), (-0.5, -6.99), (0.0, 0.0), (-1.0, -math.inf)])
def test_folding_to_mono_changes_the_level_by_the_sides_sum(other: float, change_db: float) -> None:
    """(1 + x)² / (1 + x²) for sides of 1 and x."""
    side = sine(500.0, 0.3, 1.0)
    tally = BandTally(RATE_HZ)
    tally.process(stereo(side, other * side))
    assert tally.fold.change_db == pytest.approx(change_db, abs=0.01)
    assert tally.fold.correlation == pytest.approx(np.sign(other), abs=1e-6)


def test_only_the_band_that_cancels_is_named() -> None:
    """250 Hz is equal on both sides, 4 kHz turned round on one."""
    low, high = sine(250.0, 0.3, 3.0), sine(4000.0, 0.2, 3.0)
    high[: 2 * RATE_HZ] *= 0.1
    (loss,) = band_losses(banded(low + high, low - high))
    assert loss.low_hz < 4000.0 < loss.high_hz and loss.high_hz / loss.low_hz < 2.0
    assert loss.change_db < -40.0
    assert loss.at_s == 2.0


def in_bands(*bands: int, seconds: range = range(8)) -> NDArray[np.float64]:
    powers = np.zeros((8, len(NOMINAL_HZ)))
    powers[np.ix_(list(seconds), list(bands))] = 1e-3
    return powers


def test_two_strips_in_one_band_mask_each_other_and_the_seconds_are_named() -> None:
    a, b = in_bands(KHZ, KHZ + 1), 0.5 * in_bands(KHZ, KHZ + 1, seconds=range(2, 5))
    (hint,) = masking(np.stack([a, b]), [0.0, 30.0])
    assert (hint.first, hint.second, hint.share, hint.spans_s) == (0, 1, 1.0, ((2.0, 5.0),))
    assert hint.over_db == pytest.approx(3.01, abs=0.01)
    assert hint.low_hz == pytest.approx(1000.0 * 10**-0.05) and hint.high_hz == pytest.approx(1000.0 * 10**0.15)


@pytest.mark.parametrize(
    ("other", "pan"),
    [
        (in_bands(KHZ), 31.0),
        (in_bands(KHZ + 3), 0.0),
        (10**-0.65 * in_bands(KHZ), 0.0),
        (in_bands(KHZ, seconds=range(1)) + in_bands(KHZ + 3, seconds=range(1, 8)), 0.0),
        (in_bands(KHZ) + 200.0 * in_bands(3), 0.0),
    ],
    ids=["panned apart", "another band", "more than 6 dB below", "all too seldom", "of no matter to the other"],
)
def test_what_is_told_apart_does_not_mask(other: NDArray[np.float64], pan: float) -> None:
    assert masking(np.stack([in_bands(KHZ), other]), [0.0, pan]) == []


def test_two_strips_far_below_a_third_in_their_band_are_no_hint() -> None:
    loud = 100.0 * in_bands(KHZ)
    assert masking(np.stack([in_bands(KHZ), in_bands(KHZ), loud]), [0.0, 0.0, 100.0]) == []


def test_a_trim_stops_at_the_peak() -> None:
    assert trim_by(Levels(-30.0, -35.0, -34.0), target_lufs=-20.0, ceiling_dbfs=-6.0) == pytest.approx(14.0)
    assert trim_by(Levels(-12.0, -35.0, -34.0), target_lufs=-20.0, ceiling_dbfs=-6.0) == pytest.approx(6.0)
    with pytest.raises(DspError, match="gate"):
        trim_by(Levels(-90.0, -93.0, -math.inf), target_lufs=-20.0, ceiling_dbfs=-6.0)


finite_db = st.floats(-40.0, 0.0)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(finite_db, st.floats(-10.0, 10.0), st.floats(0.0, 30.0)), min_size=1, max_size=6))
def test_the_balance_is_equal_never_over_and_keeps_the_power_where_there_is_room(
    strips: list[tuple[float, float, float]],
) -> None:
    loudness, trims, rooms = zip(*strips, strict=True)
    gains = equal_loudness(loudness, trims, rooms)
    after = [one + trim + gain for one, trim, gain in zip(loudness, trims, gains, strict=True)]
    assert max(after) - min(after) < 1e-9
    assert all(gain <= room + 1e-9 for gain, room in zip(gains, rooms, strict=True))
    if all(gain < room - 1e-6 for gain, room in zip(gains, rooms, strict=True)):
        before_power = sum(10 ** (one / 10) for one in loudness)
        assert sum(10 ** (one / 10) for one in after) == pytest.approx(before_power)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match="pans"):
        masking(np.zeros((2, 3, len(NOMINAL_HZ))), [0.0])
    with pytest.raises(ShapeError, match="frames, 2"):
        BandTally(RATE_HZ).process(np.zeros((5, 1)))
    with pytest.raises(ShapeError, match="trims"):
        equal_loudness([0.0], [], [0.0])
