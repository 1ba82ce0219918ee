"""Plug-ins as pedalboard hosts them: late by what they say, set exactly, one failure one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_pedalboard import FakeKnob, Machine

from controller import plugin_facts, plugin_host
from controller.errors import MixError
from controller.plugin_facts import PlugInError, facts_of
from controller.plugin_host import Hosted, Knob, Preset
from dsp.errors import DspError

RATE = 48_000


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return Machine(monkeypatch, tmp_path / "vst3")


def hosted(path: Path) -> Hosted:
    return Hosted(path, facts_of(path), plugin_host.load_with_pedalboard)


def streamed(instance, x: np.ndarray, size: int) -> np.ndarray:
    y = x.copy()
    for start in range(0, len(x), size):
        instance.run(y[start : start + size])
    return y


def noise(frames: int, channels: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((frames, channels)).astype(np.float32)


@pytest.mark.parametrize("late", [0, 5, 64, 777])
@pytest.mark.parametrize(("takes", "channels"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_every_width_of_strip_passes_every_width_of_plugin_late_by_what_it_says(machine, late, takes, channels) -> None:
    instance = hosted(machine.install("Echo", takes=takes, late=late)).start(RATE, channels, 64, (), None)
    assert instance.latency_frames == late
    x = noise(1280, channels)
    y = streamed(instance, x, 64)
    assert np.array_equal(y[late:], x[: len(x) - late]) and not y[:late].any()


def test_a_mono_plugin_on_a_stereo_strip_runs_once_for_each_side(machine) -> None:
    machine_plugin = hosted(machine.install("Mono", takes=1))
    machine_plugin.start(RATE, 2, 64, (("gain_db", -6.0),), None)
    assert [knob.parameters["gain_db"].value for knob in machine.loaded] == pytest.approx([-6.0, -6.0])


def test_a_latency_that_its_values_make_is_known_before_the_first_block(machine) -> None:
    instance = hosted(machine.install("Echo", late=10)).start(RATE, 2, 64, (("delay_frames", 300.0),), None)
    assert instance.latency_frames == 300


def test_after_a_reset_nothing_is_heard_of_before(machine) -> None:
    instance = hosted(machine.install("Echo", late=100)).start(RATE, 2, 64, (), None)
    streamed(instance, noise(640, 2), 64)
    instance.reset()
    assert not streamed(instance, np.zeros((640, 2), np.float32), 64).any()


@pytest.mark.parametrize("digits", [4, 1])
@pytest.mark.parametrize("value", [-60.0, -12.0, -11.99, -0.05, 0.0, 11.9, 12.0])
def test_a_value_between_two_steps_of_the_scale_is_met(digits: int, value: float) -> None:
    knob = FakeKnob(-60.0, 12.0, 0.0, digits)
    Knob(knob).put(value)
    assert knob.value == pytest.approx(value, abs=0.001 if digits == 4 else 0.05)


def test_a_scale_with_steps_of_its_own_is_left_to_the_host() -> None:
    knob = FakeKnob(0.0, 4.0, 0.0, digits=0)
    Knob(knob).put(3.0)
    assert knob.raw_value == knob.get_raw_value_for(3.0)


def test_a_preset_is_given_before_the_values(machine, tmp_path) -> None:
    file = tmp_path / "warm.vstpreset"
    file.write_text(json.dumps(-20.0))
    plugin = hosted(machine.install("Echo"))
    plugin.start(RATE, 2, 64, (), Preset.of(file))
    plugin.start(RATE, 2, 64, (("gain_db", 6.0),), Preset.of(file))
    assert [p.parameters["gain_db"].value for p in machine.loaded] == pytest.approx([-20.0, 6.0])


def test_a_preset_that_it_refuses_is_one_sentence(machine, tmp_path) -> None:
    file = tmp_path / "bad.vstpreset"
    file.write_text("{")
    with pytest.raises(DspError, match=r"plug-in Echo refused the preset bad\.vstpreset: "):
        hosted(machine.install("Echo")).start(RATE, 2, 64, (), Preset.of(file))


def test_whatever_it_raises_while_it_runs_is_one_line(machine) -> None:
    with pytest.raises(DspError) as caught:
        hosted(machine.install("Echo", fault="raises")).start(RATE, 2, 64, (), None)
    assert str(caught.value) == "plug-in Echo failed while it ran: Licence not found"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("gian_db", 0.0, "has no parameter 'gian_db', did you mean \"gain_db\"?"),
        ("gain_db", 13.0, "cannot set gain_db to 13.0: it is -60..12 dB"),
        ("gain_db", True, "cannot set gain_db to True"),
        ("mode", "warm", "cannot set mode to 'warm', did you mean \"Warm\"?"),
        ("lively", 1.0, "cannot set lively to 1.0: it is true | false"),
    ],
)
def test_what_it_does_not_have_or_refuses_is_said_with_what_it_has(machine, name, value, said) -> None:
    with pytest.raises(DspError) as caught:
        hosted(machine.install("Echo")).check(((name, value),))
    assert str(caught.value).startswith("plug-in Echo ") and said in str(caught.value)


def test_a_plugin_is_asked_once_and_again_when_its_code_is_another(machine) -> None:
    path = machine.install("Echo")
    first = facts_of(path)
    assert facts_of(path) == first and len(machine.asked) == 1
    code = next(path.rglob("*.so"))
    code.write_bytes(b"version 2, longer")
    assert facts_of(path).hash != first.hash and len(machine.asked) == 2


def test_a_picture_in_a_bundle_is_no_code(machine) -> None:
    path = machine.install("Echo")
    before = plugin_facts.code_hash(path)
    (path / "Contents" / "Resources").mkdir()
    (path / "Contents" / "Resources" / "knob.png").write_bytes(b"png")
    assert plugin_facts.code_hash(path) == before


def test_a_damaged_note_about_a_plugin_is_asked_anew(machine, tmp_path) -> None:
    path = machine.install("Echo")
    first = facts_of(path)
    (kept,) = (tmp_path / "home" / "plugin-facts").iterdir()
    kept.write_bytes(b"{")
    assert facts_of(path) == first and len(machine.asked) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            {"error": "the child process was ended by SIGSEGV"},
            "could not be loaded: the child process was ended by SIG",
        ),
        ({"is_effect": False}, "is an instrument"),
        ({"channels": []}, "takes neither one channel nor two"),
        ({"parameters": 3}, "says something impossible of itself"),
    ],
)
def test_what_cannot_be_an_insert_is_said_in_a_sentence(machine, answer, said) -> None:
    with pytest.raises(PlugInError, match=said):
        facts_of(machine.install("Echo", **answer))


def test_of_several_in_one_file_the_mix_has_to_say_which(machine) -> None:
    path = machine.install("Bundle")
    machine.answers[path.name] = {"names": ["Hall", "Plate"]}
    with pytest.raises(MixError) as caught:
        facts_of(path)
    assert "holds several" in str(caught.value) and "Hall, Plate" in caught.value.hint
    with pytest.raises(MixError, match='holds no plug-in "Room"'):
        facts_of(path, "Room")


def test_the_one_that_was_chosen_is_loaded_by_its_name(machine) -> None:
    path = machine.install("Bundle", names=["Hall", "Plate"])
    machine.answers[path.name]["name"] = "Plate"
    assert hosted(path).chosen == "Plate"
    assert hosted(machine.install("Single")).chosen == ""
