"""The reverb's network: every band dies in its time, echoes grow dense, nothing rings, the two sides differ."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from room_acoustics import OCTAVES, decay_curve, echo_density, flatness, octave, t30, t30_of_ideal

from dsp.room import Room, decay_s, filter_rows, line_frames
from dsp.space import Network

RATE = 48_000
EVEN = Room(size_m=24.0, predelay_ms=0.0, low_s=1.6, mid_s=1.6, high_s=1.6, low_hz=250.0, high_hz=4000.0)
HALL = replace(EVEN, low_s=2.4, mid_s=1.8, high_s=0.9)
CHAMBER = replace(EVEN, size_m=9.0, low_s=0.5, mid_s=0.7, high_s=0.5, low_hz=200.0, high_hz=3000.0)
CATHEDRAL = replace(EVEN, size_m=45.0, low_s=5.0, mid_s=4.0, high_s=1.5, low_hz=180.0, high_hz=5000.0)
ROOMS = {"even": EVEN, "hall": HALL, "chamber": CHAMBER, "cathedral": CATHEDRAL}


def responses(room: Room, seconds: float, rate_hz: float = RATE, starts: tuple[int, ...] = (0,)) -> list[np.ndarray]:
    """What an impulse at each side makes of each, (frames,), at moments with other phases of the modulation."""
    found: list[np.ndarray] = []
    for start in starts:
        for side in range(2):
            block = np.zeros((round(seconds * rate_hz) + start, 2), np.float32)
            block[start, side] = 1.0
            Network(replace(room, dry_gain=0.0), rate_hz).process(block)
            found += list(block[start:].T.astype(np.float64))
    return found


def asked_s(room: Room):
    """The decay that the room's documentation promises: rates that cross over with second-order weights."""

    def at(hz: np.ndarray) -> np.ndarray:
        below, above = 1.0 / (1.0 + (hz / room.low_hz) ** 4), 1.0 / (1.0 + (room.high_hz / hz) ** 4)
        rates = [60.0 / s for s in (room.low_s, room.mid_s, room.high_s)]
        return 60.0 / (rates[1] + (rates[0] - rates[1]) * below + (rates[2] - rates[1]) * above)

    return at


@pytest.mark.parametrize(
    ("name", "rate_hz"), [*((name, RATE) for name in ROOMS), ("hall", 44_100), ("chamber", 96_000)]
)
def test_every_octave_dies_in_its_time(name, rate_hz) -> None:
    room = ROOMS[name]
    seconds = 1.2 * max(room.low_s, room.mid_s, room.high_s)
    # One response alone has the spread of any noise, 3 % at 125 Hz; the mean over places is what a room has.
    heard = responses(room, seconds, rate_hz, (0, 9000, 30_000))
    for centre_hz in OCTAVES:
        curve = np.mean([decay_curve(octave(h, centre_hz, rate_hz)) for h in heard], axis=0)
        wanted = t30_of_ideal(asked_s(room), centre_hz, rate_hz)
        assert t30(curve, rate_hz) == pytest.approx(wanted, rel=0.05), centre_hz


def test_the_curve_that_is_shown_is_the_curve_that_is_promised() -> None:
    hz = np.geomspace(20.0, 20_000.0, 50)
    np.testing.assert_allclose(decay_s(HALL, hz), asked_s(HALL)(hz), rtol=1e-12)


def test_an_octave_from_the_crossover_a_band_has_its_own_time_within_five_per_cent() -> None:
    for hz, seconds in ((125.0, 2.4), (1000.0, 1.8), (8000.0, 0.9)):
        assert decay_s(HALL, hz) == pytest.approx(seconds, rel=0.05)


def test_echoes_are_as_dense_as_noise_within_a_tenth_of_a_second_and_stay_so() -> None:
    for h in responses(replace(EVEN, diffusion=0.8), 1.0):
        at_s, density = echo_density(h, RATE)
        assert np.any(density[at_s < 0.1] >= 0.9)
        late = density[(at_s > 0.15) & (at_s < 1.0)]
        assert np.mean(late) == pytest.approx(1.0, abs=0.05)
        assert np.min(late) > 0.8


def test_a_small_room_is_dense_sooner_than_a_large_one() -> None:
    def dense_s(size_m: float) -> float:
        at_s, density = echo_density(responses(replace(EVEN, size_m=size_m), 0.5)[0], RATE)
        return float(at_s[np.flatnonzero(density >= 0.9)[0]])

    assert dense_s(8.0) < 0.05 < dense_s(50.0) < 0.3


@pytest.mark.parametrize("centre_hz", OCTAVES)
def test_the_tail_has_the_flat_spectrum_of_noise_and_no_tone_that_rings(centre_hz) -> None:
    heard = responses(EVEN, 2.6, starts=(0, 9000, 30_000))
    noise = np.random.default_rng(1).standard_normal((12, round(2.6 * RATE)))
    noise *= 10.0 ** (-3.0 * np.arange(noise.shape[1]) / (1.6 * RATE))
    ours, gauss = (np.mean([flatness(octave(h, centre_hz, RATE), centre_hz, RATE, 1.6, 0.5) for h in many], axis=0)
                   for many in (heard, noise))  # fmt: skip
    assert gauss[0] == pytest.approx(math.exp(-np.euler_gamma), abs=0.06)
    assert ours[0] > 0.8 * gauss[0]
    assert 10.0 * math.log10(ours[1] / gauss[1]) < 4.0


def test_modulation_flattens_what_a_still_network_lets_ring() -> None:
    def mean_flatness(room: Room) -> float:
        heard = [octave(h, 1000.0, RATE) for h in responses(room, 2.6)]
        return float(np.mean([flatness(h, 1000.0, RATE, 1.6, 0.5)[0] for h in heard]))

    assert mean_flatness(EVEN) > 1.2 * mean_flatness(replace(EVEN, modulation=0.0))


@pytest.mark.parametrize("centre_hz", OCTAVES)
def test_the_two_sides_are_hardly_alike_in_any_octave(centre_hz) -> None:
    found = []
    for left, right in zip(*[iter(responses(EVEN, 1.6, starts=(0, 9000, 30_000)))] * 2, strict=True):
        a, b = (octave(h, centre_hz, RATE)[4800:] for h in (left, right))
        found.append(np.sum(a * b) / math.sqrt(np.sum(a**2) * np.sum(b**2)))
    assert abs(np.mean(found)) < 0.15


def test_no_direct_current_builds_up() -> None:
    block = np.full((6 * RATE, 2), 0.5, np.float32)
    Network(replace(EVEN, low_cut_hz=20.0, dry_gain=0.0), RATE).process(block)
    assert np.max(np.abs(block[3 * RATE :])) < 1e-3 * 0.5


def test_the_still_network_is_the_transfer_function_of_its_matrix() -> None:
    """H(ω) = C F D (1 − P A F D)⁻¹ B at frequencies drawn at random, A the Hadamard matrix over 4."""
    room = replace(HALL, low_s=0.3, mid_s=0.2, high_s=0.1, diffusion=0.0, modulation=0.0)
    delays = line_frames(room.size_m, RATE)
    rows = filter_rows(room, RATE).reshape(2, 6, 16)
    hadamard = np.array([[(-1.0) ** bin(i & j).count("1") for j in range(16)] for i in range(16)]) / 4.0
    network = Network(room, RATE)
    order = network._delays[0, 64:80] // network._lines.shape[1]
    into = network._gains[2:, :16].astype(np.float64)
    h = np.array(responses(room, 1.0))
    # The energy of one side's answer sets the scale that the level of the return puts on all.
    for hz in np.random.default_rng(4).uniform(40.0, 20_000.0, 12):
        z = np.exp(2j * np.pi * hz / RATE)
        through = np.ones(16, dtype=complex)
        for d, c1, c2, p, q, g in rows:
            # z s1 = p s1 + q (1 − s2), z s2 = s2 + q s1 + g (1 − s2)
            det = (z - p) * (z - 1.0 + g) + q * q
            s1, s2 = q * (z - 1.0) / det, ((z - p) * g + q * q) / det
            through *= d + c1 * s1 + c2 * s2
        forward = hadamard @ np.diag(through * z ** -delays.astype(float))
        back = np.zeros((16, 16))
        back[order, np.arange(16)] = 1.0
        place = np.zeros((16, 2))
        place[order] = into.T
        both = forward @ np.linalg.solve(np.eye(16) - back @ forward, place)
        # 32 frames of step, and the diffusers as plain delays.
        late = z ** -(32.0 + np.array([_diffused(side) for side in range(2)]))
        wanted = both[[5, 11]] * late
        wanted *= float(network._glide.target[16 + 9])
        got = (h @ z ** -np.arange(h.shape[1])).reshape(2, 2).T
        assert np.max(np.abs(got - wanted)) < 1e-5 * np.max(np.abs(wanted))


def _diffused(side: int) -> int:
    from dsp.room import diffuser_frames

    return int(np.sum(diffuser_frames(RATE)[4 * side : 4 * side + 4]))
