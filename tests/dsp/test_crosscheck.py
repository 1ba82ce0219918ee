"""Where pedalboard (JUCE) has the same effect, both agree, but for what a formula says of the difference.

``benchmarks.engine_crosscheck`` has more of it, and sox and ffmpeg, which are not in CI; what ffmpeg 5.1 printed is
kept here as a number.
"""

from __future__ import annotations

import math

import numpy as np
import pedalboard as pb
import pytest
from scipy import signal

from dsp.filters import Band
from dsp.impulse import Response
from dsp.loudness import LoudnessMeter
from dsp.processor import Settings
from dsp.processors.compressor import Compressor
from dsp.processors.convolution import Convolution
from dsp.processors.delay import Delay
from dsp.processors.equaliser import Equaliser
from dsp.processors.gate import Gate
from dsp.processors.saturation import Saturation
from dsp.processors.trim import Trim
from tests.dsp.analog_bands import analog, db

RATE = 48_000
PLUGINS = {"bell": pb.PeakFilter, "low_shelf": pb.LowShelfFilter, "high_shelf": pb.HighShelfFilter}


def ours(settings: Settings, x: np.ndarray) -> np.ndarray:
    running = settings.start(RATE, 1)
    y = np.concatenate([x, np.zeros(running.latency_frames)]).astype(np.float32)[:, None]
    running.process(y)
    return y[running.latency_frames :, 0].astype(np.float64)


def theirs(plugin, x: np.ndarray) -> np.ndarray:
    return plugin(x.astype(np.float32)[None], RATE)[0].astype(np.float64)


def noise(frames: int, level: float = 0.25) -> np.ndarray:
    return np.random.default_rng(1).uniform(-level, level, frames).astype(np.float32)


CLICK = np.eye(1, 16_384)[0]
AT_HZ = np.fft.rfftfreq(len(CLICK), 1.0 / RATE)
AUDIBLE = (AT_HZ >= 20.0) & (AT_HZ <= 20_000.0)


def curve_db(y: np.ndarray) -> np.ndarray:
    return db(np.fft.rfft(y)[AUDIBLE])


@pytest.mark.parametrize("kind", PLUGINS)
@pytest.mark.parametrize("freq_hz,gain_db", [(100.0, 6.0), (1000.0, -9.0), (8000.0, 6.0), (12_000.0, -9.0)])
def test_pedalboards_bands_are_bilinear_and_ours_analog(kind, freq_hz, gain_db) -> None:
    warped = np.tan(np.pi * AT_HZ[AUDIBLE] / RATE) / math.tan(math.pi * freq_hz / RATE)
    bilinear = db(analog(kind, 1.0, gain_db, 0.8, at_hz=warped))
    assert curve_db(theirs(PLUGINS[kind](freq_hz, gain_db, 0.8), CLICK)) == pytest.approx(bilinear, abs=0.02)
    mine = curve_db(ours(Equaliser((Band(kind, freq_hz, gain_db, 0.8),)), CLICK))
    assert mine == pytest.approx(db(analog(kind, freq_hz, gain_db, 0.8, at_hz=AT_HZ[AUDIBLE])), abs=0.15)
    if freq_hz <= 100.0:
        assert mine == pytest.approx(bilinear, abs=0.02)


@pytest.mark.parametrize("level_db", [-60.0, -25.0, -23.0, -12.0, -1.0])
@pytest.mark.parametrize("ratio", [2.0, 8.0])
def test_a_steady_level_leaves_both_compressors_at_the_same_level(level_db, ratio) -> None:
    x = np.full(RATE, 10.0 ** (level_db / 20.0))
    mine = ours(Compressor(-24.0, ratio, 0.0, 5.0, 0.0, 50.0), x)[-1]
    assert db(mine) == pytest.approx(db(theirs(pb.Compressor(-24.0, ratio, 5.0, 50.0), x)[-1]), abs=1e-3)


@pytest.mark.parametrize("level_db", [-60.0, -45.0, -39.0])
def test_a_steady_level_leaves_both_expanders_at_the_same_level(level_db) -> None:
    x = np.full(2 * RATE, 10.0 ** (level_db / 20.0))
    mine = ours(Gate(-40.0, 0.0, 2.0, 80.0, 1.0, 0.0, 20.0), x)[-1]
    assert db(mine) == pytest.approx(db(theirs(pb.NoiseGate(-40.0, 2.0, 1.0, 20.0), x)[-1]), abs=1e-3)


def test_tanh_has_the_same_harmonics_in_both_and_only_theirs_has_aliases() -> None:
    t = np.arange(2 * RATE) / RATE
    for hz, harmonics in ((500.0, 9), (5002.0, 3)):
        x = np.sin(2.0 * np.pi * hz * t)
        mine, other = ours(Saturation("tube", 12.0, -50.0, quality="best"), x), theirs(pb.Distortion(12.0), x)
        spectra = [np.abs(np.fft.rfft(y[RATE // 2 : 3 * RATE // 2])) for y in (mine, other)]
        odd = (np.arange(1, harmonics + 1, 2) * hz).astype(int)
        # What takes offsets out of ours is 3 dB down at 5 Hz.
        assert db(spectra[0][odd]) == pytest.approx(db(spectra[1][odd]), abs=0.02 if hz < 1000.0 else 0.05)
    beside = np.delete(np.arange(20_000), [k * 5002 for k in range(4)])
    aliases = [10.0 * math.log10(np.sum(s[beside] ** 2) / s[5002] ** 2) for s in spectra]
    assert aliases[0] < -120.0 < -30.0 < aliases[1]


def test_a_convolution_is_pedalboards_but_for_the_scale_it_gives_a_response() -> None:
    """JUCE scales a response so that the root of its energy is 1/8."""
    h = (np.random.default_rng(3).standard_normal(9000) * np.exp(-np.arange(9000) / 2000.0) * 0.02).astype(np.float32)
    x = noise(20_000)
    mine = ours(Convolution(Response(h[:, None], RATE), mix_percent=100.0), x)
    scale = 0.125 / math.sqrt(np.sum(h.astype(np.float64) ** 2))
    other = theirs(pb.Convolution(h, 1.0, float(RATE)), x) / scale
    assert db(np.std(mine - other) / np.std(mine)) < -80.0


def test_echoes_come_at_the_same_time_and_level_where_our_cuts_do_nothing() -> None:
    x = np.zeros(20_000)
    x[:2400] = 0.5 * np.sin(2.0 * np.pi * 1000.0 * np.arange(2400) / RATE) * np.hanning(2400)
    open_ = Delay(time_ms=100.0, feedback_percent=60.0, low_cut_hz=10.0, high_cut_hz=20_000.0, mix_percent=100.0)
    mine, other = ours(open_, x), theirs(pb.Delay(0.1, 0.6, 1.0), x)
    cuts = [signal.butter(2, hz, kind, fs=RATE, output="sos") for hz, kind in ((10.0, "high"), (20_000.0, "low"))]
    for echo in (1, 2, 3):
        there = slice(4800 * echo, 4800 * (echo + 1))
        for sos in cuts:
            other[there.start :] = signal.sosfilt(sos, other[there.start :])
        assert mine[there] == pytest.approx(other[there], abs=2e-4)


def test_a_gain_is_the_same_to_the_last_place() -> None:
    x = noise(5000)
    assert ours(Trim(-6.5), x) == pytest.approx(theirs(pb.Gain(-6.5), x), abs=2.0**-24)


def test_a_noise_with_a_pause_reads_what_ffmpegs_ebur128_prints() -> None:
    t = np.arange(6 * RATE) / RATE
    x = 0.05 * np.random.default_rng(4).standard_normal((len(t), 2)) * ((t < 2.5) | (t > 4.0))[:, None]
    meter = LoudnessMeter(RATE, 2)
    meter.process(x.astype(np.float32))
    assert meter.integrated_lufs == pytest.approx(-20.2, abs=0.05)  # ffmpeg 5.1, to a tenth
