"""The engineer's decisions in engineering units, as a file that a person can edit. A mix knows no hardware.

Every value is checked when a mix is made, whether from a file or in code.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from controller.errors import ExistsError, MixError
from controller.files import relative, write_new
from controller.tomlfile import Key, KeyValueError, decode, nearest, read_toml, spoken_value

SCHEMA = 1
BANDS = ("lf", "lmf", "hmf", "hf")
STRIP_STAGES = ("hpf", "eq", "comp", "sum", "send")
BUS_STAGES = ("eq", "comp", "fader")
BUS = "bus"
"""What a move calls the stereo bus."""
PAN_LAWS_DB = (-2.5, -3.0, -4.5, -6.0)
BUTTERWORTH_Q = round(math.sqrt(0.5), 4)

_OFF_KEYS = frozenset({"hpf_hz", "fader_db", "send_db", "return_db", "points"})
_SYNONYMS = {
    "gain": "fader_db",
    "level": "fader_db",
    "level_db": "fader_db",
    "volume": "fader_db",
    "volume_db": "fader_db",
    "file": "stem",
    "phase": "polarity",
    "invert": "polarity",
    "inverted": "polarity",
    "highpass": "hpf_hz",
    "high_pass": "hpf_hz",
    "lowcut": "hpf_hz",
    "low_cut": "hpf_hz",
    "reverb": "send_db",
    "aux": "send_db",
    "compressor": "comp",
    "dynamics": "comp",
    "equalizer": "eq",
    "equaliser": "eq",
    "panorama": "pan",
    "pins": "place",
}


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


def _require(allowed: Range, value: float, *key: str) -> None:
    if value not in allowed:
        raise KeyValueError(key, f"= {spoken_value(value)} is outside {allowed}")


class _Checked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ranges: ClassVar[Mapping[str, Range]] = {}

    def __post_init__(self) -> None:
        for key, allowed in self.ranges.items():
            _require(allowed, getattr(self, key), key)


class EqBand(_Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One band: ``freq_hz`` [Hz], ``gain_db`` −18..18 [dB], ``q`` 0.1..10 (after the Audio EQ Cookbook)."""

    freq_hz: float
    gain_db: float = 0.0
    q: float = BUTTERWORTH_Q
    ranges: ClassVar[Mapping[str, Range]] = {
        "freq_hz": Range(20.0, 20_000.0, "Hz"),
        "gain_db": GAIN_DB,
        "q": Range(0.1, 10.0),
    }


class Comp(_Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


def _whole_eq(eq: Mapping[str, EqBand]) -> dict[str, EqBand]:
    for name, band in eq.items():
        if name not in BANDS:
            raise KeyValueError(("eq", name), f'unknown key "{name}"{nearest(name, BANDS)}')
        _require(BAND_HZ[name], band.freq_hz, "eq", name, "freq_hz")
    flat = flat_eq()
    return {name: eq.get(name, flat[name]) for name in BANDS}


def _check_place(place: Mapping[str, str], stages: tuple[str, ...]) -> None:
    for stage, where in place.items():
        if stage not in stages:
            raise KeyValueError(("place", stage), f'unknown key "{stage}"{nearest(stage, stages)}')
        if not where.strip():
            raise KeyValueError(("place", stage), '= "" must be "auto", "box", "desk" or the name of a device')


class Strip(_Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel strip, in signal order.

    ``eq`` always has the bands ``lf`` (low shelf), ``lmf``, ``hmf`` (bells) and ``hf`` (high shelf). −∞
    (``-math.inf``) is "off" for ``hpf_hz``, ``fader_db`` and ``send_db`` (the reverb send, after the fader).
    ``pan`` −100 is left, 100 right; on a stereo stem it is the balance. ``place`` pins a stage of
    ``STRIP_STAGES`` to ``"box"``, ``"desk"`` or a device; what it leaves out is ``"auto"``.
    """

    name: str
    stem: str
    polarity: Literal["normal", "inverted"] = "normal"
    trim_db: float = 0.0
    hpf_hz: float = -math.inf
    eq: Mapping[str, EqBand] = msgspec.field(default_factory=flat_eq)
    comp: Comp = Comp()
    fader_db: float = 0.0
    pan: float = 0.0
    mute: bool = False
    solo: bool = False
    send_db: float = -math.inf
    place: Mapping[str, str] = {}
    ranges: ClassVar[Mapping[str, Range]] = {
        "trim_db": Range(-24.0, 24.0, "dB"),
        "hpf_hz": HPF_HZ,
        "fader_db": FADER_DB,
        "pan": Range(-100.0, 100.0),
        "send_db": FADER_DB,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("name", "stem"):
            if not getattr(self, key).strip():
                raise KeyValueError((key,), "is empty")
        if "/" in self.stem or "\\" in self.stem:
            raise KeyValueError(("stem",), f'= "{self.stem}" must be a file name, without a folder')
        msgspec.structs.force_setattr(self, "eq", _whole_eq(self.eq))
        _check_place(self.place, STRIP_STAGES)


class Bus(_Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stereo bus: equaliser, compressor, fader. ``place`` pins a stage of ``BUS_STAGES``."""

    eq: Mapping[str, EqBand] = msgspec.field(default_factory=flat_eq)
    comp: Comp = Comp(ratio=2.0, attack_ms=30.0, release_ms=300.0)
    fader_db: float = 0.0
    place: Mapping[str, str] = {}
    ranges: ClassVar[Mapping[str, Range]] = {"fader_db": FADER_DB}

    def __post_init__(self) -> None:
        super().__post_init__()
        msgspec.structs.force_setattr(self, "eq", _whole_eq(self.eq))
        _check_place(self.place, BUS_STAGES)


class Reverb(_Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one reverb return; −∞ in ``return_db`` is off. ``damping_hz``: above it the tail dies sooner."""

    return_db: float = 0.0
    decay_s: float = 1.8
    predelay_ms: float = 20.0
    damping_hz: float = 6_000.0
    ranges: ClassVar[Mapping[str, Range]] = {
        "return_db": FADER_DB,
        "decay_s": Range(0.1, 20.0, "s"),
        "predelay_ms": Range(0.0, 250.0, "ms"),
        "damping_hz": Range(500.0, 20_000.0, "Hz"),
    }


class Move(_Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one value of a strip, or of the ``"bus"`` its ``fader_db``, moves during the song.

    ``points`` are [seconds of the song, value], seconds never falling. Before the first and after the last point the
    value holds. Between them it goes straight, levels in dB; a ``mute`` holds until the next point. The way from or to
    "off" goes straight by the lowest level there is, −120 dB. Two points at one moment make a jump.
    """

    strip: str
    what: Literal["fader_db", "pan", "mute", "send_db"]
    points: tuple[Any, ...]
    ranges: ClassVar[Mapping[str, Range]] = {}

    def __post_init__(self) -> None:
        if self.strip == BUS and self.what != "fader_db":
            raise KeyValueError(("what",), f'= "{self.what}": the bus has a fader_db only')
        if not self.points:
            raise KeyValueError(("points",), "is empty; it needs at least one [seconds, value]")
        points: list[tuple[float, float | bool]] = []
        for point in self.points:
            if not isinstance(point, list | tuple) or len(point) != 2:
                raise KeyValueError(("points",), "must be a list of [seconds, value]")
            points.append((self._moment(point[0], points), self._value(point[1])))
        msgspec.structs.force_setattr(self, "points", tuple(points))

    def _moment(self, at_s: Any, before: list[tuple[float, float | bool]]) -> float:
        if isinstance(at_s, bool) or not isinstance(at_s, int | float) or at_s not in MOVE_S:
            raise KeyValueError(("points",), f"at {spoken_value(at_s)}: the first number is seconds, {MOVE_S}")
        if before and at_s < before[-1][0]:
            raise KeyValueError(("points",), f"at {at_s:g} s stands behind {before[-1][0]:g} s")
        return float(at_s)

    def _value(self, value: Any) -> float | bool:
        if self.what == "mute":
            if not isinstance(value, bool):
                raise KeyValueError(("points",), f"= {spoken_value(value)} must be true or false")
            return value
        allowed = Strip.ranges[self.what]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise KeyValueError(("points",), f"= {spoken_value(value)} must be a number, {allowed}")
        _require(allowed, value, "points")
        return float(value)


class Mix(_Checked, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One mix. ``pan_law_db``: what a centred strip loses in each side, one of ``PAN_LAWS_DB``."""

    schema: int = SCHEMA
    name: str
    pan_law_db: float = -3.0
    strips: tuple[Strip, ...] = msgspec.field(default=(), name="strip")
    bus: Bus = Bus()
    reverb: Reverb = Reverb()
    moves: tuple[Move, ...] = msgspec.field(default=(), name="move")

    def __post_init__(self) -> None:
        if self.pan_law_db not in PAN_LAWS_DB:
            laws = ", ".join(f"{law:g}" for law in PAN_LAWS_DB)
            raise KeyValueError(("pan_law_db",), f"= {self.pan_law_db:g} must be one of {laws} dB")
        seen: Counter[str] = Counter()
        for index, strip in enumerate(self.strips):
            seen[strip.name.casefold()] += 1
            if seen[strip.name.casefold()] > 1:
                raise KeyValueError(("strip", index, "name"), f'= "{strip.name}" is used twice')
        self._check_moves()

    def _check_moves(self) -> None:
        names = [strip.name for strip in self.strips]
        seen: set[tuple[str, str]] = set()
        for index, move in enumerate(self.moves):
            if move.strip == BUS and BUS in names:
                raise KeyValueError(("move", index, "strip"), '= "bus" is both a strip and the stereo bus; rename it')
            if move.strip not in (*names, BUS):
                known = nearest(move.strip, [*names, BUS])
                raise KeyValueError(("move", index, "strip"), f'= "{move.strip}" is no strip{known}')
            if (move.strip, move.what) in seen:
                raise KeyValueError(
                    ("move", index), f"{move.what} of {move.strip!r} moves twice; put it into one table"
                )
            seen.add((move.strip, move.what))

    @property
    def path(self) -> Path | None:
        """The file that the mix was read from; a changed copy has none, and it plays no part in comparing mixes."""
        path: Path | None = self.__dict__.get("path")
        return path

    def moves_of(self, name: str) -> dict[str, Move]:
        """Return what moves of the strip of that name (or of ``"bus"``), by the key that moves.

        A strip that others' solo keeps silent does not move.
        """
        strip = next((strip for strip in self.strips if strip.name == name), None)
        if strip is not None and not strip.solo and any(other.solo for other in self.strips):
            return {}
        return {move.what: move for move in self.moves if move.strip == name}

    def is_heard(self, strip: Strip) -> bool:
        """Tell whether ``strip`` reaches the bus: not muted, and soloed where any strip is."""
        return not strip.mute and (strip.solo or not any(other.solo for other in self.strips))


def load_mix(path: Path) -> Mix:
    """Read a mix file.

    Raises
    ------
    MixError
        Not there, not TOML, of a newer schema, or it says something impossible: file, line and key.
    StorageError
        The file cannot be read.
    """
    raw, text = read_toml(path, kind="mix", schema=SCHEMA, error=MixError)
    ready = _without_off(raw)
    mix = decode(ready, Mix, path=path, text=text, error=MixError, synonyms=_SYNONYMS, expected=_EXPECTED)
    mix.__dict__["path"] = path
    return mix


def write_mix(mix: Mix, path: Path) -> None:
    """Write a mix, with comments, to a file that does not exist yet.

    Raises
    ------
    MixError
        The file is there already: mixes are people's files and never overwritten.
    DiskFullError, ReadOnlyError, StorageError
        Nothing was written.
    """
    from controller.mixtext import mix_text

    try:
        write_new(path, mix_text(mix))
    except ExistsError as error:
        raise MixError(
            f"{relative(path)} is already there, and a mix is never overwritten", hint="Save it under a new name."
        ) from error


def save_new_mix(mix: Mix, folder: Path) -> Path:
    """Write a mix as the next ``mix-N.toml`` of ``folder`` and return its path; see :func:`write_mix`."""
    number = max(mix_numbers(folder), default=0) + 1
    while (path := folder / f"mix-{number}.toml").exists():
        number += 1
    write_mix(mix, path)
    return path


def mix_numbers(folder: Path) -> list[int]:
    """Return the N of every ``mix-N.toml`` in ``folder``, ascending."""
    numbers = (path.stem.removeprefix("mix-") for path in folder.glob("mix-*.toml"))
    return sorted(int(number) for number in numbers if number.isascii() and number.isdigit())


def _without_off(raw: Any, key: Key = ()) -> Any:
    if isinstance(raw, dict):
        return {name: _without_off(value, (*key, name)) for name, value in raw.items()}
    if isinstance(raw, list):
        return [_without_off(value, key) for value in raw]
    return -math.inf if raw == "off" and key and key[-1] in _OFF_KEYS else raw


_EXPECTED = {
    key: f"a number, {allowed}" for kind in (EqBand, Comp, Strip, Bus, Reverb) for key, allowed in kind.ranges.items()
}
