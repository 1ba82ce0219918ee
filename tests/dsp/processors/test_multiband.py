"""The multiband compressor compresses each band by itself and leaves the rest flat."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsp.errors import DspError
from dsp.processors.multiband import CompressedBand, Multiband
from tests.dsp.processors.streams import RATE, db, moved, run, swelling, tone


def multiband(splits, *bands: dict[str, float], **more: float) -> Multiband:
    """Return a multiband split at ``splits``, its bands with these settings, the last of them for all that are left."""
    given = [bands[min(k, len(bands) - 1)] if bands else {} for k in range(len(splits) + 1)]
    edges = [*splits, 20_000.0]
    return Multiband(tuple(CompressedBand(up_to_hz=f, **one) for f, one in zip(edges, given, strict=True)), **more)


SPLITS = [(150.0,), (150.0, 2000.0), (150.0, 2000.0, 6000.0), (150.0, 2000.0, 6000.0, 12_000.0)]


@pytest.mark.parametrize("splits", SPLITS)
def test_while_nothing_is_compressed_every_level_is_as_it_was(splits) -> None:
    x = np.zeros((2**15, 1))
    x[0] = 0.5
    y = run(multiband(splits).start(RATE, 1), x)[:, 0].astype(np.float64)
    assert np.max(np.abs(db(np.fft.rfft(y) / 0.5))) < 0.001


def test_a_threshold_that_nothing_reaches_changes_nothing() -> None:
    x = swelling(4000, 2, 0, 0.02)
    far = multiband(SPLITS[1], {"threshold_db": 24.0, "ratio": 10.0})
    assert np.array_equal(run(far.start(RATE, 2), x), run(multiband(SPLITS[1]).start(RATE, 2), x))


def gain_of_tone_db(m: Multiband, freq_hz: float, level_db: float) -> float:
    x = tone(freq_hz, 1.0, level_db)
    y = run(m.start(RATE, 1), x)
    late = slice(RATE // 2, None)
    return float(db(np.sqrt(np.mean(y[late] ** 2.0)) / np.sqrt(np.mean(x[late] ** 2.0))))


def test_each_band_follows_its_own_curve() -> None:
    """Tones in the middle of the bands; attack 0 and a long release make the peak detector a peak holder."""
    fixed = {"attack_ms": 0.0, "release_ms": 5000.0, "knee_db": 0.0}
    m = multiband(
        (200.0, 4000.0),
        {"threshold_db": -30.0, "ratio": 2.0, **fixed},
        {"threshold_db": -20.0, "ratio": 4.0, "makeup_db": 3.0, **fixed},
        {"threshold_db": -12.0, "ratio": math.inf, **fixed},
    )
    assert gain_of_tone_db(m, 30.0, -10.0) == pytest.approx(-10.0, abs=0.1)
    assert gain_of_tone_db(m, 900.0, -10.0) == pytest.approx(-7.5 + 3.0, abs=0.1)
    assert gain_of_tone_db(m, 17_001.0, -10.0) == pytest.approx(-2.0, abs=0.1)


def test_a_loud_band_leaves_the_others_alone() -> None:
    bass, treble = tone(50.0, 1.0, -3.0), tone(5000.0, 1.0, -30.0)
    p = multiband((500.0,), {"threshold_db": -40.0, "ratio": 10.0}, {}).start(RATE, 1)
    both = run(p, bass + treble)[RATE // 2 :, 0]
    heard = np.abs(np.sum(both * np.exp(-2j * np.pi * 5000.0 * np.arange(len(both)) / RATE))) * 2.0 / len(both)
    assert db(heard) == pytest.approx(-30.0, abs=0.05)
    assert p.reductions_db[0] < -20.0
    assert p.reductions_db[1] == 0.0
    assert p.reduction_db == p.reductions_db[0]


def test_each_band_hears_that_band_of_a_key() -> None:
    x = tone(50.0, 0.5, -20.0, 2) + tone(5000.0, 0.5, -20.0, 2)
    p = multiband((500.0,), {"threshold_db": -40.0, "ratio": 2.0}).start(RATE, 2)
    run(p, x, key=tone(6000.0, 0.5, 0.0))
    low, high = p.reductions_db
    assert low == pytest.approx(0.0, abs=0.2)
    assert high < -15.0


def test_the_dry_signal_is_the_sum_of_the_bands() -> None:
    x = swelling(4000)
    dry = multiband(SPLITS[2], {"threshold_db": -60.0, "ratio": 4.0, "makeup_db": 12.0}, mix_percent=0.0)
    assert np.array_equal(run(dry.start(RATE, 2), x), run(multiband(SPLITS[2]).start(RATE, 2), x))


def test_moving_corners_do_not_click() -> None:
    x = tone(300.0, 1.0, -6.0)
    y = moved(multiband((100.0, 1000.0)), [(RATE // 2, multiband((900.0, 9000.0)), 960)], x)
    bend = np.max(np.abs(np.diff(y[RATE // 4 :, 0].astype(np.float64), 2)))
    assert bend < 1.5 * np.max(np.abs(np.diff(x[:, 0].astype(np.float64), 2)))


@pytest.mark.parametrize("count", [1, 6])
def test_one_band_or_six_are_refused(count) -> None:
    with pytest.raises(DspError, match=f"{count} bands"):
        Multiband((CompressedBand(),) * count)


def test_bands_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(DspError, match="ascend"):
        multiband((3000.0, 200.0)).start(RATE, 1)
