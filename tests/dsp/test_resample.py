"""Sample-rate conversion keeps tones where they are, in pieces as at once."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.errors import DspError
from dsp.resample import Resampler, resample


def tone(rate_hz: float, seconds: float = 0.5, freq_hz: float = 997.0) -> np.ndarray:
    n = np.arange(round(rate_hz * seconds))
    return (0.5 * np.sin(2.0 * np.pi * freq_hz * n / rate_hz)).astype(np.float32)[:, None]


@pytest.mark.parametrize("rate_in,rate_out", [(44_100, 48_000), (96_000, 48_000), (48_000, 44_100)])
@pytest.mark.parametrize("freq_hz", [997.0, 15_000.0])
def test_a_tone_comes_out_as_the_same_tone_in_the_same_place(rate_in, rate_out, freq_hz) -> None:
    out = resample(tone(rate_in, freq_hz=freq_hz), rate_in, rate_out_hz=rate_out)
    expected = tone(rate_out, freq_hz=freq_hz)
    inner = slice(2000, len(expected) - 2000)
    assert out[inner] == pytest.approx(expected[inner], abs=0.5e-5)  # a ten-thousandth of a dB


@pytest.mark.parametrize("channels", [1, 2])
def test_a_stream_of_blocks_gives_what_the_whole_array_gives(channels) -> None:
    x = np.repeat(tone(44_100), channels, axis=1)
    stream = Resampler(44_100, 48_000, channels=channels)
    pieces = np.array_split(x, 7)
    out = np.concatenate([stream.process(p, last=i == 6) for i, p in enumerate(pieces)])
    assert out == pytest.approx(resample(x, 44_100, rate_out_hz=48_000), abs=1e-6)


def test_an_equal_rate_changes_nothing() -> None:
    x = tone(48_000)
    assert resample(x, 48_000, rate_out_hz=48_000) is x


def test_a_rate_that_is_not_positive_is_refused() -> None:
    with pytest.raises(DspError, match="positive"):
        resample(tone(48_000), 0.0, rate_out_hz=48_000)
