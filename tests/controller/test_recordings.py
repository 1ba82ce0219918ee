"""Recordings are read anywhere, in any order, and at another rate, without ever being held whole."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from controller.errors import AudioFileError
from controller.recordings import Recording, at_rate

RATE = 48_000


@pytest.fixture
def noise(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A stereo file of float noise, and its samples (frames, channels)."""
    x = np.random.default_rng(3).uniform(-0.5, 0.5, (5000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", x, RATE, subtype="FLOAT")
    return tmp_path / "noise.wav", x


@pytest.mark.parametrize(("start", "stop"), [(0, 5000), (-300, 200), (4900, 5600), (2000, 2001), (7000, 7100), (9, 9)])
def test_any_frames_can_be_read_and_silence_surrounds_them(noise, start: int, stop: int) -> None:
    path, x = noise
    padded = np.concatenate([np.zeros((1000, 2)), x, np.zeros((3000, 2))])
    with Recording(path) as recording:
        assert (recording.channels, recording.frames, recording.rate_hz) == (2, 5000, RATE)
        assert np.array_equal(recording.read(start, stop), padded[start + 1000 : stop + 1000].T)


def test_threads_do_not_get_each_others_frames(noise) -> None:
    path, x = noise
    wrong: list[int] = []

    def look(recording: Recording, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(200):
            start = int(rng.integers(0, 4800))
            if not np.array_equal(recording.read(start, start + 100), x[start : start + 100].T):
                wrong.append(start)

    with Recording(path) as recording:
        threads = [threading.Thread(target=look, args=(recording, seed)) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_another_rate_gives_the_same_sine_at_that_rate(tmp_path: Path) -> None:
    seconds, freq_hz = 2.0, 997.0
    at = np.arange(round(seconds * 44_100)) / 44_100
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * math.pi * freq_hz * at), 44_100, subtype="FLOAT")
    told: list[float] = []
    with Recording(tmp_path / "a.wav") as recording, at_rate(recording, RATE, progress=told.append) as heard:
        assert heard.frames == pytest.approx(seconds * RATE, abs=1)
        middle = heard.read(RATE // 2, RATE)[0]
        assert not heard.read(-50, 0).any()
    expected = 0.5 * np.sin(2 * math.pi * freq_hz * np.arange(RATE // 2, RATE) / RATE)
    assert np.abs(middle - expected).max() < 1e-6
    assert told[-1] == 1.0


def test_the_same_rate_is_the_file_itself(noise) -> None:
    path, _ = noise
    with Recording(path) as recording, at_rate(recording, RATE) as heard:
        assert heard is recording


def test_a_sample_that_is_no_number_is_named_with_its_place(tmp_path: Path) -> None:
    x = np.zeros((100, 1), np.float32)
    x[42] = np.nan
    soundfile.write(tmp_path / "bad.wav", x, RATE, subtype="FLOAT")
    with Recording(tmp_path / "bad.wav") as recording, pytest.raises(AudioFileError, match="frame 42"):
        recording.read(0, 100)
