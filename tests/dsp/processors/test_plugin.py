"""A plug-in of somebody else is in step to the sample, whatever the cut, and its faults are contained and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError
from dsp.hosting import Value
from dsp.processor import Block
from dsp.processors.plugin import Plugin
from tests.dsp.processors.promises import RATE, changing, noise, run


@dataclass(frozen=True)
class Double:
    """A plug-in made up for a test: a delay and a gain, with faults on demand. It writes down what it was asked."""

    late: int = 0
    fault: str = ""
    told: list[str] = field(default_factory=list, compare=False)
    blocks: list[int] = field(default_factory=list, compare=False)
    gains: list[float] = field(default_factory=list, compare=False)

    def check(self, values: Sequence[tuple[str, Value]]) -> None:
        for name, value in values:
            if name != "gain_db" or not isinstance(value, float) or value > 12.0:
                raise DspError(f"no {name} = {value}")

    def start(self, rate_hz: float, channels: int, block_frames: int, values: Any, state: Any) -> DoubleInstance:
        return DoubleInstance(self, channels, dict(values), state)

    def tell(self, trouble: str) -> None:
        self.told.append(trouble)


class DoubleInstance:
    def __init__(self, double: Double, channels: int, values: dict[str, Any], state: Any) -> None:
        self.double, self.channels = double, channels
        self.gain_db = values.get("gain_db", 0.0 if state is None else float(state))
        self.latency_frames = double.late
        self.reset()

    def reset(self) -> None:
        self.line = np.zeros((self.double.late, self.channels), np.float32)

    def put(self, values: Sequence[tuple[str, Value]]) -> None:
        self.gain_db = float(dict(values).get("gain_db", self.gain_db))

    def run(self, block: Block) -> None:
        self.double.blocks.append(len(block))
        self.double.gains.append(self.gain_db)
        if self.double.fault == "raises":
            raise DspError("plug-in Double failed while it ran: out of memory")
        whole = np.concatenate([self.line, block])
        self.line = whole[len(block) :]
        block[:] = whole[: len(block)] * np.float32(10.0 ** (self.gain_db / 20.0))
        if self.double.fault == "nan":
            block[3] = np.nan
            block[4] = np.inf
        if self.double.fault == "latency":
            self.latency_frames = self.double.late + 10


@pytest.mark.parametrize("late", [0, 1, 777, 3000])
@pytest.mark.parametrize("channels", [1, 2])
def test_its_output_is_late_by_its_block_and_what_it_says_and_by_no_sample_more(late: int, channels: int) -> None:
    p = Plugin(Double(late), block_frames=256).start(RATE, channels)
    assert p.latency_frames == 256 + late
    x = noise(6000, channels)
    y = run(p, x, [100, 101, 999, 4000])
    assert np.array_equal(y[256 + late :], x[: 6000 - 256 - late])
    assert not y[: 256 + late].any()


@settings(max_examples=10, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 3999), max_size=8), frames=st.integers(1, 2500), block=st.sampled_from([64, 256, 1024])
)
def test_any_cut_into_blocks_gives_the_same_samples_while_parameters_move(cuts, frames, block) -> None:
    here = Plugin(Double(100), values=(("gain_db", 0.0),), block_frames=block, mix_percent=70.0)
    there = replace(here, values=(("gain_db", -20.0),), mix_percent=20.0)
    x = noise(4000)
    assert np.array_equal(changing(here, there, x, cuts, 1500, frames), changing(here, there, x, [], 1500, frames))


def test_it_always_gets_whole_blocks_of_its_length() -> None:
    double = Double()
    run(Plugin(double, block_frames=128).start(RATE, 2), noise(3000), [1, 2, 500, 1111])
    assert {*double.blocks} == {128} and len(double.blocks) == 3000 // 128


def test_without_wet_or_without_a_plugin_it_passes_bit_for_bit() -> None:
    x = noise(4000)
    p = Plugin(Double(50, "nan"), mix_percent=0.0, block_frames=64).start(RATE, 2)
    assert np.array_equal(run(p, x)[114:], x[: 4000 - 114])
    nothing = Plugin().start(RATE, 2)
    assert (nothing.latency_frames, nothing.tail_frames) == (0, 0)
    assert np.array_equal(run(nothing, x), x)


def test_a_parameter_goes_to_its_value_from_block_to_block() -> None:
    double = Double()
    p = Plugin(double, values=(("gain_db", 0.0),), block_frames=64).start(RATE, 1)
    p.change(Plugin(double, values=(("gain_db", -8.0),), block_frames=64), 256)
    run(p, noise(512, 1))
    assert double.gains == [-2.0, -4.0, -6.0, -8.0, -8.0, -8.0, -8.0, -8.0]


def test_a_state_comes_first_and_values_after_it() -> None:
    x = noise(1000, 1)
    by_state = run(Plugin(Double(), state=-6.0, block_frames=64).start(RATE, 1), x)
    by_value = run(Plugin(Double(), values=(("gain_db", -6.0),), block_frames=64).start(RATE, 1), x)
    both = run(Plugin(Double(), state=-30.0, values=(("gain_db", -6.0),), block_frames=64).start(RATE, 1), x)
    assert np.array_equal(by_state, by_value) and np.array_equal(both, by_value)


def test_samples_that_are_no_numbers_become_silence_and_are_told() -> None:
    double = Double(fault="nan")
    x = noise(64, 2) + 1.0
    y = run(Plugin(double, block_frames=64).start(RATE, 2), np.concatenate([x, x]))[64:]
    assert not y[3:5].any() and np.array_equal(np.delete(y, [3, 4], 0), np.delete(x, [3, 4], 0))
    assert "no numbers" in double.told[0]


def test_a_latency_that_changes_while_it_runs_is_told() -> None:
    double = Double(20, "latency")
    run(Plugin(double, block_frames=64).start(RATE, 1), noise(64, 1))
    assert "from 20 samples to 30" in double.told[0]


def test_a_failure_while_it_runs_is_one_sentence() -> None:
    with pytest.raises(DspError, match="out of memory"):
        run(Plugin(Double(fault="raises"), block_frames=64).start(RATE, 1), noise(100, 1))


def test_a_value_that_it_refuses_is_refused_at_the_start_and_while_it_runs() -> None:
    with pytest.raises(DspError, match="gain_db = 99"):
        Plugin(Double(), values=(("gain_db", 99.0),)).start(RATE, 1)
    p = Plugin(Double(), values=(("gain_db", 0.0),)).start(RATE, 1)
    with pytest.raises(DspError, match="gain_db = 99"):
        p.change(Plugin(Double(), values=(("gain_db", 99.0),)), 64)


@pytest.mark.parametrize("other", [{"plugin": Double(5)}, {"block_frames": 64}, {"state": 1.0}, {"name": "B"}])
def test_another_plugin_needs_another_start(other: dict[str, Any]) -> None:
    here = Plugin(Double())
    with pytest.raises(DspError, match="cannot change its plugin"):
        here.start(RATE, 1).change(replace(here, **other), 64)


def test_after_a_reset_it_is_as_new() -> None:
    here, there = (Plugin(Double(33), values=(("gain_db", db),), block_frames=64) for db in (0.0, -6.0))
    p = here.start(RATE, 2)
    run(p, noise(1000))
    p.change(there, 640)
    run(p, noise(100))
    p.reset()
    x = noise(2000, seed=3)
    assert np.array_equal(run(p, x), run(there.start(RATE, 2), x))


def test_what_is_said_to_ring_is_its_tail() -> None:
    assert Plugin(Double(), tail_s=1.5).start(RATE, 1).tail_frames == 1.5 * RATE
