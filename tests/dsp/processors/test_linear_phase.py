"""The linear-phase equaliser has the analog magnitudes, no phase, and one latency."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from dsp.filters import Band
from dsp.processors.linear_phase import LinearPhase, fir
from tests.dsp.analog_bands import AUDIBLE, analog, db
from tests.dsp.processors.streams import RATE, close, moved, noise, run, sine, spectrum_db

MIX = (
    Band("high_pass", 40.0),
    Band("bell", 200.0, -4.0, 1.5),
    Band("bell", 3000.0, 3.0, 1.0),
    Band("high_shelf", 9000.0, 4.0),
)
STEEP = (Band("high_pass", 80.0, db_per_octave=24), Band("low_pass", 12_000.0, db_per_octave=48))


def curve_db(bands: tuple[Band, ...], at_hz: np.ndarray) -> np.ndarray:
    return sum(db(analog(b.kind, b.freq_hz, b.gain_db, b.q, b.db_per_octave, at_hz=at_hz)) for b in bands)


@pytest.mark.parametrize(
    "quality,bands",
    [
        ("long", MIX),
        ("long", STEEP),
        ("long", (Band("bell", 30.0, 12.0, 1.0), Band("bell", 60.0, -12.0, 4.0))),
        ("medium", MIX),
        ("medium", STEEP),
        ("medium", (Band("bell", 100.0, -12.0, 3.0), Band("bell", 10_000.0, 12.0, 40.0))),
        ("short", (Band("bell", 200.0, -12.0, 1.0), Band("bell", 120.0, 6.0, 2.0))),
        ("short", (Band("high_shelf", 16_000.0, 9.0), Band("bell", 18_000.0, -12.0, 0.7))),
    ],
)
def test_it_has_the_analog_magnitude_within_a_twentieth_of_a_db(quality, bands) -> None:
    running = LinearPhase(bands, quality).start(RATE, 1)
    expected = curve_db(bands, AUDIBLE)
    used = expected > -60.0
    found = spectrum_db(running, running.latency_frames + running.tail_frames + 1, AUDIBLE)
    assert found[used] == pytest.approx(expected[used], abs=0.05)


@pytest.mark.parametrize("quality,latency_ms", [("short", 53.3), ("medium", 106.7), ("long", 213.3)])
def test_its_response_is_symmetrical_about_its_latency(quality, latency_ms) -> None:
    running = LinearPhase(MIX, quality).start(RATE, 1)
    assert running.latency_frames / RATE * 1000.0 == pytest.approx(latency_ms, abs=0.1)
    x = np.zeros((running.latency_frames + running.tail_frames + 5000, 1))
    x[0] = 1.0
    y = run(running, x)[:, 0]
    middle = running.latency_frames
    assert np.argmax(np.abs(y)) == middle
    assert close(y[middle + 1 : middle + 2000], y[middle - 1 : middle - 2000 : -1], abs=1e-7)
    assert np.max(np.abs(y[middle + running.tail_frames + 1 :])) < 1e-9


def test_it_is_scipys_convolution_with_its_filter() -> None:
    x = noise(20_000)
    running = LinearPhase(MIX, "short").start(RATE, 2)
    y = run(running, x)
    taps = fir(MIX, 4096, RATE)
    part = running.latency_frames - 2048
    expected = signal.fftconvolve(x.astype(np.float64), taps[:, None], axes=0)[: len(x) - part]
    assert close(y[part:], expected, abs=1e-7)


@pytest.mark.parametrize("there", [(), STEEP])
def test_after_a_change_it_is_the_equaliser_it_was_told_to_become(there) -> None:
    x = noise(30_000)
    changed = moved(LinearPhase(MIX, "short"), [(5000, LinearPhase(there, "short"), 960)], x)
    fresh = run(LinearPhase(there, "short").start(RATE, 2), x)
    assert np.array_equal(changed[15_000:], fresh[15_000:])


def test_a_change_in_the_middle_of_a_change_goes_on_from_what_is_heard() -> None:
    x = sine(1000.0, 40_000)
    loud = LinearPhase((Band("bell", 1000.0, 12.0),), "short")
    y = moved(LinearPhase((), "short"), [(10_000, loud, 9600), (14_000, LinearPhase((), "short"), 9600)], x)[10_000:]
    level = np.max(np.abs(y[: len(y) // 48 * 48].reshape(-1, 48)), axis=1) / 0.5
    assert 1.3 < np.max(level) < 3.0
    assert np.max(np.abs(np.diff(level))) < 0.05
    assert level[-1] == pytest.approx(1.0, abs=1e-3)


def test_its_latency_is_the_same_time_at_every_rate() -> None:
    times = [LinearPhase(MIX).start(rate, 1).latency_frames / rate for rate in (44_100, 48_000, 96_000, 192_000)]
    assert times == pytest.approx([0.1067] * 4, rel=0.1)
