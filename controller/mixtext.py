"""A mix as the TOML text that people edit, every key with its range beside it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controller.mix import AddedBus, Comp, EqBand, Insert, Mix, Move, Range, Send, Strip, Vca
    from dsp.processor import Parameter

_COLUMN = 34

_HEAD = """\
# A mix: the engineer's decisions, in dB, Hz and ms. It knows no hardware.
# Levels may be the word "off" where the comment says so. Change what you like; a misspelt key or a value
# out of range is reported with its line. The program never changes this file: a new version is a new file.
"""
_FILES = {
    "response": "a file in the folder responses, of the project or your own",
    "model": "a file in the folder twins, of the project or your own",
    "state": "a file in the folder presets, of the project or your own",
    "plugin": "the name of an installed plug-in",
}
_BARE = re.compile(r"[A-Za-z0-9_-]+")
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
    if mix.panning != "continuous":
        lines.append(_line("panning", mix.panning, '"continuous", or "lcr": left, centre and right only'))
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
        *_insert_lines("bus", mix.bus.inserts),
        "",
        "# The one reverb; the strips' send_db feeds it.",
        "[reverb]",
        *(_ranged(key, getattr(mix.reverb, key), allowed) for key, allowed in Reverb.ranges.items()),
    ]
    for bus in mix.busses:
        lines += _bus_lines(bus)
    for vca in mix.vcas:
        lines += _vca_lines(vca)
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
        _line("what", move.what, '"fader_db", "pan", "mute", "send_db", "send/BUS", "insert/2/threshold_db"'),
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
        _line("output", strip.output, '"bus" is the stereo bus; or the name of one of the busses'),
        *_rare_lines(strip),
        *_place_lines(strip.place, STRIP_STAGES),
        "",
        *_eq_lines("strip.eq", strip.eq),
        "",
        *_comp_lines("strip.comp", strip.comp),
        *_insert_lines("strip", strip.inserts),
        *_send_lines("strip", strip.sends),
    ]


def _rare_lines(node: Strip | AddedBus) -> list[str]:
    """Write what few strips and busses have, where they have it."""
    lines = [_line("vca", node.vca, "the VCA it follows")] if node.vca else []
    return [*lines, _line("solo_safe", True, "open while others are soloed")] if node.solo_safe else lines


def _bus_lines(bus: AddedBus) -> list[str]:
    ranges = bus.ranges
    return [
        "",
        "",
        "[[busses]]",
        f"name = {_quoted(bus.name)}",
        _ranged("fader_db", bus.fader_db, ranges["fader_db"]),
        _line("pan", bus.pan, "balance: -100 left .. 100 right"),
        _line("mute", bus.mute, ""),
        _line("solo", bus.solo, ""),
        _line("output", bus.output, 'the bus it feeds; "bus" is the stereo bus, "none" none'),
        *_rare_lines(bus),
        *([_line("minus", bus.minus, "it carries the stereo bus without this strip or bus")] if bus.minus else []),
        "",
        *_eq_lines("busses.eq", bus.eq),
        "",
        *_comp_lines("busses.comp", bus.comp),
        *_insert_lines("busses", bus.inserts),
        *_send_lines("busses", bus.sends),
    ]


def _vca_lines(vca: Vca) -> list[str]:
    return [
        "",
        "",
        "[[vca]]",
        f"name = {_quoted(vca.name)}",
        _ranged("fader_db", vca.fader_db, vca.ranges["fader_db"], "added to the faders that follow it"),
        _line("mute", vca.mute, ""),
        _line("solo", vca.solo, ""),
    ]


def _insert_lines(table: str, inserts: tuple[Insert, ...]) -> list[str]:
    lines: list[str] = []
    for insert in inserts:
        lines += [
            "",
            f"[[{table}.insert]]",
            f"kind = {_quoted(insert.kind)}",
            _line("at", insert.at, '"pre" the high-pass and equaliser, or "post" the compressor'),
            _line("on", insert.on, "false: out of circuit"),
            *([_line("key", insert.key, "the strip or bus its side-chain hears")] if insert.key else []),
        ]
        for parameter in insert.effect().parameters():
            lines += _parameter_lines(parameter, insert.settings[parameter.name])
    return lines


def _parameter_lines(parameter: Parameter, value: Any) -> list[str]:
    from controller.mix_inserts import allowed

    if parameter.item is not None:
        if not value:
            return [f"{parameter.name} = []"]
        items = [", ".join(f"{key} = {_toml(inner)}" for key, inner in one.items()) for one in value]
        return [f"{parameter.name} = [", *(f"  {{ {item} }}," for item in items), "]"]
    if parameter.table:
        items = [f"{key if _BARE.fullmatch(key) else _quoted(key)} = {_toml(inner)}" for key, inner in value.items()]
        return [f"{parameter.name} = {{ {', '.join(items)} }}" if items else f"{parameter.name} = {{}}"]
    note = ", ".join(_toml(name) for name in parameter.names)
    if parameter.default is None:
        note = _FILES[parameter.name]
    if parameter.is_number:
        note = str(allowed(parameter))
    return [_line(parameter.name, value, note)]


def _send_lines(table: str, sends: tuple[Send, ...]) -> list[str]:
    lines: list[str] = []
    for send in sends:
        lines += [
            "",
            f"[[{table}.send]]",
            f"to = {_quoted(send.to)}",
            _ranged("level_db", send.level_db, send.ranges["level_db"]),
            _line("at", send.at, '"pre" or "post" the fader'),
        ]
    return lines


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
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    return '"off"' if value == -math.inf else repr(float(value))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
