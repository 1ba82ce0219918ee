"""What every effect promises, tried with every kind the registry knows. A kind without an entry fails here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError
from dsp.processor import Declared, Parameter, Settings
from dsp.registry import KINDS, effect
from tests.dsp.processors.promised import PROMISED, Promised
from tests.dsp.processors.streams import RATE, moved, run, sine, splash_db, swelling

Rng = np.random.Generator
each = pytest.mark.parametrize("kind", PROMISED)
each_width = pytest.mark.parametrize("kind,channels", [(k, n) for k, p in PROMISED.items() for n in p.channels])
each_way = pytest.mark.parametrize("kind,way", [(k, i) for k, p in PROMISED.items() for i in range(len(p.ways))])
TINY = np.finfo(np.float32).tiny


def drawn(here: Settings, promised: Promised, rng: Rng) -> Settings:
    """Return settings of the kind of ``here`` from all over what it declares."""
    return replace(here, **_values(here, promised, rng))


def _values(declared: Declared | type[Declared], promised: Promised, rng: Rng) -> dict[str, Any]:
    free = [p for p in declared.parameters() if p.name not in promised.held]
    return {p.name: promised.given.get(p.name, lambda r, _, p=p: _value(p, promised, r))(rng, declared) for p in free}


def _value(p: Parameter, promised: Promised, rng: Rng) -> Any:
    if p.item is not None:
        return tuple(p.item(**_values(p.item, promised, rng)) for _ in range(rng.integers(4)))
    if p.names:
        return p.names[rng.integers(len(p.names))]
    if isinstance(p.default, bool):
        return bool(rng.integers(2))
    low, high = promised.limits.get(p.name, (max(p.low, -60.0), min(p.high, 1000.0)))
    if rng.random() < 0.2:
        return (low, high)[rng.integers(2)]
    if p.scale == "log":
        return float(np.clip(math.exp(rng.uniform(math.log(max(low, 1e-4 * high)), math.log(high))), low, high))
    return float(rng.uniform(low, high))


def test_every_kind_is_tried() -> None:
    assert set(PROMISED) == set(KINDS)
    with pytest.raises(DspError, match="effect 'trimm' is not known"):
        effect("trimm")


@each
def test_the_registry_knows_it_by_its_name(kind) -> None:
    for pair in PROMISED[kind].ways:
        assert all(type(s) is effect(kind) and s.kind == kind for s in pair)


@each
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.floats(0.0, 1.0), max_size=8), over=st.integers(1, 1500))
def test_any_cut_into_blocks_gives_the_same_samples(kind, seed, cuts, over) -> None:
    """Also just after a change, in the middle of one, and with a side-chain that hears something else."""
    promised, rng = PROMISED[kind], np.random.default_rng(seed)
    n, channels = promised.frames, promised.channels[rng.integers(len(promised.channels))]
    # The first way goes with one channel, too.
    here, there = promised.ways[rng.integers(len(promised.ways)) if channels == 2 else 0]
    x = swelling(n, channels, seed % 100, 0.5)
    key = swelling(n, int(rng.integers(1, 3)), 7, 0.5) if rng.integers(2) else None
    times = sorted(int(t) for t in rng.integers(1, n, 2))
    moves = [(times[0], drawn(here, promised, rng), over), (times[1], there, over)]
    at = [round(c * n) for c in cuts] + [times[0] + late for late in (1, 2, 15, 16, 33)]
    assert np.array_equal(moved(here, moves, x, at, key), moved(here, moves, x, (), key))


@each
def test_settings_that_do_nothing_change_no_bit_and_are_as_late_as_they_say(kind) -> None:
    for nothing in PROMISED[kind].nothing:
        x = swelling(12_000, 2, 3, 0.25) * np.float32(PROMISED[kind].quiet)
        x[7] = -0.0
        p = nothing.start(RATE, 2)
        y = run(p, x, [100, 1500, 1501])
        late = 0 if kind == "advance" else p.latency_frames
        assert np.array_equal(y[late:], x[: len(x) - late])
        assert not np.any(y[:late])
        assert getattr(p, "reduction_db", 0.0) == 0.0


@each
def test_silence_stays_silent_and_comes_back_after_the_tail(kind) -> None:
    p = PROMISED[kind].here.start(RATE, 2)
    assert not np.any(run(p, np.zeros((3000, 2))))
    loudest = np.max(np.abs(run(p, swelling(6000))))
    run(p, np.zeros((p.latency_frames + p.tail_frames, 2)))
    assert np.max(np.abs(run(p, np.zeros((3000, 2))))) <= 1e-6 * loudest


def subnormal(held: Any, seen: set[int] | None = None) -> Iterator[str]:
    """Name the arrays of a processor that hold numbers too small for the processor's fast ways."""
    seen = set() if seen is None else seen
    if id(held) in seen:
        return
    seen.add(id(held))
    if isinstance(held, np.ndarray):
        if held.dtype.kind == "f" and np.any((held != 0.0) & (np.abs(held) < np.finfo(held.dtype).tiny)):
            yield f"{held.shape} {held.dtype}"
    elif isinstance(held, list | tuple):
        for one in held:
            yield from subnormal(one, seen)
    elif type(held).__module__.startswith("dsp.") and hasattr(held, "__dict__"):
        for name, one in vars(held).items():
            yield from (f"{name}: {found}" for found in subnormal(one, seen))


@each_way
def test_on_the_way_to_silence_no_number_is_so_small_that_it_slows_the_machine_down(kind, way) -> None:
    p = PROMISED[kind].ways[way][0].start(RATE, 2)
    run(p, swelling(3000))
    for _ in range(6):
        y = run(p, np.zeros((24_000, 2)), range(4096, 24_000, 4096))
        # One may come about where a sound crosses zero; what dies away would bring thousands.
        assert np.count_nonzero((y != 0.0) & (np.abs(y) < TINY)) < 10
        assert not [*subnormal(p)]
    assert not np.any(y[-1000:])


@each_width
def test_it_stays_finite_for_a_million_and_is_as_new_after_a_reset(kind, channels) -> None:
    here, there = PROMISED[kind].ways[0]
    p = here.start(RATE, channels)
    assert np.all(np.isfinite(run(p, np.random.default_rng(1).choice([-1e6, 0.0, 1e-30, 1e6], (3000, channels)))))
    p.change(there, 2000)
    run(p, swelling(700, channels))
    p.change(here, 2000)
    run(p, swelling(700, channels))
    p.reset()
    x = swelling(6000, channels)
    assert np.array_equal(run(p, x, [1000]), run(here.start(RATE, channels), x, [7]))


@each
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), every=st.sampled_from([16, 64, 300]))
def test_no_sweep_of_settings_makes_it_ring_up(kind, seed, every) -> None:
    promised, rng = PROMISED[kind], np.random.default_rng(seed)
    here = promised.ways[rng.integers(len(promised.ways))][0]
    p, x = here.start(RATE, 2), swelling(21 * every, 2, seed % 100, 1.0)
    y = run(p, x[:every])
    for start in range(every, len(x), every):
        p.change(drawn(here, promised, rng), int(rng.integers(2 * every)))
        y = np.concatenate([y, run(p, x[start : start + every])])
        assert -400.0 < getattr(p, "reduction_db", 0.0) <= 0.0
    most = 10.0 ** (promised.most_db / 20.0) * (1.0 + 1e-6)
    assert np.max(np.abs(y)) <= most * np.max(np.abs(x))
    if promised.a_gain:
        late = p.latency_frames
        assert np.all(np.abs(y[late:]) <= most * np.abs(x[: len(x) - late]))
    p.change(here, 64)
    rest = run(p, np.zeros((4000 + p.latency_frames + p.tail_frames, 2)))
    assert np.max(np.abs(rest[-500:])) <= 1e-6 * max(np.max(np.abs(y)), 1.0)


@each_way
def test_a_change_of_20_ms_splashes_no_more_than_the_settings_do_themselves_or_a_fade_of_12_db(kind, way) -> None:
    here, there = PROMISED[kind].ways[way]
    x = sine(500.0, 16_000, 0.1, channels=2)
    around = slice(8000 - 1024, 8000 + 3072)
    fade = np.interp(np.arange(len(x)), [8000, 8960], [1.0, 4.0])[:, None] * x
    steady = [run(s.start(RATE, 2), x) for s in (here, there)]
    y = moved(here, [(8000, there, 960)], x)
    allowed = max(splash_db(s, 9000.0, around) for s in [*steady, fade])
    assert splash_db(y, 9000.0, around) <= max(allowed, -100.0) + 1.0


@each_way
def test_it_runs_at_every_rate_and_says_nothing_of_itself_that_moves(kind, way) -> None:
    here, there = PROMISED[kind].ways[way]
    for rate in (44_100.0, 96_000.0, 192_000.0):
        p = here.start(rate, 2)
        late = p.latency_frames
        assert np.all(np.isfinite(run(p, swelling(1500))))
        p.change(there, 100)
        assert np.all(np.isfinite(run(p, swelling(1500))))
        assert p.latency_frames == late >= 0
        assert p.tail_frames >= 0


@pytest.mark.parametrize("kind", [kind for kind, promised in PROMISED.items() if promised.refused])
def test_what_would_move_its_latency_or_its_size_is_refused_while_it_runs(kind) -> None:
    for here, there in PROMISED[kind].refused:
        p = here.start(RATE, 2)
        with pytest.raises(DspError):
            p.change(there, 100)
        x = swelling(2000)
        assert np.array_equal(run(p, x), run(here.start(RATE, 2), x))


@each
def test_a_number_outside_of_what_it_declares_or_that_is_none_is_refused(kind) -> None:
    here: Settings = PROMISED[kind].here
    for address, parameter in here.addresses().items():
        if parameter.is_number and (parameter.low, parameter.high) != (-math.inf, math.inf):
            for bad in (math.nan, math.inf, -math.inf, parameter.low - 1.0, parameter.high + 1.0):
                if not parameter.low <= bad <= parameter.high:
                    with pytest.raises(DspError, match=parameter.name):
                        here.with_values({address: bad})
        elif parameter.names:
            with pytest.raises(DspError, match=parameter.name):
                here.with_values({address: "no such"})


@pytest.mark.parametrize("kind", [kind for kind, promised in PROMISED.items() if promised.channels == (2,)])
def test_what_works_on_two_sides_refuses_one(kind) -> None:
    with pytest.raises(DspError, match=kind):
        replace(PROMISED[kind].here).start(RATE, 1)
