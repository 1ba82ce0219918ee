"""The one place that knows where a user's own data lives.

``HALFNORMAL_HOME`` names the folder; without it, the platform's folder for user data. Nothing here makes a
folder: whoever writes does.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from controller.errors import UsageError

HOME_VARIABLE = "HALFNORMAL_HOME"

_RIG_NAME = re.compile(r"[\w][\w .-]*")


@dataclass(frozen=True)
class RigHome:
    """What is kept of one rig: its controls' known state, the room's knobs, and the folders of what was measured."""

    folder: Path

    @property
    def state(self) -> Path:
        """The file of what is known of every control."""
        return self.folder / "state.json"

    @property
    def room_state(self) -> Path:
        """The file in which the virtual room keeps its knobs overnight."""
        return self.folder / "room_state.json"

    @property
    def calibrations(self) -> Path:
        """The folder of numbered calibrations."""
        return self.folder / "calibrations"

    @property
    def readings(self) -> Path:
        """The folder of numbered readings of a meter."""
        return self.folder / "readings"

    @property
    def reports(self) -> Path:
        """The folder of numbered pages about the rig's loops."""
        return self.folder / "reports"

    @property
    def snapshots(self) -> Path:
        """The folder of numbered snapshots that belong to no project."""
        return self.folder / "snapshots"


def home() -> Path:
    """Return the folder of the user's own data."""
    chosen = os.environ.get(HOME_VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path("halfnormal", appauthor=False)


def frozen_folder() -> Path:
    """Return the folder of what can be made again at any time: strips behind their inserts."""
    return home() / "frozen"


def rigs_folder() -> Path:
    """Return the folder of the user's own rig files."""
    return home() / "rigs"


def profiles_folder() -> Path:
    """Return the folder of the user's own profiles."""
    return home() / "profiles"


def run_folder() -> Path:
    """Return the folder where running programs find each other, for instance the virtual room's serial lines."""
    return home() / "run"


def rig_home(name: str) -> RigHome:
    """Return the places of the rig ``name``.

    Raises
    ------
    UsageError
        The name cannot be a folder's.
    """
    if not _RIG_NAME.fullmatch(name) or name.endswith((".", " ")):
        raise UsageError(
            f'rig name "{name}" cannot name a folder', hint="Use letters, digits, spaces, dots, hyphens, underscores."
        )
    return RigHome(rigs_folder() / name)
