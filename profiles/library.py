"""Where profiles are found: those that ship, overlaid by the user's own folders."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from profiles.build import build_profile
from profiles.build_controls import holds
from profiles.errors import ProfileError, ProfileSyntaxError, UnknownProfileError
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


def load_profile(
    ref: str, *, folders: Sequence[Path] = (), options: Mapping[str, str] | None = None, channel: int | None = None
) -> Profile:
    """Load a profile by its id, or by the path of its ``.toml`` file.

    Earlier ``folders`` come first, all of them before the shipped ones. ``options`` are how the unit is set up, and
    ``channel`` the MIDI channel (1–16) it is set to, where these are not as it is delivered.

    Raises
    ------
    UnknownProfileError
        There is none; the hint names the nearest ids.
    ProfileSyntaxError, ProfileVersionError
        Its file breaks the language, or was written for a newer one.
    ValueRangeError
        It has no such option or choice.
    """
    if ref.endswith(".toml"):
        path = Path(ref)
        if not path.is_file():
            raise UnknownProfileError(f"There is no profile file {ref}.", hint="Check the path.")
        source = _source(path)
    else:
        known = _by_id(folders)
        if ref not in known:
            raise UnknownProfileError(f"There is no profile {ref!r}.", hint=nearest(ref, known))
        path, source = known[ref]
    return build_profile(read_profile_table(source), source, path, options=options, channel=channel)


@dataclass(frozen=True)
class Summary:
    """What a list shows of a profile; ``controls`` counts them as the unit is delivered."""

    id: str
    maker: str
    model: str
    kind: str
    transports: tuple[str, ...]
    controls: int
    verification: str


def list_library(*, folders: Sequence[Path] = ()) -> tuple[list[Summary], list[ProfileError]]:
    """Read what every profile says of itself, by id, and what is wrong with files that break the language.

    Messages and references are not looked at: that is :func:`read_library`'s work, and takes longer.
    """
    broken: list[ProfileError] = []
    found: list[Summary] = []
    for _, source in _by_id(folders, broken).values():
        try:
            table = read_profile_table(source)
        except ProfileError as error:
            broken.append(error)
            continue
        delivered = {name: option.default for name, option in table.options.items()}
        count = sum(
            math.prod(last - first + 1 for first, last in control.repeat.values())
            for control in table.control
            if holds(control.when, delivered)
        )
        verification = table.verification if table.example else "unverified"
        transports = tuple(table.transports)
        found.append(Summary(table.id, table.maker, table.model, table.kind, transports, count, verification))
    return sorted(found, key=lambda summary: summary.id), broken


@dataclass(frozen=True)
class Library:
    """Every profile by id, and the files that break the language with what is wrong with each."""

    profiles: tuple[Profile, ...]
    broken: tuple[ProfileError, ...]


def read_library(*, folders: Sequence[Path] = ()) -> Library:
    """Load every profile; one of the user's stands in for a shipped one of the same id."""
    found: list[Profile] = []
    broken: list[ProfileError] = []
    for path, source in _by_id(folders, broken).values():
        try:
            found.append(build_profile(read_profile_table(source), source, path))
        except ProfileError as error:
            broken.append(error)
    return Library(tuple(sorted(found, key=lambda profile: profile.id)), tuple(broken))


def variants_of(profile: Profile) -> Iterator[Profile]:
    """Build a profile as it is set up now, then with each other choice of each of its options."""
    yield profile
    for name, choices in profile.option_choices.items():
        for choice in choices:
            if choice != profile.options[name]:
                options = {**profile.options, name: choice}
                yield build_profile(
                    profile.table, profile.source, profile.path, options=options, channel=profile.midi_channel
                )


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


def _by_id(folders: Sequence[Path], broken: list[ProfileError] | None = None) -> dict[str, tuple[Path, ProfileSource]]:
    """Find every profile's file and text; one that cannot be read goes to ``broken``, or stops where that is None."""
    found: dict[str, tuple[Path, ProfileSource]] = {}
    for folder in (*folders, SHIPPED):
        for path in sorted(folder.rglob("*.toml")):
            try:
                source = _source(path)
            except ProfileSyntaxError as error:
                if broken is None:
                    raise
                broken.append(error)
                continue
            # Found without reading all of it as TOML; a file without an id goes by its name.
            match = _ID.search(source.text)
            found.setdefault(match[1] if match else path.stem, (path, source))
    return found


def _source(path: Path) -> ProfileSource:
    try:
        return ProfileSource(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileSyntaxError(f"{path} cannot be read as text: {error}.", hint="Repair or remove it.") from error
