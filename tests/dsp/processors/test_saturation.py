"""Saturation bends along its curve, leaves no aliases, and is late by whole frames."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.oversample import Lowerer, Raiser, halfbands
from dsp.processors.saturation import Saturation
from tests.dsp.processors.streams import RATE, close, run, sine

N = 24_000
"""Frames analysed: 2 Hz apart, so that a tone of an odd number of them shares no line with its aliases."""


def lines(s: Saturation, cycles: int, peak: float = 1.0) -> np.ndarray:
    """Return the spectrum (peak values) of a steady tone of 2 · ``cycles`` Hz."""
    y = run(s.start(RATE, 1), sine(2.0 * cycles, 2 * N, peak))
    return np.abs(np.fft.rfft(y[N:, 0].astype(np.float64))) * 2.0 / N


def aliases_db(s: Saturation, cycles: int, below_hz: float = 24_000.0) -> float:
    found = lines(s, cycles)
    fundamental = found[cycles]
    found[::cycles] = 0.0
    return 10.0 * np.log10(np.sum(found[: int(below_hz / 2.0)] ** 2)) - 20.0 * np.log10(fundamental)


@pytest.mark.parametrize(
    "medium,quality,below_hz,reached_db",
    [
        ("tape", "best", 24_000.0, -130.0),
        ("tube", "best", 24_000.0, -130.0),
        ("transformer", "best", 24_000.0, -130.0),
        ("clip", "best", 24_000.0, -88.0),
        ("clip", "finest", 24_000.0, -100.0),
        ("tube", "high", 21_000.0, -85.0),
        ("tube", "eco", 19_000.0, -40.0),
    ],
)
def test_5_khz_driven_by_12_db_leaves_no_aliases(medium, quality, below_hz, reached_db) -> None:
    assert aliases_db(Saturation(medium, 12.0, quality=quality), 2501, below_hz) <= reached_db


@pytest.mark.parametrize("even_percent", [0.0, -50.0, 30.0])
def test_the_harmonics_are_those_of_its_curve(even_percent) -> None:
    found = lines(Saturation("tube", 9.0, even_percent, quality="best"), 501)
    t = np.tanh(10.0 ** (9.0 / 20.0) * np.sin(2.0 * np.pi * np.arange(N) / N))
    wanted = np.abs(np.fft.rfft(t + (0.25 + even_percent / 200.0) * t * t)) * 2.0 / N
    assert found[501 : 20 * 501 : 501] == pytest.approx(wanted[1:20], abs=3e-6, rel=1e-3)
    assert found[0] < 1e-5


def test_the_clip_has_the_harmonics_of_a_clipped_sine() -> None:
    found = lines(Saturation("clip", 6.0, quality="best"), 251)
    wanted = np.abs(np.fft.rfft(np.clip(10.0 ** (6.0 / 20.0) * np.sin(2.0 * np.pi * np.arange(N) / N), -1, 1))) * 2 / N
    passed = 1.0 / np.hypot(1.0, 5.0 / (502.0 * np.arange(1, 40)))  # what takes offsets out is 3 dB down at 5 Hz
    assert found[251 : 40 * 251 : 251] == pytest.approx(wanted[1:40] * passed, abs=2e-5)


@pytest.mark.parametrize("medium", ["tube", "transformer", "clip"])
@pytest.mark.parametrize("quality,top_hz", [("eco", 18_000.0), ("high", 20_000.0), ("best", 20_000.0)])
def test_without_drive_quiet_sounds_pass_with_their_level(medium, quality, top_hz) -> None:
    p = Saturation(medium, quality=quality)
    for hz in (200.0, 1000.0, 10_000.0, top_hz):
        x = sine(hz, N // 2, 1e-4)
        late = (running := p.start(RATE, 1)).latency_frames
        y = run(running, x)
        assert np.max(np.abs(y[N // 4 :])) == pytest.approx(1e-4, rel=0.012)
        if hz >= 1000.0 and medium != "transformer":
            assert close(y[N // 4 :], x[N // 4 - late : N // 2 - late], abs=1e-6)


def test_tape_bends_highs_first_and_a_transformer_lows() -> None:
    def third_db(medium: str, cycles: int) -> float:
        found = lines(Saturation(medium, 0.0, quality="best"), cycles, 0.5)
        return 20.0 * np.log10(found[3 * cycles] / found[cycles])

    assert third_db("tape", 3001) > third_db("tape", 201) + 3.0
    assert third_db("transformer", 20) > third_db("transformer", 1001) + 10.0


@pytest.mark.parametrize("quality", ["eco", "high", "best"])
def test_the_dry_part_comes_at_the_same_time_as_the_wet(quality) -> None:
    x = sine(12_000.0, N, 1e-4)
    y = [run(Saturation("clip", mix_percent=mix, quality=quality).start(RATE, 1), x) for mix in (0.0, 50.0, 100.0)]
    assert close(y[1][N // 2 :], y[0][N // 2 :], abs=2e-7)
    assert close(y[2][N // 2 :], y[0][N // 2 :], abs=4e-7)


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("inner_delay", [0, 1, 2, 3])
def test_up_and_down_again_is_a_delay_of_whole_frames(factor, inner_delay) -> None:
    bands = halfbands(factor, 0.45, 120.0, inner_delay)
    up, down = Raiser(bands, 1, 700), Lowerer(bands, 1, 700)
    x = sine(9000.0, 700, 1.0).T.astype(np.float64)
    up.run(x, 700)
    high, y = np.zeros_like(up.high), np.zeros_like(x)
    high[:, inner_delay:] = up.high[:, : up.high.shape[1] - inner_delay]
    down.run(high, 700, y)
    late = bands.latency_frames
    assert y[0, 2 * late :] == pytest.approx(x[0, late:-late], abs=1e-5)
