"""The file that the audio process and its parent share: two rings of blocks, counters, and a log of xruns.

One process writes each counter and the other only reads it (single producer, single consumer), so no lock is needed.
A ring holds whole blocks: the callback copies one contiguous block in and one out, and nothing else. Counters count
blocks of the present run and never wrap; block ``n`` lives in slot ``n % slots``.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

XRUN_SLOTS = 1024
TEXT_BYTES = 4096
MAX_CHANNELS = 512

_WORDS_BYTES = 512
_XRUN_BYTES = XRUN_SLOTS * 2 * 8
_PEAK_BYTES = MAX_CHANNELS * 4
_FILL_BYTES = 1 << 20


class Word:
    """Where each 64-bit word of the header stands, and who writes it.

    Plain numbers: in a callback that finds nothing in the cache an enumeration costs 10 µs.
    """

    STATE = 0  # child: a `State`
    HEARTBEAT_NS = 1  # child: its monotonic clock, a few times a second
    CALLBACKS = 2  # child: callbacks since the stream started
    CURRENT = 3  # child: number of the run being played, 0 in silence
    DONE = 4  # child: blocks of this run played and recorded
    XRUNS = 5  # child: entries of this run in the log
    ARM = 6  # parent: number of the run to play, 0 for silence
    RUN_BLOCKS = 7  # parent: blocks of the armed run
    FED = 8  # parent: blocks written to the output ring
    DRAINED = 9  # parent: blocks taken from the input ring


class State(IntEnum):
    """How the audio process stands; its text says more."""

    STARTING = 0
    RUNNING = 1
    FAILED = 2
    CLOSED = 3


class XrunCode(IntEnum):
    """Kinds of xrun as they stand in the log."""

    INPUT = 1
    OUTPUT = 2
    STARVED = 3  # the output ring was empty: one block of silence was played
    FULL = 4  # the input ring was full: one block of input is lost


@dataclass(frozen=True)
class Geometry:
    """Shape of both rings: ``slots`` blocks of ``block_frames`` frames.

    ``outputs`` are what the output ring carries side by side: the device's channels, or those of a live graph's feed.
    ``extra_bytes`` follow both rings, for who shares more.
    """

    block_frames: int
    slots: int
    outputs: int
    inputs: int
    extra_bytes: int = 0

    @classmethod
    def lasting(cls, seconds: float, *, rate_hz: int, block_frames: int, outputs: int, inputs: int) -> Geometry:
        """Choose as many slots as hold at least ``seconds`` [s]."""
        slots = max(8, -(-int(seconds * rate_hz) // block_frames))
        return cls(block_frames, slots, outputs, inputs)

    @property
    def stamps_at(self) -> int:
        """Byte where the stamps of the input slots begin."""
        return _WORDS_BYTES + _XRUN_BYTES + TEXT_BYTES + 2 * _PEAK_BYTES

    @property
    def output_at(self) -> int:
        """Byte where the output ring begins, on a page boundary."""
        return -(-(self.stamps_at + 8 * self.slots) // 4096) * 4096

    @property
    def input_at(self) -> int:
        """Byte where the input ring begins."""
        return self.output_at + 4 * self.slots * self.block_frames * self.outputs

    @property
    def extra_at(self) -> int:
        """Byte where what else is shared begins, on a page boundary."""
        return -(-(self.input_at + 4 * self.slots * self.block_frames * self.inputs) // 4096) * 4096

    @property
    def total_bytes(self) -> int:
        """Size of the whole file."""
        return self.extra_at + self.extra_bytes


class Rings:
    """Views on one shared file.

    Attributes
    ----------
    words : header counters, indexed by `Word`.
    output, input : (slots, block_frames, channels) float32.
    stamps : (slots,) int64, the block number each input slot holds; -1 for none.
    output_peaks, input_peaks : (channels,) float32, largest magnitude since the parent last cleared them.
    """

    def __init__(self, path: Path, geometry: Geometry) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), geometry.total_bytes)
        self.geometry = geometry
        self.words = memoryview(self._map)[:_WORDS_BYTES].cast("q")
        g = geometry
        at = _WORDS_BYTES
        self.xruns = self._array(np.int64, at, (XRUN_SLOTS, 2))
        self._text_at = at + _XRUN_BYTES
        peaks_at = self._text_at + TEXT_BYTES
        self.output_peaks = self._array(np.float32, peaks_at, (g.outputs,))
        self.input_peaks = self._array(np.float32, peaks_at + _PEAK_BYTES, (g.inputs,))
        self.stamps = self._array(np.int64, g.stamps_at, (g.slots,))
        self.output = self._array(np.float32, g.output_at, (g.slots, g.block_frames, g.outputs))
        self.input = self._array(np.float32, g.input_at, (g.slots, g.block_frames, g.inputs))

    def _array(self, dtype: type[np.generic], at: int, shape: tuple[int, ...]) -> NDArray[Any]:
        if 0 in shape:
            return np.zeros(shape, dtype)
        return np.frombuffer(self._map, dtype, count=int(np.prod(shape)), offset=at).reshape(shape)

    @property
    def text(self) -> str:
        """What the audio process said last."""
        raw = bytes(self._map[self._text_at : self._text_at + TEXT_BYTES])
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace")

    @text.setter
    def text(self, value: str) -> None:
        raw = value.encode("utf-8")[: TEXT_BYTES - 1]
        self._map[self._text_at : self._text_at + TEXT_BYTES] = raw.ljust(TEXT_BYTES, b"\0")

    def log_xrun(self, block: int, code: XrunCode) -> None:
        """Note an xrun at ``block`` of the present run (called by the child only)."""
        count = self.words[Word.XRUNS]
        entry = self.xruns[count % XRUN_SLOTS]
        entry[0] = block
        entry[1] = code
        self.words[Word.XRUNS] = count + 1


def create(geometry: Geometry) -> Path:
    """Create the shared file, every page of it reserved, in memory where the system has a place for that.

    Returns
    -------
    The file's path. It is the caller's to delete.

    Raises
    ------
    OSError
        Neither shared memory nor the temporary folder has room.
    """
    memory = Path("/dev/shm")  # noqa: S108 (mkstemp makes the name safe)
    if memory.is_dir():
        with contextlib.suppress(OSError):
            return _reserve(memory, geometry.total_bytes)
    return _reserve(Path(tempfile.gettempdir()), geometry.total_bytes)


def _reserve(folder: Path, size: int) -> Path:
    handle, name = tempfile.mkstemp(prefix=f"halfnormal-{os.getpid()}-", suffix=".rings", dir=folder)
    path = Path(name)
    try:
        # A sparse file would end in a bus error in the callback when a small /dev/shm runs out.
        with os.fdopen(handle, "wb") as file:
            zeros = bytes(_FILL_BYTES)
            for start in range(0, size, _FILL_BYTES):
                file.write(zeros[: min(_FILL_BYTES, size - start)])
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path
