"""What a device can be heard to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from profiles.profile import Value


@dataclass(frozen=True)
class Change:
    """The device said that a control stands at this value."""

    control: str
    value: Value
    raw: int


@dataclass(frozen=True)
class Refusal:
    """The device refused; ``control`` is None when it did not say what."""

    control: str | None
    code: str
    text: str


@dataclass(frozen=True)
class Accepted:
    """The device said OK, to whatever it was told last."""


@dataclass(frozen=True)
class Touch:
    """A hand took hold of a control, or let go of it."""

    control: str
    on: bool


@dataclass(frozen=True)
class Report:
    """The device said something that is no control's value.

    ``means``: ``identity``, ``alive`` (the answer to a keep-alive), ``session`` (what opening it awaits), or the word
    of the profile's own report. ``fields`` are the numbers and texts it carried, by name.
    """

    means: str
    fields: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unparsed:
    """Bytes that mean nothing in this profile; ``data`` of a serial line comes without its end."""

    data: bytes


Heard = Change | Refusal | Accepted | Touch | Report | Unparsed
