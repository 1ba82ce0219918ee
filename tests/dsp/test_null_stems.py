"""Which stem moved, by how much, and which did not."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.errors import DspError, ShapeError
from dsp.null.stems import StemRegression, stem_moves

RATE = 48_000
SECONDS = 12
SIGMA = 1e-4


def stems(seed=3):
    """Four stems with swells of their own in a stereo mix, each (2, frames)."""
    rng = np.random.default_rng(seed)
    t = np.arange(SECONDS * RATE) / RATE
    pans = {"drums": (1.0, 1.0), "bass": (0.8, 0.8), "vox": (0.7, 0.75), "keys": (0.2, 0.9)}
    out = {}
    for number, (name, pan) in enumerate(pans.items()):
        tones = sum(
            np.sin(2 * np.pi * hz * t + rng.uniform(0, 6)) / (1 + hz / 500)
            for hz in np.exp(rng.uniform(np.log(60 * (1 + number)), np.log(6_000), 12))
        )
        swell = (1 + 0.9 * np.sin(2 * np.pi * rng.uniform(0.2, 3) * t + rng.uniform(0, 6))) ** 2
        out[name] = 0.01 * np.array(pan)[:, None] * swell * (tones + rng.standard_normal(t.size))
    return out


@pytest.fixture(scope="module")
def band():
    return stems()


def mixed(band, gains=None, sigma=SIGMA, seed=5):
    total = sum((gains or {}).get(name, 1.0) * x for name, x in band.items())
    return total + sigma * np.random.default_rng(seed).standard_normal(total.shape)


def model_of(band, heard):
    """The mix with the least-squares gain per channel, as a null test leaves it."""
    mix = sum(band.values())
    gain = np.sum(mix * heard, axis=1, keepdims=True) / np.sum(mix**2, axis=1, keepdims=True)
    return {name: gain * x for name, x in band.items()}, gain * mix


def by_name(found):
    return {move.name: move for move in found.moves}


@pytest.mark.parametrize("name", ["drums", "bass", "vox", "keys"])
def test_a_stem_raised_by_0_3_db_is_found_and_only_that_one(band, name):
    heard = mixed(band, {name: 10 ** (0.3 / 20)})
    found = by_name(stem_moves(*model_of(band, heard), heard, rate_hz=RATE))
    assert [n for n, move in found.items() if move.moved] == [name]
    level = found[name].level_db
    assert abs(level.value - 0.3) < 4 * level.sd
    assert level.sd < 0.01
    assert found[name].note.startswith(f"{name}: +0.30 ±")


def test_nothing_moved_is_said_of_every_stem(band):
    heard = mixed(band)
    found = stem_moves(*model_of(band, heard), heard, rate_hz=RATE)
    assert not any(move.moved for move in found.moves)
    assert all("has not moved" in move.note for move in found.moves)


def test_the_spread_is_what_repetition_shows(band):
    short = {name: x[:, : 4 * RATE] for name, x in band.items()}
    mix = sum(short.values())
    rng = np.random.default_rng(9)
    pulls = []
    for _ in range(24):
        heard = mix + 1e-3 * rng.standard_normal(mix.shape)
        for move in stem_moves(short, mix, heard, rate_hz=RATE).moves:
            pulls.append(move.level_db.value / move.level_db.sd)
    assert 0.7 < np.std(pulls) < 1.3


def test_a_missing_stem_is_named(band):
    heard = mixed(band, {"vox": 0.0})
    found = by_name(stem_moves(*model_of(band, heard), heard, rate_hz=RATE))
    assert found["vox"].missing and found["vox"].note == "vox is missing in B"
    assert not found["vox"].level_db.observable
    assert [n for n, move in found.items() if move.moved] == ["vox"]


def test_an_inverted_stem_is_named(band):
    heard = mixed(band, {"bass": -1.0})
    found = by_name(stem_moves(*model_of(band, heard), heard, rate_hz=RATE))
    assert found["bass"].inverted and "inverted" in found["bass"].note
    assert [n for n, move in found.items() if move.moved] == ["bass"]


def test_a_moved_pan_pot_shows_as_two_gains(band):
    gain = 10 ** (np.array([[0.5], [-0.6]]) / 20)
    heard = mixed(band, {"vox": gain})
    found = by_name(stem_moves(*model_of(band, heard), heard, rate_hz=RATE))
    left, right = found["vox"].gain_db
    assert left.value - right.value == pytest.approx(1.1, abs=0.02)
    assert "channel 1" in found["vox"].note


def test_two_stems_too_alike_are_not_told_apart(band):
    twins = {**band, "vox double": band["vox"] * 0.5}
    heard = mixed(band, {"vox": 1.5})
    found = stem_moves(twins, sum(twins.values()), heard, rate_hz=RATE)
    assert found.alike == (("vox", "vox double"),)
    assert not by_name(found)["vox"].level_db.observable
    assert "too like" in by_name(found)["vox double"].note
    assert not by_name(found)["drums"].moved


def test_a_silent_stem_is_not_observable(band):
    heard = mixed(band)
    found = stem_moves({**band, "tacet": np.zeros_like(band["vox"])}, sum(band.values()), heard, rate_hz=RATE)
    assert "silent" in by_name(found)["tacet"].note
    assert not by_name(found)["tacet"].moved


def test_a_few_spans_tell_nearly_as_much(band):
    heard = mixed(band, {"keys": 10 ** (-0.3 / 20)})
    found = by_name(stem_moves(*model_of(band, heard), heard, rate_hz=RATE, span_s=4.0))
    assert [n for n, move in found.items() if move.moved] == ["keys"]
    assert abs(found["keys"].level_db.value + 0.3) < 4 * found["keys"].level_db.sd


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_scaling_everything_changes_no_move(band, flip):
    short = {name: x[:, : 4 * RATE] for name, x in band.items()}
    heard = mixed(short, {"bass": 1.05})
    plain = stem_moves(short, sum(short.values()), heard, rate_hz=RATE)
    for scale in (0.25, 0.5, 2.0, 4.0):
        factor = flip * scale
        scaled = {name: factor * x for name, x in short.items()}
        other = stem_moves(scaled, factor * sum(short.values()), factor * heard, rate_hz=RATE)
        for one, two in zip(plain.moves, other.moves, strict=True):
            assert one.level_db.value == pytest.approx(two.level_db.value, abs=1e-9)
            assert one.moved == two.moved


def test_bad_stems_get_one_sentence(band):
    with pytest.raises(DspError, match="no stems"):
        StemRegression([], rate_hz=RATE, channels=2)
    regression = StemRegression(["vox"], rate_hz=RATE, channels=2)
    mix = band["vox"]
    with pytest.raises(ShapeError, match="1 were named"):
        regression.add([mix, mix], mix, mix)
    with pytest.raises(ShapeError, match="vox has shape"):
        regression.add([mix[:1]], mix, mix)
    with pytest.raises(DspError, match="vox holds samples"):
        regression.add([np.full_like(mix, np.nan)], mix, mix)
    assert "fewer than 2 s" in regression.result().moves[0].note
