"""The demo song is a song: its stems are there, in level, in band, in tune and repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.errors import DspError
from dsp.synth import demo_song

RATE = 48_000


@pytest.fixture(scope="module")
def song():
    return demo_song()


def test_there_are_at_least_eight_stems_of_one_length_and_some_are_stereo(song) -> None:
    assert len(song) >= 8
    assert {"kick", "snare", "hats", "bass", "chords", "lead", "backing"} <= set(song)
    assert {len(x) for x in song.values()} == {20 * RATE}
    assert sorted({x.shape[1] for x in song.values()}) == [1, 2]
    assert all(x.dtype == np.float32 and x.flags.c_contiguous for x in song.values())


def test_every_peak_leaves_6_db_of_headroom_and_nothing_is_silent(song) -> None:
    for name, x in song.items():
        peak_db = 20.0 * np.log10(np.max(np.abs(x)))
        assert -20.0 <= peak_db <= -6.0, name


def test_there_is_practically_nothing_above_20_khz(song) -> None:
    for name, x in song.items():
        power = np.abs(np.fft.rfft(x[:, 0].astype(np.float64))) ** 2
        f = np.fft.rfftfreq(len(x), 1.0 / RATE)
        assert 10.0 * np.log10(power[f > 20_200.0].sum() / power.sum()) < -80.0, name


def test_no_stem_has_a_noteworthy_dc_offset(song) -> None:
    for name, x in song.items():
        assert np.max(np.abs(np.mean(x, axis=0))) < 0.002, name


def test_the_bass_plays_the_root_of_the_first_chord(song) -> None:
    first_bar = song["bass"][: int(1.25 * RATE), 0] * np.hanning(int(1.25 * RATE))
    spectrum = np.abs(np.fft.rfft(first_bar, 1 << 19))
    assert np.argmax(spectrum) * RATE / (1 << 19) == pytest.approx(55.0, abs=0.5)  # A1


def test_the_stereo_stems_have_width(song) -> None:
    for name in ("hats", "chords", "backing"):
        assert 0.1 < abs(np.corrcoef(song[name].T)[0, 1]) < 0.98, name


def test_the_same_seed_gives_the_same_song_and_another_one_does_not() -> None:
    a, b, c = demo_song(RATE, 2.5, seed=1), demo_song(RATE, 2.5, seed=1), demo_song(RATE, 2.5, seed=2)
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert not np.array_equal(a["snare"], c["snare"])


@pytest.mark.parametrize("rate_hz", [44_100, 96_000])
def test_other_rates_give_the_same_length_in_seconds(rate_hz) -> None:
    assert {len(x) for x in demo_song(rate_hz, 1.0).values()} == {rate_hz}


@pytest.mark.parametrize("rate_hz,seconds", [(4000, 1.0), (48_000, 0.0), (48_000, float("nan"))])
def test_an_impossible_song_is_refused(rate_hz, seconds) -> None:
    with pytest.raises(DspError, match="demo song"):
        demo_song(rate_hz, seconds)
