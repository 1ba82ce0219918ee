"""Every wrong wiring of each kind is named once, in plain words; a 32 × 32 patch is read without a wrong cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import ShapeError
from dsp.measure.loop import measure_loops
from dsp.measure.patch import KINDS, read_patch
from dsp.measure.probe import comb

RATE = 48_000
SIZE = 6
STRAIGHT = {output: [output] for output in range(SIZE)}


@pytest.fixture(scope="module")
def two_combs():
    return tuple(comb(SIZE, rate_hz=RATE, level_dbfs=-20.0, seed=seed, period_frames=4096) for seed in (1, 2))


def returned(probe, gains, delays, rng, sigma=1e-4, distorted=True):
    """One period at every input, every tone with the size and phase that gain and delay give it, H2 −80 and H3 −90."""
    n = np.arange(probe.frames)
    circle = np.exp(2j * np.pi * n / probe.frames)  # exp(jωn) of whole cycles per period takes no other values
    out = np.zeros((probe.frames, gains.shape[1]))
    for output in range(probe.outputs):
        omega = 2.0 * np.pi * probe.bins[output] / probe.frames
        tones = 2.0 * probe.spectra[output] / probe.frames
        turned = tones[:, None] * gains[output] * np.exp(-1j * omega[:, None] * delays[output])
        out += (circle[n[:, None] * probe.bins[output] % probe.frames] @ turned).real
    if distorted:
        out = out + 2e-4 * out**2 + 4.0 * 10.0 ** (-90.0 / 20.0) * out**3
    return out + rng.normal(0.0, sigma, out.shape)


def patch_of(two_combs, gains, expected=STRAIGHT):
    rng = np.random.default_rng(5)
    delays = np.full(gains.shape, 300.25)
    return read_patch(*(measure_loops(returned(c, gains, delays, rng), c) for c in two_combs), expected)


def told(patch):
    return [(fault.kind, fault.outputs, fault.inputs) for fault in patch.faults]


def test_a_rig_wired_as_it_should_be_has_no_fault(two_combs):
    patch = patch_of(two_combs, np.eye(SIZE))
    assert patch.faults == ()
    assert patch.confirmed
    assert np.array_equal(patch.present, np.eye(SIZE, dtype=bool))


def wiring(*cells, without=()):
    gains = np.eye(SIZE)
    for output in without:
        gains[output] = 0.0
    for output, goal, gain in cells:
        gains[output, goal] = gain
    return gains


@pytest.mark.parametrize(
    ("kind", "gains", "outputs", "inputs", "words"),
    [
        ("dead", wiring(without=[3]), (3,), (3,), "Nothing of output 4 arrives at input 4."),
        ("shorted", wiring((1, 2, 1.0), (2, 1, 1.0)), (1, 2), (1, 2), "Outputs 2 and 3 are joined"),
        ("split", wiring((2, 5, 0.7)), (2,), (5,), "Output 3 arrives at input 6 as well"),
        ("summed", wiring((4, 0, 1.0), without=[4]), (4,), (0,), "adds to output 1"),
        ("swapped", wiring((0, 1, 1.0), (1, 0, 1.0), without=[0, 1]), (0, 1), (0, 1), "exchanged"),
        ("inverted", wiring((2, 2, -1.0)), (2,), (2,), "Output 3 arrives inverted at input 3."),
    ],
)
def test_a_wrong_wiring_of_each_kind_is_named(two_combs, kind, gains, outputs, inputs, words):
    patch = patch_of(two_combs, gains)
    assert told(patch) == [(kind, outputs, inputs)]
    assert words in patch.faults[0].what
    assert patch.faults[0].what.endswith(".")
    assert patch.faults[0].hint.endswith(".")


def test_a_cable_moved_to_a_free_input_and_one_nobody_wired_are_named(two_combs):
    expected = {0: [0], 1: [1], 2: [2], 3: [3]}
    gains = wiring((3, 5, 1.0), without=[3, 4, 5])
    assert told(patch_of(two_combs, gains, expected)) == [("moved", (3,), (5,))]
    gains = wiring((4, 4, 1.0), without=[5])
    assert told(patch_of(two_combs, gains, expected)) == [("stray", (4,), (4,))]


def test_three_cables_moved_in_a_ring_are_no_exchange(two_combs):
    gains = wiring((0, 1, 1.0), (1, 2, 1.0), (2, 0, 1.0), without=[0, 1, 2])
    assert told(patch_of(two_combs, gains)) == [("moved", (0,), (1,)), ("moved", (1,), (2,)), ("moved", (2,), (0,))]


def test_strips_that_sum_into_a_return_on_purpose_are_no_fault(two_combs):
    gains = np.zeros((SIZE, 2))
    gains[::2, 0], gains[1::2, 1] = 0.5, 0.5
    assert patch_of(two_combs, gains, {o: [o % 2] for o in range(SIZE)}).faults == ()


def test_two_returns_exchanged_are_named_as_returns_and_not_as_many_moved_cables(two_combs):
    gains = np.zeros((SIZE, 2))
    gains[::2, 1], gains[1::2, 0] = 0.5, 0.5
    patch = patch_of(two_combs, gains, {o: [o % 2] for o in range(SIZE)})
    assert told(patch) == [("swapped", tuple(range(SIZE)), (0, 1))]
    assert "Inputs 1 and 2 are exchanged" in patch.faults[0].what


def test_strips_of_a_bus_that_are_panned_wrong_are_named_one_by_one(two_combs):
    gains = np.zeros((SIZE, 2))
    gains[::2, 0], gains[1::2, 1] = 0.5, 0.5
    gains[0] = [0.0, 0.5]  # hard on the wrong side
    gains[3] = [0.4, 0.4]  # in the middle
    patch = patch_of(two_combs, gains, {o: [o % 2] for o in range(SIZE)})
    assert told(patch) == [("summed", (0,), (1,)), ("split", (3,), (0,))]


def test_a_stereo_send_of_which_one_side_is_missing_is_dead_there(two_combs):
    expected = {**STRAIGHT, 0: [0, 5], 5: []}
    assert told(patch_of(two_combs, wiring(without=[5]), expected)) == [("dead", (0,), (5,))]


def test_every_kind_has_its_words():
    assert set(KINDS) == {"dead", "shorted", "split", "summed", "swapped", "moved", "inverted", "stray"}


def test_a_patch_that_changes_between_the_two_periods_is_not_confirmed(two_combs):
    rng = np.random.default_rng(6)
    delays = np.full((SIZE, SIZE), 300.25)
    louder = np.eye(SIZE)
    louder[1, 1] = 1.1
    pulled = np.eye(SIZE)
    pulled[4, 4] = 0.0
    first = measure_loops(returned(two_combs[0], np.eye(SIZE), delays, rng), two_combs[0])
    for gains, cell, words in ((louder, (1, 1), "gain changed"), (pulled, (4, 4), "only one of two")):
        second = measure_loops(returned(two_combs[1], gains, delays, rng), two_combs[1])
        patch = read_patch(first, second, STRAIGHT)
        assert [unsure[:2] for unsure in patch.unsure] == [cell]
        assert words in patch.unsure[0][2]
        assert not patch.confirmed


def test_a_patch_of_32_by_32_has_no_wrong_cell_and_gains_within_two_thousandths_of_a_db():
    combs = [comb(32, rate_hz=RATE, level_dbfs=-20.0, seed=seed, period_frames=4096) for seed in (1, 2)]
    assert 2 * 2 * 4096 / RATE < 0.5
    rng = np.random.default_rng(7)
    for _ in range(3):
        true = np.eye(32, dtype=bool)
        true[rng.random(32) < 0.1] = False
        for output in np.flatnonzero(rng.random(32) < 0.1):
            true[output, rng.integers(32)] = True
        gains = 10.0 ** (
            np.where(true, rng.uniform(-12.0, 6.0, true.shape), rng.uniform(-90.0, -80.0, true.shape)) / 20
        )
        gains *= rng.choice([-1.0, 1.0], true.shape)
        delays = 731.4 + rng.uniform(0.0, 8.0, true.shape)
        patch = read_patch(
            *(measure_loops(returned(c, gains, delays, rng), c) for c in combs), {o: [o] for o in range(32)}
        )
        assert np.array_equal(patch.present, true)
        assert np.array_equal(patch.polarity, np.where(true, np.sign(gains), 0.0))
        assert patch.confirmed
        errors = (patch.gain_db - 20.0 * np.log10(np.abs(gains)))[true]
        assert np.std(errors) <= 0.002
        assert np.sqrt(np.mean((errors / patch.gain_sd[true]) ** 2)) == pytest.approx(1.0, abs=0.5)


@settings(max_examples=8, deadline=None)
@given(outputs=st.permutations(range(SIZE)), inputs=st.permutations(range(SIZE)))
def test_renumbering_outputs_and_inputs_renumbers_the_patch(two_combs, outputs, inputs):
    gains = np.zeros((SIZE, SIZE))
    gains[outputs, inputs] = 1.0
    patch = patch_of(two_combs, gains, {o: [i] for o, i in zip(outputs, inputs, strict=True)})
    assert patch.faults == ()
    assert np.array_equal(patch.present, gains != 0.0)


def test_silence_is_a_patch_in_which_all_is_dead(two_combs):
    patch = read_patch(measure_loops(np.zeros((4096, SIZE)), two_combs[0]), None, STRAIGHT)
    assert [fault.kind for fault in patch.faults] == ["dead"] * SIZE


def test_what_does_not_fit_is_refused_in_a_sentence(two_combs):
    six = measure_loops(np.zeros((4096, SIZE)), two_combs[0])
    two = measure_loops(np.zeros((4096, 2)), two_combs[0])
    with pytest.raises(ShapeError, match="two measurements"):
        read_patch(six, two, STRAIGHT)
    with pytest.raises(ShapeError, match="output 1 at input 9"):
        read_patch(six, None, {0: [8]})
