"""A mix can only name a plug-in that is installed, never a file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from controller import plugin_shelf
from controller.errors import MixError


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(plugin_shelf, "folders", lambda: (tmp_path / "own", tmp_path / "all"))
    for name in ("own/Hall.vst3", "all/Hall.vst3", "all/Maker/Plate.VST3", "all/Plate.vst3/Contents/Inner.vst3"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_the_users_own_comes_first_and_a_makers_folder_is_looked_into(shelf: Path) -> None:
    song = shelf / "song"
    assert plugin_shelf.find("hall", song) == shelf / "own/Hall.vst3"
    assert plugin_shelf.find("Plate.vst3", song) in (shelf / "all/Maker/Plate.VST3", shelf / "all/Plate.vst3")
    assert plugin_shelf.find("Inner", song) is None, "a bundle is not looked into"


@pytest.mark.parametrize("name", ["../Hall", "/tmp/Hall.vst3", "own/Hall", "C:\\Hall.vst3", ".."])
def test_a_path_is_no_name(shelf: Path, name: str) -> None:
    with pytest.raises(MixError, match="a mix can name what is installed, and no file"):
        plugin_shelf.find(name, shelf / "song")


@pytest.mark.parametrize(("name", "format_"), [("Hall.lv2", "LV2"), ("Hall.clap", "CLAP"), ("Hall.dll", "VST2")])
def test_a_format_that_is_not_hosted_is_called_by_its_name(shelf: Path, name: str, format_: str) -> None:
    with pytest.raises(MixError, match=f"{format_}, which is not hosted"):
        plugin_shelf.find(name, shelf / "song")


def test_what_lies_inside_the_project_is_never_run(shelf: Path) -> None:
    with pytest.raises(MixError, match="no code of a project is ever run"):
        plugin_shelf.find("Hall", shelf)
    (shelf / "song").mkdir()
    (shelf / "song/Evil.vst3").mkdir()
    (shelf / "own/Evil.vst3").symlink_to(shelf / "song/Evil.vst3")
    with pytest.raises(MixError, match="no code of a project is ever run"):
        plugin_shelf.find("Evil", shelf / "song")


def test_an_lv2_of_that_name_is_seen_so_that_it_can_be_said(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "home", lambda: shelf)
    (shelf / ".lv2/Golden.lv2").mkdir(parents=True)
    assert plugin_shelf.lv2_of("Golden") == shelf / ".lv2/Golden.lv2"
    assert plugin_shelf.lv2_of("Silver") is None


@pytest.mark.parametrize(
    ("platform", "folder"),
    [("linux", ".vst3"), ("darwin", "Library/Audio/Plug-Ins/Components"), ("win32", "Programs/Common/VST3")],
)
def test_every_platform_is_looked_at_where_its_plugins_live(monkeypatch: pytest.MonkeyPatch, platform, folder) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert any(place.as_posix().endswith(folder) for place in plugin_shelf.folders())
