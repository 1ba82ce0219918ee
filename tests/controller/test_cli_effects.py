"""``halfnormal effects``: whoever writes a mix file can look up what an insert takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_line import Line
from fake_pedalboard import Machine

from dsp.registry import KINDS


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """A folder of its own, and a command line in it."""
    return Line(tmp_path, monkeypatch, capsys)


def test_effects_lists_every_effect_with_a_sentence(line: Line) -> None:
    said = line.run("effects")
    assert said.code == 0
    lines = {row.split()[0]: row for row in said.out.splitlines()[1:] if row}
    assert set(lines) == set(KINDS)
    assert all(len(row.split()) > 4 for row in lines.values())


def test_an_effect_shows_range_unit_and_default_of_every_value(line: Line) -> None:
    said = line.run("effects", "trim")
    assert "gain_db" in said.out and "-60..24 dB" in said.out and "normal | inverted" in said.out
    inner = line.run("effects", "eq").out
    assert "bands/freq_hz" in inner and "a list of tables" in inner


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_json_of_an_effect_holds_a_default_within_its_range(line: Line, kind: str) -> None:
    (effect,) = line.json("effects", kind)["effects"]
    assert effect["kind"] == kind and effect["about"]
    for parameter in effect["parameters"]:
        if "unit" in parameter and parameter["default"] is not None:
            low, high = parameter["low"], parameter["high"]
            assert (low is None or low <= parameter["default"]) and (high is None or parameter["default"] <= high)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Plug-ins that are installed."""
    machine = Machine(monkeypatch, tmp_path / "vst3")
    machine.install("Hall")
    machine.install("Echo", takes=1)
    return machine


def test_the_installed_plugins_are_listed_and_none_is_loaded(line: Line, shelf: Machine) -> None:
    found = line.json("effects", "--plugins")["plugins"]
    assert [(one["plugin"], one["format"]) for one in found] == [("Echo", "VST3"), ("Hall", "VST3")]
    assert "Echo" in line.run("effects", "--plugins").out and not shelf.asked


def test_a_plugin_shows_its_parameters_in_its_own_words(line: Line, shelf: Machine) -> None:
    said = line.run("effects", "echo", "--plugins").out
    assert "Somebody" in said and "mono" in said and "-60..12 dB" in said and "Warm | Cold" in said
    (fact,) = line.json("effects", "Echo", "--plugins")["plugins"]
    assert fact["hash"].startswith("sha256:") and fact["parameters"][0]["name"] == "gain_db"
    assert not shelf.loaded, "that is done in a process of its own"


def test_a_plugin_that_is_not_there_or_not_hosted_is_said(line: Line, shelf: Machine) -> None:
    said = line.run("effects", "Ecko", "--plugins")
    assert said.code == 2 and 'did you mean "Echo"' in said.err
    shelf.host(None)
    said = line.run("effects", "Echo", "--plugins")
    assert said.code == 2 and "pip install pedalboard" in said.err
    shelf.host("1.0")
    shelf.answers["Echo.vst3"] = {"error": "no answer within 60 s"}
    said = line.run("effects", "Echo", "--plugins")
    assert said.code == 2 and "could not be loaded: no answer within 60 s" in said.err


def test_an_unknown_effect_gets_the_nearest_name(line: Line) -> None:
    said = line.run("effects", "gat")
    assert said.code == 2
    assert "There is no effect 'gat'" in said.err and "gate" in said.err
