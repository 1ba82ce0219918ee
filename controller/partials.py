"""Prints in the making: a journal says whose they are, and what a killed pass left is recovered from it.

``.partial-NNNN.json`` (the journal) is there before ``.partial-NNNN.wav`` and is removed after it, so a
recording without a journal belongs to nobody. ``.partial-NNNN-ANYTHING`` is what a pass makes of its
recording on the way to a print, ``.partial-NNNN-parts`` the folder of a render's stems and busses.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from controller.errors import RecoveryError
from controller.events import Emit, Finding
from controller.files import claim_number, content_hash, move_new, relative, storage_errors, write_new
from controller.wav import RecoveredWav, recover_wav

PRINT_SUFFIXES = (".wav", ".flac")
"""What a print's file may end in."""

_PARTIAL = re.compile(r"\.partial-(\d{4,})\.(?:wav|json)")


class HasPrints(Protocol):
    """A project, as far as recovery is concerned."""

    @property
    def prints(self) -> Path:
        """The folder of prints."""
        ...


def begin_partial(folder: Path, facts: Mapping[str, Any]) -> tuple[int, Path]:
    """Take the next number of ``folder`` (the prints of a project) and write the journal.

    Returns the number and the path of the recording, which does not exist yet. ``facts`` is what a recovered
    print should tell of its origin: mix, path, rig; anything JSON can hold.

    Raises
    ------
    DiskFullError, ReadOnlyError, StorageError
        Nothing was written.
    """
    owner = {"pid": os.getpid(), "started": process_mark(os.getpid()), "host": platform.node()}
    journal = {"schema": 1, "owner": owner, "begun_at": _now(), "facts": dict(facts)}
    number, claim = claim_number(folder, ".json", json.dumps(journal, indent=2, ensure_ascii=False) + "\n")
    return number, claim.with_suffix(".wav")


def end_partial(folder: Path, number: int) -> None:
    """Remove what is left of print ``number`` in the making; harmless when called twice.

    Raises
    ------
    ReadOnlyError, StorageError
        Something could not be removed.
    """
    with storage_errors(folder):
        for suffix in PRINT_SUFFIXES:
            for part in folder.glob(f".partial-{number:04d}*{suffix}"):
                part.unlink(missing_ok=True)
        shutil.rmtree(folder / f".partial-{number:04d}-parts", ignore_errors=True)
        (folder / f".partial-{number:04d}.json").unlink(missing_ok=True)


def recover_prints(project: HasPrints, emit: Emit) -> list[Path]:
    """Turn what killed passes left into prints ``NNNN-recovered.wav`` and return their paths.

    Each gets a provenance with status "recovered". Recordings whose program still runs, here or on another
    machine, and everything else in the project are left alone.

    Raises
    ------
    DiskFullError, ReadOnlyError, StorageError
        The folder cannot be changed; recordings that are not recovered yet are untouched.
    """
    folder = project.prints
    if not folder.is_dir():
        return []
    with storage_errors(folder, verb="read"):
        numbers = sorted({int(m[1]) for entry in folder.iterdir() if (m := _PARTIAL.fullmatch(entry.name))})
    found = (_recover_one(folder, number, emit) for number in numbers)
    return [path for path in found if path is not None]


def process_mark(pid: int) -> str | None:
    """Return a mark of the process ``pid`` that no later process of that number has; None when it does not live."""
    system = platform.system()
    if system == "Windows":
        return _windows_mark(pid)
    if system == "Linux":
        # proc(5): state is field 3 and starttime field 22; the name before them, in brackets, may hold spaces.
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"
    told = subprocess.run(["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = told.stdout.strip().partition(" ")
    return started.strip() or None if state and not state.startswith("Z") else None


def _windows_mark(pid: int) -> str | None:
    import ctypes

    kernel: Any = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    kernel.OpenProcess.restype = ctypes.c_void_p
    query_limited, synchronize = 0x1000, 0x0010_0000
    handle = ctypes.c_void_p(kernel.OpenProcess(query_limited | synchronize, False, pid))
    if not handle:
        return None
    created, *others = (ctypes.c_uint64() for _ in range(4))
    alive = kernel.WaitForSingleObject(handle, 0) != 0
    known = kernel.GetProcessTimes(handle, *map(ctypes.byref, (created, *others)))
    kernel.CloseHandle(handle)
    return str(created.value) if known and alive else None


def _recover_one(folder: Path, number: int, emit: Emit) -> Path | None:
    wav, journal = folder / f".partial-{number:04d}.wav", folder / f".partial-{number:04d}.json"
    told = _read_journal(journal)
    owner = told.get("owner")
    if isinstance(owner, dict) and _may_live(owner, wav, emit):
        return None
    target = folder / f"{number:04d}-recovered.wav"
    if not wav.exists():
        # Killed between two steps: before the recording began, after it was filed, or in recovery itself.
        if target.exists() and not target.with_suffix(".json").exists():
            return _finish(recover_wav(target), target, told, emit)
        end_partial(folder, number)
        return None
    filed = (print_ for print_ in folder.glob(f"{number:04d}-*") if print_.suffix in PRINT_SUFFIXES)
    if any(print_.with_suffix(".json").exists() for print_ in filed):
        end_partial(folder, number)
        return None
    try:
        facts = recover_wav(wav)
    except RecoveryError as error:
        emit(Finding(relative(wav), f"a pass was killed before it recorded anything: {error}", "Delete it."))
        return None
    move_new(wav, target)
    return _finish(facts, target, told, emit)


def _finish(facts: RecoveredWav, target: Path, told: Mapping[str, Any], emit: Emit) -> Path:
    number = int(target.name.partition("-")[0])
    provenance = {
        "schema": 1,
        "print": number,
        "status": "recovered",
        "file": target.name,
        "hash": content_hash(target),
        "rate_hz": facts.rate_hz,
        "channels": facts.channels,
        "frames": facts.frames,
        "recovered_at": _now(),
        "journal": told or None,
    }
    write_new(target.with_suffix(".json"), json.dumps(provenance, indent=2, ensure_ascii=False) + "\n")
    end_partial(target.parent, number)
    seconds = facts.frames / facts.rate_hz
    what = f"a pass that was killed is recovered: {facts.frames} frames ({seconds:.1f} s)"
    emit(Finding(relative(target), what, "Listen to it; print again for the whole song.", "warning"))
    return target


def _read_journal(journal: Path) -> dict[str, Any]:
    try:
        told = json.loads(journal.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _may_live(owner: Mapping[str, Any], wav: Path, emit: Emit) -> bool:
    host, pid, started = owner.get("host"), owner.get("pid"), owner.get("started")
    if host != platform.node():
        emit(
            Finding(
                relative(wav),
                f"a pass begun on the machine {host} may still be running",
                f"Open the project there; or, if that pass is dead, delete {wav.with_suffix('.json').name} here.",
                "warning",
            )
        )
        return True
    return isinstance(pid, int) and started is not None and process_mark(pid) == started


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
