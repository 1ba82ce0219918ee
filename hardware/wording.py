"""How values, refusals and bytes are written in a sentence."""

from __future__ import annotations

import math

from hardware.wire.messages import Refusal
from profiles.profile import Value


def value_text(value: Value) -> str:
    """Write a value for a message: ``off`` for −∞, ``in``/``out`` words stay what they are, numbers short."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    return "off" if value == -math.inf else f"{value:g}"


def refusal_text(refusal: Refusal) -> str:
    """Write what a device said when it refused."""
    return " ".join(part for part in (refusal.code, refusal.text) if part) or "no reason given"


def shown(data: bytes) -> str:
    """Show bytes in a message: printable ASCII as text, anything else as hex, at most 16 bytes."""
    head = data[:16]
    more = " …" if len(data) > 16 else ""
    text = head.strip(b"\r\n")
    if text and all(0x20 <= byte < 0x7F for byte in text):
        return f"{text.decode('ascii')!r}{more}"
    return head.hex(" ").upper() + more
