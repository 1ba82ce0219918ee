"""The compressor keeps to its static curve and its times."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strips_on_the_bus import mixed

from dsp.dynamics import Compressor, static_gain_db
from dsp.errors import DspError
from dsp.strip import StripSettings

RATE = 48_000


def compress(x: np.ndarray, settings: Compressor) -> np.ndarray:
    channels = x.shape[1]
    strip = StripSettings("x", channels, compressor=settings, gains=((1.0, 0.0), (0.0, 1.0))[:channels])
    engine = mixed([strip], rate_hz=RATE)
    return engine.process([np.ascontiguousarray(x, dtype=np.float32)]).pre[0].astype(np.float64)


def curve_db(level_db: float, threshold: float, ratio: float, knee: float) -> float:
    """Giannoulis, Massberg, Reiss 2012, eq. 4, as printed: the output level for an input level."""
    over = level_db - threshold
    if 2.0 * over < -knee:
        return level_db
    if 2.0 * abs(over) <= knee:
        return level_db + (1.0 / ratio - 1.0) * (over + knee / 2.0) ** 2 / (2.0 * knee)
    return threshold + over / ratio


@pytest.mark.parametrize("level_db", [-60.0, -30.0, -26.0, -24.0, -22.0, -12.0, 0.0])
@pytest.mark.parametrize("ratio,knee", [(2.0, 6.0), (4.0, 6.0), (10.0, 0.001), (math.inf, 12.0)])
def test_a_steady_level_ends_on_the_static_curve(level_db, ratio, knee) -> None:
    settings = Compressor(-24.0, ratio, 1.0, 50.0, knee_db=knee)
    out = compress(np.full((RATE, 1), 10.0 ** (level_db / 20.0)), settings)
    assert 20.0 * math.log10(out[-1, 0]) == pytest.approx(curve_db(level_db, -24.0, ratio, knee), abs=0.02)


def test_static_gain_is_the_published_curve_and_the_make_up() -> None:
    levels = np.linspace(-60.0, 12.0, 200)
    expected = [curve_db(x, -20.0, 4.0, 6.0) - x + 3.0 for x in levels]
    assert static_gain_db(Compressor(-20.0, 4.0, 1.0, 1.0, 6.0, 3.0), levels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("attack_ms,release_ms", [(10.0, 100.0), (1.0, 300.0)])
def test_the_gain_covers_63_percent_of_a_step_in_its_time(attack_ms, release_ms) -> None:
    x = np.concatenate([np.full(RATE, 0.01), np.full(RATE, 1.0), np.full(RATE, 0.01)])[:, None]
    out = compress(x, Compressor(-20.0, 4.0, attack_ms, release_ms, 0.0))
    gain_db = 20.0 * np.log10(out[:, 0] / x[:, 0])
    final = -15.0  # 20 dB over the threshold at 4:1
    after_attack = gain_db[RATE + round(attack_ms * RATE / 1000.0) - 1]
    after_release = gain_db[2 * RATE + round(release_ms * RATE / 1000.0) - 1]
    assert after_attack == pytest.approx(final * (1.0 - math.exp(-1.0)), abs=0.02)
    assert after_release == pytest.approx(final * math.exp(-1.0), abs=0.02)


def test_both_channels_get_the_gain_of_the_louder_one() -> None:
    x = np.full((RATE, 2), 1.0)
    x[:, 1] = 0.01
    out = compress(x, Compressor(-20.0, 4.0, 1.0, 50.0, 0.0))
    assert 20.0 * np.log10(out[-1] / x[-1]) == pytest.approx([-15.0, -15.0], abs=0.001)


def reference(x: np.ndarray, c: Compressor) -> np.ndarray:
    level_db = 20.0 * np.log10(np.maximum(np.max(np.abs(x), axis=1), 1e-15))
    target = static_gain_db(c, level_db) - c.makeup_db
    attack, release = (math.exp(-1000.0 / (ms * RATE)) for ms in (c.attack_ms, c.release_ms))
    s, smoothed = 0.0, []
    for g in target:
        a = attack if g < s else release
        s = a * s + (1.0 - a) * g
        smoothed.append(s)
    return x * (10.0 ** ((np.array(smoothed) + c.makeup_db) / 20.0))[:, None]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-50.0, 0.0), st.floats(1.5, 20.0), st.floats(0.1, 24.0))
def test_the_compiled_loop_agrees_with_the_formulas_in_numpy(seed, threshold, ratio, knee) -> None:
    x = np.random.default_rng(seed).standard_normal((2000, 2)).astype(np.float32) * 0.3
    c = Compressor(threshold, ratio, 0.5, 20.0, knee, 4.0)
    expected = reference(x.astype(np.float64), c)
    # 1e-5 dB each for the polynomials of log2 and 2^x, and float32.
    assert compress(x, c) == pytest.approx(expected, rel=2e-5 * math.log(10.0) / 20.0, abs=1e-9)


@pytest.mark.parametrize(
    "bad", [{"ratio": 0.5}, {"attack_ms": -1.0}, {"threshold_db": math.nan}, {"knee_db": -1.0}, {"release_ms": 1e6}]
)
def test_a_compressor_that_makes_no_sense_is_refused(bad) -> None:
    with pytest.raises(DspError, match="compressor"):
        Compressor(**{"threshold_db": -20.0, "ratio": 2.0, "attack_ms": 1.0, "release_ms": 10.0, **bad})


def test_level_and_gain_err_less_than_a_hundred_thousandth_of_a_db() -> None:
    """A limiter without attack, release and knee turns every level above its threshold into its threshold."""
    level_db = np.random.default_rng(1).uniform(-60.0, 0.0, 50_000)
    out = compress((10.0 ** (level_db / 20.0))[:, None], Compressor(-60.0, math.inf, 0.0, 0.0, 0.0))
    assert np.abs(20.0 * np.log10(out) + 60.0).max() < 1e-5


@pytest.mark.parametrize("rate_hz", [48_000, 192_000])
def test_ten_seconds_of_release_are_ten_seconds_in_float32_too(rate_hz) -> None:
    """63 % of 20 dB, of which every frame covers a part that float32 alone would round away."""
    x = np.full((11 * rate_hz, 1), 0.01, np.float32)
    x[:10] = 1.0
    strip = StripSettings("x", compressor=Compressor(-20.0, math.inf, 0.0, 10_000.0, 0.0), gains=((1.0, 0.0),))
    engine = mixed([strip], rate_hz=rate_hz)
    gain_db = 20.0 * np.log10(engine.process([x]).bus[10:, 0] / x[10, 0])
    constant = int(np.argmax(gain_db > -20.0 * math.exp(-1.0)))
    assert constant / rate_hz == pytest.approx(10.0, rel=0.001)
