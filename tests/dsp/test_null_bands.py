"""Third-octave levels are levels: a sine reads what AES17 says it reads."""

import numpy as np
import pytest

from dsp.null.bands import third_octave_levels

RATE = 48_000


@pytest.mark.parametrize(("hz", "peak", "level"), [(1_000.0, 1.0, 0.0), (4_000.0, 0.1, -20.0), (63.1, 0.5, -6.0206)])
def test_a_sine_in_a_band_reads_its_aes17_level(hz, peak, level):
    t = np.arange(4 * RATE) / RATE
    levels = dict(third_octave_levels(peak * np.sin(2 * np.pi * hz * t)[None], rate_hz=RATE))
    nominal = min(levels, key=lambda band: abs(band - hz))
    assert levels[nominal] == pytest.approx(level, abs=0.01)


def test_white_noise_rises_three_decibels_an_octave():
    noise = np.random.default_rng(3).standard_normal((1, 20 * RATE)) * 0.1
    levels = dict(third_octave_levels(noise, rate_hz=RATE))
    assert levels[8_000.0] - levels[1_000.0] == pytest.approx(10 * np.log10(8), abs=0.3)
    density = 10 * np.log10(0.01 * 2 * (1_000 * (10**0.05 - 10**-0.05)) / (RATE / 2))
    assert levels[1_000.0] == pytest.approx(density, abs=0.3)


def test_the_loudest_channel_is_told():
    t = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * 1_000.0 * t)
    assert dict(third_octave_levels(np.vstack([0.01 * tone, tone]), rate_hz=RATE))[1_000.0] == pytest.approx(
        0.0, abs=0.01
    )
