"""The weightings against the tables that the standards print."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsp.measure.weighting import a_weighting_db, band_power, ccir_rms_weighting_db, notch_db

# IEC 61672-1:2013, table 3: nominal frequency and A weighting; exact frequencies are 10^(n/10), printed to 0.1 dB.
A_TABLE = {
    10: -70.4, 12.5: -63.4, 16: -56.7, 20: -50.5, 25: -44.7, 31.5: -39.4, 40: -34.6, 50: -30.2, 63: -26.2, 80: -22.5,
    100: -19.1, 125: -16.1, 160: -13.4, 200: -10.9, 250: -8.6, 315: -6.6, 400: -4.8, 500: -3.2, 630: -1.9, 800: -0.8,
    1000: 0.0, 1250: 0.6, 1600: 1.0, 2000: 1.2, 2500: 1.3, 3150: 1.2, 4000: 1.0, 5000: 0.5, 6300: -0.1, 8000: -1.1,
    10000: -2.5, 12500: -4.3, 16000: -6.6, 20000: -9.3,
}  # fmt: skip
# ITU-R BS.468-4, table 1: frequency, response re 1 kHz, and how far an instrument may be off.
CCIR_TABLE = {
    31.5: (-29.9, 2.0), 63: (-23.9, 1.4), 100: (-19.8, 1.0), 200: (-13.8, 0.85), 400: (-7.8, 0.7), 800: (-1.9, 0.55),
    1000: (0.0, 0.5), 2000: (5.6, 0.5), 3150: (9.0, 0.5), 4000: (10.5, 0.5), 5000: (11.7, 0.5), 6300: (12.2, 0.0),
    7100: (12.0, 0.2), 8000: (11.4, 0.4), 9000: (10.1, 0.6), 10000: (8.1, 0.8), 12500: (0.0, 1.2), 14000: (-5.3, 1.4),
    16000: (-11.7, 1.6), 20000: (-22.2, 2.0), 31500: (-42.7, 2.8),
}  # fmt: skip


@pytest.mark.parametrize("nominal", A_TABLE)
def test_a_weighting_is_the_table_of_iec_61672(nominal):
    exact = 10.0 ** (round(10.0 * math.log10(nominal)) / 10.0)
    assert float(a_weighting_db(exact)) == pytest.approx(A_TABLE[nominal], abs=0.051)


@pytest.mark.parametrize("hz", CCIR_TABLE)
def test_ccir_rms_is_the_table_of_bs_468_lowered_by_its_value_at_2_khz(hz):
    table, allowed = CCIR_TABLE[hz]
    off = abs(float(ccir_rms_weighting_db(hz)) - (table - 5.6))
    assert off <= 0.08  # the network itself lies up to this far from its table, which is printed to 0.1 dB
    assert off <= allowed + 0.05  # half of the last printed digit; 0 is allowed at 6.3 kHz


def test_both_have_unity_where_they_are_defined_and_nothing_passes_at_0_hz():
    assert float(a_weighting_db(1000.0)) == 0.0
    assert float(ccir_rms_weighting_db(2000.0)) == 0.0
    assert float(a_weighting_db(0.0)) == -math.inf
    assert float(ccir_rms_weighting_db(0.0)) == -math.inf


@pytest.mark.parametrize("q", [1.2, 2.0, 3.0])
def test_the_notch_has_its_q_and_takes_half_pi_of_its_bandwidth(q):
    at = 997.0
    # −3.01 dB where |f/f0 − f0/f| = 1/Q.
    edges = at * (np.array([-1.0, 1.0]) / (2.0 * q) + math.sqrt(1.0 + 1.0 / (4.0 * q * q)))
    assert edges[1] - edges[0] == pytest.approx(at / q)
    assert notch_db(edges, at_hz=at, q=q) == pytest.approx([-3.0103, -3.0103], abs=1e-3)
    assert float(notch_db(at, at_hz=at, q=q)) == -math.inf
    hz = np.arange(0.0, 2e6, 1.0)
    assert np.sum(1.0 - 10.0 ** (notch_db(hz, at_hz=at, q=q) / 10.0)) == pytest.approx(math.pi / 2.0 * at / q, rel=2e-3)


def test_one_octave_above_the_notch_the_second_harmonic_loses_the_stated_amount():
    # u = 2 − 1/2 = 1.5: 20·log10(1.5/√(1.5² + 1/Q²)) = −0.458 dB at Q 2.
    assert float(notch_db(1994.0, at_hz=997.0, q=2.0)) == pytest.approx(10.0 * math.log10(2.25 / 2.5), abs=1e-9)


def test_band_power_adds_up_to_the_mean_square_of_a_tone_and_to_the_share_of_white_noise():
    t = np.arange(48_000) / 48_000
    band = band_power(0.5 * np.sin(2.0 * np.pi * 1000.0 * t) + 0.7, rate_hz=48_000)
    assert band.mean_square() == pytest.approx(0.125, rel=1e-12)
    assert band.mean_square(a_weighting_db) == pytest.approx(0.125, rel=1e-12)
    rng = np.random.default_rng(3)
    readings = [band_power(rng.normal(0.0, 1e-3, 9600), rate_hz=48_000) for _ in range(200)]
    squares = [b.mean_square() for b in readings]
    assert np.mean(squares) == pytest.approx(1e-6 * 19_980 / 24_000, rel=0.01)
    assert np.mean([math.sqrt(b.variance()) for b in readings]) == pytest.approx(np.std(squares), rel=0.15)
