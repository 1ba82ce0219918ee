"""Strips and their bus against plain numpy, and the promise of a stream: any block, the same bits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal
from strips_on_the_bus import mixed

from dsp.bus import BusProcessor, BusSettings
from dsp.dynamics import Compressor
from dsp.errors import DspError
from dsp.filters import Band, cascade, response
from dsp.space import ReverbSettings
from dsp.strip import StripSettings

RATE = 48_000
BANDS = (
    Band("low_shelf", 100.0, 4.0),
    Band("bell", 400.0, -5.0, 1.2),
    Band("bell", 3000.0, 3.0, 0.8),
    Band("high_shelf", 9000.0, 2.5),
)
COMPRESSOR = Compressor(-24.0, 3.0, 3.0, 80.0, 6.0, 2.0)
STEREO = ((1.0, 0.0), (0.0, 1.0))


def noise(frames: int, channels: int, seed: int = 1) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal((frames, channels))).astype(np.float32)


def song() -> tuple[list[StripSettings], list[np.ndarray]]:
    strips = [
        StripSettings("a", hpf_hz=60.0, bands=BANDS, compressor=COMPRESSOR, gains=((0.5, 0.7),), send=0.2),
        StripSettings("b", 2, bands=BANDS[:3], gains=STEREO, send=0.1),
        StripSettings("c", polarity_inverted=True, trim_db=-3.0, compressor=COMPRESSOR),
        StripSettings("d", 2, hpf_hz=100.0, compressor=COMPRESSOR, gains=STEREO, on_bus=False, send=0.4),
        StripSettings("e"),
    ]
    return strips, [noise(11_000, s.channels, i) for i, s in enumerate(strips)]


def render(strips, stems, cuts=()):
    pieces = [np.split(stem, cuts) for stem in stems]
    engine = mixed(strips, reverb=ReverbSettings(), rate_hz=RATE)
    blocks = []
    for block in zip(*pieces, strict=True):
        one = engine.process(list(block))
        blocks.append(([pre.copy() for pre in one.pre], one.bus.copy()))
    return [np.concatenate([pre[i] for pre, _ in blocks]) for i in range(len(strips))], np.concatenate(
        [bus for _, bus in blocks]
    )


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 11_000), max_size=8))
def test_any_block_size_gives_the_same_bits(cuts) -> None:
    strips, stems = song()
    pre, bus = render(strips, stems)
    other_pre, other_bus = render(strips, stems, sorted(cuts))
    assert np.array_equal(bus, other_bus)
    assert all(np.array_equal(a, b) for a, b in zip(pre, other_pre, strict=True))


def test_an_untouched_strip_passes_its_samples_bit_for_bit() -> None:
    x = noise(5000, 2)
    idle = Compressor(-60.0, 1.0, 1.0, 1.0)
    strip = StripSettings("x", 2, bands=(Band("bell", 1000.0, 0.0),), compressor=idle, gains=STEREO)
    engine = mixed([strip], rate_hz=RATE)
    block = engine.process([x])
    assert np.array_equal(block.pre[0], x)
    assert np.array_equal(block.bus, x.astype(np.float64))


def rms_dbfs(x: np.ndarray) -> float:
    return 10.0 * math.log10(np.mean(x**2) + 1e-30)


def sosfilt(strip: StripSettings, x: np.ndarray, rate_hz: float) -> np.ndarray:
    """The strip's sections by scipy's direct form in extended precision."""
    sos = np.array([[s.b0, s.b1, s.b2, 1.0, s.a1, s.a2] for s in cascade(strip.hpf_hz, strip.bands, rate_hz)])
    return signal.sosfilt(sos.astype(np.longdouble), x[:, 0].astype(np.longdouble)).astype(np.float64)


def test_filters_agree_with_scipy_to_24_bits() -> None:
    x = noise(20_000, 1)
    strip = StripSettings("x", hpf_hz=30.0, bands=BANDS, trim_db=3.0, gains=((1.0, 0.0),))
    expected = sosfilt(strip, x, RATE) * 10.0 ** (3.0 / 20.0)
    engine = mixed([strip], rate_hz=RATE)
    block = engine.process([x])
    assert rms_dbfs(block.bus[:, 0] - expected) < -24 * 20.0 * math.log10(2.0)
    assert np.array_equal(block.pre[0][:, 0], block.bus[:, 0])


@pytest.mark.parametrize("rate_hz", [48_000, 96_000, 192_000])
@pytest.mark.parametrize("freq_hz", [30.0, 60.0])
@pytest.mark.parametrize("kind", ["high_pass", "bell", "low_shelf"])
def test_low_filters_stay_130_db_below_full_scale_true_to_float64(kind, freq_hz, rate_hz) -> None:
    x = noise(rate_hz // 2, 1)
    bands = () if kind == "high_pass" else (Band(kind, freq_hz, 12.0, 2.0),)
    strip = StripSettings("x", hpf_hz=freq_hz if kind == "high_pass" else None, bands=bands, gains=((1.0, 1.0),))
    engine = mixed([strip], rate_hz=rate_hz)
    error = engine.process([x]).bus[:, 0] - sosfilt(strip, x, rate_hz)
    assert rms_dbfs(error) < -130.0


def test_the_impulse_response_is_the_stated_response() -> None:
    strip = StripSettings("x", polarity_inverted=True, trim_db=-2.0, hpf_hz=80.0, bands=BANDS, gains=((1.0, 0.0),))
    impulse = np.zeros((1 << 16, 1), dtype=np.float32)
    impulse[0] = 1.0
    engine = mixed([strip], rate_hz=RATE)
    h = np.fft.rfft(engine.process([impulse]).bus[:, 0])
    f = np.fft.rfftfreq(1 << 16, 1.0 / RATE)
    assert h == pytest.approx(response(strip, f, RATE), abs=10.0 ** (-130.0 / 20.0))


def test_the_bus_is_the_sum_of_what_is_on_it() -> None:
    strips = [
        StripSettings("a", gains=((0.3, 0.4),)),
        StripSettings("b", 2, gains=((1.0, 0.25), (0.0, 0.5))),
        StripSettings("c", gains=((9.0, 9.0),), on_bus=False),
    ]
    a, b, c = noise(6000, 1, 1), noise(6000, 2, 2), noise(6000, 1, 3)
    engine = mixed(strips, rate_hz=RATE)
    bus = engine.process([a, b, c]).bus
    x, y = a.astype(np.float64), b.astype(np.float64)
    assert rms_dbfs(bus[:, 0] - (0.3 * x[:, 0] + y[:, 0])) < -24 * 20.0 * math.log10(2.0)
    assert rms_dbfs(bus[:, 1] - (0.4 * x[:, 0] + 0.25 * y[:, 0] + 0.5 * y[:, 1])) < -24 * 20.0 * math.log10(2.0)


def test_a_strip_off_the_bus_still_feeds_the_reverb() -> None:
    strip = StripSettings("a", gains=((1.0, 1.0),), send=0.5, on_bus=False)
    engine = mixed([strip], reverb=ReverbSettings(1.0, 10.0), rate_hz=RATE)
    bus = engine.process([noise(RATE, 1)]).bus
    assert not np.any(bus[: RATE // 100])
    assert np.sqrt(np.mean(bus[RATE // 2 :] ** 2)) > 0.01


@settings(max_examples=15, deadline=None)
@given(st.floats(-2.0, 2.0), st.floats(-2.0, 2.0), st.integers(0, 1000))
def test_without_a_compressor_a_strip_is_linear(a, b, seed) -> None:
    strip = StripSettings("x", hpf_hz=50.0, bands=BANDS, gains=((1.0, 1.0),))
    x, y = noise(2000, 1, seed).astype(np.float64), noise(2000, 1, seed + 1).astype(np.float64)

    def run(z: np.ndarray) -> np.ndarray:
        engine = mixed([strip], rate_hz=RATE)
        return engine.process([z.astype(np.float32)]).bus

    assert run(a * x + b * y) == pytest.approx(a * run(x) + b * run(y), abs=2e-6)


bands = st.builds(
    Band,
    st.sampled_from(["low_shelf", "bell", "high_shelf"]),
    st.floats(10.0, 21_000.0),
    st.floats(-40.0, 40.0),
    st.floats(0.1, 40.0),
)
compressors = st.builds(
    Compressor,
    st.floats(-120.0, 24.0),
    st.one_of(st.floats(1.0, 100.0), st.just(math.inf)),
    st.floats(0.0, 10_000.0),
    st.floats(0.0, 10_000.0),
    st.floats(0.0, 60.0),
    st.floats(-60.0, 60.0),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(bands, max_size=4),
    st.one_of(st.none(), compressors),
    st.one_of(st.none(), st.floats(1.0, 20_000.0)),
    st.floats(-60.0, 60.0),
    st.sampled_from([44_100, 48_000, 192_000]),
)
def test_settings_within_their_ranges_never_give_infinity_or_nan(eq, compressor, hpf_hz, trim_db, rate_hz) -> None:
    strip = StripSettings("x", trim_db=trim_db, hpf_hz=hpf_hz, bands=tuple(eq), compressor=compressor, send=1.0)
    x = noise(3000, 1)
    x[1000:2000] = 0.0
    x[2000] = 1.0
    engine = mixed([strip], reverb=ReverbSettings(), rate_hz=rate_hz)
    block = engine.process([x])
    assert np.all(np.isfinite(block.bus))
    assert np.all(np.isfinite(block.pre[0]))


def test_silence_after_sound_ends_in_true_silence_and_not_in_denormals() -> None:
    strip = StripSettings("x", hpf_hz=400.0, bands=BANDS[1:], compressor=Compressor(-40.0, 4.0, 1.0, 5.0))
    x = np.zeros((2 * RATE, 1), dtype=np.float32)
    x[:4800] = noise(4800, 1)
    engine = mixed([strip], rate_hz=RATE)
    block = engine.process([x])
    assert not np.any(block.bus[-1000:])


def test_the_stereo_bus_is_bands_then_compressor_then_fader() -> None:
    x = np.full((RATE, 2), 1.0)
    settings = BusSettings(compressor=Compressor(-20.0, 2.0, 1.0, 50.0, 0.0), fader_db=-6.0)
    out = BusProcessor(settings, RATE).process(x)
    assert 20.0 * np.log10(out[-1]) == pytest.approx([-16.0, -16.0], abs=0.001)


def test_the_stereo_bus_gives_the_same_bits_for_any_block_size() -> None:
    settings = BusSettings(BANDS[:3], COMPRESSOR, -1.0)
    x = noise(10_000, 2).astype(np.float64)
    whole, pieces = BusProcessor(settings, RATE), BusProcessor(settings, RATE)
    assert np.array_equal(
        whole.process(x), np.concatenate([pieces.process(p) for p in np.split(x, [3, 128, 4100, 9999])])
    )


def test_a_closed_bus_fader_is_silence() -> None:
    out = BusProcessor(BusSettings(fader_db=-math.inf), RATE).process(noise(100, 2))
    assert not np.any(out)


def test_a_read_only_or_sliced_stem_is_taken_as_it_is() -> None:
    wide = noise(3000, 4)
    wide.flags.writeable = False
    engine = mixed([StripSettings("x", gains=((1.0, 0.0),))], rate_hz=RATE)
    assert np.array_equal(engine.process([wide[:, 2:3]]).pre[0], wide[:, 2:3])


@pytest.mark.parametrize("bad", [{"trim_db": 61.0}, {"channels": 3}, {"channels": 2}, {"send": math.inf}])
def test_a_strip_that_makes_no_sense_is_refused_by_name(bad) -> None:
    with pytest.raises(DspError, match="'vox'"):
        StripSettings("vox", **bad)


def test_the_stereo_bus_goes_to_other_settings_without_a_click_and_at_any_block_size() -> None:
    t = np.arange(30_000) / RATE
    x = np.repeat(0.5 * np.sin(2.0 * np.pi * 300.0 * t)[:, None], 2, axis=1)
    to = BusSettings((Band("bell", 300.0, 12.0, 2.0),), Compressor(-20.0, 4.0, 5.0, 50.0), -6.0)

    def run(cuts: list[int]) -> np.ndarray:
        bus = BusProcessor(BusSettings((Band("bell", 300.0, 0.0, 2.0),)), RATE)
        out = []
        for piece in np.split(x, sorted({10_001, 20_003, *cuts})):
            if sum(map(len, out)) in (10_001, 20_003):
                bus.change(to if sum(map(len, out)) == 10_001 else BusSettings((Band("bell", 300.0),)), 960)
            out.append(bus.process(piece))
        return np.concatenate(out)

    y = run([])
    assert np.array_equal(y, run([3, 10_500, 10_963, 12_000, 20_004]))
    settled = BusProcessor(to, RATE).process(x)
    assert rms_dbfs(y[18_000:20_000] - settled[18_000:20_000]) < -100.0
    assert rms_dbfs(y[-1000:] - x[-1000:]) < -100.0
    splash = signal.sosfilt(signal.butter(8, 6000.0, "high", fs=RATE, output="sos"), y[9_000:, 0])
    assert np.abs(splash[500:]).max() < 10.0 ** (-66.0 / 20.0)
