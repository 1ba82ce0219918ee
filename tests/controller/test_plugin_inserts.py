"""Plug-ins in a mix: in step with the rest, bypassed and said where they are missing, named in the provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fake_pedalboard import Machine
from short_line import RATE_HZ, read

from controller import plugin_shelf
from controller.errors import MixError
from controller.events import Event, Finding
from controller.files import content_hash
from controller.mix import Insert, Mix, Move, Strip, load_mix, save_new_mix
from controller.plugin_facts import code_hash
from controller.printing import plan_allocation, print_mix
from controller.project import Project, create_project

FRAMES = 20_000
CENTRE = 0.5**0.5
"""What the pan law leaves in each side [linear]."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return Machine(monkeypatch, tmp_path / "vst3")


@pytest.fixture
def project(machine: Machine, tmp_path: Path) -> Project:
    (tmp_path / "in").mkdir()
    audio = 0.1 * np.random.default_rng(1).standard_normal(FRAMES).astype(np.float32)
    soundfile.write(tmp_path / "in" / "vox.wav", audio, RATE_HZ, subtype="FLOAT")
    return create_project(tmp_path / "song", stems=tmp_path / "in")


def plugin(file: str, **settings: Any) -> Insert:
    return Insert(kind="plugin", settings={"plugin": file, "tail_s": 0.1, **settings})


def save(project: Project, *inserts: Insert, moves: tuple[Move, ...] = ()) -> Path:
    """Two strips of the same sound, one of them through ``inserts``, the other with inverted polarity."""
    through = Strip(name="through", stem="vox.wav", inserts=inserts)
    dry = Strip(name="dry", stem="vox.wav", polarity="inverted")
    return save_new_mix(Mix(name="m", strips=(through, dry), moves=moves), project.mixes)


def printed(project: Project) -> tuple[np.ndarray, dict[str, Any], list[Event]]:
    said: list[Event] = []
    made = print_mix(
        project, project.mix(), path="itb", studio=None, emit=said.append, accept=lambda q: True, format_="float"
    )
    return read(made.file), made.facts, said


def warnings(said: list[Event]) -> list[Finding]:
    return [event for event in said if isinstance(event, Finding) and event.severity == "warning"]


@pytest.mark.parametrize("late", [0, 777, 5000])
@pytest.mark.parametrize("takes", [1, 2])
def test_through_a_late_plugin_a_strip_nulls_to_the_last_bit_with_itself(project, machine, late, takes) -> None:
    machine.install("Echo", late=late, takes=takes)
    save(project, plugin("Echo"))
    audio, facts, said = printed(project)
    assert not audio.any() and not warnings(said)
    assert any(f"{512 + late} samples" in p["why"] for p in facts["allocation"] if p["stage"] == "latency")


def test_what_it_is_set_to_is_heard(project, machine) -> None:
    machine.install("Echo", late=100)
    save(project, plugin("Echo", values={"gain_db": -6.0}))
    audio, _, _ = printed(project)
    vox = soundfile.read(project.root / "stems" / "vox.wav", dtype="float32")[0]
    np.testing.assert_allclose(audio[:FRAMES, 0], vox * CENTRE * (10.0 ** (-6.0 / 20.0) - 1.0), atol=1e-6)


def test_a_value_moves_with_the_song(project, machine) -> None:
    machine.install("Echo")
    move = Move(strip="through", what="insert/1/values/gain_db", points=((0.0, 0.0), (0.2, 0.0), (0.2, -60.0)))
    save(project, plugin("Echo", values={"gain_db": 0.0}), moves=(move,))
    audio, _, _ = printed(project)
    at = round(0.2 * RATE_HZ)
    assert not audio[: at - 512].any()
    vox = soundfile.read(project.root / "stems" / "vox.wav", dtype="float32")[0]
    np.testing.assert_allclose(audio[at + 512 : FRAMES, 0], vox[at + 512 :] * CENTRE * (1e-3 - 1.0), atol=1e-6)


def test_an_entry_that_is_called_by_a_number_is_not_counted() -> None:
    insert = plugin("Echo", values={"8": 1.0, "mode": "Warm"})
    assert insert.parameter("values/8")[0] == "values/8"
    with pytest.raises(ValueError, match="mode of plugin is no number, and stands still"):
        insert.parameter("values/mode")


def test_what_moves_has_to_stand_in_the_values(project, machine) -> None:
    machine.install("Echo")
    move = Move(strip="through", what="insert/1/values/gian_db", points=((0.0, 0.0),))
    with pytest.raises(ValueError, match='plugin has no values/gian_db, did you mean "values/gain_db"'):
        save(project, plugin("Echo", values={"gain_db": 0.0}), moves=(move,))


def test_a_move_to_where_it_cannot_go_is_refused_before_anything_plays(project, machine) -> None:
    machine.install("Echo")
    move = Move(strip="through", what="insert/1/values/gain_db", points=((0.0, 0.0), (0.2, 40.0)))
    save(project, plugin("Echo", values={"gain_db": 0.0}), moves=(move,))
    with pytest.raises(MixError, match=r"cannot move its values/gain_db: plug-in Echo cannot set gain_db to 40\.0"):
        printed(project)


def test_a_missing_plugin_is_bypassed_and_the_print_says_so_everywhere(project, machine) -> None:
    machine.install("Echo")
    save(project, plugin("Ecko", values={"gain_db": -6.0}), plugin("Echo"))
    audio, facts, said = printed(project)
    assert not audio.any(), "the rest of the mix is as it was"
    (finding,) = warnings(said)
    assert (finding.where, finding.what) == (
        "through",
        'insert 1, plug-in Ecko, is bypassed: not installed here, did you mean "Echo"?',
    )
    assert "vst3" in finding.hint
    assert facts["bypassed"] == [{"strip": "through", "what": finding.what}]
    (placed,) = [p["why"] for p in facts["allocation"] if "Ecko" in p["why"]]
    assert placed.startswith("1: plugin Ecko") and "BYPASSED, not installed here" in placed
    assert [one["name"] for one in facts["plugins"]] == ["Echo"]


def test_where_only_an_lv2_is_installed_that_is_what_is_said(project, machine, monkeypatch) -> None:
    monkeypatch.setattr(plugin_shelf, "lv2_of", lambda name: Path("/usr/lib/lv2/Echo.lv2"))
    save(project, plugin("Echo"))
    (finding,) = warnings(printed(project)[2])
    assert "Echo.lv2, and LV2 is not hosted" in finding.what


def test_without_a_host_every_plugin_is_bypassed_with_what_to_install(project, machine) -> None:
    machine.install("Echo")
    machine.host(None)
    save(project, plugin("Echo"))
    audio, _, said = printed(project)
    (finding,) = warnings(said)
    assert "pedalboard, which hosts plug-ins, is not installed" in finding.what and "pip install" in finding.hint
    assert not audio.any() and not machine.asked and not machine.loaded


def test_a_plugin_that_crashes_when_loaded_is_bypassed_with_its_reason(project, machine) -> None:
    machine.install("Echo", error="the child process was ended by SIGSEGV")
    save(project, plugin("Echo"))
    _, _, said = printed(project)
    (finding,) = warnings(said)
    assert "Echo.vst3 could not be loaded: the child process was ended by SIGSEGV" in finding.what
    assert not machine.loaded


def test_one_that_is_out_of_circuit_is_not_even_looked_for(project, machine) -> None:
    insert = Insert(kind="plugin", on=False, settings={"plugin": "Nowhere"})
    save(project, insert)
    audio, facts, said = printed(project)
    assert not warnings(said) and "bypassed" not in facts and not audio.any()


def test_the_provenance_names_code_version_and_host_and_promises_nothing(project, machine) -> None:
    path = machine.install("Echo")
    (project.root / "presets").mkdir()
    preset = project.root / "presets" / "warm.vstpreset"
    preset.write_text("-6.0")
    save(project, plugin("Echo", state="warm.vstpreset"))
    _, facts, _ = printed(project)
    (said,) = facts["plugins"]
    assert said["strip"] == "through" and said["hash"] == code_hash(path) and said["version"] == "1.2"
    assert said["host"].startswith("pedalboard ") and "maker's to promise" in said["note"]
    assert said["preset"] == {"file": "warm.vstpreset", "hash": content_hash(preset)}
    assert facts["presets"] == [said["preset"]]


def test_a_trouble_while_it_ran_is_told_once_and_stands_in_the_provenance(project, machine) -> None:
    path = machine.install("Echo")
    make = machine.makes[path.name]

    def ill() -> Any:
        made = make()
        process = made.process
        made.process = lambda rows, *a, **k: process(rows, *a, **k) * np.float32(np.nan)
        return made

    machine.makes[path.name] = ill
    save(project, plugin("Echo"))
    audio, facts, said = printed(project)
    (finding,) = warnings(said)
    assert finding.what == "plug-in Echo gave samples that are no numbers; they are silent"
    assert np.isfinite(audio).all() and facts["plugins"][0]["troubles"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"values": {"gian_db": 1.0}}, "\"through\", insert 1: plug-in Echo has no parameter 'gian_db', did you mean"),
        ({"values": {"gain_db": 99.0}}, "cannot set gain_db to 99.0: it is -60..12 dB"),
        ({"plugin": ""}, '"through", insert 1: it names no plugin'),
    ],
)
def test_what_a_mix_says_wrongly_is_one_sentence_with_its_place(project, machine, settings, said) -> None:
    machine.install("Echo")
    save(project, Insert(kind="plugin", settings={"plugin": "Echo"} | settings))
    with pytest.raises(MixError) as caught:
        plan_allocation(project, project.mix(), None, "itb")
    assert said in str(caught.value)


def test_a_side_chain_that_it_would_not_hear_is_refused(project, machine) -> None:
    machine.install("Echo")
    save(project, Insert(kind="plugin", key="dry", settings={"plugin": "Echo"}))
    with pytest.raises(MixError, match='"through", insert 1: key = "dry", but a plug-in gets no side-chain'):
        plan_allocation(project, project.mix(), None, "itb")


@pytest.mark.parametrize("name", ["../stems/evil.vst3", "Echo.lv2"])
def test_a_name_that_cannot_be_one_is_refused_with_its_line(project, machine, name) -> None:
    path = save(project, plugin(name))
    line = 1 + next(n for n, text in enumerate(path.read_text().splitlines()) if text.startswith("plugin ="))
    with pytest.raises(MixError, match=rf'line {line}: plugin = "{name}" is '):
        project.mix()


def test_a_mix_with_a_plugin_reads_back_the_same(project) -> None:
    values = {"gain_db": -3.0, "mode": "Warm", "lively": True, "odd name": 1.0}
    mix = load_mix(save(project, plugin("Echo", values=values, state="a.vstpreset", name="Two")))
    assert dict(mix.strips[0].inserts[0].settings["values"]) == values
    assert load_mix(save_new_mix(mix, project.mixes)) == mix


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("values = 3", "must be a table"),
        ("values = { gain_db = [1] }", "must be a number, text, true or false"),
        ("values = { gain_db = nan }", "must be a number, text, true or false"),
        ("plugin = 3", "must be the name of a file"),
        ("parameters = {}", 'unknown key "parameters"'),
    ],
)
def test_a_wrong_type_in_the_file_is_said(project, text: str, said: str) -> None:
    path = project.mixes / "odd.toml"
    path.write_text(
        'schema = 1\nname = "odd"\n[[strip]]\nname = "v"\nstem = "vox.wav"\n[[strip.insert]]\nkind = "plugin"\n' + text
    )
    with pytest.raises(MixError, match=said):
        load_mix(path)
