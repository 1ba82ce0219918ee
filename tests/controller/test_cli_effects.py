"""``halfnormal effects``: whoever writes a mix file can look up what an insert takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_line import Line

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


def test_an_unknown_effect_gets_the_nearest_name(line: Line) -> None:
    said = line.run("effects", "gat")
    assert said.code == 2
    assert "There is no effect 'gat'" in said.err and "gate" in said.err
