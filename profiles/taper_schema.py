"""Tapers as a profile file writes them down."""

from __future__ import annotations

import msgspec

Scalar = float | bool | str
Span = tuple[int, int]


class Table(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A table of the language."""


class NumericTaper(Table, tag_field="kind", frozen=True, kw_only=True):
    """What the tapers with numbers share.

    ``off`` is a code of its own; ``same`` are received codes that mean the same as another; ``detents`` are values at
    which the control clicks or which the maker names, each of which a code hits exactly.
    """

    off: int | None = None
    same: list[Span] = []
    detents: list[float] = []


class LinearTaper(NumericTaper, tag="linear", frozen=True, kw_only=True):
    """A straight line from the first raw code to the last."""

    raw: Span = (0, 127)
    value: tuple[float, float] = (0.0, 127.0)


class OffsetTaper(NumericTaper, tag="offset", frozen=True, kw_only=True):
    """value = raw · step + offset."""

    raw: Span = (0, 127)
    offset: float = 0.0
    step: float = 1.0


class PointsTaper(NumericTaper, tag="points", frozen=True, kw_only=True):
    """Straight lines between printed points ``[raw, value]``."""

    points: list[tuple[int, float]] = []


class Power2Taper(NumericTaper, tag="power2", frozen=True, kw_only=True):
    """value = base · 2^((raw − at) / per): frequencies in equal parts of an octave."""

    raw: Span
    base: float
    at: float
    per: float


class LogTaper(NumericTaper, tag="log", frozen=True, kw_only=True):
    """value[0] · (value[1] / value[0])^x, x being the travel 0–1 over ``raw``: a logarithmic pot.

    Both ends have the same sign.
    """

    value: tuple[float, float]
    raw: Span = (0, 1000)


class PowerTaper(NumericTaper, tag="power", frozen=True, kw_only=True):
    """value[0] + (value[1] − value[0]) · x^exponent, x being the travel 0–1 over ``raw``: a bent linear pot."""

    value: tuple[float, float]
    exponent: float
    raw: Span = (0, 1000)


class GainTaper(NumericTaper, tag="gain", frozen=True, kw_only=True):
    """value = 20 · log10(raw / unity) dB: a multiplying converter."""

    raw: Span
    unity: float


class TableTaper(NumericTaper, tag="table", frozen=True, kw_only=True):
    """The values of consecutive codes from ``first`` on, as a document lists them."""

    values: list[float]
    first: int = 0


CurveTable = LinearTaper | OffsetTaper | Power2Taper | LogTaper | PowerTaper | GainTaper | PointsTaper | TableTaper


class SegmentsTaper(NumericTaper, tag="segments", frozen=True, kw_only=True):
    """Several curves, one after the other; each begins at the code where the one before it ends."""

    segments: list[CurveTable] = []


class SwitchTaper(Table, tag_field="kind", tag="switch", frozen=True):
    """True and false by one code each; exchange the codes for a switch that works the other way round."""

    on: int = 127
    off: int = 0


class Choice(Table, frozen=True):
    """One position: its value, the code to send, and the range of codes that mean it when received."""

    value: Scalar
    send: int
    codes: Span | None = None


class ChoicesTaper(Table, tag_field="kind", tag="choices", frozen=True):
    """A switch with named or numbered positions."""

    choices: list[Choice] = []


NumberTable = CurveTable | SegmentsTaper
TaperTable = NumberTable | SwitchTaper | ChoicesTaper
