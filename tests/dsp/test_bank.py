"""The bank of strips: lanes that know nothing of each other, inserts, destinations, and moves without clicks."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from dsp.bank import BankStrip, StripBank, StripSound
from dsp.dynamics import Compressor
from dsp.errors import DspError, ShapeError
from dsp.filters import Band, sections

RATE = 48_000
SECTIONS = (
    *sections(Band("high_pass", 60.0), RATE),
    *sections(Band("low_shelf", 100.0, 4.0), RATE),
    *sections(Band("bell", 3000.0, -5.0, 1.2), RATE),
)
COMPRESSOR = Compressor(-24.0, 3.0, 3.0, 80.0, 6.0, 2.0)
FULL = StripSound(sections=SECTIONS, compressor=COMPRESSOR)
MONO, STEREO = ((1.0, 0.5),), ((1.0, 0.0), (0.0, 1.0))
FLOAT32_DB = -24 * 20.0 * math.log10(2.0)


def noise(frames: int, channels: int = 1, seed: int = 1) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal((frames, channels))).astype(np.float32)


def sine(frames: int, freq_hz: float, channels: int = 1) -> np.ndarray:
    x = 0.5 * np.sin(2.0 * np.pi * freq_hz * np.arange(frames) / RATE)
    return np.repeat(x[:, None], channels, axis=1).astype(np.float32)


def rms_db(x: np.ndarray) -> float:
    return 10.0 * math.log10(np.mean(np.square(x, dtype=np.float64)) + 1e-30)


def mono(name: str, sound: StripSound = FULL, **others) -> BankStrip:
    return BankStrip(name, MONO, 1, sound, wants_pre=True, **others)


def run(bank: StripBank, stems, cuts=(), moves=None):
    """Run a bank over stems cut at ``cuts``, with moves[frame](bank) made at their frames; sums and pres."""
    moves = moves or {}
    frames = len(stems[0])
    edges = sorted({0, frames, *cuts, *moves})
    sums, pres = [], []
    for start, stop in itertools.pairwise(edges):
        if start in moves:
            moves[start](bank)
        block, pre = bank.process([stem[start:stop] for stem in stems])
        sums.append(block.copy())
        pres.append([None if p is None else p.copy() for p in pre])
    joined = [None if p is None else np.concatenate([block[i] for block in pres]) for i, p in enumerate(pres[0])]
    return np.concatenate(sums, axis=1), joined


class Halver:
    """An insert that halves, counts frames and keeps what a block was."""

    latency_frames = tail_frames = 0

    def __init__(self) -> None:
        self.heard = 0

    def process(self, block, key=None) -> None:
        assert block.flags.c_contiguous
        self.heard += len(block)
        block *= 0.5

    def change(self, settings, frames) -> None: ...

    def reset(self) -> None: ...


class Clipper(Halver):
    def process(self, block, key=None) -> None:
        np.clip(block, -0.25, 0.25, out=block)


def mixed() -> list[BankStrip]:
    """More lanes than one group has, of every kind."""
    strips = [mono(f"m{i}", FULL if i % 3 else StripSound(trim_db=-3.0)) for i in range(9)]
    strips += [BankStrip(f"s{i}", STEREO, 2, FULL, wants_pre=True) for i in range(4)]
    strips += [mono("clip", pre_inserts=(Clipper(),)), mono("half", post_inserts=(Halver(), Clipper()))]
    strips += [BankStrip("wide", STEREO, 2, FULL, post_inserts=(Halver(),), wants_pre=True)]
    return strips


def moves() -> dict:
    other = StripSound(3.0, True, (SECTIONS[2], None, SECTIONS[0], SECTIONS[1]), Compressor(-30.0, 8.0, 1.0, 20.0))
    return {
        100: lambda bank: bank.change(1, other, 700),
        1511: lambda bank: bank.change(10, StripSound(), 300),
        1600: lambda bank: (bank.fade(10, ((0.1, 0.2), (0.3, 0.4)), 333), bank.change(13, other, 100)),
        1700: lambda bank: bank.fade(0, ((0.3, 0.7),), 900),
        2500: lambda bank: (bank.change(10, FULL, 1), bank.fade(14, ((0.0, 2.0),), 64)),
    }


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(0, 4000), max_size=6))
def test_any_block_size_gives_the_same_bits_while_all_moves(cuts) -> None:
    stems = [noise(4000, strip.channels, i) for i, strip in enumerate(mixed())]
    sums, pres = run(StripBank(mixed(), 2, RATE), stems, moves=moves())
    other_sums, other_pres = run(StripBank(mixed(), 2, RATE), stems, cuts, moves())
    assert np.array_equal(sums, other_sums)
    assert all(np.array_equal(a, b) for a, b in zip(pres, other_pres, strict=True))


def test_a_strip_sounds_the_same_whoever_its_neighbours_are_and_whatever_they_do() -> None:
    stems = [noise(4000, strip.channels, i) for i, strip in enumerate(mixed())]
    _, together = run(StripBank(mixed(), 2, RATE), stems, moves=moves())
    for i in (0, 2, 9, 12):
        _, alone = run(StripBank([mixed()[i]], 2, RATE), [stems[i]])
        assert np.array_equal(alone[0], together[i])


def test_an_untouched_strip_passes_bit_for_bit_beside_strips_that_work() -> None:
    strips = [
        mono("busy"),
        mono("idle", StripSound(sections=(None, None), compressor=Compressor(-60.0, 1.0, 1.0, 1.0))),
    ]
    _, pres = run(StripBank(strips, 2, RATE), [noise(3000), noise(3000, seed=2)])
    assert np.array_equal(pres[1], noise(3000, seed=2))


def test_every_destination_gets_its_share_of_every_channel() -> None:
    rng = np.random.default_rng(3)
    strips = [
        BankStrip(f"{i}", tuple(map(tuple, rng.uniform(-1.0, 1.0, (1 + i % 2, 6)))), 1 + i % 2, wants_pre=True)
        for i in range(21)
    ]
    stems = [noise(2000, strip.channels, i) for i, strip in enumerate(strips)]
    sums, _ = run(StripBank(strips, 6, RATE), stems)
    expected = np.concatenate([s.gains for s in strips]).T @ np.concatenate(stems, axis=1).T.astype(np.float64)
    assert rms_db(sums - expected) < FLOAT32_DB


def test_stems_that_are_pulled_are_the_same_stems() -> None:
    strips = mixed()
    stems = [noise(20_000, strip.channels, i) for i, strip in enumerate(strips)]
    sums, expected = run(StripBank(strips, 2, RATE), stems, moves=moves())
    places = [0] * len(strips)

    def source(index: int, block: np.ndarray) -> None:
        block[:] = stems[index][places[index] : places[index] + len(block)]
        places[index] += len(block)

    done = 0
    bank = StripBank(mixed(), 2, RATE)
    for stop in (100, 700, 1511, 1600, 1700, 2500, 20_000):
        found, pres = bank.pull(stop - done, source)
        assert np.array_equal(found, sums[:, done:stop])
        for pre, whole in zip(pres, expected, strict=True):
            assert pre is None or np.array_equal(pre, whole[done:stop])
        if stop in moves():
            moves()[stop](bank)
        done = stop


def test_samples_that_are_no_numbers_count_as_silence_and_are_counted() -> None:
    strips = [BankStrip("a", STEREO, 2, FULL, wants_pre=True), mono("b", pre_inserts=(Clipper(),)), mono("c")]
    stems = [noise(900, strip.channels, i) for i, strip in enumerate(strips)]
    clean = [stem.copy() for stem in stems]
    for stem, (frame, side, what) in zip(stems, ((3, 1, np.nan), (700, 0, np.inf), (899, 0, -np.inf)), strict=True):
        stem[frame, side] = what
    clean[0][3, 1] = clean[1][700, 0] = clean[2][899, 0] = 0.0
    sums, _ = run(StripBank(strips, 2, RATE), clean)
    bank = StripBank(strips, 2, RATE)
    assert np.array_equal(run(bank, stems, [130, 131])[0], sums)
    assert bank.non_finite() == [1, 1, 1]


def test_pre_inserts_hear_the_trimmed_stem_and_the_filters_hear_them() -> None:
    x = noise(3000)
    clipper, halver = Clipper(), Halver()
    strip = mono("x", StripSound(6.0, False, SECTIONS), pre_inserts=(clipper, halver))
    _, pres = run(StripBank([strip], 2, RATE), [x], cuts=[7])
    prepared = 0.5 * np.clip(x * np.float32(10.0 ** (6.0 / 20.0)), -0.25, 0.25)
    _, expected = run(StripBank([mono("y", StripSound(sections=SECTIONS))], 2, RATE), [prepared])
    assert np.array_equal(pres[0], expected[0])
    assert halver.heard == 3000


def test_post_inserts_hear_the_compressor_and_the_gains_come_after_them() -> None:
    x = noise(3000, 2)
    strip = BankStrip("x", STEREO, 2, FULL, post_inserts=(Clipper(), Halver()), wants_pre=True)
    sums, pres = run(StripBank([strip], 2, RATE), [x], cuts=[1000])
    _, plain = run(StripBank([BankStrip("x", STEREO, 2, FULL, wants_pre=True)], 2, RATE), [x])
    assert np.array_equal(pres[0], 0.5 * np.clip(plain[0], -0.25, 0.25))
    assert np.array_equal(sums, pres[0].T.astype(np.float64))


def test_a_fade_is_a_straight_line_from_the_next_step_on() -> None:
    x = np.ones((2000, 1), np.float32)
    sums, _ = run(
        StripBank([mono("x", StripSound())], 2, RATE), [x], moves={100: lambda bank: bank.fade(0, ((0.0, 0.5),), 800)}
    )
    line = np.interp(np.arange(2000), [112, 912], [1.0, 0.0])
    assert sums[0] == pytest.approx(line, abs=1e-7)
    assert np.all(sums[1] == 0.5)


SOUNDS = {
    "trim": StripSound(-20.0),
    "polarity": StripSound(polarity_inverted=True),
    "high-pass": StripSound(sections=sections(Band("high_pass", 400.0), RATE)),
    "bell": StripSound(sections=sections(Band("bell", 300.0, 15.0, 2.0), RATE)),
    "compressor": StripSound(compressor=Compressor(-40.0, 10.0, 5.0, 100.0, 6.0, 12.0)),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_a_change_makes_no_click_and_ends_where_it_was_to_go(name) -> None:
    """Nothing outside of the sine's own octave may come up, whereas a hard switch splashes over the whole band."""
    x = sine(RATE, 300.0)
    to, back = 12_007, 30_011
    bank = StripBank([mono("x", StripSound())], 2, RATE)
    _, pres = run(
        bank, [x], moves={to: lambda b: b.change(0, SOUNDS[name], 960), back: lambda b: b.change(0, StripSound(), 960)}
    )
    _, settled = run(StripBank([mono("x", SOUNDS[name])], 2, RATE), [x])
    assert rms_db(pres[0][back - 2000 : back] - settled[0][back - 2000 : back]) < -100.0
    assert rms_db(pres[0][-1000:] - x[-1000:]) < -100.0
    far = signal.butter(8, 6000.0, "high", fs=RATE, output="sos")
    for at in (to, back):
        splash = signal.sosfilt(far, pres[0][at - 1000 : at + 3000, 0].astype(np.float64))[500:]
        assert np.abs(splash).max() < 10.0 ** (-66.0 / 20.0)


def test_a_section_that_comes_in_again_begins_from_silence() -> None:
    x = noise(40_000)
    x[20_000:] = 0.0
    bank = StripBank([mono("x", FULL), mono("y", FULL)], 2, RATE)
    off, on = StripSound(sections=(None, None, None)), StripSound(sections=SECTIONS)
    _, pres = run(bank, [x, x], moves={10_000: lambda b: b.change(0, off, 100), 30_000: lambda b: b.change(0, on, 100)})
    assert np.array_equal(pres[0][15_000:], x[15_000:])


slots = st.one_of(
    st.none(),
    st.builds(
        lambda kind, hz, db, q: sections(Band(kind, hz, db, q), RATE)[0],
        st.sampled_from(["low_shelf", "bell", "high_shelf", "high_pass"]),
        st.floats(20.0, 20_000.0),
        st.floats(-24.0, 24.0),
        st.floats(0.1, 20.0),
    ),
)
compressors = st.one_of(
    st.none(),
    st.builds(
        Compressor, st.floats(-60.0, 0.0), st.floats(1.0, 100.0), st.floats(0.0, 100.0), st.floats(0.0, 1000.0),
        st.floats(0.0, 40.0), st.floats(-12.0, 12.0),
    ),
)  # fmt: skip
sounds = st.builds(
    StripSound, st.floats(-20.0, 20.0), st.booleans(), st.lists(slots, max_size=4).map(tuple), compressors
)


def reach(sound: StripSound) -> float:
    """The largest magnitude that a sound makes of inputs within ±1: the sums of its impulse responses' magnitudes."""
    impulse = np.zeros(20_000)
    impulse[0] = 1.0
    found = 10 ** ((sound.trim_db + (sound.compressor.makeup_db if sound.compressor else 0.0)) / 20)
    for s in sound.sections:
        if s is not None:
            found *= max(1.0, np.abs(signal.lfilter([s.b0, s.b1, s.b2], [1.0, s.a1, s.a2], impulse)).sum())
    return max(1.0, found)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(sounds, st.integers(1, 400)), min_size=1, max_size=12))
def test_no_sequence_of_changes_makes_a_strip_ring_up(changes) -> None:
    """Each sound alone is stable; on the way from one to the next nothing may grow beyond what they can do together."""
    x = noise(200)
    most = 1.001 * np.abs(x).max() * math.prod(sorted(reach(sound) for sound, _ in changes)[-2:])
    bank = StripBank([mono("x", StripSound())], 2, RATE)
    for sound, frames in changes:
        bank.change(0, sound, frames)
        assert np.all(np.abs(bank.process([x])[1][0]) < most)
    bank.change(0, StripSound(), 16)
    bank.process([x])
    assert np.array_equal(bank.process([x])[1][0], x)


def test_a_million_in_gives_finite_numbers_out() -> None:
    x = np.random.default_rng(1).choice([-1e6, 1e6], (3000, 1)).astype(np.float32)
    loud = StripSound(60.0, False, SECTIONS, Compressor(-120.0, math.inf, 0.0, 10.0))
    sums, pres = run(StripBank([mono("x", loud), mono("y", StripSound(60.0, False, SECTIONS))], 2, RATE), [x, x])
    assert np.all(np.isfinite(sums))
    assert all(np.all(np.isfinite(pre)) for pre in pres)


def test_states_end_in_silence_and_not_in_denormals() -> None:
    x = noise(RATE)
    x[2000:] = 0.0
    bank = StripBank(
        [mono("x", StripSound(sections=SECTIONS[2:], compressor=Compressor(-40.0, 4.0, 1.0, 5.0)))], 2, RATE
    )
    _, pres = bank.process([x])
    assert not np.any(pres[0][-1000:])
    states, seats, _ = bank.reducing()
    assert states[seats[0, 0], 0, seats[0, 1]] == 0.0


def test_peaks_are_those_of_every_channel_since_they_were_asked_for() -> None:
    strips = [BankStrip("a", STEREO, 2), mono("b", StripSound(6.0))]
    stems = [noise(5000, 2), noise(5000, seed=9)]
    bank = StripBank(strips, 2, RATE)
    bank.process([stem[:3000] for stem in stems])
    bank.process([stem[3000:] for stem in stems])
    expected = np.abs(np.concatenate(stems, axis=1)).max(axis=0) * [1.0, 1.0, 10.0 ** (6.0 / 20.0)]
    assert bank.peaks() == pytest.approx(expected, rel=1e-6)
    assert not np.any(bank.peaks())


def test_what_makes_no_sense_is_refused_by_name() -> None:
    with pytest.raises(ShapeError, match="pairs"):
        StripBank([], 3, RATE)
    with pytest.raises(ShapeError, match="'vox'"):
        StripBank([BankStrip("vox", ((1.0, 1.0, 1.0),))], 2, RATE)
    with pytest.raises(DspError, match="'vox'"):
        StripBank([BankStrip("vox", ((1.0, math.nan),))], 2, RATE)
    with pytest.raises(DspError, match="'vox'"):
        BankStrip("vox", MONO, 3)
    with pytest.raises(DspError, match="17 filter sections"):
        StripSound(sections=SECTIONS[:1] * 17)
    with pytest.raises(DspError, match="trim"):
        StripSound(61.0)
    bank = StripBank([mono("vox")], 2, RATE)
    with pytest.raises(ShapeError, match="'vox'"):
        bank.process([noise(10, 2)])
    with pytest.raises(ShapeError, match="'vox'"):
        bank.fade(0, ((1.0,),), 10)
