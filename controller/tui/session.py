"""What the console has open: a project, a mix under the hands, and where its stages would run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from controller import loops
from controller.allocation import Allocation, RenderPath
from controller.errors import ControllerError, MixError, hint_of
from controller.events import Emit, Finding
from controller.loops import StoredCalibration
from controller.mix import FADER_DB, Mix, Strip, mix_numbers, save_new_mix
from controller.partials import PRINT_SUFFIXES
from controller.printing import plan_allocation
from controller.project import Project, open_project
from controller.recall import PlannedRecall, plan_mix
from controller.studio import Studio
from controller.tui.recall_aim import RecallAim
from dsp.errors import DspError
from hardware.errors import HardwareError
from profiles.errors import ProfileError

Result = TypeVar("Result")
PATHS: tuple[RenderPath, ...] = ("analog", "hybrid", "itb")
UNDO_STEPS = 200
LOWEST_DB = -90.0
LIFTED_DB = -60.0
KNOWN_ERRORS = (ControllerError, HardwareError, ProfileError, DspError, OSError)


@dataclass(frozen=True)
class Plan:
    """Where the mix would run, and the recall it asks for; or the reason why nobody can tell."""

    allocation: Allocation | None = None
    recall: PlannedRecall | None = None
    error: str = ""
    hint: str = ""


@dataclass
class Session:
    """One project on the screen. Edits change the mix in memory; :meth:`save` makes a new mix file of it.

    ``studio`` is the rig as it is known, opened for planning only: it never opens a port. None where the rig
    cannot be read (``rig_error`` says why); then only the box is left.
    """

    project: Project
    rig: str
    mix: Mix
    path: RenderPath = "analog"
    saved: Mix | None = None
    studio: Studio | None = None
    rig_error: str = ""
    found: list[Finding] = field(default_factory=list)
    _undo: list[Mix] = field(default_factory=list)
    _redo: list[Mix] = field(default_factory=list)
    aim: RecallAim = field(default_factory=RecallAim)
    _plan: Plan | None = None
    _recall: Plan | None = None

    @classmethod
    def open(cls, folder: Path, *, rig: str | None = None) -> Session:
        """Open the project at ``folder`` with its newest mix.

        A rig named by ``rig`` must be readable; when the project's own is not, the session works in the box.

        Raises
        ------
        ProjectError, MixError, AudioFileError, StorageError
            As :func:`controller.project.open_project` and :meth:`controller.project.Project.mix`.
        RigError, ProfileError
            ``rig`` cannot be read.
        """
        found: list[Finding] = []

        def note(event: Any) -> None:
            if isinstance(event, Finding):
                found.append(event)

        emit: Emit = note
        project = open_project(folder, emit=emit)
        mix = project.mix()
        session = cls(project=project, rig=rig or project.rig, mix=mix, saved=mix, found=found)
        try:
            session.reopen()
        except KNOWN_ERRORS as error:
            if rig is not None:
                raise
            session.rig_error, session.path = f"{error} {hint_of(error)}".strip(), "itb"
        return session

    def reopen(self) -> None:
        """Read the rig and what is known of it anew: a job, or another program, may have changed it."""
        if self.studio is not None:
            self.studio.close()
        self.studio = Studio.open(self.rig)
        self.replan()

    def with_studio(self, work: Callable[[Studio], Result]) -> Result:
        """Open the rig for one job and hand it to ``work``; its ports close afterwards."""
        with Studio.open(self.rig) as studio:
            return work(studio)

    def close(self) -> None:
        """Let go of the rig."""
        if self.studio is not None:
            self.studio.close()
            self.studio = None

    @property
    def virtual(self) -> bool:
        """Whether the rig stands in the room inside this program, whose virtual hands turn its pots."""
        return self.studio is not None and self.studio.stands_in_room

    @property
    def dirty(self) -> bool:
        """Whether the mix differs from every file."""
        return self.mix != self.saved

    @property
    def mix_file(self) -> str:
        """The file the mix came from, without suffix."""
        path = (self.mix.path or (self.saved.path if self.saved else None)) if self.mix else None
        return path.stem if path else ""

    def choose_path(self, path: RenderPath) -> bool:
        """Take another render path; False where there is no rig for it."""
        if path != "itb" and self.studio is None:
            return False
        self.path = path
        self.replan()
        return True

    def strip(self, index: int) -> Strip:
        """Return the strip at ``index``, from 0."""
        return self.mix.strips[index]

    def edit(self, index: int, **changes: Any) -> None:
        """Change values of one strip; the step can be undone.

        Raises
        ------
        MixError
            A value is out of range; nothing changes.
        """
        strips = list(self.mix.strips)
        strips[index] = _replaced(strips[index], changes)
        self._commit(_replaced(self.mix, {"strips": tuple(strips)}))

    def edit_all(self, **changes: Any) -> None:
        """Change values of every strip in one step.

        Raises
        ------
        MixError
            A value is out of range; nothing changes.
        """
        strips = tuple(_replaced(strip, changes) for strip in self.mix.strips)
        self._commit(_replaced(self.mix, {"strips": strips}))

    def edit_bus(self, **changes: Any) -> None:
        """Change values of the stereo bus; the step can be undone.

        Raises
        ------
        MixError
            A value is out of range; nothing changes.
        """
        self._commit(_replaced(self.mix, {"bus": _replaced(self.mix.bus, changes)}))

    def _commit(self, mix: Mix) -> None:
        if mix == self.mix:
            return
        self._undo = [*self._undo[-UNDO_STEPS:], self.mix]
        self._redo.clear()
        self._take(mix)

    def _take(self, mix: Mix) -> None:
        self.mix = self.saved if self.saved is not None and mix == self.saved else mix
        self.replan()

    def undo(self) -> bool:
        """Take the last step back; False when there is none."""
        return self._swap(self._undo, self._redo)

    def redo(self) -> bool:
        """Do the step again that was taken back; False when there is none."""
        return self._swap(self._redo, self._undo)

    def _swap(self, source: list[Mix], target: list[Mix]) -> bool:
        if not source:
            return False
        target.append(self.mix)
        self._take(source.pop())
        return True

    def save(self) -> Path:
        """Write the mix as the project's next mix file and go on with that one.

        Raises
        ------
        MixError, StorageError
            It could not be written; the mix stays unsaved.
        """
        path = save_new_mix(self.mix, self.project.mixes)
        self.mix = self.saved = self.project.mix(path.stem)
        return path

    def next_mix_number(self) -> int:
        """Return the number that the next saved mix gets."""
        return max(mix_numbers(self.project.mixes), default=0) + 1

    def plan(self) -> Plan:
        """Return where the mix would run on the chosen path and what the rig has to be recalled to."""
        if self._plan is None:
            self._plan = self._planned()
        return self._plan

    def _planned(self) -> Plan:
        try:
            allocation, _ = plan_allocation(self.project, self.mix, self.studio, self.path)
            recalled = plan_mix(self.studio, allocation) if self.studio is not None else None
        except KNOWN_ERRORS as error:
            return Plan(error=str(error), hint=hint_of(error))
        return Plan(allocation, recalled)

    def recall_plan(self) -> Plan:
        """Return the way to what the recall screen aims at: a snapshot, or the mix as :meth:`plan` has it."""
        studio, aim = self.studio, self.aim
        if studio is None or (aim.snapshot is None and not aim.consent):
            return self.plan()
        if self._recall is None:
            allocation = self.plan().allocation if aim.snapshot is None else None
            try:
                planned = aim.planned(studio, allocation)
                self._recall = Plan(allocation, planned) if planned is not None else self.plan()
            except KNOWN_ERRORS as error:
                self._recall = Plan(error=str(error), hint=hint_of(error))
        return self._recall

    def replan(self) -> None:
        """Plan anew when next asked: the mix, the path, the rig, the aim or a consent has changed."""
        self._plan = self._recall = None

    def calibration(self) -> StoredCalibration | None:
        """Return the rig's newest calibration, None where it has none that can be read."""
        if self.studio is None:
            return None
        try:
            return loops.latest(self.studio.home.calibrations)
        except ControllerError:
            return None

    def prints(self) -> list[Path]:
        """Return the project's prints, oldest first."""
        return sorted(file for file in self.project.prints.glob("[0-9]*") if file.suffix in PRINT_SUFFIXES)


def nudged_db(value_db: float, step_db: float) -> float:
    """Return a fader value moved by ``step_db``, held in range.

    Below -90 dB it is off (−∞); from off it comes up at -60 dB, where one begins to hear it.
    """
    if value_db == -math.inf:
        return LIFTED_DB if step_db > 0 else -math.inf
    moved = round(value_db + step_db, 2)
    return -math.inf if moved < LOWEST_DB and step_db < 0 else min(moved, FADER_DB.high)


def where_text(allocation: Allocation | None, strip: str) -> str:
    """Say in few letters where a strip meets the mix: ``ch07``, ``ch07-8``, or ``box``."""
    if allocation is None:
        return "?"
    found = [route.address.rpartition("/")[2] for route in allocation.routes if route.strip == strip]
    if not found:
        return "box"
    first, last = found[0], found[-1]
    return first if first == last else f"{first}-{last.lstrip('abcdefghijklmnopqrstuvwxyz').lstrip('0')}"


_REPLACE: Callable[..., Any] = msgspec.structs.replace


def _replaced(value: Any, changes: dict[str, Any]) -> Any:
    """Return a changed copy of a mix, a strip or the bus, checked like a file."""
    try:
        return _REPLACE(value, **changes)
    except ValueError as error:
        raise MixError(str(error)) from error
