"""Which variables the statements of numba's intermediate representation read and write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numba.core import ir

__all__ = ["read", "written"]


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, ir.Var):
        yield value.name
    elif isinstance(value, ir.Expr):
        for part in value._kws.values():
            yield from _named(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _named(part)


def _read(statement: Any) -> Iterator[str]:
    if isinstance(statement, ir.Assign):
        yield from _named(statement.value)
    else:
        for value in vars(statement).values():
            yield from _named(value)


def read(block: Any) -> set[str]:
    """Return what a block reads."""
    return {name for statement in block.body for name in _read(statement)}


def written(block: Any) -> list[str]:
    """Return what a block assigns to, once for each assignment."""
    return [statement.target.name for statement in block.body if isinstance(statement, ir.Assign)]
