"""The page of supported gear says what the profiles say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from profiles.gear_page import gear_page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "gear.md"
FILES = sorted((ROOT / "profiles").rglob("*.toml"))
ROWS = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]


def test_the_page_on_disk_is_what_the_profiles_say() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == gear_page(), "docs/gear.md is out of date: run `python -m profiles.gear_page > docs/gear.md`"


def test_every_profile_has_one_row_and_nothing_else_has() -> None:
    ids = sorted(tomllib.loads(path.read_text(encoding="utf-8"))["id"] for path in FILES)
    assert sorted(re.findall(r"^\| `([^`]+)`", "\n".join(ROWS), re.MULTILINE)) == ids


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_row_says_who_made_it_how_it_is_reached_and_what_is_missing(path: Path) -> None:
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    row = next(row for row in ROWS if row.startswith(f"| `{told['id']}` "))
    cells = re.split(r" (?<!\\)\| ", row.removeprefix("| ").removesuffix(" |"))
    assert len(cells) == 9
    assert cells[1:5] == [told["maker"], told["model"], told["kind"], ", ".join(told["transports"])]
    assert cells[6] == (told["verification"] if "example" in told else "unverified")
    assert " ".join(told["not_covered"].split()).startswith(cells[8].removesuffix(" …"))
