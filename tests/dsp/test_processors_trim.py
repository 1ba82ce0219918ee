"""Trim and align: exact gains, exact places in time, the same samples for any cut into blocks."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError
from dsp.processors.trim import Align, Trim
from dsp.registry import effect

RATE = 48_000


def noise(frames: int, channels: int = 2, seed: int = 1) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal((frames, channels))).astype(np.float32)


def run(running, x, cuts=(), changes=()):
    """``x`` through a processor in the pieces that ``cuts`` make; ``changes`` are (frame, settings, over)."""
    out = x.copy()
    edges = sorted({0, len(x), *(c for c in cuts if c < len(x)), *(at for at, _, _ in changes)})
    for start, stop in itertools.pairwise(edges):
        for at, to, over in changes:
            if at == start:
                running.change(to, over)
        block = np.ascontiguousarray(out[start:stop])
        running.process(block)
        out[start:stop] = block
    return out


def test_the_registry_knows_both() -> None:
    assert effect("trim") is Trim
    assert effect("align") is Align
    with pytest.raises(DspError, match="effect 'trimm' is not known"):
        effect("trimm")


@pytest.mark.parametrize("still", [Trim(), Align()])
def test_what_does_nothing_passes_every_sample_bit_for_bit(still) -> None:
    x = noise(1000)
    assert np.array_equal(run(still.start(RATE, 2), x), x)


def test_six_decibels_and_a_turned_polarity_are_the_factor_they_say() -> None:
    x = noise(1000)
    out = run(Trim(gain_db=-6.0, polarity="inverted").start(RATE, 2), x)
    np.testing.assert_allclose(out, -(10 ** (-6 / 20)) * x.astype(np.float64), rtol=1e-6)


def test_a_moving_trim_goes_straight_to_where_it_is_sent() -> None:
    running = Trim().start(RATE, 1)
    out = run(running, np.ones((200, 1), np.float32), changes=[(16, Trim(gain_db=-60.0), 96)])[:, 0]
    expected = np.interp(np.arange(200), [16, 112], [1.0, 10 ** (-60 / 20)])
    np.testing.assert_allclose(out, expected, atol=1e-6)


cuts = st.lists(st.integers(1, 2999), max_size=6)


@settings(max_examples=15, deadline=None)
@given(cuts, st.integers(0, 150), st.integers(1, 500))
def test_any_cut_into_blocks_gives_the_same_bits(cut, at, over) -> None:
    x = noise(3000)
    for kind, first, then in (
        ("trim", Trim(gain_db=3.0), Trim(gain_db=-9.0, polarity="inverted")),
        ("align", Align(delay_samples=-40.25), Align(delay_samples=300.5)),
    ):
        changes = [(16 * at, then, over), (16 * at + 160, first, over)]
        whole = run(first.start(RATE, 2), x, changes=changes)
        assert np.array_equal(run(first.start(RATE, 2), x, cut, changes), whole), kind


@pytest.mark.parametrize(("shift", "latency"), [(0, 0), (37, 0), (-37, 37), (-9_600, 9_600)])
def test_a_whole_shift_is_bit_exact_and_what_is_early_costs_latency(shift, latency) -> None:
    running = Align(delay_samples=float(shift)).start(RATE, 2)
    assert running.latency_frames == latency
    x = noise(12_000)
    out = run(running, x)
    late = latency + shift
    assert np.array_equal(out[late:], x[: len(x) - late])
    assert not np.any(out[:late])


def test_milliseconds_are_frames_at_the_rate() -> None:
    assert Align(delay_ms=2.5).start(96_000, 1).tail_frames == 240
    assert Align(delay_ms=-2.5, delay_samples=240.0).frames(96_000) == 0.0


@pytest.mark.parametrize(("shift", "latency"), [(0.5, 47), (-0.75, 48), (46.99, 1), (47.25, 0), (500.125, 0)])
def test_a_fraction_is_band_limited_interpolation(shift, latency) -> None:
    running = Align(delay_samples=shift).start(RATE, 1)
    assert running.latency_frames == latency
    t = np.arange(4_000)
    tone = np.sin(2 * np.pi * 0.21 * t)[:, None].astype(np.float32)
    out = run(running, tone)[1_000:, 0]
    expected = np.sin(2 * np.pi * 0.21 * (t - latency - shift))[1_000:]
    assert 20 * math.log10(np.abs(out - expected).max()) < -90


def test_a_shift_that_would_need_more_latency_is_refused_while_it_runs() -> None:
    running = Align(delay_samples=-10.0).start(RATE, 1)
    running.change(Align(delay_samples=-4.0), 64)
    with pytest.raises(DspError, match="more latency than the 10 frames"):
        running.change(Align(delay_samples=-11.0), 64)


def test_a_moving_shift_never_clicks() -> None:
    tone = np.sin(2 * np.pi * 100 / RATE * np.arange(8_000))[:, None].astype(np.float32)
    running = Align().start(RATE, 1)
    out = run(
        running, tone, changes=[(2_000, Align(delay_samples=200.0), 512), (2_100, Align(delay_samples=20.0), 512)]
    )
    still = np.abs(np.diff(tone[:, 0])).max()
    # Two delays faded over 512 frames may differ by twice the peak: 2/512 more from frame to frame at most.
    assert np.abs(np.diff(out[:, 0])).max() <= still + 2 / 512
    np.testing.assert_allclose(out[4_000:, 0], tone[3_980:-20, 0], atol=1e-7)


def test_reset_forgets_and_silence_stays_silent() -> None:
    running = Align(delay_samples=100.0).start(RATE, 2)
    run(running, noise(400))
    running.reset()
    assert not np.any(run(running, np.zeros((400, 2), np.float32)))


@pytest.mark.parametrize("wrong", [{"gain_db": 25.0}, {"gain_db": math.nan}, {"polarity": "reversed"}])
def test_a_setting_outside_of_its_range_is_refused(wrong) -> None:
    with pytest.raises(DspError, match="trim"):
        Trim(**wrong)
