"""The reverb decays in its time, darkens as told, and repeats itself exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal

from dsp.errors import DspError
from dsp.space import Network, ReverbSettings

RATE = 48_000


def through(network: Network, x: np.ndarray) -> np.ndarray:
    block = x.astype(np.float32)
    network.process(block)
    return block.astype(np.float64)


def started(settings: ReverbSettings, rate_hz: int = RATE) -> Network:
    return Network(settings.room(rate_hz), rate_hz)


def impulse_response(settings: ReverbSettings, seconds: float, rate_hz: int = RATE) -> np.ndarray:
    x = np.zeros((round(seconds * rate_hz), 2))
    x[0] = 1.0, 0.0
    return through(started(settings, rate_hz), x)


def decay_s(h: np.ndarray, rate_hz: int = RATE) -> float:
    """ISO 3382: Schroeder's backward integration, a line from −5 to −35 dB (T30), extrapolated to −60 dB."""
    left = np.cumsum(h[::-1] ** 2)[::-1]
    curve = 10.0 * np.log10(left / left[0])
    span = np.flatnonzero((curve <= -5.0) & (curve >= -35.0))
    slope = np.polyfit(span / rate_hz, curve[span], 1)[0]
    return -60.0 / slope


@pytest.mark.parametrize("wanted", [0.5, 1.8, 4.0])
@pytest.mark.parametrize("rate_hz", [44_100, 96_000])
def test_the_tail_falls_by_60_db_in_its_decay_time(wanted, rate_hz) -> None:
    h = impulse_response(ReverbSettings(wanted, 0.0, 1e6), 1.5 * wanted, rate_hz)
    low = signal.sosfilt(signal.butter(4, 500.0, fs=rate_hz, output="sos"), h, axis=0)
    for side in range(2):
        assert decay_s(low[:, side], rate_hz) == pytest.approx(wanted, rel=0.1)


def test_the_tail_dies_twice_as_fast_at_the_damping_frequency() -> None:
    h = impulse_response(ReverbSettings(2.0, 0.0, 4000.0), 3.0)
    band = signal.butter(4, [3800.0, 4200.0], "bandpass", fs=RATE, output="sos")
    assert decay_s(signal.sosfilt(band, h[:, 0])) == pytest.approx(1.0, rel=0.1)


def test_nothing_comes_back_before_the_predelay() -> None:
    h = impulse_response(ReverbSettings(1.0, 50.0), 0.5)
    first = int(np.flatnonzero(np.any(h != 0.0, axis=1))[0])
    without = impulse_response(ReverbSettings(1.0, 0.0), 0.5)
    assert first - int(np.flatnonzero(np.any(without != 0.0, axis=1))[0]) == round(0.050 * RATE)


def test_a_steady_noise_comes_back_at_its_own_power_where_it_is_not_damped() -> None:
    x = np.random.default_rng(3).standard_normal((8 * RATE, 2))
    out = through(started(ReverbSettings(1.5, 0.0, 1e6, 0.0)), x)
    low = signal.butter(4, 2000.0, fs=RATE, output="sos")  # where the damping has not begun
    power, sent = (np.mean(signal.sosfilt(low, s, axis=0)[4 * RATE :] ** 2) for s in (out, x))
    assert 10.0 * math.log10(power / sent) == pytest.approx(0.0, abs=1.0)


def test_the_two_sides_are_hardly_alike() -> None:
    h = impulse_response(ReverbSettings(1.8), 2.0)[4800:]
    assert abs(np.corrcoef(h[:, 0], h[:, 1])[0, 1]) < 0.2


def test_return_off_is_silence() -> None:
    assert not np.any(impulse_response(ReverbSettings(return_db=-math.inf), 0.2))


def test_any_block_size_gives_the_same_reverb() -> None:
    x = np.random.default_rng(1).standard_normal((9000, 2))
    whole = through(started(ReverbSettings()), x)
    pieces = started(ReverbSettings())
    assert np.array_equal(whole, np.concatenate([through(pieces, p) for p in np.split(x, [1, 77, 4096, 6000])]))


def test_the_tail_ends_in_true_silence_and_not_in_denormals() -> None:
    x = np.zeros((RATE * 4, 2))
    x[0] = 1.0
    out = through(started(ReverbSettings(0.1, 0.0)), x)
    assert not np.any(out[-4800:])


@pytest.mark.parametrize("bad", [{"decay_s": 0.0}, {"predelay_ms": -1.0}, {"damping_hz": 0.0}, {"return_db": math.nan}])
def test_a_reverb_that_makes_no_sense_is_refused(bad) -> None:
    with pytest.raises(DspError, match="reverb"):
        ReverbSettings(**bad)
