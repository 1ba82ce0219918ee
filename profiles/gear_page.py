"""The page of supported gear: what the library's profiles say of themselves, as one table.

``python -m profiles.gear_page > docs/gear.md`` writes it again.
"""

from __future__ import annotations

import re
import sys
from collections import Counter

from profiles.library import read_library
from profiles.profile import Profile
from profiles.schema import Confidence

_HOW_SURE: dict[Confidence, str] = {"V2": "two sources", "V1": "one source", "M": "memory", "I": "inferred"}
_FIRST_SENTENCE = re.compile(r"\.\s(?=[A-Z])")
_TOP = """\
# Supported gear

{count} profiles come with the program: {sourced} sourced, {unverified} unverified. **None was tried on the hardware
itself.** This page is made from them (`python -m profiles.gear_page > docs/gear.md`).

- **by**: midi and serial are sent by the program; hand is a sheet with drawn knobs. A device can have controls of both.
- **controls**: as the unit is delivered. Commands set nothing: play, locate, a sign of life.
- **verification**: *sourced* means that settings and their bytes were worked out from a source, and are checked both
  ways; *unverified* that no such example is there, or that only users' tables or memory stand behind it.
- **how sure** the facts are: *two sources* agree, *one source*, *memory* (general knowledge, no document), *inferred*.
  With numbers where controls differ.
- **not covered**: the first sentence of what the profile leaves out; `…` where there is more.

`halfnormal profile show ID` has the rest: the sources by name, remarks, every control with its range. *Generic* gear
set by hand stands for a class of units: copy its file and correct the marks. The devices of Halfnormal itself are those
of the virtual room ([virtual-room.md](virtual-room.md)) and a board to build
([attenuator-board.md](devices/attenuator-board.md)). Nothing that fits? [profiles.md](profiles.md) shows how to write
a profile, [importing.md](importing.md) how to draft one from a public list or by listening.

| id | maker | model | kind | by | controls | verification | how sure | not covered |
|---|---|---|---|---|---|---|---|---|
"""


def gear_page() -> str:
    """Write the page: one row a shipped profile, by kind, maker and model."""
    profiles = sorted(read_library().profiles, key=lambda profile: (profile.kind, profile.maker, profile.id))
    unverified = sum(profile.verification == "unverified" for profile in profiles)
    top = _TOP.format(count=len(profiles), sourced=len(profiles) - unverified, unverified=unverified)
    return top + "".join(_row(profile) for profile in profiles)


def _row(profile: Profile) -> str:
    told = len(profile.commands)
    commands = f", {told} command{'s' * (told > 1)}" if told else ""
    cells = (
        f"`{profile.id}`",
        profile.maker,
        profile.model,
        profile.kind,
        ", ".join(profile.transports),
        f"{len(profile.controls)}{commands}",
        profile.verification,
        _sureness(profile),
        _first_sentence(profile.not_covered),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _sureness(profile: Profile) -> str:
    counts = Counter(control.confidence for control in profile.controls.values())
    if len(counts) < 2:
        return _HOW_SURE[next(iter(counts), profile.confidence)]
    return ", ".join(f"{words} {counts[level]}" for level, words in _HOW_SURE.items() if level in counts)


def _first_sentence(text: str) -> str:
    """Take the first sentence, on one line, with an ellipsis where others follow it."""
    first, *rest = _FIRST_SENTENCE.split(" ".join(text.split()), maxsplit=1)
    return f"{first}. …" if rest else first


if __name__ == "__main__":
    sys.stdout.write(gear_page())
