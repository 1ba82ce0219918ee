"""Chunks under way at once: the samples of one thread, whoever did the work; and what goes wrong is told."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

from dsp.bank_strip import Demand, deal
from dsp.dynamics import Compressor
from dsp.filters import Band
from dsp.graph import MixGraph
from dsp.graph_pipeline import Pipeline
from dsp.graph_settings import Feed, GraphBus, GraphStrip, Insert, ParameterMove
from dsp.registry import effect

RATE = 48_000
FRAMES = 90_000


def noise(frames: int, channels: int, seed: int) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal((frames, channels))).astype(np.float32)


def strips() -> list[GraphStrip]:
    """Some seventy channels: plain ones, some with filters, compressors, inserts, keys, moves and waits."""
    made = []
    for k in range(46):
        channels = 2 if k % 2 or k > 40 else 1
        gains = ((0.3, 0.2),) if channels == 1 else ((0.5, 0.0), (0.1, 0.4))
        settings = {
            "hpf_hz": 70.0 if k % 3 else None,
            "bands": (Band("bell", 500.0 + 20.0 * k, 3.0),) * (k % 4),
            "compressor": Compressor(-24.0, 3.0, 3.0, 80.0) if k % 5 == 0 else None,
            "trim_db": 1.0 if k % 7 == 0 else 0.0,
            "output": "group" if k % 6 == 0 else "bus",
            "feeds": (Feed("par", gains),) if k % 8 == 0 else (),
        }
        if k % 9 == 0:
            settings["pre"] = (Insert(effect("saturation")(drive_db=3.0)),)
        if k % 10 == 0:
            settings["post"] = (Insert(effect("limiter")()),)
        if k == 13:
            settings["moves"] = (ParameterMove("trim_db", ((0.0, 0.0), (0.8, 6.0), (1.2, -6.0))),)
        if k == 14:
            settings["automation"] = lambda at_s: np.repeat((0.2 + 0.1 * np.sin(9.0 * at_s))[:, None, None], 3, 2)
        if k == 21:
            settings["pre"] = (Insert(effect("compressor")(), key="strip 3"),)
        made.append(GraphStrip(f"strip {k}", channels, gains=gains, **settings))
    return made


def graph(threads: int) -> MixGraph:
    busses = (
        GraphBus(name="group", feeds=(Feed(),), pre=(Insert(effect("reverb")()),)),
        GraphBus(name="par", feeds=(Feed(),), compressor=Compressor(-30.0, 4.0, 2.0, 60.0)),
    )
    main = GraphBus(bands=(Band("high_shelf", 9_000.0, 1.0),), post=(Insert(effect("limiter")()),), fader_db=-1.0)
    asked = {"pre": ["strip 3", "strip 20"], "stems": ["strip 0", "strip 21"], "with_busses": True}
    return MixGraph(strips(), busses, main, rate_hz=RATE, threads=threads, **asked)


def test_pulled_through_any_number_of_threads_come_the_bits_of_one_block() -> None:
    stems = [noise(FRAMES, strip.channels, k) for k, strip in enumerate(strips())]
    with graph(1) as one:
        whole = one.process(stems)
    for threads, step in ((1, 7_001), (2, 16_384), (3, 20_011), (4, 90_000)):
        places = [0] * len(stems)

        def source(index: int, block: np.ndarray, places: list[int] = places) -> None:
            part = stems[index][places[index] : places[index] + len(block)]
            block[: len(part)], block[len(part) :] = part, 0.0
            places[index] += len(block)

        with graph(threads) as several:
            blocks = [several.pull(min(step, FRAMES - start), source) for start in range(0, FRAMES, step)]
        assert np.array_equal(np.concatenate([b.bus for b in blocks]), whole.bus)
        for index in (3, 20):
            assert np.array_equal(np.concatenate([b.pre[index] for b in blocks]), whole.pre[index])
        for name in whole.stems:
            assert np.array_equal(np.concatenate([b.stems[name] for b in blocks]), whole.stems[name])
        for name in whole.busses:
            assert np.array_equal(np.concatenate([b.busses[name] for b in blocks]), whole.busses[name])


def test_a_group_of_lanes_that_is_dealt_out_alone_keeps_its_lanes() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        count = int(rng.integers(1, 70))
        demands = [
            Demand(int(rng.integers(1, 3)), int(rng.integers(0, 3)), bool(rng.integers(2)), bool(rng.integers(2)))
            for _ in range(count)
        ]
        for group in deal(demands):
            members = sorted(index for index, _ in group)
            (alone,) = deal([demands[index] for index in members])
            assert sorted((members[i], lane) for i, lane in alone) == sorted(group)


def test_every_stage_takes_the_chunks_in_order_and_one_by_one() -> None:
    numbers = itertools.count()
    taken: list[list[int]] = [[] for _ in range(4)]
    inside = [threading.Lock() for _ in taken]

    def stage(which: int):
        def run(chunk: list[int]) -> None:
            assert inside[which].acquire(blocking=False)
            taken[which].append(chunk[0])
            assert chunk[1:] == list(range(which))
            chunk.append(which)
            inside[which].release()

        return run

    for threads in (1, 2, 5):
        numbers = itertools.count()
        for row in taken:
            row.clear()
        line = Pipeline(lambda numbers=numbers: [next(numbers)], [stage(k) for k in range(4)], threads)
        assert [line.next() for _ in range(200)] == [[k, 0, 1, 2, 3] for k in range(200)]
        line.close()
        assert all(row == list(range(len(row))) and len(row) >= 200 for row in taken)
        assert len(taken[0]) <= 200 + line.depth


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_what_a_stage_raises_reaches_whoever_asks_and_ends_the_threads(threads: int) -> None:
    numbers = itertools.count()

    def fails(chunk: int) -> None:
        if chunk == 3:
            raise OSError("the disk is gone")

    line = Pipeline(lambda: next(numbers), [lambda chunk: None, fails, lambda chunk: None], threads)
    found = []
    with pytest.raises(OSError, match="the disk is gone"):
        while True:
            found.append(line.next())
    assert found == list(range(len(found)))
    assert len(found) <= 3
    with pytest.raises(OSError, match="the disk is gone"):
        line.next()
    line.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "stages"]


def test_a_line_that_was_closed_goes_on_with_one_thread() -> None:
    numbers = itertools.count()
    line = Pipeline(lambda: next(numbers), [lambda chunk: None], 3)
    first = [line.next() for _ in range(5)]
    line.close()
    assert first + [line.next() for _ in range(5)] == list(range(10))
