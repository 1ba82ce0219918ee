"""The one place that writes files: whole or not at all, and never over somebody else's work.

Numbered things (prints, snapshots, measurements) are called ``NNNN-name`` and are immutable. While one is
being made its number is held by a claim, ``.partial-NNNN`` with any suffix, so that two programs working in
the same folder never take the same number.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import io
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from controller.errors import ControllerError, DiskFullError, ExistsError, ReadOnlyError, StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NUMBERED = re.compile(r"(?:\.partial-)?(\d{4,})(?:[-.].*)?")


@contextlib.contextmanager
def storage_errors(path: Path, *, verb: str = "write") -> Iterator[None]:
    """Turn an operating system's error about ``path`` into one of ours, in a sentence.

    Raises
    ------
    ExistsError
        The name is taken.
    DiskFullError
        No space, over quota, or larger than the file system or a limit allows.
    ReadOnlyError
        The place may not be written (or, with another ``verb``, not be read).
    StorageError
        Anything else the operating system said.
    """
    try:
        yield
    except ControllerError:
        raise
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise _taken(path) from error
        said = (error.strerror or str(error)).lower()
        if error.errno in _FULL:
            raise DiskFullError(
                f"cannot {verb} {relative(path)}: {said}", hint="Free some space or choose another disk."
            ) from error
        if error.errno in _FORBIDDEN:
            raise ReadOnlyError(
                f"cannot {verb} {relative(path)}: {said}", hint="Check the permissions or choose another folder."
            ) from error
        raise StorageError(f"cannot {verb} {relative(path)}: {said}") from error


def replace_bytes(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``, replacing what is there in one step: a reader sees the old file or the new one.

    Missing folders are made. For files that are a state (what is known of a rig); what people or passes
    made goes through :func:`write_new`.

    Raises
    ------
    DiskFullError, ReadOnlyError, StorageError
        Nothing at ``path`` has changed.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path, data) as temporary:
            temporary.replace(path)
        sync_folder(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Put ``text`` as UTF-8 at ``path``; see :func:`replace_bytes`."""
    replace_bytes(path, text.encode())


def write_new(path: Path, data: bytes | str) -> None:
    """Put ``data`` (text as UTF-8) at ``path``, which must not exist yet; it appears whole or not at all.

    Raises
    ------
    ExistsError
        Something is already there; it is untouched.
    DiskFullError, ReadOnlyError, StorageError
        Nothing was written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path, data.encode() if isinstance(data, str) else data) as temporary:
            _link_new(temporary, path)
        sync_folder(path.parent)


def move_new(source: Path, target: Path) -> None:
    """Give ``source`` the name ``target``, which must not exist yet; both lie on the same file system.

    Raises
    ------
    ExistsError
        ``target`` is taken; both files are untouched.
    DiskFullError, ReadOnlyError, StorageError
        Nothing has moved.
    """
    with storage_errors(target):
        _link_new(source, target)
        sync_folder(target.parent)


def next_number(folder: Path) -> int:
    """Return the number after the highest of ``NNNN-*`` and of the claims in ``folder``; 1 where there is none."""
    with storage_errors(folder, verb="read"):
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return 1 + max((int(m[1]) for m in map(_NUMBERED.fullmatch, names) if m), default=0)


def claim_number(folder: Path, suffix: str = "", data: bytes | str = b"") -> tuple[int, Path]:
    """Take the next free number of ``folder`` for as long as ``.partial-NNNN`` + ``suffix`` exists.

    Returns the number and the claim, a file that holds ``data``. Whoever claims also removes the claim, or
    gives it its final name.

    Raises
    ------
    DiskFullError, ReadOnlyError, StorageError
        Nothing was claimed.
    """
    number = next_number(folder)
    while True:
        claim = folder / f".partial-{number:04d}{suffix}"
        with contextlib.suppress(ExistsError):
            write_new(claim, data)
            if _is_alone(claim, number):
                return number, claim
            claim.unlink()
        number = max(number + 1, next_number(folder))


def create_numbered(folder: Path, name: str, data: bytes | str) -> Path:
    """Write ``data`` as the next ``NNNN-name`` of ``folder`` and return its path.

    Raises
    ------
    DiskFullError, ReadOnlyError, StorageError
        Nothing was written.
    """
    number, claim = claim_number(folder, data=data)
    target = folder / f"{number:04d}-{name}"
    try:
        move_new(claim, target)
    except BaseException:
        claim.unlink(missing_ok=True)
        raise
    return target


def write_all(file: io.FileIO, data: bytes | memoryview) -> None:
    """Write all of ``data``, however little the system takes at once. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]


def read_into(file: io.FileIO, view: memoryview) -> int:
    """Fill ``view`` as far as the file reaches; return how many bytes that is. Raises OSError."""
    taken = file.readinto(view) or 0
    while taken < len(view) and (count := file.readinto(view[taken:])):
        taken += count
    return taken


def content_hash(path: Path) -> str:
    """Return ``sha256:`` and the hex digest of the file's bytes; kept as long as its size and time stand still.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    with storage_errors(path, verb="read"):
        status = path.stat()
        return _digest(str(path.resolve()), status.st_size, status.st_mtime_ns)


def relative(path: Path) -> str:
    """Return ``path`` as people and scripts should see it.

    Relative to the current folder, with forward slashes, where it lies below it; absolute otherwise.
    """
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links out of the folder
    try:
        here = Path.cwd()
    except OSError:
        return str(whole)
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else str(whole)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut, where the system lets a folder be synced."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temporary(path: Path, data: bytes) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _link_new(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS or not source.exists():
            raise
        # FAT and some network disks have no hard links: an empty file of the name holds the place instead.
        target.touch(exist_ok=False)
        source.replace(target)
    else:
        source.unlink()


def _taken(path: Path) -> ExistsError:
    return ExistsError(
        f"{relative(path)} is already there, and nothing is ever overwritten", hint="Choose another name."
    )


def _is_alone(claim: Path, number: int) -> bool:
    others = (entry.name for entry in claim.parent.iterdir() if entry.name != claim.name)
    return not any((m := _NUMBERED.fullmatch(name)) and int(m[1]) == number for name in others)


@functools.lru_cache(maxsize=1024)
def _digest(path: str, size: int, mtime_ns: int) -> str:
    with Path(path).open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
