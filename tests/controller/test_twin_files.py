"""Twins on file: written once, numbered, read as they were; what is damaged, newer or of another rate is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from short_line import RATE_HZ, read

from controller.errors import MixError, UsageError
from controller.files import content_hash
from controller.mix import Insert, Mix, Strip, save_new_mix
from controller.printing import print_mix
from controller.project import Project, create_project
from controller.twin_files import TwinFileError, load_twin, save_twin
from dsp.processors.twin import TwinModel

FRAMES = 6_000
SOURCE = {"rig": "room", "calibration": "0001-calibration.json", "null_db": -61.5}
MODEL = TwinModel(np.array([0.0, 0.5, 1.0 / 3.0]), ((3, np.array([1e-3, -2e-17])),), rate_hz=RATE_HZ)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    (tmp_path / "in").mkdir()
    audio = 0.1 * np.random.default_rng(1).standard_normal(FRAMES).astype(np.float32)
    soundfile.write(tmp_path / "in" / "vox.wav", audio, RATE_HZ, subtype="FLOAT")
    return create_project(tmp_path / "song", stems=tmp_path / "in")


def printed(project: Project, name: str):
    insert = Insert(kind="twin", settings={"model": name})
    save_new_mix(
        Mix(name="m", strips=(Strip(name="vox", stem="vox.wav", pan=-100.0, inserts=(insert,)),)), project.mixes
    )
    return print_mix(
        project, project.mix(), path="itb", studio=None, emit=lambda e: None, accept=lambda q: True, format_="float"
    )


def test_a_model_is_read_back_to_the_last_bit_with_its_rate(tmp_path: Path) -> None:
    path = save_twin(tmp_path, "desk", MODEL, SOURCE)
    assert path.name == "0001-desk.json"
    assert load_twin(path) == MODEL and load_twin(path).name == "0001-desk.json"
    said = json.loads(path.read_text())
    assert (said["schema"], said["rate_hz"], said["source"]) == (1, RATE_HZ, SOURCE)
    assert said["made_at"] and said["program"].startswith("halfnormal ")


def test_a_newer_fit_is_the_next_number_and_the_old_one_stays(tmp_path: Path) -> None:
    first = save_twin(tmp_path, "desk", MODEL, SOURCE)
    before = first.read_bytes()
    assert save_twin(tmp_path, "desk", MODEL, SOURCE).name == "0002-desk.json"
    assert first.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0001-desk.json", "0002-desk.json"]


def test_a_model_without_a_rate_or_with_a_name_that_is_no_files_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no sample rate"):
        save_twin(tmp_path, "desk", TwinModel(np.ones(1)), SOURCE)
    with pytest.raises(UsageError, match="cannot name a file"):
        save_twin(tmp_path, "../desk", MODEL, SOURCE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("own", [False, True])
def test_a_twin_of_the_project_or_of_the_user_is_heard_and_hashed(project: Project, own: bool) -> None:
    folder = (project.root.parent / "home" if own else project.root) / "twins"
    file = save_twin(folder, "half", TwinModel(np.array([0.0, 0.0, 0.5]), rate_hz=RATE_HZ), {})
    made = printed(project, file.name)
    vox = soundfile.read(project.root / "stems" / "vox.wav")[0]
    np.testing.assert_allclose(read(made.file)[2 : FRAMES + 2, 0], 0.5 * vox, atol=1e-6)
    assert made.facts["twins"] == [{"file": file.name, "hash": content_hash(file)}]


def test_a_twin_of_another_rate_is_refused_by_both_rates(project: Project) -> None:
    other = 44_100 if RATE_HZ != 44_100 else 48_000
    file = save_twin(project.root / "twins", "desk", TwinModel(np.ones(3), rate_hz=other), {})
    with pytest.raises(MixError, match=f"'{file.name}' was fitted at {other} Hz and cannot run at {RATE_HZ} Hz"):
        printed(project, file.name)


def test_a_twin_that_is_not_there_is_said_with_the_nearest(project: Project) -> None:
    save_twin(project.root / "twins", "desk", MODEL, {})
    with pytest.raises(MixError, match=r'model = "0001-dusk\.json" is neither in .*twins.*did you mean "0001-desk'):
        printed(project, "0001-dusk.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t[: len(t) // 2], "is damaged: "),
        (lambda t: t.replace('"schema":1', '"schema":2'), "has schema 2, and this program reads up to 1"),
        (lambda t: t.replace('"schema":1,', ""), "is no twin: it lacks schema or fir"),
        (lambda t: "[1, 2]", "is no twin"),
        (lambda t: t.replace('"order":3', '"order":9'), "is damaged: a twin has each order from 2 to 5"),
        (lambda t: t.replace('"fir":[', '"fir":["x",'), r"is damaged: .*\$\.fir"),
        (lambda t: t.replace('"fir":[0.0,0.5', '"fir":[1e999,0.5'), "is damaged: "),
        (lambda t: t.replace('"rate_hz":', '"rate_hz":-'), "is damaged: the rate of a twin"),
        (lambda t: t.replace('"name":', '"nom":'), "is damaged: "),
    ],
)
def test_what_is_damaged_or_newer_is_refused_in_a_sentence_and_left_alone(tmp_path: Path, change, said) -> None:
    path = save_twin(tmp_path, "desk", MODEL, SOURCE)
    path.write_text(change(path.read_text()))
    before = path.read_bytes()
    with pytest.raises(TwinFileError, match=said) as caught:
        load_twin(path)
    assert "left as it is" in caught.value.hint and path.name in str(caught.value)
    assert path.read_bytes() == before
