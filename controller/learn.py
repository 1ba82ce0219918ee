"""Learning a device: listening while its controls are moved, naming what was heard, writing it as a profile."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, count
from pathlib import Path

from controller import files, places
from controller.errors import UsageError
from controller.events import Emit, Finding, silent
from controller.listening import Ear, tokens
from hardware.errors import HardwareError
from hardware.learning import Learner
from hardware.learning_shapes import Proposal
from hardware.wire.examples import check_examples
from profiles.build import build_profile
from profiles.errors import ProfileError, UnknownProfileError
from profiles.importers.midi_csv import Imported, import_midi_csv
from profiles.library import ProfileProblem, load_profile
from profiles.profile import Profile
from profiles.reading import read_profile_table
from profiles.source import ProfileSource
from profiles.writing import TomlValue, toml_text

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAME = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+)*")


@dataclass(frozen=True)
class WrittenProfile:
    """A profile that was written: where, what it holds, and what contradicts itself in it."""

    path: Path
    profile: Profile
    problems: tuple[ProfileProblem, ...]


def listen(ear: Ear, *, seconds: float | None = None, emit: Emit = silent) -> Learner:
    """Listen for ``seconds`` (None: until Ctrl-C) while somebody moves controls; sends nothing.

    What is heard for the first time is told. A port that vanishes ends it as well: what was heard is kept.

    Raises
    ------
    UsageError
        A virtual room would have to be listened to for ever.
    """
    learner = Learner()
    try:
        for token in tokens(ear, seconds=seconds):
            for said in learner.feed(token.data, token.at_s):
                emit(Finding("heard", said))
    except KeyboardInterrupt:
        pass  # whoever moved the controls says so when all are moved
    except HardwareError as error:
        emit(Finding("port", str(error), error.hint, "problem"))
    return learner


def name_controls(
    proposals: Sequence[Proposal], ask: Callable[[Proposal, str], str]
) -> tuple[list[tuple[str, Proposal]], list[Proposal]]:
    """Ask for a name for each proposal; return those kept with their names, and those left out.

    ``ask`` gets the proposal and a complaint about the last answer, and returns a name, nothing for the proposed one
    (with a number where that is taken), or ``-`` to leave the control out.
    """
    kept: list[tuple[str, Proposal]] = []
    left_out: list[Proposal] = []
    taken: set[str] = set()
    for proposal in proposals:
        complaint = ""
        while True:
            answer = ask(proposal, complaint).strip()
            name = answer or _unused(proposal.name, taken)
            if name == "-":
                left_out.append(proposal)
            elif not _NAME.fullmatch(name):
                complaint = f"{name!r} is no name: small letters, digits, _ and / for sections"
                continue
            elif name in taken:
                complaint = f"{name} is taken"
                continue
            else:
                taken.add(name)
                kept.append((name, proposal))
            break
    return kept, left_out


def _unused(name: str, taken: set[str]) -> str:
    return next(found for found in chain([name], (f"{name}_{number}" for number in count(2))) if found not in taken)


def learned_text(named: Sequence[tuple[str, Proposal]], *, profile_id: str, port: str, channel: int, on: date) -> str:
    """Write what was heard as a profile: unverified, every control inferred.

    Raises
    ------
    ProfileError
        ``profile_id`` cannot be one.
    """
    if not _ID.fullmatch(profile_id):
        raise ProfileError(
            f"{profile_id!r} cannot be a profile's id.", hint="Give one of small letters, digits and hyphens."
        )
    controls: list[TomlValue] = [{"name": name, **proposal.control} for name, proposal in named]
    return toml_text(
        {
            "schema": 1,
            "id": profile_id,
            "maker": "unknown",
            "model": profile_id,
            "kind": "outboard",
            "transports": ["midi"],
            "verification": "unverified",
            "confidence": "I",
            "sources": [f"heard on {port}, {on.isoformat()}, while its controls were moved by hand"],
            "notes": "Learned by listening, unverified: it is assumed that the device obeys what it sends.",
            "not_covered": "Whatever was not moved; read-back, pacing and real units.",
            "midi": {"channel": channel},
            "control": controls,
        },
        comment="Made by 'halfnormal profile learn'. Put in maker, model, kind and the units, then add examples from\n"
        "the manual: until then the profile is shown as unverified. docs/profiles.md explains every key.",
    )


def import_list(path: Path, *, profile_id: str = "") -> Imported:
    """Read a public MIDI list; its profile gets an id that no other has.

    Raises
    ------
    StorageError
        The file cannot be read.
    ProfileError
        It is no such list.
    """
    with files.storage_errors(path, verb="read"):
        if path.is_dir():
            raise UsageError(f"{files.relative(path)} is a folder.", hint="Import one file after the other.")
        data = path.read_bytes()
    return import_midi_csv(data, file=path.name, profile_id=profile_id, taken=is_taken)


def is_taken(profile_id: str) -> bool:
    """Tell whether a profile of that id is there, shipped or the user's own."""
    if (places.profiles_folder() / f"{profile_id}.toml").exists():
        return True
    try:
        load_profile(profile_id, folders=[places.profiles_folder()])
    except UnknownProfileError:
        return False
    except ProfileError:
        return True  # a damaged one holds its name all the same
    return True


def free_id(wanted: str) -> str:
    """Put the next number behind an id until no profile has it."""
    number, chosen = 1, wanted
    while is_taken(chosen):
        number += 1
        chosen = f"{wanted}-{number}"
    return chosen


def write_profile(text: str, *, profile_id: str, out: Path | None = None) -> WrittenProfile:
    """Check a new profile's text and put it at ``out``, or among the user's own profiles; nothing is overwritten.

    Raises
    ------
    ProfileError
        The text is no profile; nothing was written.
    ExistsError
        ``out`` is already there.
    DiskFullError, ReadOnlyError, StorageError
        Nothing was written.
    """
    path = out or places.profiles_folder() / f"{profile_id}.toml"
    source = ProfileSource(str(path), text)
    profile = build_profile(read_profile_table(source), source, path)
    files.write_new(path, text)
    return WrittenProfile(path, profile, check_examples(profile).problems)
