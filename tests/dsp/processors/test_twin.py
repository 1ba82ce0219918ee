"""A twin is its model, and nothing more."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.errors import DspError
from dsp.processors.twin import Twin, TwinModel
from tests.dsp.processors.streams import RATE, run, sine, swelling


def fading(seed: int, taps: int = 2048, level: float = 0.05) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(taps) * np.exp(-np.arange(taps) / (taps / 8.0)) * level


def tones(frames: int) -> np.ndarray:
    """Return tones that swell and fade, whose fifth power still fits below half the rate."""
    t = np.arange(frames) / RATE
    swell = np.sin(np.pi * np.arange(frames) / frames) ** 2
    return (swell * sum(0.2 * np.sin(2.0 * np.pi * hz * t + hz) for hz in (110.0, 997.0, 2503.0, 4099.0))).astype(
        np.float32
    )


@pytest.mark.parametrize("orders", [(), (2, 3), (2, 3, 4, 5), (5,)])
@pytest.mark.parametrize("partition", [128, 512])
def test_it_is_within_140_db_of_the_formula(orders, partition) -> None:
    model = TwinModel(fading(1), tuple((k, fading(k)) for k in orders))
    x = tones(12_000)
    p = Twin(model, partition_frames=partition).start(RATE, 1)
    y = run(p, x[:, None], range(100, 12_000, 333))[:, 0].astype(np.float64)
    wanted = sum(np.convolve(x.astype(np.float64) ** k, taps)[: len(x)] for k, taps in model.rows)
    late = p.latency_frames
    error = y[late:] - wanted[: len(x) - late]
    assert 20.0 * np.log10(np.std(error) / np.std(wanted)) <= -140.0


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_a_power_leaves_no_aliases_in_what_it_passes(order) -> None:
    n, cycles = 24_000, 4201  # 8402 Hz
    y = run(Twin(TwinModel(np.zeros(1), ((order, np.ones(1)),))).start(RATE, 1), sine(2.0 * cycles, 2 * n, 1.0))
    found = np.abs(np.fft.rfft(y[n:, 0].astype(np.float64))) * 2.0 / n
    found[0 : len(found) : cycles] = 0.0
    assert 20.0 * np.log10(np.max(found[: round(0.45 * n)])) <= -140.0


def test_a_change_fades_to_the_other_model() -> None:
    x = swelling(12_000)
    here, there = TwinModel(fading(1), ((3, fading(3)),)), TwinModel(fading(5), ((3, fading(6)),))
    p = Twin(here).start(RATE, 2)
    before = run(p, x[:4000])
    p.change(Twin(there), 960)
    y = np.concatenate([before, run(p, x[4000:])])
    one, other = (run(Twin(m).start(RATE, 2), x) for m in (here, there))
    assert np.array_equal(y[:3584], one[:3584])
    assert np.array_equal(y[6144:], other[6144:])


@pytest.mark.parametrize(
    "fir,branches", [([], ()), ([np.nan], ()), ([[1.0]], ()), ([1.0], ((6, [1.0]),)), ([1.0], ((2, [1.0]), (2, [1.0])))]
)
def test_a_model_that_makes_no_sense_is_refused(fir, branches) -> None:
    with pytest.raises(DspError):
        TwinModel(fir, branches)


def test_models_of_the_same_numbers_are_the_same() -> None:
    a, b = (TwinModel(fading(1), ((2, fading(2)),)) for _ in range(2))
    assert a == b and hash(a) == hash(b) and Twin(a) == Twin(b)
    assert a != TwinModel(fading(1)) and a != TwinModel(fading(1), ((3, fading(2)),))


def test_a_model_runs_at_the_rate_it_was_fitted_at_only() -> None:
    Twin(TwinModel(fading(1), rate_hz=RATE)).start(RATE, 1)
    with pytest.raises(DspError, match="'desk' was fitted at 44100 Hz and cannot run at 48000 Hz"):
        Twin(TwinModel(fading(1), rate_hz=44_100.0, name="desk")).start(RATE, 1)
    with pytest.raises(DspError, match="not a positive number"):
        TwinModel(fading(1), rate_hz=0.0)
    assert TwinModel(fading(1), rate_hz=RATE, name="a") == TwinModel(fading(1), rate_hz=RATE, name="b")
    assert TwinModel(fading(1), rate_hz=RATE) != TwinModel(fading(1))


def test_without_a_model_the_sound_goes_by() -> None:
    p, x = Twin().start(RATE, 2), swelling(4000)
    late = p.latency_frames
    assert np.array_equal(run(p, x)[late:], x[: len(x) - late])
