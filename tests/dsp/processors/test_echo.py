"""The delay repeats in time, dies away, moves without clicks, and steps back where it is told to."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from dsp.errors import DspError
from dsp.processors.delay import Delay

RATE = 48_000
OPEN = Delay(time_ms=100.0, feedback_percent=50.0, low_cut_hz=10.0, high_cut_hz=20_000.0, mix_percent=100.0)


def noise(frames: int, channels: int = 2, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)


def sine(frames: int, hz: float, amplitude: float = 0.5) -> np.ndarray:
    x = amplitude * np.sin(2.0 * np.pi * hz * np.arange(frames) / RATE)
    return np.stack([x, x], axis=1).astype(np.float32)


def run(which: Delay, x: np.ndarray) -> np.ndarray:
    y = x.copy()
    which.start(RATE, x.shape[1]).process(y)
    return y


def click(frames: int, left: float = 1.0, right: float = 0.0) -> np.ndarray:
    """A short, soft click: 1 ms of a raised cosine, whose energy lies below the filters' reach."""
    x = np.zeros((frames, 2), dtype=np.float32)
    x[:96, 0], x[:96, 1] = left * np.hanning(96), right * np.hanning(96)
    return x


def peaks(x: np.ndarray, threshold: float) -> list[int]:
    """Where single echoes have their highest point."""
    return [int(p) for p in signal.find_peaks(np.abs(x), height=threshold, distance=400)[0]]


def test_echoes_come_in_time_and_halve_with_half_the_feedback() -> None:
    y = run(OPEN, click(30_000))[:, 0]
    at = peaks(y, 0.05)
    assert np.allclose(np.diff(at), 4800, atol=2)
    assert np.allclose(y[at[1:]] / y[at[:-1]], 0.5, atol=0.05)


@pytest.mark.parametrize(
    ("note", "bpm", "ms"),
    [("1/4", 120.0, 500.0), ("1/8.", 120.0, 375.0), ("1/4t", 100.0, 400.0), ("1/16", 90.0, 166.6667)],
)
def test_a_note_lasts_what_the_tempo_says(note, bpm, ms) -> None:
    assert Delay(note=note, tempo_bpm=bpm).delay_ms == pytest.approx(ms, rel=1e-6)
    assert Delay(note="free", time_ms=123.0, tempo_bpm=bpm).delay_ms == 123.0


def test_an_echo_of_a_whole_number_of_frames_is_the_input_through_the_filters_alone() -> None:
    x = noise(9000)
    y = run(replace(OPEN, feedback_percent=0.0), x)
    high, low = (signal.butter(2, hz, kind, fs=RATE) for hz, kind in ((10.0, "high"), (20_000.0, "low")))
    wanted = signal.lfilter(*low, signal.lfilter(*high, x.astype(np.float64), axis=0), axis=0)
    assert np.max(np.abs(y[4800:] - wanted[:-4800])) < 1e-6


def test_ping_pong_sends_echoes_from_side_to_side() -> None:
    y = run(replace(OPEN, ping_pong=True), click(30_000, 1.0, 1.0))
    loud = [(float(np.max(np.abs(y[k * 4800 : k * 4800 + 400, side])))) for k in range(1, 5) for side in range(2)]
    sides = np.array(loud).reshape(4, 2)
    assert np.all(np.argmax(sides, axis=1) == [0, 1, 0, 1])
    assert np.all(np.min(sides, axis=1) < 0.01 * np.max(sides, axis=1))


def test_every_echo_is_duller_by_the_filters() -> None:
    which = replace(OPEN, feedback_percent=90.0, low_cut_hz=300.0, high_cut_hz=3000.0)
    y = run(which, click(40_000))[:, 0]
    spectra = [np.abs(np.fft.rfft(y[k * 4800 : (k + 1) * 4800])) for k in (1, 2, 3)]
    for hz, loss_db in ((300.0, -3.0), (3000.0, -3.0)):
        k = round(hz / 10.0)
        for one, next_ in itertools.pairwise(spectra):
            gain = 20.0 * math.log10(next_[k] / one[k])
            assert gain == pytest.approx(20.0 * math.log10(0.9) + loss_db, abs=0.2)


def test_modulation_swings_the_time_by_its_depth() -> None:
    which = replace(OPEN, time_ms=50.0, feedback_percent=0.0, modulation_ms=1.0, modulation_hz=2.0)
    y = run(which, sine(3 * RATE, 1000.0))
    for side in range(2):
        phase = np.unwrap(np.angle(signal.hilbert(y[RATE // 2 : -RATE // 2, side])))
        late = -(phase - 2.0 * np.pi * 1000.0 * np.arange(len(phase)) / RATE) / (2.0 * np.pi)  # in ms
        swing = late - np.mean(late)
        assert np.max(swing) == pytest.approx(1.0, abs=0.03)
        assert np.min(swing) == pytest.approx(-1.0, abs=0.03)


def test_modulated_echoes_keep_their_level_to_10_khz_and_add_little_else() -> None:
    which = replace(OPEN, time_ms=50.0, feedback_percent=0.0, modulation_ms=0.5, modulation_hz=0.3, low_cut_hz=10.0)
    for hz in (1000.0, 10_000.0):
        x, y = sine(RATE, hz), run(which, sine(RATE, hz))
        gain = 10.0 * math.log10(np.mean(y[RATE // 2 :, 0] ** 2) / np.mean(x**2))
        low = signal.freqz(*signal.butter(2, 20_000.0, "low", fs=RATE), worN=[hz], fs=RATE)[1]
        assert gain == pytest.approx(20.0 * math.log10(abs(low[0])), abs=0.05)
        spectrum = np.abs(np.fft.rfft(y[RATE // 2 :, 0] * np.blackman(RATE - RATE // 2))) ** 2
        away = np.abs(np.fft.rfftfreq(RATE - RATE // 2, 1.0 / RATE) - hz) > 200.0
        assert 10.0 * math.log10(np.sum(spectrum[away]) / np.sum(spectrum)) < -85.0


def test_a_tape_bends_pitch_and_a_fade_does_not() -> None:
    def pitches(glide: str) -> np.ndarray:
        x = sine(3 * RATE, 1000.0)
        running = replace(OPEN, feedback_percent=0.0).start(RATE, 2)
        running.process(x[:RATE])
        running.change(replace(OPEN, feedback_percent=0.0, time_ms=200.0, glide=glide), 100)
        running.process(x[RATE:])
        return np.diff(np.unwrap(np.angle(signal.hilbert(x[:, 0].astype(np.float64))))) * RATE / (2.0 * np.pi)

    tape, fade = pitches("tape"), pitches("fade")
    assert np.allclose(tape[RATE + 7000 : RATE + 9000], 500.0, atol=10.0)  # 4800 frames more in 9600
    assert np.allclose(tape[RATE + 24_000 : -2000], 1000.0, atol=2.0)
    assert np.allclose(fade[RATE + 4000 : -2000], 1000.0, atol=2.0)


CHANGES = {
    "tape": {"time_ms": 173.0},
    "fade": {"time_ms": 173.0, "glide": "fade"},
    "feedback": {"feedback_percent": 90.0},
    "ping-pong": {"ping_pong": True},
    "cuts": {"low_cut_hz": 60.0, "high_cut_hz": 1000.0},
    "modulation": {"modulation_ms": 5.0, "modulation_hz": 2.0},
    "mix": {"mix_percent": 10.0},
    "width": {"width_percent": 0.0},
    "ducking": {"duck_db": 20.0},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_at_once_clicks_no_louder_than_60_db_below(name) -> None:
    """What a sine puts above ten times its frequency while settings change, against the sine."""
    x = sine(2 * RATE, 220.0)
    running = OPEN.start(RATE, 2)
    running.process(x[:RATE])
    running.change(replace(OPEN, **CHANGES[name]), 16)
    running.process(x[RATE:])
    above = signal.sosfilt(signal.butter(8, 2500.0, "highpass", fs=RATE, output="sos"), x, axis=0)
    assert np.max(np.abs(above[RATE - 4800 :])) < 1e-3 * np.max(np.abs(x[RATE // 2 :]))


def test_echoes_step_back_while_the_input_is_loud_and_come_back_after() -> None:
    which = replace(
        OPEN, time_ms=500.0, feedback_percent=0.0, duck_db=12.0, duck_threshold_db=-25.0, duck_release_ms=50.0
    )
    x = sine(2 * RATE, 500.0)
    x[RATE:] = 0.0
    free, ducked = run(replace(which, duck_db=0.0), x), run(which, x)
    during, after = (slice(int(0.7 * RATE), int(0.95 * RATE)), slice(int(1.4 * RATE), int(1.49 * RATE)))
    gain_db = [10.0 * math.log10(np.mean(ducked[s] ** 2) / np.mean(free[s] ** 2)) for s in (during, after)]
    assert gain_db[0] == pytest.approx(-12.0, abs=0.3)
    assert gain_db[1] == pytest.approx(0.0, abs=0.1)


def test_a_key_is_what_the_ducking_hears_instead() -> None:
    which = replace(OPEN, feedback_percent=0.0, duck_db=12.0, duck_threshold_db=-20.0)
    x, quiet = sine(RATE, 500.0), np.zeros((RATE, 1), dtype=np.float32)
    y = x.copy()
    which.start(RATE, 2).process(y, quiet)
    assert np.array_equal(y, run(replace(which, duck_db=0.0), x))


def test_the_most_feedback_dies_away_and_a_million_stays_finite() -> None:
    running = replace(OPEN, time_ms=20.0, feedback_percent=98.0).start(RATE, 2)
    x = noise(4800) * np.float32(2e6)
    running.process(x)
    assert np.all(np.isfinite(x))
    x = np.zeros((120 * RATE, 2), dtype=np.float32)
    running.process(x)
    assert not np.any(x[-4800:])


def test_one_channel_hears_its_own_echoes() -> None:
    x = noise(20_000, 1)
    both = run(OPEN, np.repeat(x, 2, axis=1))
    assert np.allclose(run(OPEN, x)[:, 0], both[:, 0], atol=1e-7)


def test_no_width_is_mono() -> None:
    y = run(replace(OPEN, width_percent=0.0), noise(20_000))
    assert np.array_equal(y[:, 0], y[:, 1])


def test_what_is_no_delay_is_refused() -> None:
    with pytest.raises(DspError, match="delay note"):
        Delay(note="1/1.", tempo_bpm=30.0)
    with pytest.raises(DspError, match="delay feedback"):
        Delay(feedback_percent=99.0)
    with pytest.raises(DspError, match="delay note 'x'"):
        Delay(note="x")
