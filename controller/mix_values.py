"""What stands in a mix file: values with their ranges, equaliser bands, compressors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from controller.tomlfile import KeyValueError, nearest, spoken_value

BANDS = ("lf", "lmf", "hmf", "hf")
BUS = "bus"
"""What outputs, keys and moves call the stereo bus."""
REVERB = "reverb"
"""What sends, keys and moves call the bus of the one built-in reverb."""
NOWHERE = "none"
"""The output of a bus that feeds no other."""
BUTTERWORTH_Q = round(math.sqrt(0.5), 4)


@dataclass(frozen=True)
class Range:
    """What a number may be: ``low`` to ``high`` in ``unit``, and −∞ (``"off"`` in a file) where ``off``."""

    low: float
    high: float
    unit: str = ""
    off: bool = False

    def __contains__(self, value: float) -> bool:
        return (self.off and value == -math.inf) or self.low <= value <= self.high

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        off = ' or "off"' if self.off else ""
        return f"{self.low:g}..{self.high:g}{unit}{off}"


GAIN_DB = Range(-18.0, 18.0, "dB")
FADER_DB = Range(-120.0, 12.0, "dB", off=True)
MOVE_S = Range(0.0, 86_400.0, "s")
HPF_HZ = Range(20.0, 400.0, "Hz", off=True)
BAND_HZ: Mapping[str, Range] = {
    "lf": Range(20.0, 1_000.0, "Hz"),
    "lmf": Range(40.0, 5_000.0, "Hz"),
    "hmf": Range(200.0, 15_000.0, "Hz"),
    "hf": Range(1_000.0, 20_000.0, "Hz"),
}


def require(allowed: Range, value: float, *key: str) -> None:
    """Raise KeyValueError, saying ``key``, where ``value`` is outside of ``allowed``."""
    if value not in allowed:
        raise KeyValueError(key, f"= {spoken_value(value)} is outside {allowed}")


class Checked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a mix whose numbers are checked against ``ranges`` when it is made."""

    ranges: ClassVar[Mapping[str, Range]] = {}

    def __post_init__(self) -> None:
        for key, allowed in self.ranges.items():
            require(allowed, getattr(self, key), key)


class EqBand(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One band: ``freq_hz`` [Hz], ``gain_db`` −18..18 [dB], ``q`` 0.1..10 (after the Audio EQ Cookbook)."""

    freq_hz: float
    gain_db: float = 0.0
    q: float = BUTTERWORTH_Q
    ranges: ClassVar[Mapping[str, Range]] = {
        "freq_hz": Range(20.0, 20_000.0, "Hz"),
        "gain_db": GAIN_DB,
        "q": Range(0.1, 10.0),
    }


class Comp(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A compressor; out of circuit unless ``on``. ``threshold_db`` is dBFS re full-scale sine."""

    on: bool = False
    threshold_db: float = -18.0
    ratio: float = 3.0
    attack_ms: float = 10.0
    release_ms: float = 150.0
    knee_db: float = 6.0
    makeup_db: float = 0.0
    ranges: ClassVar[Mapping[str, Range]] = {
        "threshold_db": Range(-60.0, 0.0, "dB"),
        "ratio": Range(1.0, 20.0),
        "attack_ms": Range(0.05, 500.0, "ms"),
        "release_ms": Range(5.0, 5_000.0, "ms"),
        "knee_db": Range(0.0, 24.0, "dB"),
        "makeup_db": Range(-24.0, 24.0, "dB"),
    }


def flat_eq() -> Mapping[str, EqBand]:
    """Return the four bands, all at 0 dB: low shelf, two bells, high shelf."""
    return {
        "lf": EqBand(freq_hz=100.0),
        "lmf": EqBand(freq_hz=600.0, q=1.0),
        "hmf": EqBand(freq_hz=3_000.0, q=1.0),
        "hf": EqBand(freq_hz=8_000.0),
    }


def whole_eq(eq: Mapping[str, EqBand]) -> dict[str, EqBand]:
    """Return all four bands, flat where ``eq`` has none. Raises KeyValueError for a band there is not."""
    for name, band in eq.items():
        if name not in BANDS:
            raise KeyValueError(("eq", name), f'unknown key "{name}"{nearest(name, BANDS)}')
        require(BAND_HZ[name], band.freq_hz, "eq", name, "freq_hz")
    flat = flat_eq()
    return {name: eq.get(name, flat[name]) for name in BANDS}


def check_place(place: Mapping[str, str], stages: tuple[str, ...]) -> None:
    """Raise KeyValueError for a pin of a stage there is not, or to nothing."""
    for stage, where in place.items():
        if stage not in stages:
            raise KeyValueError(("place", stage), f'unknown key "{stage}"{nearest(stage, stages)}')
        if not where.strip():
            raise KeyValueError(("place", stage), '= "" must be "auto", "box", "desk" or the name of a device')
