"""The effects a mix can insert, and what each of their values may be. Without a kind: all of them, in a line each."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from controller.cli.face import add_common, face_of, table

if TYPE_CHECKING:
    from dsp.processor import Declared, Parameter

EXAMPLES = """\
examples:
  halfnormal effects
  halfnormal effects compressor
  halfnormal effects eq --json

In a mix file an effect stands in the chain of a strip or bus:
  [[strip.insert]]
  kind = "gate"
  threshold_db = -38.0"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("kind", nargs="?", metavar="KIND", help="one effect, with everything that can be set")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """List the effects, or one of them with its parameters."""
    import inspect

    from controller.errors import UsageError
    from controller.tomlfile import nearest
    from dsp.registry import KINDS, effect

    face = face_of(args)
    if args.kind is not None and args.kind not in KINDS:
        close = nearest(args.kind, sorted(KINDS))
        raise UsageError(f"There is no effect '{args.kind}'{close}.", hint="'halfnormal effects' lists them.")
    kinds = sorted(KINDS) if args.kind is None else [args.kind]
    abouts = {kind: inspect.cleandoc(effect(kind).__doc__ or "").replace("``", "") for kind in kinds}
    found = [
        {"kind": kind, "about": abouts[kind], "parameters": [_fact(p) for p in effect(kind).parameters()]}
        for kind in kinds
    ]
    if args.kind is None:
        lines = table([[kind, " ".join(abouts[kind].split("\n\n")[0].split())] for kind in kinds], ("effect", ""))
    else:
        rows = [[name, *_words(p)] for name, p in _flat(effect(args.kind)).items()]
        lines = [abouts[args.kind], "", *table(rows, ("value", "may be", "unless said"))]
    face.data({"effects": found}, lines)
    return 0


def _flat(kind: type[Declared], before: str = "") -> dict[str, Parameter]:
    """Return every parameter by the name that a mix file gives it; those of a list's items behind the list's name."""
    found: dict[str, Parameter] = {}
    for p in kind.parameters():
        found[f"{before}{p.name}"] = p
        if p.item is not None:
            found |= _flat(p.item, f"{before}{p.name}/")
    return found


def _words(p: Parameter) -> tuple[str, str]:
    """Return what a parameter may be, and what it is when nothing is said."""
    if p.item is not None:
        return "a list of tables", "empty"
    if p.names:
        return " | ".join(str(name) for name in p.names), str(p.default)
    if isinstance(p.default, bool):
        return "true | false", str(p.default).lower()
    unit = f" {p.unit}" if p.unit else ""
    return f"{p.low:g}..{p.high:g}{unit}", f"{p.default:g}{unit}" if isinstance(p.default, float) else "has to be said"


def _fact(p: Parameter) -> dict[str, Any]:
    fact: dict[str, Any] = {"name": p.name}
    if p.item is not None:
        return fact | {"items": [_fact(inner) for inner in p.item.parameters()]}
    if p.names:
        fact |= {"names": list(p.names)}
    elif not isinstance(p.default, bool):
        fact |= {"low": p.low, "high": p.high, "unit": p.unit}
    default = p.default if isinstance(p.default, bool | int | float | str) else None
    return fact | {"default": default}
