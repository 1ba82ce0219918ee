"""The gate opens and closes where and when it was told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsp.processors.gate import Gate
from tests.dsp.processors.streams import RATE, db, run, tone

MS = RATE // 1000


def levels(*steps: tuple[float, float]) -> np.ndarray:
    """Return constant values of (dBFS, ms), one after the other."""
    return np.concatenate([np.full(round(ms * MS), 10.0 ** (level / 20.0)) for level, ms in steps])[:, None]


def gain_db(gate: Gate, x: np.ndarray) -> np.ndarray:
    return db(run(gate.start(RATE, 1), x)[:, 0] / x[:, 0].astype(np.float32))


@pytest.mark.parametrize("ratio,level_db,expected_db", [(2.0, -50.0, -10.0), (3.0, -45.0, -10.0), (2.0, -90.0, -40.0)])
def test_a_steady_level_below_the_threshold_is_expanded(ratio, level_db, expected_db) -> None:
    gate = Gate(-40.0, 0.0, ratio, 40.0, 1.0, 0.0, 5.0)
    assert gain_db(gate, levels((level_db, 200)))[-1] == pytest.approx(expected_db, abs=0.02)


def test_a_steady_tone_below_the_threshold_is_expanded_by_its_peaks() -> None:
    x = tone(997.0, 1.0, -50.0)
    y = run(Gate(-40.0, 0.0, 2.0, 80.0, 1.0, 20.0, 50.0).start(RATE, 1), x)
    assert db(np.max(np.abs(y[-4800:])) / np.max(np.abs(x[-4800:]))) == pytest.approx(-10.0, abs=0.05)


@pytest.mark.parametrize("level_db", [-40.0, -20.0, 6.0])
def test_an_open_gate_changes_no_level(level_db) -> None:
    assert gain_db(Gate(-40.001), levels((level_db, 200)))[-1] == pytest.approx(0.0, abs=1e-6)


def test_it_opens_at_the_threshold_and_closes_below_the_hysteresis() -> None:
    gate = Gate(-40.0, 6.0, math.inf, 60.0, 0.1, 0.0, 1.0)
    gain = gain_db(gate, levels((-42.0, 100), (-39.0, 100), (-45.0, 100), (-47.0, 100), (-42.0, 100)))
    ends = [gain[k * 100 * MS - 1] for k in range(1, 6)]
    assert ends == pytest.approx([-60.0, 0.0, 0.0, -60.0, -60.0], abs=0.02)


@pytest.mark.parametrize("attack_ms,release_ms", [(5.0, 80.0), (40.0, 10.0)])
def test_the_gain_covers_63_percent_of_its_way_in_its_time(attack_ms, release_ms) -> None:
    gate = Gate(-40.0, 0.0, math.inf, 60.0, attack_ms, 0.0, release_ms)
    gain = gain_db(gate, levels((-80.0, 800), (-10.0, 800), (-80.0, 800)))
    opening, closing = gain[800 * MS :], gain[1600 * MS :]
    opened = np.flatnonzero(opening > -60.0 * math.exp(-1.0))[0]
    closed = np.flatnonzero(closing < -60.0 * (1.0 - math.exp(-1.0)))[0]
    assert opened == pytest.approx(attack_ms * MS, rel=0.02, abs=1.0)
    assert closed == pytest.approx(release_ms * MS, rel=0.02, abs=1.0)


def test_it_stays_open_through_the_hold() -> None:
    gate = Gate(-40.0, 0.0, math.inf, 60.0, 0.1, 25.0, 1.0)
    gain = gain_db(gate, levels((-10.0, 100), (-80.0, 100)))
    assert gain[100 * MS : 125 * MS] == pytest.approx(0.0, abs=1e-3)
    assert gain[125 * MS] < -1.0


def test_with_look_ahead_it_is_open_when_the_sound_comes() -> None:
    x = levels((-90.0, 50), (-10.0, 50))
    late = Gate(-40.0, 0.0, math.inf, 60.0, 1.0, 0.0, 10.0, lookahead_ms=5.0).start(RATE, 1)
    y = run(late, x)[:, 0]
    assert late.latency_frames == 240
    onset = 50 * MS + 240
    assert db(y[onset]) == pytest.approx(-10.0, abs=0.5)  # e⁻⁵ of 60 dB are left
    assert db(y[onset - 1]) < -90.0 + 1.0


def test_a_key_opens_it_and_its_filter_keeps_the_rumble_out() -> None:
    x = np.full((RATE // 2, 2), 0.1, dtype=np.float32)
    rumble, voice = tone(40.0, 0.5, -6.0), tone(2000.0, 0.5, -6.0)
    gate = Gate(-40.0, release_ms=20.0, key_hpf_hz=1000.0, key_lpf_hz=5000.0)
    assert db(run(gate.start(RATE, 2), x, key=rumble)[-1, 0] / 0.1) == pytest.approx(-80.0, abs=0.1)
    assert db(run(gate.start(RATE, 2), x, key=voice)[-1, 1] / 0.1) == pytest.approx(0.0, abs=0.01)


def test_linked_channels_open_together_and_unlinked_ones_alone() -> None:
    x = np.full((RATE // 2, 2), 0.5)
    x[:, 1] = 1e-4
    for link, expected in ((100.0, 0.0), (50.0, -20.0), (0.0, -40.0)):
        y = run(Gate(-40.0, range_db=40.0, release_ms=20.0, link_percent=link).start(RATE, 2), x)
        assert db(y[-1] / x[-1]) == pytest.approx([0.0, expected], abs=0.01)
