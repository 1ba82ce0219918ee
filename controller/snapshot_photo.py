"""Photos of a snapshot: told by their first bytes, kept beside it under their content hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from controller import files
from controller.errors import ExistsError, StorageError, UsageError

FOLDER = "photos"

_BRAND_BYTES = 4
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
"""ISO/IEC 23008-12 Annex B: HEVC-coded images and image sequences."""
_MOST_BRANDS_BYTES = 256


class Photo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A photo on file: where, from the snapshot's folder; its content hash; the name it was given with."""

    file: str
    hash: str
    name: str


@dataclass(frozen=True)
class PhotoFile:
    """A photo that was read and is to be kept."""

    photo: Photo
    data: bytes


def picture_suffix(data: bytes) -> str | None:
    """Tell from a file's first bytes which picture it is: ``.png``, ``.jpg``, ``.webp``, ``.heic``, or None.

    PNG: ISO/IEC 15948 section 5.2; JPEG: ITU-T T.81 B.1.1.3 (SOI and the next marker); WebP: RFC 9649 section 2.4;
    HEIC: the ``ftyp`` box of ISO/IEC 14496-12 section 4.3 with a brand of ISO/IEC 23008-12.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if data.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4]), _MOST_BRANDS_BYTES, len(data))
        compatible = {data[at : at + _BRAND_BYTES] for at in range(16, end - 3, _BRAND_BYTES)}
        if ({data[8:12]} | compatible) & _HEIC_BRANDS:
            return ".heic"
    return None


def read_photo(path: Path) -> PhotoFile:
    """Read a photo that a snapshot shall keep.

    Raises
    ------
    UsageError
        There is no such file, or it is neither PNG, JPEG, WebP nor HEIC.
    StorageError
        It cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"There is no photo {files.relative(path)}.", hint="Check the path.")
    with files.storage_errors(path, verb="read"):
        data = path.read_bytes()
    suffix = picture_suffix(data)
    if suffix is None:
        raise UsageError(
            f"{files.relative(path)} is no photo: its first bytes are not those of a PNG, JPEG, WebP or HEIC file.",
            hint="Export it as one of these.",
        )
    digest = hashlib.sha256(data).hexdigest()
    return PhotoFile(Photo(f"{FOLDER}/{digest}{suffix}", f"sha256:{digest}", path.name), data)


def put_photos(folder: Path, photos: Iterable[PhotoFile], written: list[Path]) -> None:
    """Put photos beside the snapshots of ``folder``; one that is there already stays. New ones go on ``written``.

    Raises
    ------
    StorageError
        The disk took no more, or another file stands under a photo's name; those in ``written`` are there.
    """
    for picture in photos:
        path = folder / picture.photo.file
        try:
            files.write_new(path, picture.data)
        except ExistsError:
            if files.content_hash(path) != picture.photo.hash:
                raise StorageError(
                    f"{files.relative(path)} is no longer the photo it was.", hint="Move it away, then try again."
                ) from None
        else:
            written.append(path)


def remove_photos(paths: Iterable[Path]) -> None:
    """Take photos back that no snapshot names after all."""
    for path in paths:
        path.unlink(missing_ok=True)


def photo_problem(folder: Path, photo: Photo) -> str:
    """Say what became of a kept photo; empty when it is as it was.

    Raises
    ------
    StorageError
        It cannot be read.
    """
    path = folder / photo.file
    if not path.is_file():
        return f"the photo {photo.name} is gone: there is no {files.relative(path)}"
    return "" if files.content_hash(path) == photo.hash else f"{files.relative(path)} is no longer the photo it was"
