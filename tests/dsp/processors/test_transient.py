"""The transient shaper changes beginnings and tails, not levels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.processors.transient import Transient
from tests.dsp.processors.streams import RATE, db, run, swelling, tone

MS = RATE // 1000


def gain_db(shaper: Transient, x: np.ndarray) -> np.ndarray:
    return db(run(shaper.start(RATE, 1), x)[:, 0] / x[:, 0].astype(np.float32))


def note(level: float = 1.0) -> np.ndarray:
    """Return 500 ms at a hundredth of ``level``, 300 ms at ``level``, 600 ms at a hundredth again."""
    x = np.concatenate([np.full(500 * MS, 0.01), np.full(300 * MS, 1.0), np.full(600 * MS, 0.01)])
    return (level * x[:, None]).astype(np.float32)


def test_a_beginning_gets_the_attack_gain_which_fades_in_its_time() -> None:
    """While e stands, l comes up by e^(−t/τ): so does the gain in dB go away."""
    gain = gain_db(Transient(attack_db=12.0, attack_ms=40.0), note())
    onset = 500 * MS
    assert gain[onset - 1] == pytest.approx(0.0, abs=1e-4)
    assert np.max(gain[onset : onset + 10 * MS]) > 10.0
    later = onset + 10 * MS
    assert gain[later + 40 * MS] / gain[later] == pytest.approx(math.exp(-1.0), rel=0.01)
    assert gain[onset + 299 * MS] == pytest.approx(0.0, abs=0.05)


def test_a_tail_gets_the_sustain_gain_while_it_is_quieter_than_it_was() -> None:
    """From 1 to 0.01 at once: t comes down as 0.01 + 0.99·e^(−t/τ), and the gain is sustain_db · (1 − 0.01/t)."""
    gain = gain_db(Transient(sustain_db=10.0, sustain_ms=100.0), note())
    end = 800 * MS
    assert gain[end - 1] == pytest.approx(0.0, abs=0.05)
    held = round(12.5 * MS)
    for ms in (150, 300):
        t = 0.01 + 0.99 * math.exp(-ms / 100.0)
        assert gain[end + held + ms * MS] == pytest.approx(10.0 * (1.0 - 0.01 / t), abs=0.12)


@pytest.mark.parametrize("attack_db,sustain_db", [(24.0, 24.0), (-24.0, -24.0), (-24.0, 24.0)])
def test_no_gain_goes_beyond_the_settings(attack_db, sustain_db) -> None:
    x = swelling(RATE, 1, 3, 1.0) + np.float32(1e-3)
    gain = gain_db(Transient(attack_db, sustain_db), x)
    assert np.max(gain) <= max(attack_db, 0.0) + max(sustain_db, 0.0) + 1e-4
    assert np.min(gain) >= min(attack_db, 0.0) + min(sustain_db, 0.0) - 1e-4


@given(st.integers(-40, 40))
@settings(max_examples=10, deadline=None)
def test_the_level_does_not_matter(octaves) -> None:
    """At a level times a power of two every sample is the same but for that power."""
    x = swelling(8000)
    shaper = Transient(12.0, -9.0)
    scale = np.float32(2.0**octaves)
    assert np.array_equal(run(shaper.start(RATE, 2), x * scale), run(shaper.start(RATE, 2), x) * scale)


@pytest.mark.parametrize("freq_hz", [40.0, 100.0, 3000.0])
def test_a_steady_tone_is_left_alone(freq_hz) -> None:
    x = tone(freq_hz, 2.0, -10.0)
    y = run(Transient(24.0, 24.0).start(RATE, 1), x)
    late = slice(RATE, None)
    assert db(np.sqrt(np.mean(y[late] ** 2.0)) / np.sqrt(np.mean(x[late] ** 2.0))) == pytest.approx(0.0, abs=0.05)


def test_both_channels_get_one_gain_by_the_louder_one() -> None:
    loud = swelling(8000, 1)[:, 0]
    x = np.stack([0.25 * loud, loud], axis=1).astype(np.float32)
    y = run(Transient(12.0, 6.0).start(RATE, 2), x)
    alone = run(Transient(12.0, 6.0).start(RATE, 1), x[:, 1:])
    assert np.array_equal(y[:, 1], alone[:, 0])
    heard = np.abs(x[:, 1]) > 0.01
    assert (y[heard, 0] / x[heard, 0]) == pytest.approx(y[heard, 1] / x[heard, 1], rel=1e-5)


def test_a_key_is_heard_instead() -> None:
    x = np.full((1400 * MS, 2), 0.1, dtype=np.float32)
    y = run(Transient(attack_db=12.0).start(RATE, 2), x, key=note())
    assert np.max(db(y / x)) > 10.0


def test_it_says_how_much_it_takes() -> None:
    p = Transient(attack_db=-12.0, attack_ms=100.0).start(RATE, 1)
    run(p, note()[: 505 * MS])
    assert -12.0 < p.reduction_db < -10.0


def test_a_sudden_beginning_does_not_click() -> None:
    """The gain covers no more than its first frame's share of a step: 63 % take 0.5 ms."""
    gain = gain_db(Transient(attack_db=24.0), note())
    assert np.max(np.abs(np.diff(gain))) <= 24.0 * (1.0 - math.exp(-1.0 / (0.5 * MS))) + 1e-3
