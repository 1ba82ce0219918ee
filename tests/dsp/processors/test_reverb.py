"""The reverb as an effect: it glides, it is silent where it should be, and its cut into blocks is not heard."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from dsp.processors.reverb import Reverb

RATE = 48_000
WET = Reverb(mix_percent=100.0, low_s=0.4, mid_s=0.3, high_s=0.2, size_m=10.0)


def noise(frames: int, channels: int = 2, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)


def sine(frames: int, hz: float = 220.0) -> np.ndarray:
    x = 0.5 * np.sin(2.0 * np.pi * hz * np.arange(frames) / RATE)
    return np.stack([x, x], axis=1).astype(np.float32)


def response(which: Reverb, frames: int) -> np.ndarray:
    x = np.zeros((frames, 2), dtype=np.float32)
    x[0] = 1.0, 0.0
    which.start(RATE, 2).process(x)
    return x


def test_the_dry_sound_of_a_mix_comes_at_once_with_its_share_of_the_power() -> None:
    h = response(replace(WET, mix_percent=50.0, predelay_ms=10.0), 400)
    assert h[0, 0] == pytest.approx(math.sqrt(0.5), rel=1e-6)
    assert not np.any(h[1:])


def test_predelay_moves_all_of_the_room_by_as_much() -> None:
    still = replace(WET, modulation_percent=0.0)
    near, far = (response(replace(still, predelay_ms=ms), 9000) for ms in (0.0, 40.0))
    assert np.array_equal(far[1920:], near[:-1920])
    assert not np.any(far[:1920])


def test_no_width_is_mono_and_double_width_moves_the_sides_apart() -> None:
    mono = response(replace(WET, width_percent=0.0), 9000)
    assert np.max(np.abs(mono[:, 0] - mono[:, 1])) < 1e-6 * np.max(np.abs(mono))
    wide = response(replace(WET, width_percent=200.0), 9000)[3000:]
    assert np.corrcoef(wide[:, 0], wide[:, 1])[0, 1] < -0.3


def test_early_and_late_are_heard_apart() -> None:
    early = response(replace(WET, late_db=-math.inf, early_db=0.0, diffusion_percent=0.0), 24_000)
    assert np.sum(early[:4800] ** 2) > 0.999 * np.sum(early**2)
    late = response(replace(WET, early_db=-math.inf), 24_000)
    assert np.sum(late[:4800] ** 2) < 0.97 * np.sum(late**2)


def test_a_steady_noise_comes_back_at_its_own_power() -> None:
    x = np.random.default_rng(3).standard_normal((6 * RATE, 2)).astype(np.float32) * 0.1
    y = x.copy()
    even = replace(WET, low_s=1.2, mid_s=1.2, high_s=1.2, early_db=-math.inf, low_cut_hz=5.0)
    even.start(RATE, 2).process(y)
    band = signal.butter(4, [300.0, 3000.0], "bandpass", fs=RATE, output="sos")
    power, sent = (np.mean(signal.sosfilt(band, s, axis=0)[3 * RATE :] ** 2) for s in (y, x))
    assert 10 * math.log10(power / sent) == pytest.approx(0.0, abs=0.5)


def test_the_cuts_roll_off_what_enters_by_3_db() -> None:
    even = replace(WET, early_db=0.0, late_db=-math.inf, diffusion_percent=0.0)
    open_, cut = (response(replace(even, low_cut_hz=low, high_cut_hz=high), 48_000)[:, 0].astype(np.float64)
                  for low, high in ((5.0, 20_000.0), (200.0, 4000.0)))  # fmt: skip
    for hz, loss in ((200.0, -3.0), (4000.0, -3.0), (900.0, -0.4)):
        z = np.exp(-2j * np.pi * hz / RATE * np.arange(len(cut)))
        assert 20 * math.log10(abs(cut @ z) / abs(open_ @ z)) == pytest.approx(loss, abs=0.3)


CHANGES = {
    "decay": {"mid_s": 3.0, "low_s": 4.0},
    "size": {"size_m": 30.0},
    "predelay": {"predelay_ms": 120.0},
    "mix": {"mix_percent": 20.0},
    "width": {"width_percent": 0.0},
    "early": {"early_db": 6.0},
    "modulation": {"modulation_percent": 0.0},
    "diffusion": {"diffusion_percent": 0.0},
    "cuts": {"low_cut_hz": 400.0, "high_cut_hz": 2000.0},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_at_once_clicks_no_louder_than_60_db_below(name) -> None:
    """What a sine puts above ten times its frequency while settings change, against the sine."""
    x = sine(2 * RATE)
    running = WET.start(RATE, 2)
    running.process(x[:RATE])
    running.change(replace(WET, **CHANGES[name]), 16)
    running.process(x[RATE:])
    above = signal.sosfilt(signal.butter(8, 2500.0, "highpass", fs=RATE, output="sos"), x, axis=0)
    assert np.max(np.abs(above[RATE - 4800 :])) < 1e-3 * np.max(np.abs(x[RATE // 2 :]))


def test_one_channel_hears_the_left_of_the_room() -> None:
    x = noise(4000, 1)
    both = np.repeat(x, 2, axis=1)
    y = x.copy()
    WET.start(RATE, 1).process(y)
    WET.start(RATE, 2).process(both)
    assert np.array_equal(y[:, 0], both[:, 0])
