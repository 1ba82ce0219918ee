"""What is known of a rig: every control's last value, how it is known and since when."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, get_args

from hardware.errors import RigError
from profiles.profile import Value

How = Literal["measured", "read-back", "acknowledged", "sent", "by-hand", "assumed"]
"""How a value is known, surest first. ``assumed`` values count as unknown wherever something is to be set."""

SCHEMA = 1
_HOWS: tuple[str, ...] = get_args(How)
_OFF_NOTE = "off (minus infinity)"


@dataclass(frozen=True)
class Known:
    """One control's value in its unit, how it is known, and when that was (ISO 8601, UTC)."""

    value: Value
    how: How
    at: str


def utc_now() -> str:
    """Say what time it is, ISO 8601 in UTC to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RigState(dict[str, Known]):
    """Known values by address (``desk/ch07/fader``); an address that is missing is unknown."""

    def __init__(self, values: Mapping[str, Known] | Iterable[tuple[str, Known]] = (), *, rig: str = "") -> None:
        super().__init__(values)
        self.rig = rig

    @classmethod
    def load(cls, path: Path, *, rig: str = "") -> Self:
        """Read a state file; a file that does not exist is a rig of which nothing is known.

        Raises
        ------
        RigError
            The file is damaged, of a newer schema, or of another rig than ``rig``; it is left as it is.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(rig=rig)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise RigError(f"The rig state {path} cannot be read: {reason}.", hint="Check the file.") from error
        state = cls.from_json(text, source=str(path))
        if rig and state.rig and state.rig != rig:
            raise RigError(
                f"{path} is the state of the rig {state.rig!r}, not of {rig!r}.",
                hint="Use the folder of that rig, or move the file away to start anew.",
            )
        return state

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Self:
        """Read what ``to_json`` wrote; ``source`` names the file in messages.

        Raises
        ------
        RigError
            Not JSON, a newer schema, or an entry that is no known value.
        """
        aside = "Move the file away; the next recall then sets every control. It was left as it is."
        try:
            data = json.loads(text)
        except ValueError as error:
            raise RigError(f"The rig state {source} is damaged: {error}.", hint=aside) from error
        schema = data.get("schema") if isinstance(data, dict) else None
        if not isinstance(schema, int) or isinstance(schema, bool):
            raise RigError(f"The rig state {source} is damaged: it names no schema.", hint=aside)
        if schema > SCHEMA:
            raise RigError(
                f"The rig state {source} is of schema {schema}; this program reads up to schema {SCHEMA}.",
                hint="Update halfnormal; the file was left as it is.",
            )
        controls = data.get("controls")
        if not isinstance(controls, dict):
            raise RigError(f"The rig state {source} is damaged: it has no controls.", hint=aside)
        state = cls(rig=str(data.get("rig", "")))
        for address, entry in controls.items():
            known = _known(entry)
            if known is None:
                raise RigError(f"The rig state {source} is damaged at {address!r}.", hint=aside)
            state[address] = known
        return state

    def to_json(self) -> str:
        """Write the state as JSON text, addresses sorted; −∞ dB becomes null with a note."""
        controls = {address: _entry(self[address]) for address in sorted(self)}
        return json.dumps({"schema": SCHEMA, "rig": self.rig, "controls": controls}, indent=1) + "\n"

    def save(self, path: Path, write: Callable[[Path, str], None]) -> None:
        """Hand the state's text to ``write``, which owns atomic writing."""
        write(path, self.to_json())

    def mark_by_hand(self, values: Mapping[str, Value], *, at: str = "") -> None:
        """Take it from the engineer that these controls now stand at these values."""
        moment = at or utc_now()
        self.update({address: Known(value, "by-hand", moment) for address, value in values.items()})


def _entry(known: Known) -> dict[str, Any]:
    if isinstance(known.value, float) and known.value == -math.inf:
        return {"value": None, "value_note": _OFF_NOTE, "how": known.how, "at": known.at}
    return {"value": known.value, "how": known.how, "at": known.at}


def _known(entry: Any) -> Known | None:
    if not isinstance(entry, dict) or entry.get("how") not in _HOWS or not isinstance(entry.get("at"), str):
        return None
    value = entry.get("value")
    if value is None:
        return Known(-math.inf, entry["how"], entry["at"]) if entry.get("value_note") == _OFF_NOTE else None
    if isinstance(value, bool | str):
        return Known(value, entry["how"], entry["at"])
    if isinstance(value, int | float) and math.isfinite(value):
        return Known(float(value), entry["how"], entry["at"])
    return None
