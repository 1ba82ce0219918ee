"""What is typed after ``halfnormal snapshot``: projects, numbers and files, notes, photos, settings, answers."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller import places
from controller.errors import UsageError
from controller.events import Emit, Finding
from controller.snapshot_photo import PhotoFile, read_photo
from controller.snapshot_take import Look, check_device, find_control, read_value
from controller.snapshots import Snapshot, find, known_now, load
from profiles.errors import ProfileError

if TYPE_CHECKING:
    from controller.studio import Studio
    from profiles.profile import Control, Value

NOW = "now"
_REFS = {"take": (0, 0), "list": (0, 0), "show": (0, 1), "diff": (2, 2)}
_SKIP, _STOP = "-", "q"
_FOR_TAKE = ("name", "note", "photo", "set", "ask", "no_read", "dry_run")


@dataclass(frozen=True)
class Words:
    """The words of a command line, sorted: which snapshots, of which project."""

    refs: tuple[str, ...]
    project: Path | None

    @property
    def need_shelf(self) -> bool:
        """Whether a project or a rig must be known; files alone need neither."""
        return not self.refs or not all(_is_file(ref) for ref in self.refs)


@dataclass(frozen=True)
class Shelf:
    """Where snapshots lie (None: in the rig's home), and the rig they are of."""

    folder: Path | None
    rig: str


def sort_words(args: argparse.Namespace) -> Words:
    """Tell snapshots from the project among the words, and refuse what the action has no use for.

    Raises
    ------
    UsageError
        Too few or too many words, or options of another action.
    """
    action = args.action
    for option in _FOR_TAKE if action != "take" else ():
        if getattr(args, option):
            raise UsageError(
                f"'snapshot {action}' has no use for --{option.replace('_', '-')}.",
                hint="It belongs to 'snapshot take'.",
            )
    least, most = _REFS[action]
    refs = [word for word in args.words if most and _is_ref(word)]
    others = [word for word in args.words if word not in refs]
    for extra in (*refs[most:], *others[1:]):
        raise UsageError(f"'snapshot {action}' has no use for '{extra}'.", hint="'halfnormal snapshot -h' shows how.")
    if len(refs) < least:
        raise UsageError(
            f"'snapshot {action}' needs two snapshots.", hint="Each is a number, a file, or now: snapshot diff 1 now"
        )
    return Words(tuple(refs), Path(others[0]) if others else None)


def _is_ref(word: str) -> bool:
    return word == NOW or word.isdecimal() or _is_file(word)


def _is_file(word: str) -> bool:
    return word.endswith(".json") or (word != NOW and not word.isdecimal() and Path(word).is_file())


def open_shelf(args: argparse.Namespace, words: Words, emit: Emit) -> Shelf:
    """Find whose snapshots are meant: the project's, the rig's, or those of the project in the current folder.

    Raises
    ------
    UsageError
        Neither a project nor a rig was named, and no project is here.
    ProjectError, AudioFileError
        The project cannot be opened.
    """
    root = words.project
    if root is None and args.rig is not None:
        return Shelf(None, args.rig)
    from controller.project import FILE, open_project

    if root is None and not Path(FILE).is_file():
        raise UsageError("It is not said whose snapshots are meant.", hint="Name a project's folder, or --rig RIG.")
    project = open_project(root or Path(), emit=emit)
    return Shelf(project.snapshots, args.rig or project.rig)


def folder_of(shelf: Shelf) -> Path:
    """Return the folder that a shelf's snapshots lie in.

    Raises
    ------
    RigError
        There is no such rig.
    """
    from hardware.rig import load_rig

    if shelf.folder is not None:
        return shelf.folder
    return places.rig_home(load_rig(shelf.rig, folders=[places.rigs_folder()]).name).snapshots


def resolve(ref: str | None, shelf: Shelf | None) -> Snapshot:
    """Return the snapshot that a word means: a file, a number, ``now``; without a word, the shelf's newest.

    Raises
    ------
    SnapshotError
        There is none, or it cannot be read.
    RigError, ProfileError
        ``now``: the rig or one of its profiles cannot be read.
    """
    from controller.studio import Studio

    if shelf is None or (ref is not None and _is_file(ref)):
        return load(Path(ref or ""))
    if ref == NOW:
        with Studio.open(shelf.rig) as studio:
            return known_now(studio)
    return find(folder_of(shelf), None if ref is None else int(ref))


def read_notes(studio: Studio, texts: Sequence[str], emit: Emit) -> tuple[str, dict[str, str]]:
    """Tell notes on a device (``DEVICE=TEXT``) from those on the whole snapshot; several become lines of one."""
    general: list[str] = []
    of_devices: dict[str, list[str]] = {}
    for text in texts:
        device, equals, note = text.partition("=")
        if equals and device in studio.profiles:
            of_devices.setdefault(device, []).append(note)
            continue
        if equals and (close := difflib.get_close_matches(device, studio.profiles, n=1)):
            hint = f"Did you mean {close[0]}?"
            emit(Finding("--note", f'"{text}" is a note on all of it: there is no device "{device}"', hint, "warning"))
        general.append(text)
    return "\n".join(general), {device: "\n".join(notes) for device, notes in of_devices.items()}


def read_photos(studio: Studio, texts: Sequence[str]) -> dict[str, list[PhotoFile]]:
    """Read the photos of ``DEVICE=FILE``.

    Raises
    ------
    UsageError
        No such device or file, or no photo.
    StorageError
        It cannot be read.
    """
    photos: dict[str, list[PhotoFile]] = {}
    for text in texts:
        device, equals, file = text.partition("=")
        if not equals:
            raise UsageError(f"--photo {text} names no device.", hint="Write --photo DEVICE=FILE")
        check_device(studio, device)
        photos.setdefault(device, []).append(read_photo(Path(file)))
    return photos


def read_settings(studio: Studio, texts: Sequence[str]) -> dict[str, Value]:
    """Read the values of ``ADDRESS=VALUE``, by address.

    Raises
    ------
    UsageError
        No such device, no value, or two for one control.
    UnknownControlError, ValueRangeError
        No such control, or it cannot stand there.
    """
    values: dict[str, Value] = {}
    for text in texts:
        address, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text} gives no value.", hint="Write --set ADDRESS=VALUE")
        control = find_control(studio, address)
        if address in values:
            raise UsageError(f"--set gives {address} twice.", hint="Give each control one value.")
        values[address] = read_value(control, value)
    return values


def ask_at_terminal(look: Look) -> Value | None:
    """Ask on stderr where one control stands, and read the answer from stdin; a wrong one is told and asked again.

    Raises
    ------
    EOFError
        The engineer wants no more questions, or the input has ended.
    """
    from controller.recall import say

    control = look.control
    if look.number == 1:
        _write(
            "Enter takes what stands in brackets, or leaves it unknown; - leaves it unknown; q ends the questions.\n"
        )
    guess = "" if look.guess is None else f" [{say(look.guess, control.unit)}]"
    while True:
        _write(f"{look.number}/{look.total} {look.address} ({_range(control)}){guess}: ")
        line = sys.stdin.readline()
        word = line.strip()
        if not line or (word == _STOP and _STOP not in control.choices):
            raise EOFError
        if not word:
            return look.guess
        if word == _SKIP and _SKIP not in control.choices:
            return None
        try:
            return read_value(control, word)
        except ProfileError as error:
            _write(f"{error} {error.hint}".rstrip() + "\n")


def _range(control: Control) -> str:
    if control.unit == "bool":
        labels = dict(control.hand.marks) if control.hand is not None else {}
        return " or ".join(
            f"{word} = {labels[on]}" if on in labels else word for on, word in ((False, "off"), (True, "on"))
        )
    if control.choices:
        return ", ".join(control.choices)
    unit = "" if control.unit in {"pan", "raw", "enum", "q"} else f" {control.unit}"
    return f"{'off, ' if control.off is not None else ''}{control.low:g} to {control.high:g}{unit}"


def _write(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
