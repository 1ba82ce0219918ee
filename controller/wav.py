"""Streaming Broadcast WAV: what is recorded is on disk, and readable, from the first block on.

The writer keeps to this order in the file: RIFF, a reserve of 28 bytes (``JUNK``, becoming ``ds64`` when the
file outgrows 4 GiB), ``bext``, ``fmt``, ``fact`` where samples are float, and ``data`` last. Audio is appended
first and the sizes in the header follow, so a header never promises more than the file holds and the length
of the file always tells what a killed pass left behind.

Sources: EBU Tech 3285 version 2 (``bext``), EBU Tech 3306 version 1.1 (RF64, ``ds64``, ``JUNK``), Microsoft
Multimedia Programming Interface 1.0 and WAVEFORMATEXTENSIBLE (``fmt``, ``fact``), EBU R98 (coding history).
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, Self

from controller.errors import AudioFileError, DiskFullError, RecoveryError, StorageError
from controller.files import relative, storage_errors, sync_folder, write_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Subtype = Literal["PCM_16", "PCM_24", "FLOAT"]

PCM, FLOAT, EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
UNKNOWN_SIZE = 0xFFFFFFFF
NEVER_S = 1e9
"""``refresh_s`` and ``sync_s`` of a file that would be made again if it was broken off."""
_BYTES_PER_SAMPLE: dict[Subtype, int] = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
_DS64 = struct.Struct("<QQQL")
_UNSET_LOUDNESS = 0x7FFF


class Quantiser(Protocol):
    """Makes whole numbers of audio, with dither."""

    @property
    def bits(self) -> int:
        """The width of the numbers."""
        ...

    def process(self, block: NDArray[np.float64]) -> NDArray[np.int32]:
        """Turn a block of full scale 1.0, shape (frames, channels), into numbers of ``bits``, same shape."""
        ...


def whole_numbers(block: NDArray[np.floating[Any]], bits: int, dither: Quantiser | None) -> NDArray[np.int32]:
    """Return ``block``, full scale 1.0, in numbers of ``bits``: by ``dither``, or rounded and held in range.

    Raises
    ------
    AudioFileError
        ``dither`` makes numbers of another width.
    """
    import numpy as np

    exact = block.astype(np.float64)
    if dither is None:
        full = 1 << (bits - 1)
        return np.clip(np.rint(exact * full), -full, full - 1).astype(np.int32)
    if dither.bits != bits:
        raise AudioFileError(f"a file of {bits} bits cannot hold what was dithered to {dither.bits} bits")
    return dither.process(exact)


@dataclass(frozen=True)
class Bext:
    """The ``bext`` facts of a file (EBU Tech 3285).

    ``description`` up to 256, ``originator`` and ``originator_reference`` up to 32 ASCII characters, longer
    ones are cut. ``date`` is ``yyyy-mm-dd``, ``time`` is ``hh:mm:ss``; ``time_reference`` counts samples since
    midnight; ``coding_history`` holds lines after EBU R98, ended by CR LF.
    """

    description: str = ""
    originator: str = "Halfnormal"
    originator_reference: str = ""
    date: str = ""
    time: str = ""
    time_reference: int = 0
    coding_history: str = ""

    def chunk(self) -> bytes:
        """Return the whole chunk, version 2, its loudness fields unset (0x7FFF)."""
        body = struct.pack(
            "<256s32s32s10s8sQH64s5h180s",
            _ascii(self.description),
            _ascii(self.originator),
            _ascii(self.originator_reference),
            _ascii(self.date),
            _ascii(self.time),
            self.time_reference,
            2,
            b"",
            *[_UNSET_LOUDNESS] * 5,
            b"",
        )
        body += _ascii(self.coding_history)
        return struct.pack("<4sL", b"bext", len(body)) + body + b"\0" * (len(body) % 2)


class WavWriter:
    """One WAV being written, block by block; a sink of a run.

    Parameters
    ----------
    path : Path
        Must not exist yet.
    rate_hz, channels : int
        Rate [Hz]; channels of every block.
    subtype : "PCM_16", "PCM_24" or "FLOAT"
        16-bit or 24-bit integer, or 32-bit float (stored as it comes, also above full scale).
    bext : Bext, optional
        Left out, the chunk holds the originator only.
    dither : Quantiser, optional
        Makes the whole numbers: with TPDF dither for anything that was computed. Left out, samples are rounded,
        which changes nothing of what came from a 24-bit converter.
    refresh_s, sync_s : float
        How much audio may be newer than the header, and than the disk [s].
    rf64_above : int
        Largest file [bytes] that stays RIFF; the format's own limit is 2^32 − 1.

    Attributes
    ----------
    frames : int
        Frames written.
    overs : int
        Samples beyond full scale, limited to it in a file of integers; ``first_over_frame`` is the first one's frame.

    Raises
    ------
    ExistsError, DiskFullError, ReadOnlyError, StorageError
        The file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate_hz: int,
        channels: int,
        subtype: Subtype = "PCM_24",
        bext: Bext | None = None,
        dither: Quantiser | None = None,
        refresh_s: float = 0.5,
        sync_s: float = 5.0,
        rf64_above: int = UNKNOWN_SIZE,
    ) -> None:
        self.path = path
        self.rate_hz = rate_hz
        self.channels = channels
        self.subtype: Subtype = subtype
        self.frames = 0
        self.overs = 0
        self.first_over_frame: int | None = None
        self._dither = dither
        self._align = channels * _BYTES_PER_SAMPLE[subtype]
        self._bext = (bext or Bext()).chunk()
        self._rf64_above = rf64_above
        self._refresh_frames = max(1, round(refresh_s * rate_hz))
        self._sync_frames = max(1, round(sync_s * rate_hz))
        self._refreshed_at = 0
        self._synced_at = 0
        self._failed = False
        header = self._header(0)
        self._data_at = len(header)
        with storage_errors(path):
            self._file = io.FileIO(path, "x+")
            try:
                write_all(self._file, header)
            except BaseException:
                self._file.close()
                path.unlink(missing_ok=True)
                raise

    def write(self, block: NDArray[np.floating[Any]]) -> None:
        """Append ``block``, shape (frames, channels), full scale 1.0.

        Raises
        ------
        AudioFileError
            The block holds NaN or infinity, or has another number of channels; nothing of it is written.
        DiskFullError, StorageError
            The disk took no more; every whole frame that it did take is kept and readable.
        """
        import numpy as np

        if block.ndim != 2 or block.shape[1] != self.channels:
            raise AudioFileError(
                f"{relative(self.path)} has {self.channels} channels, but a block has shape {block.shape}"
            )
        if not np.isfinite(block).all():
            frame, channel = (int(i) for i in np.argwhere(~np.isfinite(block))[0])
            raise AudioFileError(
                f"{relative(self.path)}: frame {self.frames + frame}, channel {channel + 1} would be "
                f"{block[frame, channel]}; nothing of that block was written"
            )
        data = self._encoded(block)
        try:
            with storage_errors(self.path):
                write_all(self._file, data)
                self.frames += block.shape[0]
                if self.frames - self._refreshed_at >= self._refresh_frames:
                    self._refresh()
                if self.frames - self._synced_at >= self._sync_frames:
                    self._synced_at = self.frames
                    os.fsync(self._file.fileno())
        except StorageError as error:
            self._failed = True
            with contextlib.suppress(OSError):
                self._settle()
            kept = f"{self.frames} frames ({self.frames / self.rate_hz:.1f} s) are kept"
            kind = DiskFullError if isinstance(error, DiskFullError) else type(error)
            raise kind(f"{error}; {kept}", hint=error.hint) from error

    def close(self) -> None:
        """Settle the header, sync and close; harmless when called twice.

        Raises
        ------
        DiskFullError, StorageError
            The disk refused the last bytes; every whole frame that it took is kept.
        """
        if self._file.closed:
            return
        try:
            with storage_errors(self.path):
                self._settle()
                os.fsync(self._file.fileno())
                sync_folder(self.path.parent)
        except StorageError:
            if not self._failed:
                raise
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encoded(self, block: NDArray[np.floating[Any]]) -> bytes | memoryview:
        import numpy as np

        if self.subtype == "PCM_24" and self._dither is None:
            from dsp.kernels.compiled import library

            samples = np.require(block, np.float64, "C").reshape(-1)
            packed, found = np.empty(3 * len(samples), np.uint8), np.zeros(2, np.int64)
            library("samples").pack_24(samples, packed, found)
            if found[0] and self.first_over_frame is None:
                self.first_over_frame = self.frames + int(found[1]) // self.channels
            self.overs += int(found[0])
            return packed.data
        over = np.abs(block) > 1.0
        if over.any():
            if self.first_over_frame is None:
                self.first_over_frame = self.frames + int(np.argmax(over.any(axis=1)))
            self.overs += int(np.count_nonzero(over))
        if self.subtype == "FLOAT":
            return block.astype("<f4").tobytes()
        size = _BYTES_PER_SAMPLE[self.subtype]
        whole = whole_numbers(block, 8 * size, self._dither).astype("<i4")
        return whole.reshape(-1, 1).view(np.uint8)[:, :size].tobytes()

    def _header(self, frames: int) -> bytes:
        size = _BYTES_PER_SAMPLE[self.subtype]
        data_bytes = frames * self._align
        tag = FLOAT if self.subtype == "FLOAT" else PCM
        fmt = struct.pack(
            "<HHLLHH",
            tag if self.channels <= 2 else EXTENSIBLE,
            self.channels,
            self.rate_hz,
            self.rate_hz * self._align,
            self._align,
            8 * size,
        )
        if self.channels > 2:
            guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
            fmt += struct.pack("<HHL", 22, 8 * size, 0) + guid
        elif tag == FLOAT:
            fmt += struct.pack("<H", 0)
        chunks = self._bext + struct.pack("<4sL", b"fmt ", len(fmt)) + fmt
        before_data = 12 + 8 + _DS64.size + len(chunks) + (12 if tag == FLOAT else 0) + 8
        riff_bytes = before_data - 8 + data_bytes + data_bytes % 2
        long = riff_bytes + 8 > self._rf64_above
        if tag == FLOAT:
            chunks += struct.pack("<4sLL", b"fact", 4, UNKNOWN_SIZE if long else frames)
        reserve = _DS64.pack(riff_bytes, data_bytes, frames, 0) if long else b"\0" * _DS64.size
        return (
            struct.pack("<4sL4s", b"RF64" if long else b"RIFF", UNKNOWN_SIZE if long else riff_bytes, b"WAVE")
            + struct.pack("<4sL", b"ds64" if long else b"JUNK", _DS64.size)
            + reserve
            + chunks
            + struct.pack("<4sL", b"data", UNKNOWN_SIZE if long else data_bytes)
        )

    def _refresh(self) -> None:
        self._refreshed_at = self.frames
        self._file.seek(0)
        write_all(self._file, self._header(self.frames))
        self._file.seek(0, os.SEEK_END)

    def _settle(self) -> None:
        # The file itself says how many frames there are: a block may have been cut short by a full disk or Ctrl-C.
        held = max(0, self._file.seek(0, os.SEEK_END) - self._data_at)
        self.frames = held // self._align
        data_bytes = self.frames * self._align
        self._file.truncate(self._data_at + data_bytes)
        self._refresh()
        if data_bytes % 2:
            write_all(self._file, b"\0")


@dataclass(frozen=True)
class WavLayout:
    """Where a WAV keeps its samples, and what its header says of them.

    ``declared_bytes`` is the size of the samples after the header (None: left open by a streaming program);
    ``held_bytes`` is what follows ``data_at`` in the file. ``whole`` says that the file ends where its RIFF
    size says it does. ``reserve_at`` is where ``JUNK`` or ``ds64`` begins.
    """

    form: str
    channels: int
    rate_hz: int
    align: int
    data_at: int
    declared_bytes: int | None
    held_bytes: int
    whole: bool
    reserve_at: int | None
    fact_at: int | None


@dataclass(frozen=True)
class RecoveredWav:
    """What :func:`recover_wav` found: the frames the file now declares, and whether it had to be changed."""

    path: Path
    frames: int
    rate_hz: int
    channels: int
    repaired: bool


def wav_layout(path: Path) -> WavLayout | None:
    """Read the chunks of a WAV up to its samples; None where the file is no WAV, or ends before them."""
    with storage_errors(path, verb="read"), path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(12)
        if len(start) < 12 or start[:4] not in (b"RIFF", b"RF64", b"BW64") or start[8:] != b"WAVE":
            return None
        return _walk(file, length, start[:4].decode(), int.from_bytes(start[4:8], "little"))


def recover_wav(path: Path) -> RecoveredWav:
    """Make the header of a WAV say what the file holds. ``data`` must be its last chunk, as this module writes it.

    A file that is already right is not touched; of a last frame that is not whole, the bytes are cut off.

    Raises
    ------
    RecoveryError
        No WAV, a header that is not whole, no audio behind it, or more than 4 GiB without a reserve for it.
    DiskFullError, ReadOnlyError, StorageError
        The file cannot be changed.
    """
    layout = wav_layout(path)
    if layout is None or layout.align == 0:
        raise RecoveryError(f"{relative(path)} holds no audio: its WAV header is missing or not whole")
    frames = layout.held_bytes // layout.align
    data_bytes = frames * layout.align
    if frames == 0:
        raise RecoveryError(f"{relative(path)} holds no audio: it ends where the samples should begin")
    if layout.whole and layout.declared_bytes is not None and layout.declared_bytes <= layout.held_bytes:
        declared = layout.declared_bytes // layout.align
        return RecoveredWav(path, declared, layout.rate_hz, layout.channels, repaired=False)
    riff_bytes = layout.data_at + data_bytes + data_bytes % 2 - 8
    long = riff_bytes + 8 > UNKNOWN_SIZE or layout.form != "RIFF"
    if long and layout.reserve_at is None:
        raise RecoveryError(f"{relative(path)} holds more than 4 GiB, and its header has no room to say so")
    with storage_errors(path), path.open("r+b") as file:
        file.truncate(layout.data_at + data_bytes)
        if data_bytes % 2:
            file.seek(0, os.SEEK_END)
            file.write(b"\0")
        if layout.fact_at is not None:
            _put(file, layout.fact_at, struct.pack("<L", UNKNOWN_SIZE if long else frames))
        if long and layout.reserve_at is not None:
            ds64 = struct.pack("<4sL", b"ds64", _DS64.size) + _DS64.pack(riff_bytes, data_bytes, frames, 0)
            _put(file, layout.reserve_at, ds64)
        _put(file, layout.data_at - 4, struct.pack("<L", UNKNOWN_SIZE if long else data_bytes))
        form = layout.form.encode() if layout.form != "RIFF" else b"RF64" if long else b"RIFF"
        _put(file, 0, form + struct.pack("<L", UNKNOWN_SIZE if long else riff_bytes))
        file.flush()
        os.fsync(file.fileno())
    return RecoveredWav(path, frames, layout.rate_hz, layout.channels, repaired=True)


def _walk(file: BinaryIO, length: int, form: str, riff_bytes: int) -> WavLayout | None:
    channels = rate_hz = align = 0
    reserve_at: int | None = None
    fact_at: int | None = None
    long_data: int | None = None
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack("<4sL", header)
        at = file.tell()
        if name == b"data":
            declared = long_data if size == UNKNOWN_SIZE else size
            whole = riff_bytes + 8 == length
            return WavLayout(form, channels, rate_hz, align, at, declared, length - at, whole, reserve_at, fact_at)
        if name == b"fmt ":
            fmt = file.read(16)
            if len(fmt) < 16:
                return None
            _, channels, rate_hz, _, align, _ = struct.unpack("<HHLLHH", fmt)
        elif name in (b"JUNK", b"ds64") and at == 20 and size == _DS64.size:
            reserve_at = at - 8
        elif name == b"fact":
            fact_at = at
        if name == b"ds64":
            body = file.read(16)
            if len(body) < 16:
                return None
            riff_bytes, long_data = struct.unpack("<QQ", body)
        file.seek(at + size + size % 2)
    return None


def _put(file: BinaryIO, at: int, data: bytes) -> None:
    file.seek(at)
    file.write(data)


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")
