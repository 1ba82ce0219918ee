"""The effects a mix can insert, and what each of their values may be. Without a kind: all of them, in a line each.

With --plugins the same for the plug-ins of others that are installed here.
"""

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
  halfnormal effects --plugins                 # the plug-ins of others that are installed
  halfnormal effects "Some Reverb" --plugins   # load one, and show its parameters

In a mix file an effect stands in the chain of a strip or bus:
  [[strip.insert]]
  kind = "gate"
  threshold_db = -38.0"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("kind", nargs="?", metavar="KIND", help="one effect, with everything that can be set")
    parser.add_argument("--plugins", action="store_true", help="the installed VST3 and Audio Units; with a name, one")
    parser.add_argument("--name", default="", metavar="NAME", help="which plug-in, where one file holds several")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """List the effects, or one of them with its parameters."""
    import inspect

    from controller.errors import UsageError
    from controller.tomlfile import nearest
    from dsp.registry import KINDS, effect

    face = face_of(args)
    if args.plugins:
        data, lines = _plugins() if args.kind is None else _plugin(args.kind, args.name)
        face.data(data, lines)
        return 0
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


def _plugins() -> tuple[dict[str, Any], list[str]]:
    """Return what is installed; nothing is loaded."""
    from controller.plugin_facts import format_of
    from controller.plugin_shelf import installed, looked_in

    found = [{"plugin": p.stem, "format": format_of(p), "file": str(p)} for p in installed()]
    lines = table([[f["plugin"], f["format"], f["file"]] for f in found], ("plug-in", "format", "where"))
    if not found:
        lines = [f"No plug-in is installed in {looked_in()}."]
    return {"plugins": found}, lines


def _plugin(name: str, chosen: str) -> tuple[dict[str, Any], list[str]]:
    """Return everything that one plug-in says of itself; it is loaded in a process of its own."""
    import msgspec

    from controller.errors import UsageError
    from controller.plugin_facts import facts_of, format_of, host_version
    from controller.plugin_shelf import NO_HOST_HINT, close_to, find, installed, looked_in

    path = find(name)
    if path is None:
        known = [file.stem for file in installed()]
        near = close_to(name, known) or "."
        raise UsageError(f"No plug-in '{name}' is installed{near}", hint=f"Looked in {looked_in()}.")
    if host_version() is None:
        raise UsageError("pedalboard, which hosts plug-ins, is not installed.", hint=NO_HOST_HINT)
    facts = facts_of(path, chosen)
    fact = {"plugin": path.stem, "format": format_of(path), "file": str(path), **msgspec.to_builtins(facts)}
    del fact["schema"]
    takes = " or ".join({1: "mono", 2: "stereo"}[count] for count in facts.channels)
    rows = [[p.name, p.said, p.may_be, p.default] for p in facts.parameters]
    lines = [
        f"{facts.name} {facts.version}, {facts.maker}, {format_of(path)}, {takes}: {path}",
        "",
        *table(rows, ("parameter", "on its panel", "may be", "unless said")),
    ]
    return {"plugins": [fact]}, lines


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
    if p.table:
        return "a table of names and values", "empty"
    if p.names:
        return " | ".join(str(name) for name in p.names), str(p.default)
    if p.default is None:
        return "a name, of a file or plug-in", "none"
    if isinstance(p.default, str):
        return "text", f'"{p.default}"'
    if isinstance(p.default, bool):
        return "true | false", str(p.default).lower()
    unit = f" {p.unit}" if p.unit else ""
    return f"{p.low:g}..{p.high:g}{unit}", f"{p.default:g}{unit}"


def _fact(p: Parameter) -> dict[str, Any]:
    fact: dict[str, Any] = {"name": p.name}
    if p.item is not None:
        return fact | {"items": [_fact(inner) for inner in p.item.parameters()]}
    if p.names:
        fact |= {"names": list(p.names)}
    elif isinstance(p.default, float):
        fact |= {"low": p.low, "high": p.high, "unit": p.unit}
    default = p.default if isinstance(p.default, bool | int | float | str) else None
    return fact | {"default": default}
