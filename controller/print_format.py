"""In what form a print is filed: numbers of 16 or 24 bits with dither, FLAC, or float."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from controller.audiofile import AudioReader
from controller.flac import FlacWriter
from controller.wav import NEVER_S, Bext, WavWriter
from dsp.dither import Ditherer, NoiseShape, noise_shape

Format = Literal["16", "24", "float", "flac"]
Dither = Literal["flat", "shaped", "none"]

_BLOCK_FRAMES = 65_536


class _Kind(NamedTuple):
    """What a format is: its name, its bits (None: float, as the render itself) and its file's suffix."""

    name: str
    bits: Literal[16, 24] | None
    suffix: str


_KINDS: dict[Format, _Kind] = {
    "16": _Kind("16-bit PCM", 16, ".wav"),
    "24": _Kind("24-bit PCM", 24, ".wav"),
    "flac": _Kind("24-bit FLAC", 24, ".flac"),
    "float": _Kind("32-bit float", None, ".wav"),
}


@dataclass(frozen=True)
class PrintFormat:
    """A format, its dither, and the rate [Hz] that decides what a shaped dither is."""

    format: Format
    dither: Dither
    rate_hz: int

    @property
    def name(self) -> str:
        """The format without its dither: "24-bit PCM"."""
        return _KINDS[self.format].name

    @property
    def is_float(self) -> bool:
        """Whether the render itself is filed, nothing rounded."""
        return _KINDS[self.format].bits is None

    @property
    def suffix(self) -> str:
        """The suffix of its file."""
        return _KINDS[self.format].suffix

    @property
    def shape(self) -> NoiseShape | None:
        """The noise shape of the dither; None without dither."""
        return None if self.is_float or self.dither == "none" else noise_shape(self.dither, self.rate_hz)

    @property
    def falls_back(self) -> bool:
        """Whether shaped dither was asked for at a rate that has no shape."""
        return self.dither == "shaped" and self.shape is not None and not self.shape.taps

    def as_float(self) -> PrintFormat:
        """Return float instead: for what peaks above full scale."""
        return replace(self, format="float")

    def words(self) -> str:
        """Return the format in words: "24-bit PCM, TPDF dither"."""
        if self.is_float:
            return self.name
        if self.shape is None:
            return f"{self.name}, rounded without dither"
        return f"{self.name}, TPDF dither" + (f", {self.shape.name}" if self.shape.taps else "")

    def facts(self, seed: int) -> dict[str, Any]:
        """Return what a provenance says of the format, and of its dither where it has one; ``seed`` is the dither's."""
        shape = self.shape
        dither = {} if shape is None else {"dither": {"density": "TPDF", "shape": shape.name, "seed": seed}}
        return {"format": self.words(), **dither}

    def write(self, source: Path, target: Path, *, frames: int, bext: Bext, seed: int) -> int:
        """Write the first ``frames`` of the render ``source`` to ``target`` in whole numbers.

        Returns how many samples the dither would have taken beyond full scale; they are held there. A target that
        cannot be finished is removed.

        Raises
        ------
        StorageError
            The disk took no more.
        """
        bits = _KINDS[self.format].bits
        assert bits is not None  # noqa: S101 - float is filed as it was rendered
        with AudioReader(source) as reader:
            rate_hz, channels = reader.facts.rate_hz, reader.facts.channels
            shape = self.shape
            dither = None if shape is None else Ditherer(bits, channels=channels, seed=seed, shape=shape)
            bext = replace(bext, coding_history=bext.coding_history + self._history(bits))
            sink: FlacWriter | WavWriter
            if self.format == "flac":
                sink = FlacWriter(target, rate_hz=rate_hz, channels=channels, bext=bext, dither=dither)
            else:
                subtype: Literal["PCM_16", "PCM_24"] = "PCM_16" if bits == 16 else "PCM_24"
                sink = WavWriter(
                    target,
                    rate_hz=rate_hz,
                    channels=channels,
                    subtype=subtype,
                    bext=bext,
                    dither=dither,
                    refresh_s=NEVER_S,
                    sync_s=NEVER_S,
                )
            try:
                with sink:
                    while reader.position < frames:
                        sink.write(reader.read(min(_BLOCK_FRAMES, frames - reader.position)))
            except BaseException:
                target.unlink(missing_ok=True)
                raise
            return 0 if dither is None else dither.clipped

    def _history(self, bits: int) -> str:
        """Return the line that EBU R98 asks of each coding: commas part its fields."""
        how = "no dither" if self.shape is None else f"TPDF dither {self.shape.name}".replace(", ", " ")
        return f"A=PCM,F={self.rate_hz},W={bits},M=stereo,T={how}\r\n"
