"""What the four screens look like, cell by cell, at 80 columns. ``HALFNORMAL_UPDATE_PICTURES=1`` takes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tui_song import cells, make_song, opened

PICTURES = Path(__file__).parent / "tui_pictures"


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A song of one second, with a home of its own."""
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return make_song(tmp_path / "work")


def _same_as_before(name: str, picture: str) -> None:
    file = PICTURES / f"{name}.txt"
    if os.environ.get("HALFNORMAL_UPDATE_PICTURES"):
        PICTURES.mkdir(exist_ok=True)
        file.write_text(picture + "\n", encoding="utf-8")
    assert picture + "\n" == file.read_text(encoding="utf-8")


async def test_four_screens_at_eighty_columns(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("down", "right", "tab")
        _same_as_before("console", cells(app))
        await pilot.press("z", "2")
        _same_as_before("recall", cells(app))
        await pilot.press("3")
        _same_as_before("print", cells(app))
        await pilot.press("4")
        _same_as_before("compare", cells(app))
