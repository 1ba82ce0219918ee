"""The building blocks of the HTML pages that the program writes: sections, facts, tables, pictures inside the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any


def section(title: str, cards: Sequence[str]) -> str:
    """Return a headed section of ready HTML; nothing where there are no cards."""
    return f"<section><h2>{escape(title)}</h2>{''.join(cards)}</section>" if cards else ""


def fact_list(pairs: Sequence[tuple[str, Any]]) -> str:
    """Return names with values; those that are None or a dash are left out."""
    items = "".join(
        f"<div><dt>{escape(k)}</dt><dd>{escape(str(v))}</dd></div>" for k, v in pairs if v not in (None, "—")
    )
    return f"<dl>{items}</dl>"


def folded(title: str, body: str) -> str:
    """Return ready HTML behind a line that opens it."""
    return f"<details><summary>{escape(title)}</summary>{body}</details>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, marked: Sequence[int] = ()) -> str:
    """Return a table; rows whose number (from 0) is in ``marked`` are of class ``bad``."""
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    body = "".join(
        f"<tr{' class=bad' if number in marked else ''}>"
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in row)
        + "</tr>"
        for number, row in enumerate(rows)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def picture(png: bytes, alt: str) -> str:
    """Return a picture that lies in the page itself."""
    return f"<img alt='{escape(alt)}' src='data:image/png;base64,{base64.b64encode(png).decode()}'>"
