"""Impulse responses: found in the project or among the user's own, convolved in the print, named in its provenance."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from short_line import RATE_HZ, read

from controller.errors import MixError
from controller.files import content_hash
from controller.mix import Insert, Mix, Strip, load_mix, save_new_mix
from controller.printing import print_mix
from controller.project import Project, create_project

FRAMES = 20_000


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    (tmp_path / "in").mkdir()
    audio = 0.1 * np.random.default_rng(1).standard_normal(FRAMES).astype(np.float32)
    soundfile.write(tmp_path / "in" / "vox.wav", audio, RATE_HZ, subtype="FLOAT")
    return create_project(tmp_path / "song", stems=tmp_path / "in")


def echo(folder: Path, name: str, gain: float) -> Path:
    """A response that is one echo after 100 frames."""
    folder.mkdir(parents=True, exist_ok=True)
    response = np.zeros((101, 1))
    response[100] = gain
    soundfile.write(folder / name, response, RATE_HZ, subtype="FLOAT")
    return folder / name


def save(project: Project, name: str) -> Path:
    insert = Insert(kind="convolution", settings={"response": name, "mix_percent": 100.0})
    strip = Strip(name="vox", stem="vox.wav", pan=-100.0, inserts=(insert,))
    return save_new_mix(Mix(name="m", strips=(strip,)), project.mixes)


def printed(project: Project):
    return print_mix(
        project, project.mix(), path="itb", studio=None, emit=lambda e: None, accept=lambda q: True, format_="float"
    )


@pytest.mark.parametrize("own", [False, True])
def test_a_response_of_the_project_or_of_the_user_is_heard_and_hashed(project: Project, own: bool) -> None:
    folder = project.root.parent / "home" / "responses" if own else project.root / "responses"
    file = echo(folder, "echo.wav", 0.5)
    save(project, "echo.wav")
    made = printed(project)
    vox = soundfile.read(project.root / "stems" / "vox.wav")[0]
    np.testing.assert_allclose(read(made.file)[100 : FRAMES + 100, 0], 0.5 * vox, atol=1e-6)
    assert made.facts["responses"] == [{"file": "echo.wav", "hash": content_hash(file)}]
    assert hashlib.sha256(file.read_bytes()).hexdigest() in made.facts["responses"][0]["hash"]


def test_the_projects_own_comes_first_and_a_file_that_changed_is_read_anew(project: Project) -> None:
    echo(project.root.parent / "home" / "responses", "echo.wav", 0.125)
    file = echo(project.root / "responses", "echo.wav", 0.5)
    save(project, "echo.wav")
    first = read(printed(project).file)
    file.unlink()
    echo(project.root / "responses", "echo.wav", 0.25)
    np.testing.assert_allclose(read(printed(project).file), 0.5 * first, atol=1e-6)


def test_a_mix_with_a_response_reads_back_the_same(project: Project) -> None:
    path = save(project, "echo.wav")
    mix = load_mix(path)
    assert mix.strips[0].inserts[0].files() == {"response": "echo.wav"}
    assert load_mix(save_new_mix(mix, project.mixes)) == mix


@pytest.mark.parametrize("name", ["echoes.wav", "../echo.wav", "..", "responses/echo.wav"])
def test_a_response_that_is_not_there_is_one_sentence_with_its_line(project: Project, name: str) -> None:
    echo(project.root / "responses", "echo.wav", 0.5)
    path = save(project, name)
    line = 1 + next(n for n, text in enumerate(path.read_text().splitlines()) if text.startswith("response ="))
    with pytest.raises(MixError) as caught:
        project.mix()
    assert f'mix-2.toml, line {line}: response = "{name}" is neither in ' in str(caught.value)
    assert "echo.wav" in str(caught.value)


def test_what_is_no_impulse_response_is_refused_by_its_file(project: Project) -> None:
    soundfile.write(echo(project.root / "responses", "three.wav", 0.0), np.zeros((10, 3)), RATE_HZ)
    save(project, "three.wav")
    with pytest.raises(MixError, match=r"three\.wav: impulse response"):
        printed(project)


def test_a_number_in_the_place_of_a_file_is_refused(project: Project) -> None:
    path = save(project, "echo.wav")
    broken = project.mixes / "broken.toml"
    broken.write_text(path.read_text().replace('response = "echo.wav"', "response = 3"))
    with pytest.raises(MixError, match="response = 3 must be the name of a file"):
        load_mix(broken)
