"""Where profiles are found: those that ship, overlaid by the user's own folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from profiles.build import build_profile
from profiles.errors import ProfileSyntaxError, UnknownProfileError
from profiles.profile import Profile
from profiles.reading import read_profile_table
from profiles.source import ProfileSource, nearest
from profiles.taper import Taper, problems_of

SHIPPED = Path(__file__).parent
_ID = re.compile(r"^id\s*=\s*[\"']([^\"']*)[\"']", re.MULTILINE)


@dataclass(frozen=True)
class ProfileProblem:
    """Something a profile says that cannot be right: where in it, what, and what to do."""

    where: str
    what: str
    hint: str = ""


def load_profile(ref: str, *, folders: Sequence[Path] = ()) -> Profile:
    """Load a profile by its id, or by the path of its ``.toml`` file.

    Earlier ``folders`` come first, all of them before the shipped ones.

    Raises
    ------
    UnknownProfileError
        There is none; the hint names the nearest ids.
    ProfileSyntaxError, ProfileVersionError
        Its file breaks the language, or was written for a newer one.
    """
    if ref.endswith(".toml"):
        path = Path(ref)
        if not path.is_file():
            raise UnknownProfileError(f"There is no profile file {ref}.", hint="Check the path.")
        return _load(path)
    known: dict[str, Path] = {}
    for path in _files(folders):
        known.setdefault(_id_of(path), path)
    if ref not in known:
        raise UnknownProfileError(f"There is no profile {ref!r}.", hint=nearest(ref, known))
    return _load(known[ref])


def all_profiles(*, folders: Sequence[Path] = ()) -> list[Profile]:
    """Load every profile, by id; one of the user's stands in for a shipped one of the same id.

    Raises
    ------
    ProfileSyntaxError, ProfileVersionError
        A file breaks the language, or was written for a newer one.
    """
    found: dict[str, Path] = {}
    for path in _files(folders):
        found.setdefault(_id_of(path), path)
    return [_load(found[name]) for name in sorted(found)]


def check_profile(profile: Profile) -> list[ProfileProblem]:
    """Check what needs no wire: that every code comes back from its value, and that examples have sources."""
    problems: list[ProfileProblem] = []
    seen: set[int] = set()
    for control in profile.controls.values():
        if id(control.taper) not in seen:
            seen.add(id(control.taper))
            problems += [ProfileProblem(control.name, problem) for problem in _taper_problems(control.taper)]
    if profile.verification != "unverified" and not profile.sources:
        problems.append(ProfileProblem("sources", "names no document", "List the manuals the facts come from."))
    return problems


def _taper_problems(taper: Taper) -> list[str]:
    found = problems_of(taper)
    return found[:3] + ([f"and {len(found) - 3} more codes like these"] if len(found) > 3 else [])


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in (*folders, SHIPPED):
        yield from sorted(folder.rglob("*.toml"))


def _id_of(path: Path) -> str:
    """Read a file's id without reading all of it as TOML; a file without one goes by its name."""
    match = _ID.search(_text_of(path))
    return match[1] if match else path.stem


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileSyntaxError(f"{path} cannot be read as text: {error}.", hint="Repair or remove it.") from error


def _load(path: Path) -> Profile:
    source = ProfileSource(str(path), _text_of(path))
    return build_profile(read_profile_table(source), source, path)
