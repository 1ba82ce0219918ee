"""Journals of recalls: one numbered file a run, so that what a crash or a fault left undone can be resumed."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller import files
from controller.errors import ExistsError, StorageError
from controller.project import FILE as PROJECT_FILE
from controller.value_text import from_number, number
from hardware.known import utc_now
from hardware.recall import RecallOutcome, StepResult
from profiles.profile import Value

SCHEMA = 1
SAVE_EVERY_S = 0.5
"""How often a run's journal goes to disk while it runs [s]: a crash loses no more than this of it."""


@dataclass(frozen=True)
class RunOrigin:
    """What a run is of: the project's folder, and the mix with its render path, or else the snapshot's file."""

    project: Path
    mix: str = ""
    path: str = ""
    snapshot: Path | None = None


@dataclass(frozen=True)
class Run:
    """A journal on file. ``finished``: all that was to be sent has landed.

    It is of a mix on a render path, or of a ``snapshot`` (its file; within the project, as seen from there).
    ``project`` and ``title`` are the folder and the title that the project had when it ran.
    """

    number: int
    file: Path
    project: str
    mix: str
    path: str
    target: dict[str, Value]
    started: str
    finished: bool
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed_devices: dict[str, str] = field(default_factory=dict)
    title: str = ""
    snapshot: str = ""

    @property
    def what(self) -> str:
        """What it brings the rig to, in words."""
        return f"snapshot {Path(self.snapshot).name}" if self.snapshot else f"{self.mix} ({self.path})"

    def origin(self, project: Path) -> RunOrigin:
        """Return what a run that goes on with this one is of; ``project`` is where the project lies now."""
        return RunOrigin(project, self.mix, self.path, project / self.snapshot if self.snapshot else None)


class RunJournal:
    """The journal of a run that is under way."""

    def __init__(
        self, folder: Path, origin: RunOrigin, target: Mapping[str, Value], *, now_s: Callable[[], float]
    ) -> None:
        """Write the first page, under the next free number of ``folder``.

        Raises
        ------
        StorageError
            The folder cannot be written; nothing should be sent then.
        """
        self._data: dict[str, Any] = {
            "schema": SCHEMA,
            "project": str(origin.project.resolve()),
            "title": _title(origin.project),
            **_of_what(origin),
            "target": {address: number("value", value) for address, value in target.items()},
            "started": utc_now(),
            "finished": False,
            "failed_devices": {},
            "results": {},
        }
        self._now_s = now_s
        self._saved_at_s = now_s()
        while True:
            self.number = files.next_number(folder)
            self.file = folder / f"{self.number:04d}.json"
            try:
                files.write_new(self.file, self._text())
            except ExistsError:
                continue  # another program took the number just now
            return

    def note(self, address: str, result: StepResult, state: str) -> None:
        """Take down where a control is on its way."""
        self._data["results"][address] = _entry(result, state)
        if self._now_s() - self._saved_at_s >= SAVE_EVERY_S:
            self._save()

    def close(self, outcome: RecallOutcome) -> None:
        """Take down how the run ended."""
        for address, result in outcome.results.items():
            self._data["results"][address] = _entry(result, "settled" if result.settled else result.state)
        self._data["finished"] = outcome.ok and not outcome.interrupted
        self._data["failed_devices"] = dict(outcome.failed_devices)
        self._save()

    def _save(self) -> None:
        self._saved_at_s = self._now_s()
        files.replace_text(self.file, self._text())

    def _text(self) -> str:
        return json.dumps(self._data, indent=1, ensure_ascii=False) + "\n"


def _entry(result: StepResult, state: str) -> dict[str, Any]:
    known = result.known
    return {
        "state": state,
        "known": known.how if known is not None else None,
        **number("value", known.value if known is not None else None),
        **({"message": result.message} if result.message else {}),
    }


def _of_what(origin: RunOrigin) -> dict[str, str]:
    if origin.snapshot is None:
        return {"mix": origin.mix, "path": origin.path}
    file, root = origin.snapshot.resolve(), origin.project.resolve()
    return {"snapshot": file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)}


def newest_run(folder: Path, project: Path) -> Run | None:
    """Return the newest run of a project, None where it has none.

    A run belongs to the project of its title in its folder; and to the one of its title that was moved: where it ran,
    no project of this title is left. A project without a title is known by its folder alone.

    Raises
    ------
    StorageError
        A journal is damaged or of a newer version; it is left as it is.
    """
    here, title = project.resolve(), _title(project)
    with files.storage_errors(folder, verb="read"):
        found = sorted(folder.glob("[0-9]*.json"), reverse=True) if folder.is_dir() else []
    for file in found:
        run = _load(file)
        if _is_of(run, here, title):
            return run
    return None


def _is_of(run: Run, here: Path, title: str) -> bool:
    if not run.title or not title:
        return run.project == str(here)
    return run.title == title and (run.project == str(here) or _title(Path(run.project)) != title)


def _title(project: Path) -> str:
    """Read a project's title; empty where there is none, or no project."""
    try:
        title = tomllib.loads((project / PROJECT_FILE).read_text("utf-8-sig")).get("title")
    except (OSError, ValueError):
        return ""
    return title if isinstance(title, str) else ""


def _load(file: Path) -> Run:
    aside = "Move the file away, or update halfnormal; it was left as it is."
    with files.storage_errors(file, verb="read"):
        text = file.read_bytes()
    try:
        data = json.loads(text)
        schema = data["schema"]
        if type(schema) is not int:
            raise TypeError("schema")
        if schema > SCHEMA:
            raise StorageError(
                f"The run {files.relative(file)} is of schema {schema}; this program reads up to {SCHEMA}.", hint=aside
            )
        target = {str(address): from_number(entry, "value") for address, entry in data["target"].items()}
        return Run(
            number=int(file.stem),
            file=file,
            project=str(data["project"]),
            mix="" if "snapshot" in data else str(data["mix"]),
            path="" if "snapshot" in data else str(data["path"]),
            target={address: value for address, value in target.items() if value is not None},
            started=str(data["started"]),
            finished=bool(data["finished"]),
            results=dict(data["results"]),
            failed_devices=dict(data["failed_devices"]),
            title=str(data.get("title", "")),
            snapshot=str(data.get("snapshot", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"The run {files.relative(file)} is damaged.", hint=aside) from error
