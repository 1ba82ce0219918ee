"""The auto-filter stands where its level and its oscillator say, in octaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from dsp.lfo import Lfo
from dsp.processors.autofilter import AutoFilter, swing_row
from tests.dsp.processors.streams import RATE, close, noise, run, sine, spectrum_db

STILL = AutoFilter(freq_hz=1000.0, q=2.0, envelope_octaves=0.0)


def sections(shape: str, freq_hz: float, qs: list[float]) -> np.ndarray:
    """The analog sections by scipy's bilinear transform, exact at their frequency."""
    w = 2.0 * RATE * np.tan(np.pi * freq_hz / RATE)
    over = {"low_pass": lambda q: [w * w], "band_pass": lambda q: [w / q, 0.0], "high_pass": lambda q: [1.0, 0.0, 0.0]}
    made = [signal.bilinear(over[shape](q), [1.0, w / q, w * w], RATE) for q in qs]
    return np.array([[*np.pad(b, (0, 3 - len(b))), *a] for b, a in made])


def peak_hz(y: np.ndarray) -> float:
    """Where a stretch of filtered noise is loudest."""
    f, power = signal.welch(y[:, 0], RATE, nperseg=1024)
    return float(f[np.argmax(power)])


@pytest.mark.parametrize("shape", ["low_pass", "band_pass", "high_pass"])
@pytest.mark.parametrize("slope,qs", [(12, [2.0]), (24, [2.0, 0.5412])])
def test_standing_still_it_is_the_analog_filter(shape, slope, qs) -> None:
    x = noise(5000)
    y = run(replace(STILL, shape=shape, db_per_octave=slope).start(RATE, 2), x)
    assert close(y, signal.sosfilt(sections(shape, 1000.0, qs), x.astype(float), axis=0), abs=1e-6)


def test_24_db_with_the_first_pair_of_butterworths_is_butterworth() -> None:
    at = np.array([50.0, 200.0, 400.0, 800.0, 1600.0])
    b, a = signal.butter(4, 400.0, fs=RATE)
    _, expected = signal.freqz(b, a, worN=at, fs=RATE)
    running = replace(STILL, freq_hz=400.0, q=1.30656, db_per_octave=24).start(RATE, 1)
    assert spectrum_db(running, 8000, at) == pytest.approx(20.0 * np.log10(np.abs(expected)), abs=0.01)


@pytest.mark.parametrize("key_db,octaves", [(-60.0, 0.0), (-40.0, 0.0), (-20.0, 1.5), (0.0, 3.0), (6.0, 3.0)])
def test_the_envelope_moves_it_straight_in_db_from_the_threshold_to_full_scale(key_db, octaves) -> None:
    filter_ = AutoFilter(freq_hz=300.0, q=4.0, envelope_octaves=3.0, threshold_db=-40.0)
    key = sine(3000.0, RATE, 10.0 ** (key_db / 20.0))
    x = noise(RATE, 1)
    y = run(filter_.start(RATE, 1), x, key=key)[-8000:]
    expected = signal.sosfilt(sections("low_pass", 300.0 * 2.0**octaves, [4.0]), x.astype(float), axis=0)[-8000:]
    assert 20.0 * np.log10(np.std(y - expected) / np.std(expected)) < -40.0


def test_a_negative_depth_closes_it_as_the_level_rises() -> None:
    filter_ = AutoFilter(shape="band_pass", freq_hz=4000.0, q=8.0, envelope_octaves=-3.0)
    x = noise(RATE, 1)
    key = np.ones((RATE, 1), dtype=np.float32)
    assert peak_hz(run(filter_.start(RATE, 1), x, key=key)[-16_000:]) == pytest.approx(500.0, rel=0.12)


@pytest.mark.parametrize("attack_ms,release_ms", [(40.0, 300.0), (200.0, 60.0)])
def test_the_envelope_covers_63_percent_of_its_way_in_its_time(attack_ms, release_ms) -> None:
    filter_ = AutoFilter(
        freq_hz=100.0, q=0.7, envelope_octaves=4.0, attack_ms=attack_ms, release_ms=release_ms, shape="high_pass"
    )
    x = sine(12_000.0, 3 * RATE, 0.25)
    x[:RATE] *= 1e-4
    x[2 * RATE :] *= 1e-4
    running = filter_.start(RATE, 1)
    heard = []
    for at in range(0, 3 * RATE, 48):
        run(running, x[at : at + 48])
        heard.append(running._follower.now[0])
    full = (20.0 * np.log10(0.25) + 40.0) / 40.0
    up = np.flatnonzero(np.array(heard[1000:]) >= 0.632 * full)[0]
    down = np.flatnonzero(np.array(heard[2000:]) <= 0.368 * full)[0]
    # the level's own averages come on top: 2 x 2 ms up, and 28 dB down to the threshold
    assert up == pytest.approx(attack_ms, rel=0.05, abs=5.0)
    assert down == pytest.approx(release_ms, rel=0.05, abs=25.0)


@pytest.mark.parametrize(
    "changes,turns_hz",
    [({"lfo_hz": 2.0}, 2.0), ({"lfo_beats": 2.0, "tempo_bpm": 90.0}, 0.75), ({"lfo_beats": 0.5}, 4.0)],
)
def test_the_oscillator_turns_as_often_as_it_should_free_or_in_beats(changes, turns_hz) -> None:
    filter_ = replace(STILL, shape="band_pass", q=10.0, lfo_octaves=2.0, **changes)
    y = run(filter_.start(RATE, 1), noise(4 * RATE, 1))
    quarter = RATE / turns_hz / 4.0
    for turn in range(2):
        for at, hz in ((1.0, 4000.0), (3.0, 250.0)):
            middle = round((4 * turn + at) * quarter)
            assert peak_hz(y[middle - 1000 : middle + 1000]) == pytest.approx(hz, rel=0.25)


def test_every_wave_has_its_shape_from_minus_one_to_one_and_no_jump() -> None:
    turns = np.linspace(0.0, 2.0, 48_000, endpoint=False)
    expected = {
        "sine": np.sin(2.0 * np.pi * turns),
        "triangle": signal.sawtooth(2.0 * np.pi * (turns + 0.25), 0.5),
        "square": signal.square(2.0 * np.pi * turns),
        "saw_up": signal.sawtooth(2.0 * np.pi * (turns + 0.5)),
        "saw_down": -signal.sawtooth(2.0 * np.pi * turns),
    }
    for lfo, wave in expected.items():
        running = Lfo(swing_row(lfo, 2.0, 48_000.0), 1000)
        made = np.concatenate([running.run(1000)[0].copy() for _ in range(48)])
        assert np.mean(np.abs(made - wave) > 0.03) < 0.04, lfo
        assert (np.min(made), np.max(made)) == pytest.approx((-1.0, 1.0), abs=0.01)
        assert np.max(np.abs(np.diff(made))) < 2.0 / (0.0035 * RATE), lfo  # 2.0 Hz over 48 000 points is 1 s


def test_without_a_mix_every_bit_passes_and_in_between_it_is_the_sum() -> None:
    x = noise(4000)
    moving = AutoFilter(lfo_octaves=2.0, mix_percent=0.0)
    assert np.array_equal(run(moving.start(RATE, 2), x), x)
    half, wet = (run(replace(moving, mix_percent=mix).start(RATE, 2), x) for mix in (50.0, 100.0))
    assert close(half, 0.5 * (x + wet), abs=1e-6)


def test_it_is_120_db_down_when_its_tail_is_over() -> None:
    running = replace(STILL, freq_hz=100.0, q=20.0, envelope_octaves=-1.0).start(RATE, 1)
    y = np.abs(run(running, np.concatenate([np.ones((1, 1)), np.zeros((2 * running.tail_frames, 1))])))
    assert np.max(y[running.tail_frames :]) <= 1e-6 * np.max(y)
