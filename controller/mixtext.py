"""A mix as the TOML text that people edit, every key with its range beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.mix import Comp, EqBand, Mix, Move, Range, Strip

_COLUMN = 34

_HEAD = """\
# A mix: the engineer's decisions, in dB, Hz and ms. It knows no hardware.
# Levels may be the word "off" where the comment says so. Change what you like; a misspelt key or a value
# out of range is reported with its line. The program never changes this file: a new version is a new file.
"""
_BAND_WORDS = {"lf": "low shelf", "lmf": "bell", "hmf": "bell", "hf": "high shelf"}


def mix_text(mix: Mix) -> str:
    """Return ``mix`` as commented TOML; reading it back gives the same mix."""
    from controller.mix import BUS_STAGES, FADER_DB, PAN_LAWS_DB, Reverb

    laws = ", ".join(f"{law:g}" for law in PAN_LAWS_DB)
    lines = [
        _HEAD,
        f"schema = {mix.schema}",
        f"name = {_quoted(mix.name)}",
        _line("pan_law_db", mix.pan_law_db, f"what a centred strip loses in each side: {laws}"),
    ]
    for strip in mix.strips:
        lines += _strip_lines(strip)
    lines += [
        "",
        "# The stereo bus.",
        "[bus]",
        _ranged("fader_db", mix.bus.fader_db, FADER_DB, "the master fader"),
        *_place_lines(mix.bus.place, BUS_STAGES),
        "",
        *_eq_lines("bus.eq", mix.bus.eq),
        "",
        *_comp_lines("bus.comp", mix.bus.comp),
        "",
        "# The one reverb; the strips' send_db feeds it.",
        "[reverb]",
        *(_ranged(key, getattr(mix.reverb, key), allowed) for key, allowed in Reverb.ranges.items()),
    ]
    for move in mix.moves:
        lines += _move_lines(move)
    return "\n".join(lines) + "\n"


def _move_lines(move: Move) -> list[str]:
    points = [f"  [{_toml(at_s)}, {_toml(value)}]," for at_s, value in move.points]
    return [
        "",
        "",
        "[[move]]",
        f"strip = {_quoted(move.strip)}",
        _line("what", move.what, '"fader_db", "pan", "mute" or "send_db"; of the "bus": "fader_db"'),
        "points = [  # [seconds of the song, value]; straight in between, a mute holds",
        *points,
        "]",
    ]


def _strip_lines(strip: Strip) -> list[str]:
    from controller.mix import STRIP_STAGES

    ranges = strip.ranges
    return [
        "",
        "",
        "[[strip]]",
        f"name = {_quoted(strip.name)}",
        _line("stem", strip.stem, "file in the folder stems"),
        _line("polarity", strip.polarity, '"normal" or "inverted"'),
        _ranged("trim_db", strip.trim_db, ranges["trim_db"], "before everything else"),
        _ranged("hpf_hz", strip.hpf_hz, ranges["hpf_hz"], "high-pass, 12 dB/oct"),
        _ranged("fader_db", strip.fader_db, ranges["fader_db"]),
        _line("pan", strip.pan, "-100 left .. 100 right; on a stereo stem: balance"),
        _line("mute", strip.mute, ""),
        _line("solo", strip.solo, "where any strip is soloed, only those are heard"),
        _ranged("send_db", strip.send_db, ranges["send_db"], "to the reverb, after the fader"),
        *_place_lines(strip.place, STRIP_STAGES),
        "",
        *_eq_lines("strip.eq", strip.eq),
        "",
        *_comp_lines("strip.comp", strip.comp),
    ]


def _eq_lines(table: str, eq: Mapping[str, EqBand]) -> list[str]:
    from controller.mix import BAND_HZ, GAIN_DB, EqBand

    lines = [f"[{table}]  # gain_db {GAIN_DB}; 0 takes a band out. q {EqBand.ranges['q']}"]
    for name, band in eq.items():
        inline = ", ".join(f"{key} = {_toml(getattr(band, key))}" for key in ("freq_hz", "gain_db", "q"))
        lines.append(f"{f'{name} = {{ {inline} }}':<56} # {_BAND_WORDS[name]}, {BAND_HZ[name]}")
    return lines


def _comp_lines(table: str, comp: Comp) -> list[str]:
    notes = {"threshold_db": "re a full-scale sine", "knee_db": "width of the soft knee"}
    return [
        f"[{table}]",
        _line("on", comp.on, "false: out of circuit"),
        *(_ranged(key, getattr(comp, key), allowed, notes.get(key, "")) for key, allowed in comp.ranges.items()),
    ]


def _place_lines(place: Mapping[str, str], stages: tuple[str, ...]) -> list[str]:
    pins = ", ".join(f"{stage} = {_quoted(where)}" for stage, where in place.items())
    choices = f'where a stage runs ({", ".join(stages)}): "auto", "box", "desk" or a device'
    return [f"# {choices}", f"place = {{ {pins} }}" if pins else "place = {}"]


def _ranged(key: str, value: float, allowed: Range, note: str = "") -> str:
    return _line(key, value, f"{allowed}{f'; {note}' if note else ''}")


def _line(key: str, value: float | bool | str, note: str) -> str:
    entry = f"{key} = {_toml(value)}"
    return f"{entry:<{_COLUMN}} # {note}" if note else entry


def _toml(value: float | bool | str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quoted(value)
    return '"off"' if value == -math.inf else repr(float(value))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
