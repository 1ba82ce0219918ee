"""What is left after a null is named, measured, and adds up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError, ShapeError
from dsp.null.explain import Explainer

RATE = 48_000
SECONDS = 16
SIGMA = 1e-4
NOISE_DBFS = 20.0 * np.log10(SIGMA * np.sqrt(2.0))


def programme(seconds=SECONDS, seed=1):
    """Swelling tones over pink-ish noise, (2, frames)."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    out = np.zeros((2, t.size))
    for hz in np.exp(rng.uniform(np.log(60.0), np.log(9_000.0), 20)):
        swell = (1.0 + 0.9 * np.sin(2.0 * np.pi * rng.uniform(0.3, 4.0) * t + rng.uniform(0.0, 6.0))) ** 2
        for channel in range(2):
            phase = rng.uniform(0.0, 6.28)
            out[channel] += 0.02 * (hz / 100.0) ** -0.5 * swell * np.sin(2.0 * np.pi * hz * t + phase)
    return out + 0.01 * rng.standard_normal(out.shape)


def noise(x, seed=7):
    return SIGMA * np.random.default_rng(seed).standard_normal(x.shape)


def explain(model, heard, *, first_frame=0, block=RATE, **options):
    explainer = Explainer(
        rate_hz=RATE, channels=model.shape[0], first_frame=first_frame, expected_frames=model.shape[1]
    )
    for start in range(0, model.shape[1], block):
        explainer.add(first_frame + start, model[:, start : start + block], heard[:, start : start + block])
    return explainer.result(**options)


def share(found, name):
    return next(s for s in found.shares if s.name == name)


def within(figure, truth, sigmas=4.0):
    return figure.observable and abs(figure.value - truth) < sigmas * figure.sd


@pytest.fixture(scope="module")
def song():
    return programme()


def test_noise_alone_is_all_noise(song):
    found = explain(song, song + noise(song))
    assert within(found.noise.incoherent_dbfs, NOISE_DBFS)
    assert share(found, "noise and other").share.value == pytest.approx(1.0, abs=0.01)
    assert {cause.kind for cause in found.gain_cause} == {"steady"}
    assert not found.clicks and not found.dropouts and not found.noise.hum.lines
    for name in ("linear", "harmonic 2", "harmonic 3", "gain", "clicks", "clipping"):
        assert abs(share(found, name).share.value) < 0.003


def test_the_shares_add_up_to_one(song):
    heard = 1.0005 * song + 0.02 * song**3 + noise(song)
    for options in ({}, {"noise_dbfs": NOISE_DBFS}):
        found = explain(song, heard, **options)
        assert sum(s.share.value for s in found.shares) == pytest.approx(1.0, abs=1e-9)


def test_a_gain_error_is_linear_and_its_size_is_told(song):
    found = explain(song, 1.001 * song + noise(song), noise_dbfs=NOISE_DBFS)
    left, expected = 1e-6 * np.mean(song**2), SIGMA**2
    assert share(found, "linear").share.value == pytest.approx(left / (left + expected), rel=0.02)
    assert share(found, "noise").share.value == pytest.approx(expected / (left + expected), rel=0.01)


def test_hum_lines_are_named_with_their_levels_and_the_mains_refined(song):
    t = np.arange(song.shape[1]) / RATE
    levels = {1: -80.0, 2: -88.0, 3: -76.0, 7: -92.0}
    hum = sum(10.0 ** (level / 20.0) * np.sin(2.0 * np.pi * 50.013 * n * t + n) for n, level in levels.items())
    found = explain(song, song + hum + noise(song)).noise.hum
    assert within(found.mains_hz, 50.013)
    assert [line.harmonic for line in found.lines] == list(levels)
    for line in found.lines:
        for figure in line.level_dbfs:
            assert abs(figure.value - levels[line.harmonic]) < 4.0 * figure.sd + 0.02


def test_sixty_hertz_is_not_taken_for_fifty(song):
    t = np.arange(song.shape[1]) / RATE
    hum = 1e-4 * np.sin(2.0 * np.pi * 59.97 * t) + 5e-5 * np.sin(2.0 * np.pi * 3 * 59.97 * t)
    found = explain(song, song + hum + noise(song)).noise.hum
    assert within(found.mains_hz, 59.97)
    assert [line.harmonic for line in found.lines] == [1, 3]


def test_noise_is_read_where_the_reference_is_quiet(song):
    model = song.copy()
    model[:, 5 * RATE : 6 * RATE] = 0.0
    found = explain(model, 1.01 * model + noise(model))
    assert within(found.noise.quiet_dbfs, NOISE_DBFS)
    assert found.noise.level_dbfs == found.noise.quiet_dbfs


def two_tones():
    """Tones whose cubic products are known by trigonometry, a second apart in level so that frames differ."""
    t = np.arange(SECONDS * RATE) / RATE
    return np.vstack([0.2 * np.sin(2 * np.pi * 997.0 * t), 0.1 * np.sin(2 * np.pi * 1_997.0 * t)])


@pytest.mark.parametrize(("order", "factor"), [(2, 0.01), (3, 0.05)])
def test_a_static_curve_gives_its_known_harmonic(order, factor):
    tone = two_tones()
    peak = np.array([0.2, 0.1])[:, None]
    bent = tone + factor * tone**order
    # sin² = 1/2 − cos(2φ)/2 and sin³ = 3/4·sin φ − sin(3φ)/4; the model holds offset and gain.
    model = tone + (0.5 * factor * peak**2 if order == 2 else 0.75 * factor * peak**2 * tone)
    found = explain(model, bent + noise(tone), noise_dbfs=NOISE_DBFS)
    harmonic = np.mean((factor * peak**order / (2.0 if order == 2 else 4.0)) ** 2 / 2.0)
    expected = 10.0 * np.log10(2.0 * harmonic)
    assert share(found, f"harmonic {order}").level_dbfs.value == pytest.approx(expected, abs=0.2)
    assert {cause.kind for cause in found.gain_cause} == {"steady"}


def compressed(x, *, threshold_dbfs, ratio, attack_s, release_s):
    """A plain feed-forward compressor, sample by sample: peak-free level of 10 ms, then attack and release in dB."""
    mean = np.empty(x.shape[1])
    state, grow = 0.0, 1.0 - np.exp(-1.0 / (0.01 * RATE))
    square = np.mean(x**2, axis=0)
    for n in range(square.size):
        state += grow * (square[n] - state)
        mean[n] = state
    above = np.maximum(10.0 * np.log10(2.0 * mean + 1e-12) - threshold_dbfs, 0.0)
    rise, fall = (1.0 - np.exp(-1.0 / (s * RATE)) for s in (attack_s, release_s))
    held, reduction = 0.0, np.empty_like(above)
    for n in range(above.size):
        held += (rise if above[n] > held else fall) * (above[n] - held)
        reduction[n] = held
    return x * 10.0 ** ((1.0 / ratio - 1.0) * reduction / 20.0)


def test_a_compressor_is_named_with_its_slope(song):
    heard = compressed(song, threshold_dbfs=-22.0, ratio=2.0, attack_s=0.03, release_s=0.2)
    gain = np.sum(song * heard, axis=1) / np.sum(song**2, axis=1)
    found = explain(gain[:, None] * song, heard + noise(song))
    for cause in found.gain_cause:
        assert cause.kind == "compressor"
        assert within(cause.compressor.slope, -0.5, sigmas=2.0)
        assert within(cause.compressor.release_s, 0.2, sigmas=2.0)
        assert within(cause.compressor.attack_s, 0.03, sigmas=2.0)
        deepest = 20.0 * np.log10(np.max(np.abs(song[0] / heard[0])))
        assert within(cause.compressor.most_reduction_db, deepest, sigmas=2.0)
    assert share(found, "gain").share.value > 0.7


def test_a_fader_step_is_found_with_time_and_amount(song):
    gain = np.where(np.arange(song.shape[1]) < 7.3 * RATE, 1.0, 10.0 ** (-0.3 / 20.0))
    found = explain(song * np.mean(gain), song * gain + noise(song))
    for cause in found.gain_cause:
        assert cause.kind == "moves"
        assert len(cause.moves) == 1
        assert cause.moves[0].at_s == pytest.approx(7.3, abs=0.02)
        assert cause.moves[0].amount_db.value == pytest.approx(-0.3, abs=0.005)


def test_a_ramp_is_one_move_of_its_length(song):
    at = np.arange(song.shape[1]) / RATE
    gain = 10.0 ** (np.interp(at, [5.0, 9.0], [0.0, 0.5]) / 20.0)
    found = explain(song * np.mean(gain), song * gain + noise(song))
    for cause in found.gain_cause:
        assert [move.length_s for move in cause.moves] == [pytest.approx(4.0, abs=0.3)]
        assert cause.moves[0].at_s == pytest.approx(7.0, abs=0.1)
        assert cause.moves[0].amount_db.value == pytest.approx(0.5, abs=0.01)


def test_a_tremolo_has_its_rate_and_depth(song):
    at = np.arange(song.shape[1]) / RATE
    gain = 10.0 ** (0.1 * np.sin(2.0 * np.pi * 3.7 * at) / 20.0)
    found = explain(song, song * gain + noise(song))
    for cause in found.gain_cause:
        assert cause.kind == "tremolo"
        assert cause.tremolo.hz.value == pytest.approx(3.7, abs=0.001)
        assert cause.tremolo.depth_db.value == pytest.approx(0.2, rel=0.03)


def test_clicks_and_dropouts_are_found_to_the_sample(song):
    heard = song + noise(song)
    heard[0, 100_003] += 0.02
    heard[1, 333_333] -= 0.004
    heard[1, 200_000:200_150] = 0.0
    heard[0, 500_000:500_040] = heard[0, 499_999]
    found = explain(song, heard, first_frame=4_000)
    assert [(c.frame - 4_000, c.channel) for c in found.clicks] == [(100_003, 0), (333_333, 1)]
    assert found.clicks[0].peak_dbfs == pytest.approx(20.0 * np.log10(0.02), abs=0.2)
    assert [(d.frame - 4_000, d.channel, d.length_frames) for d in found.dropouts] == [
        (200_000, 1, 150),
        (499_999, 0, 41),
    ]
    assert found.click_count == 2 and found.dropout_count == 2


def test_clicks_beyond_what_is_kept_are_still_counted(song):
    heard = song + noise(song)
    heard[0, 5_000:-5_000:4_001] += 0.05
    found = explain(song, heard)
    assert found.click_count == len(range(5_000, song.shape[1] - 5_000, 4_001))
    assert len(found.clicks) == 48


def test_clipping_has_its_level_count_and_first_time(song):
    top = 0.7 * np.max(np.abs(song))
    heard = song + noise(song)
    flat = np.abs(heard) > top
    found = explain(song, np.clip(heard, -top, top))
    assert found.clipping[0].level_dbfs.value == pytest.approx(20.0 * np.log10(top), abs=0.001)
    assert 0.5 * np.count_nonzero(flat[0]) < found.clipping[0].samples <= np.count_nonzero(flat[0])
    assert found.click_count == 0


def test_soft_clipping_loses_the_loudest_peaks():
    rng = np.random.default_rng(4)
    x = 0.25 * rng.standard_normal((1, 4 * RATE))
    found = explain(x, np.tanh(x)).clipping[0]
    loudest = np.sort(np.abs(x[0]))[-200:]
    assert found.top_loss_db.value == pytest.approx(
        -20.0 * np.log10(np.mean(np.tanh(loudest)) / np.mean(loudest)), abs=0.1
    )
    assert not found.level_dbfs.observable


def test_nothing_left_has_no_shares_and_no_depth(song):
    found = explain(song, song)
    assert found.depth_db is None and found.shares == ()
    assert not found.noise.level_dbfs.observable


@settings(max_examples=5, deadline=None)
@given(cuts=st.lists(st.integers(1, 3 * RATE - 1), max_size=12, unique=True))
def test_any_block_sizes_give_the_same_answer(cuts):
    x = programme(3.0)
    heard = 1.001 * x + 0.1 * x**3 + noise(x)
    heard[0, 31_000] += 0.1
    edges = [0, *sorted(cuts), x.shape[1]]
    explainer = Explainer(rate_hz=RATE, channels=2, expected_frames=x.shape[1])
    for a, b in pairwise(edges):
        explainer.add(a, x[:, a:b], heard[:, a:b])
    found, whole = explainer.result(), explain(x, heard, block=x.shape[1])
    assert found.shares == whole.shares
    assert found.bands == whole.bands
    assert found.clicks == whole.clicks
    assert found.depth_db == whole.depth_db


@pytest.mark.parametrize("frames", [1, 100, 5_000])
def test_a_short_recording_says_not_observable_instead_of_a_number(frames):
    rng = np.random.default_rng(1)
    x = 0.1 * rng.standard_normal((1, frames))
    found = explain(x, x + 1e-3 * rng.standard_normal(x.shape))
    assert not found.noise.hum.mains_hz.observable
    assert not found.gain[0].rms_db.observable
    assert found.gain_cause[0].kind == "steady"


def test_silence_and_dc_are_no_traceback():
    zeros = np.zeros((1, 2 * RATE))
    assert explain(zeros, zeros).depth_db is None
    found = explain(zeros, zeros + 1e-3 + 1e-6 * np.random.default_rng(1).standard_normal(zeros.shape))
    assert within(found.noise.dc_fs[0], 1e-3)


def test_bad_blocks_get_one_sentence():
    explainer = Explainer(rate_hz=RATE, channels=2)
    with pytest.raises(ShapeError, match=r"must be \(2, frames\)"):
        explainer.add(0, np.zeros((1, 10)), np.zeros((1, 10)))
    with pytest.raises(DspError, match="not numbers"):
        explainer.add(0, np.zeros((2, 10)), np.full((2, 10), np.nan))
    explainer.add(0, np.zeros((2, 10)), np.zeros((2, 10)))
    with pytest.raises(DspError, match="begins at frame 20 where 10"):
        explainer.add(20, np.zeros((2, 10)), np.zeros((2, 10)))
    with pytest.raises(DspError, match="nothing to explain"):
        Explainer(rate_hz=RATE, channels=2).result()


def hits():
    """Struck drums over a bed of noise: what residuals of linear leftovers and of distortion are spiky on."""
    rng = np.random.default_rng(11)
    x = 0.01 * rng.standard_normal((1, 12 * RATE))
    fall = np.exp(-np.arange(RATE // 4) / (0.05 * RATE))
    for start in range(RATE // 3, x.shape[1] - RATE // 4, RATE // 2):
        x[0, start : start + fall.size] += 0.25 * fall * rng.standard_normal(fall.size)
        thump = 2.0 * np.pi * 70.0 * np.arange(fall.size) / RATE
        x[0, start : start + fall.size] += 0.5 * fall * np.sin(thump)
    return x


def first_order(x, pole):
    """``y = x − pole·x(n−1)``, an equaliser nobody took out."""
    out = x.copy()
    out[:, 1:] -= pole * x[:, :-1]
    return out


@pytest.mark.parametrize("path", [np.tanh, lambda x: first_order(x, 0.05), lambda x: x - 0.02 * x**2])
def test_distortion_and_equalisers_on_drums_are_neither_clicks_nor_compressors(path):
    x = hits()
    heard = path(x)
    gain = np.sum(x * heard) / np.sum(x**2)
    found = explain(gain * x, heard + noise(x))
    assert found.click_count == 0
    assert found.gain_cause[0].kind in ("steady", "distortion")
    assert share(found, "clicks").share.value == 0.0


def test_the_spread_of_the_linear_share_is_what_repetition_shows():
    x = programme(6.0)
    values = []
    for seed in range(16):
        found = explain(x, 1.0003 * x + noise(x, 100 + seed), noise_dbfs=NOISE_DBFS)
        values.append(share(found, "linear").level_dbfs)
    spread = np.std([v.value for v in values], ddof=1)
    told = np.mean([v.sd for v in values])
    assert 0.5 < told / spread < 2.0
    truth = 10.0 * np.log10(2.0 * 9e-8 * np.mean(x**2))
    assert abs(np.mean([v.value for v in values]) - truth) < 4.0 * spread / 4.0 + 0.05


def test_a_long_recording_keeps_its_moments_in_bounded_memory(monkeypatch):
    from dsp.null import bands, residual_frames

    monkeypatch.setattr(residual_frames, "MOST_FRAMES", 64)
    monkeypatch.setattr(bands, "MOST_BLOCKS", 8)
    x = programme(8.0)
    gain = np.where(np.arange(x.shape[1]) < 4 * RATE, 1.0, 0.97)
    found = explain(x, x * gain + noise(x))
    assert found.gain[0].entry_s == pytest.approx(0.16)
    assert found.gain[0].at_s.size < 64
    assert len(found.over_time) <= 8
    assert sum(moment.length_s for moment in found.over_time) == pytest.approx(8.0)
    last = found.over_time[-1]
    cut = slice(round(last.at_s * RATE), None)
    left, heard = (x * gain + noise(x) - x)[:, cut], (x * gain + noise(x))[:, cut]
    assert last.depth_db == pytest.approx(10.0 * np.log10(np.sum(left**2) / np.sum(heard**2)), abs=1e-6)
    before, after = (found.gain[0].gain_db[s].mean() for s in (slice(0, 20), slice(30, 48)))
    assert after - before == pytest.approx(20.0 * np.log10(0.97), abs=0.005)


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_other_rates_read_the_same_hum_and_noise(rate):
    rng = np.random.default_rng(2)
    t = np.arange(12 * rate) / rate
    x = 0.05 * rng.standard_normal((1, t.size))
    heard = x + 1e-4 * np.sin(2.0 * np.pi * 50.0 * t) + SIGMA * rng.standard_normal(x.shape)
    explainer = Explainer(rate_hz=rate, channels=1)
    explainer.add(0, x, heard)
    found = explainer.result()
    assert within(found.noise.hum.mains_hz, 50.0)
    assert abs(found.noise.hum.lines[0].level_dbfs[0].value + 80.0) < 4.0 * found.noise.hum.lines[0].level_dbfs[0].sd
    both = 10.0 * np.log10(2.0 * (SIGMA**2 + 0.5e-8))
    assert within(found.noise.incoherent_dbfs, both)


def test_third_octaves_hold_depth_and_levels_that_agree(song):
    found = explain(song, 1.01 * song, first_frame=0)
    for band in found.bands:
        if band.depth_db is not None:
            assert band.depth_db == pytest.approx(20.0 * np.log10(0.01 / 1.01), abs=1e-6)
            assert band.residual_dbfs - band.programme_dbfs == pytest.approx(band.depth_db, abs=1e-9)


def test_a_long_dropout_is_one_and_has_its_whole_length(song):
    heard = song + noise(song)
    heard[0, 100_000:220_000] = 0.0
    found = explain(song, heard)
    assert [(d.frame, d.channel, d.length_frames) for d in found.dropouts] == [(100_000, 0, 120_000)]
    assert found.dropout_count == 1 and found.click_count == 0
