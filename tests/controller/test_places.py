from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from controller import places
from controller.errors import UsageError


def test_the_variable_names_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    assert places.home() == tmp_path / "home"
    assert places.rigs_folder() == tmp_path / "home" / "rigs"
    assert places.profiles_folder() == tmp_path / "home" / "profiles"
    assert places.run_folder() == tmp_path / "home" / "run"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_the_variable_it_is_the_platform_s_folder(monkeypatch, value):
    monkeypatch.delenv("HALFNORMAL_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("HALFNORMAL_HOME", value)
    assert places.home() == Path(platformdirs.user_data_dir("halfnormal", appauthor=False))


def test_a_relative_home_does_not_move_with_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALFNORMAL_HOME", "mine")
    assert places.home() == tmp_path / "mine"


def test_a_rig_keeps_state_room_and_calibrations_together(tmp_path, monkeypatch):
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path))
    home = places.rig_home("Studio A")
    assert home.state == tmp_path / "rigs" / "Studio A" / "state.json"
    assert home.room_state == tmp_path / "rigs" / "Studio A" / "room_state.json"
    assert home.calibrations == tmp_path / "rigs" / "Studio A" / "calibrations"


@pytest.mark.parametrize("name", ["", ".", "..", "../other", "a/b", "a\\b", "a ", "nul\0", "-x"])
def test_a_rig_name_cannot_leave_its_folder(name):
    with pytest.raises(UsageError):
        places.rig_home(name)
