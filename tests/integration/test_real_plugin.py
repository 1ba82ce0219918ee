"""A real VST3 in the graph, through pedalboard: collected where HALFNORMAL_TEST_VST3 names a bundle.

It has to pass what it gets unchanged as it starts, however late: a limiter below its ceiling, a flat equaliser.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from controller import plugin_shelf
from controller.mix import Insert, Mix, Strip, save_new_mix
from controller.plugin_facts import facts_of
from controller.plugin_host import Hosted, load_with_pedalboard
from controller.printing import print_mix
from controller.project import create_project
from dsp.processors.plugin import Plugin

FILE = Path(os.environ["HALFNORMAL_TEST_VST3"])
RATE_HZ = 48_000


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(plugin_shelf, "folders", lambda: (FILE.parent,))
    return FILE


def noise(frames: int, channels: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(1).standard_normal((frames, channels))).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("block", [64, 512])
def test_it_is_late_by_what_it_says_and_the_same_for_any_cut(installed: Path, channels: int, block: int) -> None:
    plugin = Hosted(installed, facts_of(installed), load_with_pedalboard)
    x = noise(30_000, channels)
    whole, cut = x.copy(), x.copy()
    running = Plugin(plugin, block_frames=block).start(RATE_HZ, channels)
    running.process(whole)
    other = Plugin(plugin, block_frames=block).start(RATE_HZ, channels)
    for start in range(0, len(x), 997):
        other.process(cut[start : start + 997])
    late = running.latency_frames
    assert np.array_equal(whole, cut) and not plugin.troubles
    assert np.abs(whole[late:] - x[: len(x) - late]).max() <= 1e-6


def test_a_strip_through_it_nulls_with_itself_in_a_print(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "vox.wav", noise(RATE_HZ, 1), RATE_HZ, subtype="FLOAT")
    project = create_project(tmp_path / "song", stems=tmp_path / "in")
    insert = Insert(kind="plugin", settings={"plugin": installed.stem})
    strips = (
        Strip(name="through", stem="vox.wav", inserts=(insert,)),
        Strip(name="dry", stem="vox.wav", polarity="inverted"),
    )
    save_new_mix(Mix(name="null", strips=strips), project.mixes)
    made = print_mix(
        project, project.mix(), path="itb", studio=None, emit=lambda e: None, accept=lambda q: True, format_="float"
    )
    assert np.abs(soundfile.read(made.file)[0]).max() <= 1e-6
    (said,) = made.facts["plugins"]
    assert said["hash"] == facts_of(installed).hash and not said["troubles"]
