"""A plug-in of somebody else is in step to the sample, whatever the cut, and its faults are contained and told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dsp.errors import DspError
from dsp.processors.plugin import Plugin
from tests.dsp.processors.double import Double
from tests.dsp.processors.streams import RATE, run, swelling


@pytest.mark.parametrize("late", [0, 1, 777, 3000])
@pytest.mark.parametrize("channels", [1, 2])
def test_its_output_is_late_by_its_block_and_what_it_says_and_by_no_sample_more(late: int, channels: int) -> None:
    p = Plugin(Double(late), block_frames=256).start(RATE, channels)
    assert p.latency_frames == 256 + late
    x = swelling(6000, channels)
    y = run(p, x, [100, 101, 999, 4000])
    assert np.array_equal(y[256 + late :], x[: 6000 - 256 - late])
    assert not y[: 256 + late].any()


def test_it_always_gets_whole_blocks_of_its_length() -> None:
    double = Double()
    run(Plugin(double, block_frames=128).start(RATE, 2), swelling(3000), [1, 2, 500, 1111])
    assert {*double.blocks} == {128} and len(double.blocks) == 3000 // 128


def test_without_wet_or_without_a_plugin_it_passes_bit_for_bit() -> None:
    x = swelling(4000)
    p = Plugin(Double(50, "nan"), mix_percent=0.0, block_frames=64).start(RATE, 2)
    assert np.array_equal(run(p, x)[114:], x[: 4000 - 114])
    nothing = Plugin().start(RATE, 2)
    assert (nothing.latency_frames, nothing.tail_frames) == (0, 0)
    assert np.array_equal(run(nothing, x), x)


def test_a_parameter_goes_to_its_value_from_block_to_block() -> None:
    double = Double()
    p = Plugin(double, values=(("gain_db", 0.0),), block_frames=64).start(RATE, 1)
    p.change(Plugin(double, values=(("gain_db", -8.0),), block_frames=64), 256)
    run(p, swelling(512, 1))
    assert double.gains == [-2.0, -4.0, -6.0, -8.0, -8.0, -8.0, -8.0, -8.0]


def test_a_state_comes_first_and_values_after_it() -> None:
    x = swelling(1000, 1)
    by_state = run(Plugin(Double(), state=-6.0, block_frames=64).start(RATE, 1), x)
    by_value = run(Plugin(Double(), values=(("gain_db", -6.0),), block_frames=64).start(RATE, 1), x)
    both = run(Plugin(Double(), state=-30.0, values=(("gain_db", -6.0),), block_frames=64).start(RATE, 1), x)
    assert np.array_equal(by_state, by_value) and np.array_equal(both, by_value)


def test_samples_that_are_no_numbers_become_silence_and_are_told() -> None:
    double = Double(fault="nan")
    x = swelling(64, 2) + 1.0
    y = run(Plugin(double, block_frames=64).start(RATE, 2), np.concatenate([x, x]))[64:]
    assert not y[3:5].any() and np.array_equal(np.delete(y, [3, 4], 0), np.delete(x, [3, 4], 0))
    assert "no numbers" in double.told[0]


def test_a_latency_that_changes_while_it_runs_is_told() -> None:
    double = Double(20, "latency")
    run(Plugin(double, block_frames=64).start(RATE, 1), swelling(64, 1))
    assert "from 20 samples to 30" in double.told[0]


def test_a_failure_while_it_runs_is_one_sentence() -> None:
    with pytest.raises(DspError, match="out of memory"):
        run(Plugin(Double(fault="raises"), block_frames=64).start(RATE, 1), swelling(100, 1))


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


def test_what_is_said_to_ring_is_its_tail() -> None:
    assert Plugin(Double(), tail_s=1.5).start(RATE, 1).tail_frames == 1.5 * RATE
