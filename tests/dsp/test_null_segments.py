"""Jumps in a recording's time line are found to the frame and named in words, and the null goes on behind them."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.null.nulltest import null_test
from dsp.null.segments import find_cut

RATE = 48_000
SECONDS = 8
SIGMA = 1e-4
NOISE_DBFS = -80.0 + 20.0 * np.log10(np.sqrt(2.0))
CUT = 200_003


def programme(frames, seed=1):
    """Swelling tones and a bed of Fourier noise, at any real-valued frames: (len(frames), 2)."""
    rng = np.random.default_rng(seed)
    out = np.zeros((frames.size, 2))
    for hz in np.exp(rng.uniform(np.log(60.0), np.log(15_000.0), 50)):
        swell = (1.0 + 0.9 * np.sin(2.0 * np.pi * rng.uniform(0.1, 5.0) * frames / RATE + rng.uniform(0.0, 6.0))) ** 2
        for channel in range(2):
            phase = rng.uniform(0.0, 6.28)
            out[:, channel] += 0.02 * (hz / 100.0) ** -0.4 * swell * np.sin(2.0 * np.pi * hz * frames / RATE + phase)
    return out


@pytest.fixture(scope="module")
def reference():
    return programme(np.arange(SECONDS * RATE))


@pytest.fixture(scope="module")
def recording():
    clean = 0.9 * programme(np.arange(SECONDS * RATE) - 411.37)
    return clean + np.random.default_rng(2).normal(0.0, SIGMA, clean.shape)


def foreign(frames):
    return programme(np.arange(frames), seed=99)


EDITS = {
    "441 frames lost": lambda b: np.concatenate([b[:CUT], b[CUT + 441 :]]),
    "1 frame lost": lambda b: np.concatenate([b[:CUT], b[CUT + 1 :]]),
    "256 frames repeated": lambda b: np.concatenate([b[:CUT], b[CUT - 256 :]]),
    "37 frames of silence inserted": lambda b: np.concatenate([b[:CUT], np.zeros((37, 2)), b[CUT:]]),
}


@pytest.mark.parametrize("what", EDITS)
def test_a_jump_is_named_to_the_frame_and_the_null_goes_on(reference, recording, what):
    found = null_test(reference, EDITS[what](recording), rate_hz=RATE, noise_dbfs=NOISE_DBFS, matched=False)
    assert [change.what for change in found.changes] == [f"{what} at {CUT / RATE:.6f} s (frame {CUT})"]
    assert found.null_depth_db == pytest.approx(found.limit_db, abs=0.5)
    assert len(found.segments) == 2


def test_an_edit_says_where_b_goes_on_in_a(reference, recording):
    b = np.concatenate([recording[:CUT], recording[CUT + 60_000 :]])
    found = null_test(reference, b, rate_hz=RATE, noise_dbfs=NOISE_DBFS, matched=False)
    [edit] = found.changes
    goes_on = (CUT + 60_000 - 411.37) / RATE
    assert edit.frame == CUT
    assert edit.what.endswith(f"from here B plays A from 0:{goes_on:06.3f} on")
    assert found.null_depth_db == pytest.approx(found.limit_db, abs=0.5)


def test_a_gain_step_is_named_with_its_amount_and_frame(reference, recording):
    b = recording.copy()
    b[CUT:] *= 10.0 ** (1.0 / 20.0)
    found = null_test(reference, b, rate_hz=RATE, noise_dbfs=NOISE_DBFS, matched=False)
    [step] = found.changes
    assert step.kind == "processing"
    assert abs(step.frame - CUT) <= 64
    assert step.what.endswith("on B is 1.00 dB louder")


def test_a_dropout_and_a_repeated_buffer_are_told_to_the_frame(reference, recording):
    b = recording.copy()
    b[150_000:150_037] = 0.0
    b[CUT : CUT + 256] = recording[CUT - 256 : CUT]
    found = null_test(reference, b, rate_hz=RATE, noise_dbfs=NOISE_DBFS, matched=False)
    dropout, glitch = found.changes
    assert dropout.what == "dropout of 37 frames at 3.125000 s (frame 150000)"
    assert glitch.what == f"256 frames at {CUT / RATE:.6f} s (frame {CUT}) are those from 256 frames earlier"


def test_a_cut_in_silence_says_how_unsure_it_is():
    rng = np.random.default_rng(3)
    left, right = rng.normal(0.0, 0.1, (2, 1, 4000))
    left[:, 1900:2100], right[:, 1900:2100] = 0.0, 0.0
    heard = np.where(np.arange(4000) < 2000, left, right) + rng.normal(0.0, 1e-4, (1, 4000))
    stop, start, sd, _ = find_cut(left, right, heard)
    assert stop == start
    assert 1890 <= stop <= 2110
    assert sd == pytest.approx(100.0, abs=5.0)
