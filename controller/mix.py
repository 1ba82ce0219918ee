"""The engineer's decisions in engineering units, as a file that a person can edit. A mix knows no hardware.

Every value is checked when a mix is made, whether from a file or in code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from controller.errors import ExistsError, MixError
from controller.files import relative, write_new
from controller.mix_busses import BUS_STAGES, AddedBus, Bus, Reverb, Vca
from controller.mix_inserts import Insert, Send, gathered
from controller.mix_moves import Move, checked_move
from controller.mix_routing import Audible, audible, check_routing
from controller.mix_values import (
    BAND_HZ,
    BANDS,
    BUS,
    FADER_DB,
    GAIN_DB,
    HPF_HZ,
    REVERB,
    Checked,
    Comp,
    EqBand,
    Range,
    check_place,
    flat_eq,
    whole_eq,
)
from controller.tomlfile import Key, KeyValueError, decode, nearest, read_toml

__all__ = [
    "BANDS",
    "BAND_HZ",
    "BUS",
    "BUS_STAGES",
    "FADER_DB",
    "GAIN_DB",
    "PAN_LAWS_DB",
    "REVERB",
    "STRIP_STAGES",
    "AddedBus",
    "Bus",
    "Comp",
    "EqBand",
    "Insert",
    "Mix",
    "Move",
    "Range",
    "Reverb",
    "Send",
    "Strip",
    "Vca",
    "load_mix",
    "mix_numbers",
    "save_new_mix",
    "write_mix",
]

SCHEMA = 1
STRIP_STAGES = ("hpf", "eq", "comp", "sum", "send")
PAN_LAWS_DB = (-2.5, -3.0, -4.5, -6.0)

_OFF_KEYS = frozenset({"hpf_hz", "fader_db", "send_db", "return_db", "level_db", "points"})
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


class Strip(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel strip, in signal order.

    ``eq`` always has the bands ``lf`` (low shelf), ``lmf``, ``hmf`` (bells) and ``hf`` (high shelf). −∞
    (``-math.inf``) is "off" for ``hpf_hz``, ``fader_db`` and ``send_db`` (the reverb send, after the fader).
    ``pan`` −100 is left, 100 right; on a stereo stem it is the balance. ``place`` pins a stage of
    ``STRIP_STAGES`` to ``"box"``, ``"desk"`` or a device; what it leaves out is ``"auto"``. ``output`` is the bus it
    feeds, ``sends`` are ways to others besides; ``vca`` names the VCA it follows. ``solo_safe`` keeps it open while
    others are soloed.
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
    inserts: tuple[Insert, ...] = msgspec.field(default=(), name="insert")
    sends: tuple[Send, ...] = msgspec.field(default=(), name="send")
    output: str = BUS
    vca: str = ""
    solo_safe: bool = False
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
        msgspec.structs.force_setattr(self, "eq", whole_eq(self.eq))
        check_place(self.place, STRIP_STAGES)


class Mix(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One mix. ``pan_law_db``: what a centred strip loses in each side, one of ``PAN_LAWS_DB``.

    ``panning`` "lcr" knows left, centre and right only: a mono strip's pan goes to the nearest of the three.
    """

    schema: int = SCHEMA
    name: str
    pan_law_db: float = -3.0
    panning: Literal["continuous", "lcr"] = "continuous"
    strips: tuple[Strip, ...] = msgspec.field(default=(), name="strip")
    bus: Bus = Bus()
    busses: tuple[AddedBus, ...] = ()
    vcas: tuple[Vca, ...] = msgspec.field(default=(), name="vca")
    reverb: Reverb = Reverb()
    moves: tuple[Move, ...] = msgspec.field(default=(), name="move")

    def __post_init__(self) -> None:
        if self.pan_law_db not in PAN_LAWS_DB:
            laws = ", ".join(f"{law:g}" for law in PAN_LAWS_DB)
            raise KeyValueError(("pan_law_db",), f"= {self.pan_law_db:g} must be one of {laws} dB")
        check_routing(self)
        self._check_moves()

    def _check_moves(self) -> None:
        strips = {strip.name: strip for strip in self.strips}
        others: dict[str, object] = {BUS: self.bus, REVERB: self.reverb}
        others |= {bus.name: bus for bus in self.busses} | {vca.name: vca for vca in self.vcas}
        seen: set[tuple[str, str]] = set()
        moves: list[Move] = []
        for index, move in enumerate(self.moves):
            if move.strip in strips and move.strip in others:
                what = "the stereo bus" if move.strip == BUS else "the built-in reverb"
                raise KeyValueError(("move", index, "strip"), f'= "{move.strip}" is both a strip and {what}; rename it')
            if move.strip not in strips and move.strip not in others:
                known = nearest(move.strip, [*strips, *others])
                raise KeyValueError(("move", index, "strip"), f'= "{move.strip}" is no strip{known}')
            if (move.strip, move.what) in seen:
                raise KeyValueError(
                    ("move", index), f"{move.what} of {move.strip!r} moves twice; put it into one table"
                )
            seen.add((move.strip, move.what))
            try:
                moves.append(checked_move(move, strips.get(move.strip) or others[move.strip]))
            except KeyValueError as error:
                raise KeyValueError(("move", index, *error.key), error.what) from error
        msgspec.structs.force_setattr(self, "moves", tuple(moves))

    @property
    def path(self) -> Path | None:
        """The file that the mix was read from; a changed copy has none, and it plays no part in comparing mixes."""
        path: Path | None = self.__dict__.get("path")
        return path

    def moves_of(self, name: str) -> dict[str, Move]:
        """Return what moves of the strip, bus or VCA of that name, by the key that moves.

        A strip that others' solo keeps silent does not move.
        """
        if any(strip.name == name for strip in self.strips) and name not in self.audible.lit:
            return {}
        return {move.what: move for move in self.moves if move.strip == name}

    @cached_property
    def audible(self) -> Audible:
        """What mute, solo and VCAs leave open."""
        from controller.mix_vca import folded

        return audible(folded(self))

    def is_heard(self, strip: Strip) -> bool:
        """Tell whether ``strip`` reaches its bus: not muted, and soloed, or safe, where anything is soloed."""
        return strip.name in self.audible.strips


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
    ready = _without_off(gathered(raw))
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
    if key[-1:] == ("settings",):  # an insert knows itself where "off" may stand
        return raw
    if isinstance(raw, dict):
        return {name: _without_off(value, (*key, name)) for name, value in raw.items()}
    if isinstance(raw, list):
        return [_without_off(value, key) for value in raw]
    return -math.inf if raw == "off" and key and key[-1] in _OFF_KEYS else raw


_EXPECTED = {
    key: f"a number, {allowed}"
    for kind in (EqBand, Comp, Strip, Send, AddedBus, Bus, Vca, Reverb)
    for key, allowed in kind.ranges.items()
}
