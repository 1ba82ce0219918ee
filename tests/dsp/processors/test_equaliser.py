"""The equaliser is its bands' analog curves, moves without a click and cannot be made to ring up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal

from dsp.errors import DspError
from dsp.filters import Band, sections
from dsp.processors.equaliser import Equaliser
from tests.dsp.analog_bands import analog, db
from tests.dsp.processors.streams import RATE, close, moved, noise, run, sine, spectrum_db

EIGHT = (
    Band("high_pass", 60.0, db_per_octave=24),
    Band("low_shelf", 150.0, 4.0),
    Band("bell", 400.0, -6.0, 2.0),
    Band("bell", 1800.0, 3.0, 0.8),
    Band("notch", 3000.0, 0.0, 10.0),
    Band("bell", 7000.0, 5.0, 1.0),
    Band("high_shelf", 10_000.0, -4.0),
    Band("low_pass", 16_000.0, db_per_octave=18),
)
KINDS = ["bell", "low_shelf", "high_shelf", "tilt", "notch", "band_pass", "all_pass", "high_pass", "low_pass"]


def sosfilt(bands: tuple[Band, ...], x: np.ndarray) -> np.ndarray:
    sos = [[s.b0, s.b1, s.b2, 1.0, s.a1, s.a2] for b in bands for s in sections(b, RATE)]
    return signal.sosfilt(sos, x.astype(np.float64), axis=0)


def test_eight_bands_of_every_sort_have_the_product_of_their_analog_curves() -> None:
    at = np.geomspace(30.0, 20_000.0, 150)
    at = at[np.abs(at / 3000.0 - 1.0) > 0.02]
    expected = sum(db(analog(b.kind, b.freq_hz, b.gain_db, b.q, b.db_per_octave, at_hz=at)) for b in EIGHT)
    assert spectrum_db(Equaliser(EIGHT).start(RATE, 1), 16_384, at) == pytest.approx(expected, abs=0.3)


def test_it_is_scipys_cascade_of_the_same_sections() -> None:
    x = noise(6000)
    y = run(Equaliser(EIGHT).start(RATE, 2), x)
    assert close(y, sosfilt(EIGHT, x), abs=1e-6)


@pytest.mark.parametrize("acts_on,other", [("left", 1), ("right", 0)])
def test_the_channel_it_does_not_act_on_passes_every_bit(acts_on, other) -> None:
    x = noise(5000)
    y = run(Equaliser(EIGHT, acts_on).start(RATE, 2), x)
    assert np.array_equal(y[:, other], x[:, other])
    assert close(y[:, 1 - other], sosfilt(EIGHT, x)[:, 1 - other], abs=1e-6)


@pytest.mark.parametrize("acts_on,sign", [("mid", 1.0), ("side", -1.0)])
def test_mid_or_side_alone_is_filtered_and_the_other_stays(acts_on, sign) -> None:
    x = noise(5000)
    y = run(Equaliser(EIGHT, acts_on).start(RATE, 2), x)
    assert close(y[:, 0] + sign * y[:, 1], sosfilt(EIGHT, x) @ [1.0, sign], abs=1e-6)
    assert close(y[:, 0] - sign * y[:, 1], x[:, 0] - sign * x[:, 1], abs=1e-6)


def test_a_mono_signal_has_no_side_to_act_on() -> None:
    with pytest.raises(DspError, match="no side"):
        Equaliser(acts_on="side").start(RATE, 1)
    running = Equaliser().start(RATE, 1)
    with pytest.raises(DspError, match="no mid"):
        running.change(Equaliser(acts_on="mid"), 64)


@pytest.mark.parametrize(
    "there",
    [
        Equaliser(EIGHT[:3]),
        Equaliser((*EIGHT, Band("bell", 50.0, 9.0))),
        Equaliser((Band("high_pass", 200.0, db_per_octave=48), *EIGHT[1:]), "mid"),
        Equaliser((Band("low_pass", 3000.0), Band("bell", 1200.0, -9.0, 4.0), *EIGHT[2:])),
        Equaliser(),
    ],
)
def test_after_a_change_it_is_the_equaliser_it_was_told_to_become(there) -> None:
    x = noise(60_000)
    changed = moved(Equaliser(EIGHT), [(1000, there, 480)], x)
    assert close(changed[-20_000:], run(there.start(RATE, 2), x)[-20_000:], abs=2e-6)


def test_sections_that_went_are_not_worked_on_for_ever() -> None:
    running = Equaliser((Band("high_pass", 200.0, db_per_octave=48), Band("bell", 500.0, 3.0))).start(RATE, 1)
    few = Equaliser((Band("high_pass", 200.0),))
    for _ in range(2):
        running.change(few, 64)
        run(running, noise(100, 1))
    assert len(running._states) == 1


def test_a_change_in_the_middle_of_a_change_goes_on_from_where_it_stands() -> None:
    x = sine(1000.0, 30_000)
    up, down = Equaliser((Band("bell", 1000.0, 18.0),)), Equaliser()
    y = moved(down, [(8000, up, 4800), (10_400, down, 4800)], x)
    assert np.max(np.abs(np.diff(y[:, 0]))) <= np.max(np.abs(np.diff(y[9000:11_000, 0]))) * 1.01
    assert close(y[-5000:], x[-5000:], abs=1e-6)


def test_a_fast_sweep_of_a_narrow_boost_stays_as_loud_as_the_boost() -> None:
    x = noise(48_000, 1)
    low, high = (Equaliser((Band("bell", f, 24.0, 20.0),)) for f in (30.0, 15_000.0))
    y = moved(low, [(64 * i, high if i % 2 else low, 64) for i in range(1, 700)], x)
    assert np.max(np.abs(y)) < 10.0 ** (24.0 / 20.0) * np.max(np.abs(x))


@pytest.mark.parametrize(
    "bands",
    [
        EIGHT,
        (Band("bell", 40.0, 12.0, 20.0),),
        (Band("low_pass", 30.0, db_per_octave=48),),
        (Band("high_pass", 5000.0, 0.0, 0.1),),
        (Band("bell", 100.0, 12.0, 10.0),) * 4,
    ],
)
def test_it_is_120_db_down_when_its_tail_is_over(bands) -> None:
    running = Equaliser(bands).start(RATE, 1)
    tail = running.tail_frames
    x = np.zeros((4 * tail + 1000, 1))
    x[0] = 1.0
    y = np.abs(sosfilt(bands, x))
    assert np.max(y[tail:]) <= 1e-6 * np.max(y)
    assert Equaliser((Band("bell", 40.0),)).start(RATE, 1).tail_frames == 0


@pytest.mark.parametrize("channels", [1, 2])
def test_every_kind_can_be_run_at_every_rate(channels) -> None:
    for rate in (44_100, 96_000, 192_000):
        running = Equaliser(tuple(Band(kind, 0.4 * rate) for kind in KINDS)).start(rate, channels)
        assert np.all(np.isfinite(run(running, noise(300, channels))))
        assert running.latency_frames == 0
    with pytest.raises(DspError):
        Equaliser((Band("bell", 0.495 * 44_100),)).start(44_100, channels)
    assert math.isfinite(running.tail_frames)
