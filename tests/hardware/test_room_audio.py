"""What the virtual room does to audio, held against formulas, standards and the model's own figures."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.room import filters, kernels, kernels_bus
from hardware.room.faults import Fault
from hardware.room.model import RoomModel
from hardware.room.room import Room

RATE = 48_000
IDEAL = RoomModel.ideal(latency_samples=0.0)


def room_with(model: RoomModel, knobs: dict[str, object], *, tally: bool = False) -> Room:
    room = Room(model, rate_hz=RATE, tally=tally)
    for address, value in knobs.items():
        room.turn(f"desk/{address}" if address[:2] == "ch" or address.startswith("master") else address, value)
    return room


def played(frames: int, channel: int, signal: np.ndarray | float) -> np.ndarray:
    block = np.zeros((frames, 24), dtype=np.float32)
    block[:, channel - 1] = signal
    return block


def sine(freq_hz: float, frames: int, peak: float) -> np.ndarray:
    return peak * np.sin(2 * math.pi * freq_hz * np.arange(frames) / RATE)


def phasor(signal: np.ndarray, freq_hz: float) -> complex:
    """Least-squares amplitude and phase of a sine at a known frequency (IEEE Std 1057 three-parameter fit)."""
    angle = 2 * math.pi * freq_hz * np.arange(len(signal)) / RATE
    design = np.stack([np.sin(angle), np.cos(angle), np.ones(len(signal))], axis=1)
    in_phase, quadrature, _ = np.linalg.lstsq(design, signal.astype(np.float64), rcond=None)[0]
    return complex(in_phase, quadrature)


def dbfs(signal: np.ndarray) -> float:
    """Rms level re a full-scale sine (AES17)."""
    return 10 * math.log10(2 * float(np.mean(signal.astype(np.float64) ** 2)))


HARD_LEFT = {"ch01/fader": 0.0, "ch01/pan": -100.0}


def test_an_ideal_strip_at_0_db_hard_left_is_a_wire():
    x = np.random.default_rng(1).uniform(-0.9, 0.9, 5000).astype(np.float32)
    out = room_with(IDEAL, HARD_LEFT).process(played(5000, 1, x))
    assert out.dtype == np.float32
    assert np.array_equal(out[:, 0], x)
    assert not out[:, 1].any()


def test_a_desk_at_power_on_passes_nothing():
    out = Room(IDEAL).process(np.full((1000, 24), 0.5, dtype=np.float32))
    assert not out.any()


@pytest.mark.parametrize(
    ("fader", "pan", "left_db", "right_db"), [(-20.0, 0.0, -23.01, -23.01), (10.0, 100.0, None, 10.0)]
)
def test_fader_and_pan_set_the_level(fader, pan, left_db, right_db):
    out = room_with(IDEAL, {"ch05/fader": fader, "ch05/pan": pan}).process(played(4800, 5, sine(1000, 4800, 0.1)))
    for side, expected in enumerate((left_db, right_db)):
        if expected is None:
            assert not out[:, side].any()
        else:
            assert dbfs(out[:, side]) + 20 == pytest.approx(expected, abs=0.01)


def test_trim_mute_polarity_and_master_fader():
    x = sine(1000, 4800, 0.1)
    base = room_with(IDEAL, HARD_LEFT).process(played(4800, 1, x))[:, 0]
    flipped = room_with(IDEAL, HARD_LEFT | {"ch01/polarity": True}).process(played(4800, 1, x))[:, 0]
    assert np.array_equal(flipped, -base)
    louder = room_with(IDEAL, HARD_LEFT | {"ch01/trim": 6.0}).process(played(4800, 1, x))[:, 0]
    assert dbfs(louder) - dbfs(base) == pytest.approx(6.0, abs=1e-3)
    lower = room_with(IDEAL, HARD_LEFT | {"master/fader": -10.0}).process(played(4800, 1, x))[:, 0]
    assert dbfs(lower) - dbfs(base) == pytest.approx(-10.0, abs=1e-3)
    assert not room_with(IDEAL, HARD_LEFT | {"ch01/mute": True}).process(played(4800, 1, x)).any()


@pytest.mark.parametrize("latency", [64.0, 137.37, 100.999, 250.5])
@pytest.mark.parametrize("freq_hz", [100.0, 1000.0, 12_000.0, 20_000.0])
def test_latency_is_the_models_at_every_frequency(latency, freq_hz):
    frames = 9600
    model = RoomModel.ideal(latency_samples=latency)
    out = room_with(model, HARD_LEFT).process(played(frames, 1, sine(freq_hz, frames, 0.5)))[:, 0]
    period = RATE / freq_hz
    measured = phasor(out[4800:], freq_hz)  # 4800 frames are whole periods of each frequency
    delay = (-math.atan2(measured.imag, measured.real) / (2 * math.pi) * period) % period
    assert math.remainder(delay - latency, period) == pytest.approx(0.0, abs=2e-4)
    assert abs(measured) == pytest.approx(0.5, rel=2e-4)


def test_a_whole_latency_is_exact_to_the_bit():
    x = np.random.default_rng(2).uniform(-0.9, 0.9, 1000).astype(np.float32)
    out = room_with(RoomModel.ideal(latency_samples=37.0), HARD_LEFT).process(played(1000, 1, x))[:, 0]
    assert np.array_equal(out[37:], x[:-37])
    assert not out[:37].any()


def test_outputs_may_be_skewed_by_fractions():
    model = RoomModel.ideal(latency_samples=100.0)
    model = replace(model, converters=replace(model.converters, skew_samples=(0.0, 2.0, 0.25)))
    knobs = {f"ch0{n}/{what}": value for n in (1, 2, 3) for what, value in (("fader", 0.0), ("pan", -100.0))}
    for channel, expected in ((1, 100.0), (2, 102.0), (3, 100.25)):
        out = room_with(model, knobs).process(played(9600, channel, sine(100.0, 9600, 0.5)))[:, 0]
        measured = phasor(out[4800:], 100.0)
        assert -math.atan2(measured.imag, measured.real) / (2 * math.pi) * 480 == pytest.approx(expected, abs=1e-3)


# --- filters -------------------------------------------------------------------------------------------------------


def analog_bell(freqs_hz, centre_hz, gain_db, q):
    """Audio EQ Cookbook analog prototype."""
    s, a = 1j * freqs_hz / centre_hz, 10 ** (gain_db / 40)
    return (s * s + s * a / q + 1) / (s * s + s / (a * q) + 1)


def analog_shelf(freqs_hz, corner_hz, gain_db, *, high):
    s, a = 1j * freqs_hz / corner_hz, 10 ** (gain_db / 40)
    slope = math.sqrt(a) / math.sqrt(0.5)
    if high:
        return a * (a * s * s + slope * s + 1) / (s * s + slope * s + a)
    return a * (s * s + slope * s + a) / (a * s * s + slope * s + 1)


def worst_db(section, analog, freqs_hz, rate_hz=RATE):
    return float(np.max(np.abs(20 * np.log10(np.abs(filters.response(section, freqs_hz, rate_hz) / analog)))))


AUDIBLE = np.geomspace(20, 20_000, 500)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("gain_db", [-15.0, -9.0, -0.25, 3.0, 15.0])
@pytest.mark.parametrize(("freq_hz", "q"), [(8000.0, 1.0), (7000.0, 0.4), (7000.0, 4.0), (600.0, 0.7), (200.0, 4.0)])
def test_bells_follow_the_analog_curve_to_20_khz(freq_hz, q, gain_db, rate_hz):
    section = filters.bell(freq_hz, gain_db, q, rate_hz)
    limit_db = 0.5 if rate_hz == 44_100 else 0.3
    assert worst_db(section, analog_bell(AUDIBLE, freq_hz, gain_db, q), AUDIBLE, rate_hz) < limit_db


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("gain_db", [-15.0, -4.0, 6.0, 15.0])
@pytest.mark.parametrize(
    ("freq_hz", "high"), [(30.0, False), (450.0, False), (1500.0, True), (8000.0, True), (16e3, True)]
)
def test_shelves_follow_the_analog_curve_to_20_khz(freq_hz, high, gain_db, rate_hz):
    section = filters.shelf(freq_hz, gain_db, rate_hz, high=high)
    assert worst_db(section, analog_shelf(AUDIBLE, freq_hz, gain_db, high=high), AUDIBLE, rate_hz) < 0.3


@given(st.floats(200, 7000), st.floats(-15, 15), st.floats(0.4, 4.0))
def test_every_bell_is_stable_and_minimum_phase(freq_hz, gain_db, q):
    b0, b1, b2, a1, a2 = filters.bell(freq_hz, gain_db, q, RATE)
    for one, two in ((a1, a2), (b1 / b0, b2 / b0)):
        assert abs(two) < 1
        assert abs(one) < 1 + two


def test_high_pass_is_butterworth():
    freqs_hz = np.array([20.0, 40.0, 80.0, 160.0, 1000.0, 20_000.0])
    analog = 1 / np.sqrt(1 + (80.0 / freqs_hz) ** 4)
    assert 20 * np.log10(np.abs(filters.response(filters.high_pass(80.0, RATE), freqs_hz, RATE))) == pytest.approx(
        20 * np.log10(analog), abs=0.01
    )


def test_the_strip_puts_its_filters_into_the_audio():
    knobs = HARD_LEFT | {"ch01/hpf_freq": 80.0, "ch01/eq/in": True, "ch01/eq/lf_gain": 6.0, "ch01/eq/lmf_gain": -3.0}
    knobs |= {"ch01/eq/hmf_gain": 9.0, "ch01/eq/hf_gain": -6.0, "ch01/eq/hmf_freq": 7000.0, "ch01/eq/hmf_q": 2.0}
    impulse = np.zeros(48_000)
    impulse[0] = 0.125
    measured = np.abs(np.fft.rfft(room_with(IDEAL, knobs).process(played(48_000, 1, impulse))[:, 0])) / 0.125
    freqs_hz = np.arange(20, 20_001)
    expected = np.abs(
        analog_shelf(freqs_hz, 100.0, 6.0, high=False)
        * analog_bell(freqs_hz, 600.0, -3.0, 1.0)
        * analog_bell(freqs_hz, 7000.0, 9.0, 2.0)
        * analog_shelf(freqs_hz, 8000.0, -6.0, high=True)
    ) / np.sqrt(1 + (80.0 / freqs_hz) ** 4)
    assert np.max(np.abs(20 * np.log10(measured[20:20_001] / expected))) < 0.1


def test_eq_out_passes_the_signal_untouched():
    x = np.random.default_rng(3).uniform(-0.5, 0.5, 3000).astype(np.float32)
    out = room_with(IDEAL, HARD_LEFT | {"ch01/eq/hf_gain": 12.0}).process(played(3000, 1, x))
    assert np.array_equal(out[:, 0], x)


# --- what the circuit adds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "key"), [("desk", "bus_noise_dbfs"), ("converters", "ad_noise_dbfs")])
def test_noise_is_at_the_models_level(table, key):
    model = replace(IDEAL, **{table: replace(getattr(IDEAL, table), **{key: -90.0})})
    out = Room(model).process(np.zeros((4 * RATE, 24), dtype=np.float32))
    for side in range(2):
        assert dbfs(out[:, side]) == pytest.approx(-90.0, abs=0.1)
        assert abs(float(np.mean(out[:, side]))) < 1e-6
    assert abs(np.corrcoef(out.T)[0, 1]) < 0.01


def test_strip_noise_follows_fader_and_pan_and_is_its_own_for_each_strip():
    model = replace(IDEAL, desk=replace(IDEAL.desk, channel_noise_dbfs=-80.0))
    knobs = {"ch01/fader": -10.0, "ch01/pan": -100.0, "ch02/fader": 0.0, "ch02/pan": 100.0}
    out = room_with(model, knobs).process(np.zeros((4 * RATE, 24), dtype=np.float32))
    assert dbfs(out[:, 0]) == pytest.approx(-90.0, abs=0.1)
    assert dbfs(out[:, 1]) == pytest.approx(-80.0, abs=0.1)
    assert abs(np.corrcoef(out.T)[0, 1]) < 0.01


@pytest.mark.parametrize("module", [kernels, kernels_bus])
def test_every_loop_is_compiled_for_one_signature(module):
    loops = [value for value in vars(module).values() if hasattr(value, "overloads")]
    Room(IDEAL).process(np.zeros((300, 24), dtype=np.float32))
    assert len(loops) >= 5
    assert [len(loop.overloads) for loop in loops] == [1] * len(loops)


def test_noise_is_white_and_normal():
    out = np.empty(2_000_000)
    kernels.normals(np.uint64(12345), 0, 1.0, np.empty(len(out), dtype=np.uint64), out, 0, len(out))
    assert float(np.mean(out)) == pytest.approx(0.0, abs=4e-3)
    assert float(np.var(out)) == pytest.approx(1.0, abs=6e-3)
    for limit in (0.5, 1.0, 2.0, 3.0, 3.7):  # share within ±limit is erf(limit/√2); five standard errors allowed
        share = math.erf(limit / math.sqrt(2))
        error = 5 * math.sqrt(share * (1 - share) / len(out))
        assert float(np.mean(np.abs(out) < limit)) == pytest.approx(share, abs=error)
    assert abs(float(np.mean(out[1:] * out[:-1]))) < 5 / math.sqrt(len(out))


def test_hum_is_at_the_mains_frequency_and_level():
    model = replace(IDEAL, desk=replace(IDEAL.desk, hum_dbfs=-70.0, mains_hz=60.0))
    out = Room(model).process(np.zeros((RATE, 24), dtype=np.float32))
    assert dbfs(out[:, 0]) == pytest.approx(-70.0, abs=0.01)
    spectrum = np.abs(np.fft.rfft(out[:, 0]))
    assert int(np.argmax(spectrum)) == 60
    others = np.delete(spectrum, [60, 120, 180, 300, 420])
    assert others.max() < 1e-3 * spectrum.max()


def test_crosstalk_reaches_both_neighbours_at_the_models_level():
    model = replace(IDEAL, desk=replace(IDEAL.desk, crosstalk_db=-60.0))
    knobs = {"ch05/fader": 0.0, "ch05/pan": -100.0, "ch04/pan": 100.0, "ch06/pan": -100.0}
    out = room_with(model, knobs).process(played(4800, 5, sine(1000, 4800, 0.5)))
    assert dbfs(out[:, 1]) - dbfs(sine(1000, 4800, 0.5)) == pytest.approx(-60.0, abs=0.01)


@pytest.mark.parametrize(("h2_db", "h3_db"), [(-60.0, -math.inf), (-math.inf, -60.0), (-70.0, -65.0)])
def test_harmonics_stand_where_the_model_says(h2_db, h3_db):
    model = replace(IDEAL, desk=replace(IDEAL.desk, h2_db=h2_db, h3_db=h3_db, saturation_at_dbu=4.0))
    peak = 10 ** ((4.0 - 18.0) / 20)
    out = room_with(model, HARD_LEFT).process(played(2 * RATE, 1, sine(1000, 2 * RATE, peak)))[RATE:, 0]
    spectrum = np.abs(np.fft.rfft(out)) / (RATE / 2)
    for harmonic, level_db in ((2, h2_db), (3, h3_db)):
        if level_db == -math.inf:
            assert spectrum[1000 * harmonic] < 1e-7
        else:
            assert 20 * math.log10(spectrum[1000 * harmonic] / peak) == pytest.approx(level_db, abs=0.05)
    assert abs(float(np.mean(out))) < 1e-6


def test_gains_spread_within_the_models_limits():
    model = replace(IDEAL, desk=replace(IDEAL.desk, gain_spread_db=0.5))
    room = room_with(model, {f"ch{n:02d}/fader": 0.0 for n in range(1, 25)})
    errors = room.strip_errors_db
    assert max(map(abs, errors)) <= 0.5
    assert len(set(errors)) == 24
    out = room.process(played(4800, 9, sine(1000, 4800, 0.1)))
    assert dbfs(out[:, 0]) == pytest.approx(-20 - 3.0103 + errors[8], abs=1e-3)


def test_converters_clip_at_full_scale_and_say_so():
    room = room_with(IDEAL, HARD_LEFT | {"ch01/trim": 6.0}, tally=True)
    x = np.array([0.9, -0.9, 0.1, 1.5, np.nan])
    out = room.process(played(5, 1, x))[:, 0]
    assert out.tolist()[:2] == [1.0, -1.0]
    assert np.isfinite(out).all()
    assert room.tally.clipped == 5  # three returns, two D/A samples


# --- one signal, however it is cut ---------------------------------------------------------------------------------

BUSY = {
    "ch01/fader": 0.0, "ch01/eq/in": True, "ch01/eq/hmf_gain": 6.0, "ch01/eq/lf_gain": 9.0,
    "ch01/eq/lmf_gain": -9.0, "ch01/eq/hf_gain": -5.0, "ch01/hpf_freq": 40.0, "ch02/eq/in": True,
    "ch02/eq/lf_gain": -4.0, "ch02/eq/hf_gain": 4.0, "ch02/fader": -10.0, "ch02/hpf_freq": 100.0,
    "ch03/fader": -5.0, "ch03/pan": 40.0, "master/insert": True, "matrix/out01/tie": 1, "matrix/out02/tie": 2,
    "matrix/out03/tie": 3, "matrix/out04/tie": 4, "comp/threshold": -10.0, "comp/ratio": 4.0,
}  # fmt: skip
MOVES = (
    ("desk/ch01/eq/in", False), ("desk/ch02/fader", "off"), ("desk/ch03/eq/in", True), ("desk/ch03/eq/lf_gain", 9.0),
    ("desk/ch01/eq/in", True), ("desk/ch02/fader", 0.0), ("desk/master/insert", False), ("comp/makeup", 6.0),
    ("desk/ch02/hpf_freq", "off"), ("desk/master/insert", True), ("matrix/out03/tie", 1), ("desk/ch03/mute", True),
)  # fmt: skip


def render(cuts: list[int], moments: list[int], frames: int, *, tally: bool) -> np.ndarray:
    """Play a song with silences through the busy room, moving knobs at the given frames, in blocks cut as told."""
    room = room_with(RoomModel(), BUSY, tally=tally)
    song = np.random.default_rng(5).uniform(-0.3, 0.3, (frames, 24)).astype(np.float32)
    song[frames // 3 : frames // 2] = 0.0
    moves = dict(zip(moments, MOVES, strict=False))
    edges = sorted({0, frames, *moments, *(cut % frames for cut in cuts)})
    parts = []
    for start, end in itertools.pairwise(edges):
        if start in moves:
            room.turn(*moves[start])
        parts.append(room.process(song[start:end]))
    return np.concatenate(parts)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 40_000), max_size=12),
    st.lists(st.integers(1, 29_999), min_size=12, max_size=12, unique=True).map(sorted),
)
def test_blocks_of_any_size_give_the_same_bits(cuts, moments):
    whole = render([], moments, 30_000, tally=False)
    cut = render(cuts, moments, 30_000, tally=True)
    assert np.array_equal(whole.view(np.uint32), cut.view(np.uint32))


def test_single_frames_give_the_same_bits():
    moments = [7 * 2**k for k in range(8)]
    whole = render([], moments, 1500, tally=False)
    assert np.array_equal(whole.view(np.uint32), render(list(range(1500)), moments, 1500, tally=False).view(np.uint32))


def test_the_seed_decides_every_random_thing():
    song = np.random.default_rng(6).uniform(-0.3, 0.3, (2000, 24)).astype(np.float32)
    first, same, other = (room_with(replace(RoomModel(), seed=seed), BUSY).process(song) for seed in (3, 3, 4))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_a_moved_knob_does_not_click():
    room = room_with(IDEAL, HARD_LEFT | {"ch01/eq/lf_gain": 12.0})
    tone = played(48_000, 1, sine(100, 48_000, 0.1))
    parts = []
    for index, (name, value) in enumerate(
        (("fader", -40.0), ("fader", 5.0), ("mute", True), ("mute", False), ("eq/in", True), ("eq/in", False))
    ):
        parts.append(room.process(tone[index * 8000 : index * 8000 + 4000]))
        room.turn(f"desk/ch01/{name}", value)
        parts.append(room.process(tone[index * 8000 + 4000 : (index + 1) * 8000]))
    heard = np.concatenate(parts)[:, 0].astype(np.float64)
    step = np.max(np.abs(np.diff(heard)))
    assert step < 0.02  # the loudest tone alone steps 0.1·10^(17/20)·2π·100/48000 = 0.009; a bare switch would 0.1


def test_a_knob_moved_before_any_audio_is_settled_at_once():
    out = room_with(IDEAL, HARD_LEFT).process(played(10, 1, 0.5))
    assert out[0, 0] == 0.5


def test_after_a_rest_knobs_are_settled_and_nothing_rings_on():
    room = room_with(RoomModel.ideal(latency_samples=500.0), HARD_LEFT)
    room.process(played(2000, 1, 0.5))
    room.turn("desk/ch01/fader", -20.0)
    room.rest()
    out = room.process(played(1000, 1, 0.5))[:, 0]
    assert not out[:500].any()
    assert out[500] == pytest.approx(0.05, rel=1e-6)


# --- the tally -----------------------------------------------------------------------------------------------------


def test_the_tally_is_what_really_came_out():
    song = np.random.default_rng(7).uniform(-0.2, 0.2, (RATE, 24)).astype(np.float32)
    faders = {f"ch{n:02d}/fader": -10.0 for n in range(1, 13)} | {f"ch{n:02d}/pan": 90.0 - 15 * n for n in range(1, 13)}
    quiet = replace(RoomModel.ideal(latency_samples=0.0), name="quiet")
    clean = room_with(quiet, faders).process(song).astype(np.float64)
    for part, desk in (
        ("noise", replace(quiet.desk, bus_noise_dbfs=-70.0, channel_noise_dbfs=-80.0)),
        ("hum", replace(quiet.desk, hum_dbfs=-70.0)),
        ("crosstalk", replace(quiet.desk, crosstalk_db=-50.0)),
        ("saturation", replace(quiet.desk, h2_db=-50.0, h3_db=-45.0)),
    ):
        room = room_with(replace(quiet, desk=desk), faders, tally=True)
        added = room.process(song).astype(np.float64) - clean
        for side in range(2):
            assert room.tally.dbfs(part)[side] == pytest.approx(dbfs(added[:, side]), abs=0.02)
            assert room.tally.dbfs("all")[side] == pytest.approx(room.tally.dbfs(part)[side])
        room.reset_tally()
        assert room.tally.frames == 0


def strips_heard(fault: Fault) -> list[tuple[float, float]]:
    """What strips 3 (hard left) and 4 (hard right) give for a constant of 0.5 on output 3 alone, then on 4 alone."""
    knobs = {"ch03/fader": 0.0, "ch03/pan": -100.0, "ch04/fader": 0.0, "ch04/pan": 100.0}
    room = room_with(replace(IDEAL, faults=(fault,)), knobs)
    return [tuple(float(v) for v in room.process(played(64, output, 0.5))[-1]) for output in (3, 4)]


@pytest.mark.parametrize(
    ("kind", "from_third", "from_fourth"),
    [
        ("split", (0.5, 0.5), (0.0, 0.0)),
        ("summed", (0.25, 0.0), (0.25, 0.0)),
        ("shorted", (0.25, 0.25), (0.25, 0.25)),
    ],
)
def test_lines_are_joined_as_a_cable_would_join_them(kind, from_third, from_fourth):
    # Two equal source impedances that drive each other divide by two.
    assert strips_heard(Fault(kind, channels=(3, 4))) == [from_third, from_fourth]


@pytest.mark.parametrize("sizes", [(4800,), (1000, 3800), (100,) * 48])
def test_a_cable_is_pulled_and_a_gain_jumps_at_the_very_sample(sizes):
    room = room_with(IDEAL, HARD_LEFT)
    room.throw(Fault("jump", channels=(1,), db=-6.0, seconds=1000 / RATE))
    room.throw(Fault("pulled", channels=(1,), seconds=2000 / RATE))
    out = np.concatenate([room.process(played(size, 1, 0.5)) for size in sizes])[:, 0]
    assert np.array_equal(np.flatnonzero(np.diff(out)) + 1, [1000, 2000])
    assert out[1500] / out[0] == pytest.approx(10 ** (-6 / 20), rel=1e-6)
    assert not out[2000:].any()
    room.heal()
    assert room.process(played(10, 1, 0.5))[-1, 0] == 0.5


@pytest.mark.parametrize("freq_hz", [2.0, 5.0, 40.0])
def test_couplings_follow_the_analog_high_pass(freq_hz):
    corners = (3.0, 1.6)
    model = replace(IDEAL, converters=replace(IDEAL.converters, coupling_hz=corners))
    room = room_with(model, HARD_LEFT)
    frames = 4 * RATE
    out = np.concatenate([room.process(played(n, 1, x)) for n, x in _cut(sine(freq_hz, frames, 0.5), 7000)])[:, 0]
    expected = math.prod(1 / complex(1.0, -corner / freq_hz) for corner in corners)
    assert phasor(out[-2 * RATE :], freq_hz) == pytest.approx(0.5 * _turned(expected, freq_hz, frames), abs=2e-4)


def _cut(signal: np.ndarray, size: int) -> list[tuple[int, np.ndarray]]:
    return [(len(part), part) for part in np.split(signal, range(size, len(signal), size))]


def _turned(response: complex, freq_hz: float, frames: int) -> complex:
    """The phasor of a sine of phase 0 at frame 0, seen from the frame at which the last two seconds begin."""
    start = 2 * math.pi * freq_hz * (frames - 2 * RATE) / RATE
    # phasor() reads in-phase + j·quadrature of sin, cos: a sine ahead by phi is exp(j·phi).
    return response * complex(math.cos(start), math.sin(start))
