"""Where plug-ins of others are installed. A mix names one; no file of a project is ever run as code."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from controller import places
from controller.errors import MixError
from controller.files import relative

FORMATS: Mapping[str, str] = {".vst3": "VST3", ".component": "Audio Unit"}
"""What can be hosted, by the suffix of its file or bundle."""
_STRANGE: Mapping[str, str] = {".lv2": "LV2", ".clap": "CLAP", ".dll": "VST2", ".so": "VST2", ".vst": "VST2"}
NO_HOST_HINT = f"Install it: {sys.executable} -m pip install pedalboard (the extra 'plugins' of this package)."


def folders() -> tuple[Path, ...]:
    """Return where plug-ins may be installed: the user's own folder of this program first, then the platform's.

    The platform's are those of the VST 3 Developer Portal ("Plug-in Locations") and, for Audio Units, of Apple's
    *Audio Unit Hosting Guide*.
    """
    user = Path.home()
    own = places.home() / "plugins"
    if sys.platform == "darwin":
        shelves = [folder / "Library/Audio/Plug-Ins" for folder in (user, Path("/"))]
        return (own, *(shelf / kind for shelf in shelves for kind in ("VST3", "Components")))
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", str(user / "AppData/Local"))
        shared = os.environ.get("COMMONPROGRAMFILES", "C:/Program Files/Common Files")
        return (own, Path(local, "Programs/Common/VST3"), Path(shared, "VST3"))
    return (own, user / ".vst3", Path("/usr/lib/vst3"), Path("/usr/local/lib/vst3"))


def installed() -> list[Path]:
    """Return every plug-in's file or bundle, those of the first folder first, by name."""
    return [path for folder in folders() for path in sorted(_below(folder, deep=3))]


def check_name(name: str) -> None:
    """Raise MixError for what cannot be the name of an installed plug-in."""
    if name in (".", "..") or "/" in name or "\\" in name:
        raise MixError(
            f'"{name}" is no plug-in\'s name: a mix can name what is installed, and no file',
            hint="Give the name alone; 'halfnormal effects --plugins' lists them.",
        )
    suffix = Path(name).suffix.lower()
    if suffix in _STRANGE:
        raise MixError(
            f'"{name}" is {_STRANGE[suffix]}, which is not hosted: only VST3 and, on macOS, Audio Units are',
            hint="Many plug-ins come as VST3, too.",
        )


def find(name: str, project: Path | None = None) -> Path | None:
    """Return the plug-in that a mix of ``project`` calls ``name``, with or without suffix; None where none is.

    Raises
    ------
    MixError
        It cannot be a plug-in's name, or what is found lies inside the project.
    """
    check_name(name)
    wanted = name.casefold()
    for path in installed():
        if wanted in (path.name.casefold(), path.stem.casefold()):
            if project is not None and path.resolve().is_relative_to(project.resolve()):
                raise MixError(
                    f"{relative(path)} lies inside the project, and no code of a project is ever run",
                    hint=f"Install it into {relative(folders()[-1])}, if you trust it.",
                )
            return path
    return None


def close_to(word: str, known: Sequence[str]) -> str:
    """Return ``, did you mean "…"?`` for the nearest, and nothing where none is: there may be hundreds."""
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f', did you mean "{by_lower[close[0]]}"?' if close else ""


def looked_in() -> str:
    """Return the folders in words."""
    return ", ".join(str(folder) for folder in folders())


def lv2_of(name: str) -> Path | None:
    """Return the LV2 bundle of that name, where there is one: people expect it to be found."""
    if sys.platform != "linux":
        return None
    for folder in (Path.home() / ".lv2", Path("/usr/lib/lv2"), Path("/usr/local/lib/lv2")):
        if (folder / f"{name}.lv2").is_dir():
            return folder / f"{name}.lv2"
    return None


def _below(folder: Path, *, deep: int) -> Iterator[Path]:
    """Yield the plug-ins in a folder and, because makers have folders of their own, in those below; not in bundles."""
    try:
        entries = list(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.suffix.lower() in FORMATS:
            yield entry
        elif deep and entry.is_dir() and not entry.name.startswith("."):
            yield from _below(entry, deep=deep - 1)
