"""Profiles that say who they are, live, or neither, and the devices behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recall_doubles import midi

from profiles.library import load_profile
from profiles.profile import Profile

HEAD = """
schema = 1
id = "{id}"
maker = "Nobody"
model = "Unit"
kind = "outboard"
transports = ["midi"]
verification = "unverified"
confidence = "M"
sources = []
not_covered = ""
[ack]
kind = "nak"
timeout_s = 0.5
retries = 1
"""
IDENTITY = """
[identity]
query = ["F0 7E 7F 06 01 F7"]
reply = "F0 7E {*} 06 02 7D 01 {model:u7} {firmware:u7} F7"
"""
KEEP_ALIVE = """
[keep_alive]
send = ["90 00 00"]
every_s = 1.0
expect = "90 00 7F"
"""
SESSION = """
[[session]]
send = ["F0 7D 01 F7"]
expect = "F0 7D 02 F7"
wait_s = 0.3
"""
REFUSALS = """
[[refusal]]
reply = "F0 7D 7F {code} F7"
codes = {1 = "busy"}
"""
CONTROL = """
[[control]]
name = "level"
unit = "raw"
role = "raw"
taper = {kind = "linear", raw = [0, 127], value = [0, 127]}
cc = {number = 7}
"""
QUERY = 'query = ["F0 7D 10 F7"]\n'

ASK_IDENTITY = midi("F0 7E 7F 06 01 F7")
ASK_ALIVE = midi("90 00 00")
ASK_LEVEL = midi("F0 7D 10 F7")
OPEN = midi("F0 7D 01 F7")


def profile(folder: Path, *tables: str, name: str = "unit") -> Profile:
    """A profile of these tables, and of a control where they have none."""
    path = folder / f"{name}.toml"
    tables = tables if CONTROL in tables else (*tables, CONTROL)
    path.write_text(HEAD.replace("{id}", name) + "".join(tables), encoding="utf-8")
    return load_profile(str(path))


class Unit:
    """Answers what it was told to answer: identity (model, firmware), a sign of life, its level, session, refusal."""

    def __init__(
        self, *, identity: tuple[int, int] | None = None, alive: bool = False, level: int | None = None
    ) -> None:
        self.identity = identity
        self.alive = alive
        self.level = level
        self.refuses: set[bytes] = set()
        self.babbles = False
        self.mute = False

    def respond(self, data: bytes) -> Sequence[bytes]:
        if self.mute:
            return []
        if self.babbles:
            return [midi("F0 7C 55 F7")]
        if data in self.refuses:
            return [midi("F0 7D 7F 01 F7")]
        if data == ASK_IDENTITY and self.identity is not None:
            return [midi("F0 7E 00 06 02 7D 01") + bytes(self.identity) + b"\xf7"]
        if data == ASK_ALIVE and self.alive:
            return [midi("90 00 7F")]
        if data == ASK_LEVEL and self.level is not None:
            return [bytes([0xB0, 7, self.level])]
        return [midi("F0 7D 02 F7")] if data == OPEN else []
