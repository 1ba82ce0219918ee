"""Parts of a print: stems and busses of one render, as files of their own beside it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from controller import files
from controller.errors import ExistsError
from controller.print_format import PrintFormat
from controller.wav import NEVER_S, Bext, WavWriter
from dsp.levels import decibels

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNSAFE = re.compile(r"[^\w .+-]")


@dataclass(frozen=True)
class Part:
    """A stem (a strip behind its fader and pan) or a bus."""

    kind: Literal["stem", "bus"]
    name: str


@dataclass
class _Written:
    """A part on its way: its number among its kind, its file, its peak [full scale]."""

    number: int
    writer: WavWriter
    path: Path
    peak: float = 0.0


@dataclass
class PartWriter:
    """Writes the parts of print ``number`` as float, and files them all at once."""

    prints: Path
    number: int
    rate_hz: int
    bext: Bext
    _open: dict[Part, _Written] = field(default_factory=dict)

    @property
    def _making(self) -> Path:
        return self.prints / f".partial-{self.number:04d}-parts"

    def write(self, part: Part, block: NDArray[np.floating[Any]]) -> None:
        """Add a stereo block to a part.

        Raises
        ------
        StorageError
            The disk took no more.
        """
        here = self._open.get(part)
        if here is None:
            here = self._open[part] = self._begin(part)
        here.peak = max(here.peak, float(np.abs(block).max(initial=0.0)))
        here.writer.write(block)

    def _begin(self, part: Part) -> _Written:
        with files.storage_errors(self._making):
            self._making.mkdir(exist_ok=True)
        number = 1 + sum(other.kind == part.kind for other in self._open)
        path = self._making / f"{part.kind}-{number:02d}-{_UNSAFE.sub('_', part.name)}.wav"
        writer = WavWriter(
            path, rate_hz=self.rate_hz, channels=2, subtype="FLOAT", bext=self.bext, refresh_s=NEVER_S, sync_s=NEVER_S
        )
        return _Written(number, writer, path)

    def file(self, name: str, wanted: PrintFormat) -> list[dict[str, Any]]:
        """Put all parts into the folder ``name`` beside the print; return what its provenance says of them.

        A part that peaks above full scale stays float, whatever is asked.

        Raises
        ------
        StorageError
            The disk took no more.
        """
        if not self._open:
            return []
        self.close()
        facts = []
        for part, here in self._open.items():
            format_ = wanted if here.peak <= 1.0 else wanted.as_float()
            seed = 1_000 * self.number + here.number
            path = here.path if format_.is_float else self._in_whole_numbers(here, format_, seed)
            facts.append(
                {
                    "kind": part.kind,
                    "name": part.name,
                    "file": f"{name}/{path.name}",
                    "hash": files.content_hash(path),
                    **format_.facts(seed),
                    "peak_dbfs": decibels(here.peak) if here.peak > 0 else None,
                }
            )
        target = self.prints / name
        with files.storage_errors(target):
            if target.exists():
                raise ExistsError(f"{files.relative(target)} is already there, and nothing is overwritten")
            self._making.rename(target)
            files.sync_folder(self.prints)
        return facts

    def _in_whole_numbers(self, here: _Written, format_: PrintFormat, seed: int) -> Path:
        whole = here.path.with_suffix(".float.wav")
        here.path.rename(whole)
        target = here.path.with_suffix(format_.suffix)
        format_.write(whole, target, frames=here.writer.frames, bext=self.bext, seed=seed)
        whole.unlink()
        return target

    def close(self) -> None:
        """Close every file; harmless when called twice."""
        for here in self._open.values():
            here.writer.close()

    def give_up(self) -> None:
        """Remove what was written."""
        self.close()
        shutil.rmtree(self._making, ignore_errors=True)
