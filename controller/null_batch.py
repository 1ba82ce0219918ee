"""Many null tests at once: one reference with a folder, or two folders by name; one bad file stops nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller import files
from controller.audiofile import SUFFIXES
from controller.compare import NullReport, NullWishes, null
from controller.errors import ControllerError, UsageError, hint_of
from controller.events import Emit, Finding
from dsp.errors import DspError

Pair = tuple[Path, Path]


@dataclass(frozen=True)
class BatchResult:
    """One pair of a batch: its report, or the sentence that says why there is none."""

    pair: Pair
    report: NullReport | None
    error: str = ""
    hint: str = ""

    @property
    def data(self) -> dict[str, Any]:
        """What ``--json`` prints of this pair."""
        if self.report is not None:
            return self.report.data
        a, b = (files.relative(path) for path in self.pair)
        return {"a": a, "b": b, "verdict": "error", "passed": False, "error": self.error, "hint": self.hint}


def pairs_of(a: Path, b: Path) -> tuple[list[Pair], list[str]]:
    """Return what is to be compared, and the names in one folder that have no partner in the other.

    Two files are one pair; a file is compared with every file of a folder; of two folders those files are compared
    that have the same name, whatever their suffix.

    Raises
    ------
    UsageError
        Nothing to compare.
    """
    if not a.is_dir() and not b.is_dir():
        return [(a, b)], []
    left, right = (_audio_in(each) if each.is_dir() else None for each in (a, b))
    if left is None or right is None:
        pairs = (
            [(a, path) for path in (right or {}).values()] if left is None else [(path, b) for path in left.values()]
        )
        alone: list[str] = []
    else:
        pairs = [(left[name], right[name]) for name in left if name in right]
        alone = sorted(set(left) ^ set(right))
    pairs = [(one, other) for one, other in pairs if one.resolve() != other.resolve()]
    if not pairs:
        raise UsageError(
            f"There is nothing to compare between {files.relative(a)} and {files.relative(b)}.",
            hint="Two folders need files of the same names in them.",
        )
    return pairs, alone


def null_all(pairs: list[Pair], *, wishes: NullWishes, out: Path | None, emit: Emit) -> list[BatchResult]:
    """Null every pair; what cannot be compared is told and the rest goes on.

    Raises
    ------
    StorageError
        The results cannot be written: then nothing that follows could be either.
    """
    from controller.errors import StorageError

    results = []
    for pair in pairs:
        try:
            results.append(BatchResult(pair, null(*pair, wishes=wishes, out=out, emit=emit)))
        except StorageError:
            raise
        except (ControllerError, DspError) as error:
            emit(Finding(pair[1].name, str(error), hint_of(error), "problem"))
            results.append(BatchResult(pair, None, str(error), hint_of(error)))
    return results


def _audio_in(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            found.setdefault(path.stem, path)
    return found
