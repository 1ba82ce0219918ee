"""Third-octave levels are levels: a sine reads what AES17 says it reads."""

import numpy as np
import pytest

from dsp.null.tally import PROGRAMME, Tally, fft_frames

RATE = 48_000


def third_octave_levels(x):
    tally = Tally(RATE, 0, x.shape[1], fft_frames(x.shape[1]))
    tally.add(tally.part(0, x, [np.zeros_like(x)], []))
    return tally.levels(PROGRAMME)


@pytest.mark.parametrize(("hz", "peak", "level"), [(1_000.0, 1.0, 0.0), (4_000.0, 0.1, -20.0), (63.1, 0.5, -6.0206)])
def test_a_sine_in_a_band_reads_its_aes17_level(hz, peak, level):
    t = np.arange(4 * RATE) / RATE
    levels = dict(third_octave_levels(peak * np.sin(2 * np.pi * hz * t)[None]))
    nominal = min(levels, key=lambda band: abs(band - hz))
    assert levels[nominal] == pytest.approx(level, abs=0.01)


def test_white_noise_rises_three_decibels_an_octave():
    noise = np.random.default_rng(3).standard_normal((1, 20 * RATE)) * 0.1
    levels = dict(third_octave_levels(noise))
    assert levels[8_000.0] - levels[1_000.0] == pytest.approx(10 * np.log10(8), abs=0.3)
    density = 10 * np.log10(0.01 * 2 * (1_000 * (10**0.05 - 10**-0.05)) / (RATE / 2))
    assert levels[1_000.0] == pytest.approx(density, abs=0.3)


def test_the_loudest_channel_is_told():
    t = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * 1_000.0 * t)
    assert dict(third_octave_levels(np.vstack([0.01 * tone, tone])))[1_000.0] == pytest.approx(0.0, abs=0.01)
