"""The de-esser turns down what is sharp, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsp.processors.deesser import DeEsser
from tests.dsp.processors.streams import RATE, db, moved, run, tone


def gain_of_tone_db(d: DeEsser, freq_hz: float, key: np.ndarray) -> float:
    """Return what becomes of a quiet tone while ``key`` holds the gain."""
    x = tone(freq_hz, 1.0, -40.0)
    y = run(d.start(RATE, 1), x, key=key)
    late = slice(RATE // 2, None)
    return float(db(np.sqrt(np.mean(y[late] ** 2.0)) / np.sqrt(np.mean(x[late] ** 2.0))))


ESS = tone(12_000.0, 1.0, 0.0)


@pytest.mark.parametrize("freq_hz", [200.0, 1000.0, 2500.0, 4000.0, 5600.0, 9000.0])
@pytest.mark.parametrize("range_db", [6.0, 20.0])
def test_the_split_band_is_a_butterworth_shelf(freq_hz, range_db) -> None:
    corner = 4000.0
    d = DeEsser(corner, -60.0, math.inf, range_db, 0.0, 0.1, 0.0, 500.0)
    g = 10.0 ** (-range_db / 20.0)
    w = math.tan(math.pi * freq_hz / RATE) / math.tan(math.pi * corner / RATE)  # the bilinear map of both frequencies
    expected = 10.0 * math.log10((1.0 + g**2 * w**4) / (1.0 + w**4))
    assert gain_of_tone_db(d, freq_hz, ESS) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("freq_hz", [200.0, 9000.0])
def test_the_wide_band_is_turned_down_altogether(freq_hz) -> None:
    d = DeEsser(4000.0, -60.0, math.inf, 8.0, 0.0, 0.1, 0.0, 500.0, band="wide")
    assert gain_of_tone_db(d, freq_hz, ESS) == pytest.approx(-8.0, abs=0.02)


@pytest.mark.parametrize("band", ["split", "wide"])
def test_what_is_not_sharp_keeps_every_bit(band) -> None:
    x = tone(300.0, 0.5, -1.0, 2)
    p = DeEsser(6000.0, -30.0, band=band).start(RATE, 2)
    assert np.array_equal(run(p, x), x)
    assert p.reduction_db == 0.0


def test_a_sharp_tone_is_compressed_along_the_curve() -> None:
    x = tone(7013.0, 1.0, -10.0)
    y = run(DeEsser(1500.0, -30.0, 4.0, 60.0, 0.0, 0.2, 5.0, 100.0, band="wide").start(RATE, 1), x)
    assert db(np.max(np.abs(y[-480:])) / np.max(np.abs(x[-480:]))) == pytest.approx(-15.0, abs=0.1)


def test_turning_from_split_to_wide_does_not_click() -> None:
    """A low tone is the same before and, 12 dB lower, after; what lies between has no sharp edge."""
    x, key = tone(200.0, 1.0, -6.0), tone(12_000.0, 1.0, 0.0)
    start, end = (DeEsser(4000.0, -60.0, math.inf, 12.0, 0.0, 0.1, 5.0, 500.0, band=b) for b in ("split", "wide"))
    y = moved(start, [(RATE // 2, end, 960)], x, key=key)[RATE // 4 :, 0].astype(np.float64)
    bend = np.abs(np.diff(y, 2))
    assert np.max(bend) < 1.5 * np.max(np.abs(np.diff(x[:, 0].astype(np.float64), 2))) + 2e-7
