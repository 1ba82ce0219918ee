"""The dynamic equaliser's gains are what their levels ask for, when they ask for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsp.errors import DspError
from dsp.processors.dynamic_eq import DynamicBand, DynamicEqualiser
from dsp.registry import effect
from tests.dsp.analog_bands import analog, db
from tests.dsp.processors.streams import RATE, moved, noise, run, sine, splash_db

DIP = DynamicBand("bell", 1000.0, 2.0, 0.0, -30.0, 4.0, -20.0)


def settled_gain_db(band: DynamicBand, freq_hz: float, level_db: float, key_db: float | None = None) -> float:
    """Gain of a steady tone once everything has settled, from its energy over whole periods."""
    x = sine(freq_hz, RATE, 10.0 ** (level_db / 20.0))
    key = None if key_db is None else sine(freq_hz, RATE, 10.0 ** (key_db / 20.0))
    y = run(DynamicEqualiser((band,)).start(RATE, 1), x, key=key)
    whole = slice(-RATE // 2, None)
    return float(10.0 * np.log10(np.sum(np.square(y[whole], dtype=float)) / np.sum(np.square(x[whole], dtype=float))))


@pytest.mark.parametrize("freq_hz", [80.0, 1000.0, 6000.0])
@pytest.mark.parametrize(
    "level_db,expected_db", [(-50.0, 0.0), (-30.0, 0.0), (-20.0, -7.5), (-14.0, -12.0), (0.0, -20.0)]
)
def test_a_bell_falls_by_three_quarters_of_what_exceeds_its_threshold(freq_hz, level_db, expected_db) -> None:
    assert settled_gain_db(replace(DIP, freq_hz=freq_hz), freq_hz, level_db) == pytest.approx(expected_db, abs=0.1)


@pytest.mark.parametrize(
    "changes,level_db,expected_db",
    [
        ({"range_db": 6.0, "ratio": 2.0}, -20.0, 5.0),
        ({"range_db": 6.0, "ratio": 2.0}, -10.0, 6.0),
        ({"range_db": 6.0, "when": "below", "ratio": 3.0}, -36.0, 4.0),
        ({"range_db": -6.0, "when": "below"}, -20.0, 0.0),
        ({"range_db": -6.0, "when": "below"}, -60.0, -6.0),
        ({"gain_db": 9.0, "range_db": -9.0, "ratio": 100.0}, -10.0, 0.0),
        ({"gain_db": 9.0, "range_db": -9.0, "ratio": 100.0}, -40.0, 9.0),
        ({"gain_db": -4.0, "ratio": 1.0}, 0.0, -4.0),
    ],
)
def test_above_or_below_up_or_down_from_its_own_gain(changes, level_db, expected_db) -> None:
    assert settled_gain_db(replace(DIP, **changes), 1000.0, level_db) == pytest.approx(expected_db, abs=0.1)


@pytest.mark.parametrize("kind,freq_hz,tone_hz", [("low_shelf", 300.0, 40.0), ("high_shelf", 4000.0, 15_000.0)])
def test_a_shelf_hears_its_own_side(kind, freq_hz, tone_hz) -> None:
    band = DynamicBand(kind, freq_hz, 0.7071, 0.0, -30.0, 2.0, -12.0)
    whole = float(db(analog(kind, freq_hz, -10.0, 0.7071, at_hz=[tone_hz]))[0])
    assert settled_gain_db(band, tone_hz, -10.0) == pytest.approx(whole, abs=0.15)
    assert settled_gain_db(band, freq_hz**2 / tone_hz, -10.0) == pytest.approx(0.0, abs=0.15)


def test_a_tone_outside_of_a_narrow_bell_does_not_move_it() -> None:
    # two octaves off, a band-pass of Q 8 is 29.5 dB down: a tone of -3 dBFS does not reach -30
    assert settled_gain_db(replace(DIP, q=8.0), 4000.0, -3.0) == pytest.approx(0.0, abs=0.02)


def test_while_it_dips_it_is_the_analog_bell_of_that_gain() -> None:
    at = np.array([250.0, 500.0, 800.0, 1300.0, 2500.0, 9000.0])
    key = sine(1000.0, RATE, 10.0 ** (-15.0 / 20.0))
    probes = sum(sine(f, RATE, 0.01) for f in at)
    y = run(DynamicEqualiser((DIP,)).start(RATE, 1), probes, key=key)[-RATE // 2 :, 0]
    turns = np.exp(-2j * np.pi * np.outer(at, np.arange(RATE // 2)) / RATE)
    gain = db(turns @ y / (turns @ probes[-RATE // 2 :, 0]))
    assert gain == pytest.approx(db(analog("bell", 1000.0, -11.25, 2.0, at_hz=at)), abs=0.1)


def test_it_hears_the_key_instead_where_there_is_one() -> None:
    assert settled_gain_db(DIP, 1000.0, -60.0, key_db=-14.0) == pytest.approx(-12.0, abs=0.1)
    assert settled_gain_db(DIP, 1000.0, -6.0, key_db=-60.0) == pytest.approx(0.0, abs=0.01)


def test_a_key_may_be_a_column_that_belongs_to_someone_else() -> None:
    x = noise(3000)
    both = noise(3000, 2, 5)
    both.flags.writeable = False
    y, z = x.copy(), x.copy()
    DynamicEqualiser((DIP,)).start(RATE, 2).process(y, both[:, 1:])
    DynamicEqualiser((DIP,)).start(RATE, 2).process(z, both[:, 1:].copy())
    assert np.array_equal(y, z)


@pytest.mark.parametrize("attack_ms,release_ms", [(60.0, 400.0), (200.0, 100.0)])
def test_the_gain_covers_63_percent_of_its_way_in_its_time(attack_ms, release_ms) -> None:
    band = replace(DIP, freq_hz=4000.0, q=0.5, attack_ms=attack_ms, release_ms=release_ms)
    x = sine(4000.0, 3 * RATE, 1e-3)
    key = sine(4000.0, 3 * RATE, 10.0 ** (-14.0 / 20.0))
    key[:RATE] = key[2 * RATE :] = 0.0
    y = run(DynamicEqualiser((band,)).start(RATE, 1), x, key=key)
    gain = 10.0 * np.log10(np.mean(np.square(y.reshape(-1, 48), dtype=float), axis=1) / 0.5e-6)
    down = np.flatnonzero(gain[1000:] <= -12.0 * 0.632)[0]
    up = np.flatnonzero(gain[2000:] >= -12.0 * 0.368)[0]
    # on top of it the level's own averages (2 x 0.5 ms) and their way down through the range of levels
    assert down == pytest.approx(attack_ms, rel=0.05, abs=3.0)
    assert up == pytest.approx(release_ms, rel=0.05, abs=8.0)


def test_after_a_change_it_is_the_equaliser_it_was_told_to_become() -> None:
    x = noise(90_000)
    here = DynamicEqualiser((DIP, DynamicBand("low_shelf", 200.0, gain_db=6.0)))
    for there in (DynamicEqualiser((replace(DIP, freq_hz=3000.0),)), DynamicEqualiser((*here.bands, DIP, DIP))):
        changed = moved(here, [(1000, there, 480)], x)
        assert changed[-10_000:] == pytest.approx(run(there.start(RATE, 2), x)[-10_000:], abs=1e-4)


def test_a_change_of_20_ms_and_a_fast_attack_splash_no_more_than_a_straight_fade_of_18_db() -> None:
    x = sine(500.0, 24_000)
    low, high = (DynamicEqualiser((DynamicBand("bell", 500.0, 2.0, g, 0.0, 1.0),)) for g in (0.0, 12.0))
    fade = np.interp(np.arange(24_000), [12_024, 12_984], [1.0, 8.0])[:, None] * x
    around = slice(10_000, 14_096)
    assert splash_db(moved(low, [(12_024, high, 960)], x), 6000.0, around) <= splash_db(fade, 6000.0, around)
    key = np.zeros_like(x)
    key[12_024:] = x[12_024:]
    ducked = run(DynamicEqualiser((replace(DIP, freq_hz=500.0, attack_ms=5.0),)).start(RATE, 1), x, key=key)
    assert splash_db(ducked, 6000.0, around) <= splash_db(fade, 6000.0, around)


def test_a_band_above_what_the_rate_can_carry_is_refused_and_it_is_known_by_name() -> None:
    assert effect("dynamic_eq") is DynamicEqualiser
    running = DynamicEqualiser((DIP,)).start(32_000, 1)
    with pytest.raises(DspError):
        running.change(DynamicEqualiser((replace(DIP, freq_hz=16_000.0),)), 64)
    assert running.tail_frames > 0 and running.latency_frames == 0
