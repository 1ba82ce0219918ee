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
    """Swelling tones, at any real-valued frames: (len(frames), 1)."""
    rng = np.random.default_rng(seed)
    out = np.zeros((frames.size, 1))
    for hz in np.exp(rng.uniform(np.log(60.0), np.log(15_000.0), 50)):
        swell = (1.0 + 0.9 * np.sin(2.0 * np.pi * rng.uniform(0.1, 5.0) * frames / RATE + rng.uniform(0.0, 6.0))) ** 2
        wave = np.sin(2.0 * np.pi * hz * frames / RATE + rng.uniform(0.0, 6.28))
        out[:, 0] += 0.02 * (hz / 100.0) ** -0.4 * swell * wave
    return out


@pytest.fixture(scope="module")
def reference():
    return programme(np.arange(SECONDS * RATE))


@pytest.fixture(scope="module")
def recording():
    clean = 0.9 * programme(np.arange(SECONDS * RATE) - 411.37)
    return clean + np.random.default_rng(2).normal(0.0, SIGMA, clean.shape)


EDITS = {
    "441 frames lost": lambda b: np.concatenate([b[:CUT], b[CUT + 441 :]]),
    "1 frame lost": lambda b: np.concatenate([b[:CUT], b[CUT + 1 :]]),
    "256 frames repeated": lambda b: np.concatenate([b[:CUT], b[CUT - 256 :]]),
    "37 frames of silence inserted": lambda b: np.concatenate([b[:CUT], np.zeros((37, 1)), b[CUT:]]),
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


def bed(frames, seed=1, channels=1):
    """Noise falling with frequency, which can be shifted by whole samples without a filter."""
    white = np.random.default_rng(seed).normal(0.0, 0.1, (frames + 2, channels))
    return white[2:] + 0.9 * white[1:-1] + 0.5 * white[:-2]


LATER, AT = 411, 130_003
PLACE = f"{AT / RATE:.6f} s (frame {AT})"
BED_EDITS = {
    f"37 frames lost at {PLACE}": lambda b: [b[:AT], b[AT + 37 :]],
    f"2048 frames lost at {PLACE}": lambda b: [b[:AT], b[AT + 2048 :]],
    f"3000 frames lost at {PLACE}": lambda b: [b[:AT], b[AT + 3000 :]],
    f"20000 frames of other material inserted at {PLACE}": lambda b: [b[:AT], bed(20_000, 9), b[AT:]],
    f"100000 frames of other material inserted at {PLACE}": lambda b: [b[:AT], bed(100_000, 9), b[AT:]],
    f"edit at {PLACE}: from here B plays A from 0:03.700 on": lambda b: [b[:AT], b[int(3.7 * RATE) + LATER :]],
    f"edit at {PLACE}: from here B plays A from 0:00.900 on": lambda b: [b[:AT], b[int(0.9 * RATE) + LATER :]],
}


@pytest.mark.parametrize(
    ("what", "noise"), [*((what, SIGMA) for what in BED_EDITS), *((what, 0.0) for what in list(BED_EDITS)[::3])]
)
def test_every_kind_of_edit_is_named_to_the_frame_with_noise_and_without(what, noise):
    a = bed(6 * RATE)
    b = np.concatenate(BED_EDITS[what](np.roll(a, LATER, axis=0)))
    b = b + np.random.default_rng(3).normal(0.0, noise, b.shape)
    found = null_test(a, b, rate_hz=RATE, matched=False)
    assert [change.what for change in found.changes] == [what]
    if noise:
        limit = 20.0 * np.log10(SIGMA / np.std(a))
        assert found.null_depth_db == pytest.approx(limit, abs=0.5)


def test_an_insert_edit_goes_there_and_back():
    a = bed(6 * RATE, channels=2)
    b = np.concatenate([a[:90_000], a[200_007:260_000], a[150_000:]]) + np.zeros((1, 2))
    found = null_test(a, b, rate_hz=RATE, matched=False)
    assert [(change.kind, change.frame) for change in found.changes] == [("edit", 90_000), ("edit", 149_993)]
    assert len(found.segments) == 3


def test_two_jumps_half_a_second_apart_are_two_jumps():
    a = bed(5 * RATE, channels=2)
    b = np.concatenate([a[:AT], a[AT + 37 : AT + 24_037], a[AT + 24_137 :]])
    found = null_test(a, b + np.random.default_rng(3).normal(0.0, SIGMA, b.shape), rate_hz=RATE, matched=False)
    other = AT + 24_000
    assert [change.what for change in found.changes] == [
        f"37 frames lost at {PLACE}",
        f"100 frames lost at {other / RATE:.6f} s (frame {other})",
    ]


def test_a_jump_is_found_by_a_mono_file_against_a_stereo_file():
    a = bed(5 * RATE, channels=2)
    b = np.concatenate([a[:AT, 0], a[AT + 37 :, 0]])
    for one, other in ((a, b), (b, a)):
        found = null_test(one, other, rate_hz=RATE, matched=False)
        [change] = found.changes
        assert change.kind == ("lost" if one is a else "inserted")
        assert change.frame == AT


def test_a_jump_between_two_clocks_is_a_jump_and_a_drift():
    n = np.arange(5 * RATE)
    b = programme(n - 411.37 - 12e-6 * n) + np.random.default_rng(2).normal(0.0, SIGMA, (n.size, 1))
    b = np.concatenate([b[:AT], b[AT + 441 :]])
    found = null_test(programme(n), b, rate_hz=RATE, noise_dbfs=NOISE_DBFS, matched=False)
    assert [change.what for change in found.changes] == [f"441 frames lost at {PLACE}"]
    assert found.drift_ppm == pytest.approx(12.0, abs=5.0 * found.drift_sd_ppm)
    assert found.null_depth_db == pytest.approx(found.limit_db, abs=0.5)


@pytest.mark.parametrize("frames", [300, 20_000])
def test_material_replaced_in_place_is_named_to_the_frame(frames):
    a = bed(5 * RATE)
    b = a + np.random.default_rng(3).normal(0.0, SIGMA, a.shape)
    b[AT : AT + frames] = bed(frames, 9)
    found = null_test(a, b, rate_hz=RATE, matched=False)
    assert [change.what for change in found.changes] == [f"{frames} frames replaced by other material at {PLACE}"]


def test_noise_over_quiet_passages_is_no_fault():
    a = bed(5 * RATE) * np.tile(np.exp(-np.arange(RATE // 2) / 3000.0), 10)[:, None]
    found = null_test(a, a + np.random.default_rng(3).normal(0.0, SIGMA, a.shape), rate_hz=RATE, matched=False)
    assert found.changes == ()


def test_an_equaliser_switched_in_is_named_with_its_bands_and_time():
    from scipy.signal import lfilter

    a = bed(9 * RATE)
    w, lift = 2.0 * np.pi * 3000.0 / RATE, 10.0 ** (6.0 / 40.0)
    slope = np.sin(w) / 2.0  # a bell of +6 dB and Q 1 at 3 kHz, after the Audio EQ Cookbook
    bell = [1.0 + slope * lift, -2.0 * np.cos(w), 1.0 - slope * lift]
    b = lfilter(bell, [1.0 + slope / lift, -2.0 * np.cos(w), 1.0 - slope / lift], a, axis=0)
    b[:AT] = a[:AT]
    found = null_test(a, b + np.random.default_rng(3).normal(0.0, SIGMA, b.shape), rate_hz=RATE, matched=False)
    [change] = found.changes
    assert change.kind == "processing"
    assert abs(change.frame - AT) < 0.1 * RATE
    assert "is processed differently: " in change.what
    assert " dB at 4 kHz" in change.what


def test_a_slow_fade_is_no_step():
    a = bed(5 * RATE)
    faded = a * np.linspace(1.0, 0.5, len(a))[:, None]
    found = null_test(a, faded + np.random.default_rng(3).normal(0.0, SIGMA, a.shape), rate_hz=RATE, matched=False)
    assert found.changes == ()


def test_a_recording_that_falls_silent_says_so():
    a = bed(5 * RATE)
    b = a * (np.arange(len(a)) < 3 * RATE)[:, None]
    found = null_test(a, b + np.random.default_rng(3).normal(0.0, SIGMA, a.shape), rate_hz=RATE, matched=False)
    assert [change.what for change in found.changes] == ["from 3.000000 s (frame 144000) on B is silent"]


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
