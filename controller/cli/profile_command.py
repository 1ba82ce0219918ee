"""The profile library: list, show, check; the bytes a setting becomes and what bytes mean."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face, add_common, face_of, table

if TYPE_CHECKING:
    from profiles.profile import Control, Profile

EXAMPLES = """\
examples:
  halfnormal profile list
  halfnormal profile show room-desk-24
  halfnormal profile check                       # every profile of the library
  halfnormal profile encode yamaha-01v96 ch01/fader -6
  halfnormal profile decode yamaha-01v96 --hex "F0 43 10 3E 7F 01 1C 00 00 00 00 06 37 F7"
  halfnormal profile schema > halfnormal-profile.schema.json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=["list", "show", "check", "encode", "decode", "schema"])
    parser.add_argument("id", nargs="?", metavar="ID", help="profile id or file")
    parser.add_argument("control", nargs="?", metavar="CONTROL", help="encode: the control, as 'profile show' lists it")
    parser.add_argument("value", nargs="?", metavar="VALUE", help="encode: in the control's unit; off, true, false")
    parser.add_argument("--hex", metavar="BYTES", help="decode: the bytes")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run one action on the library."""
    face = face_of(args)
    if args.action in {"encode", "decode", "show"} and not args.id:
        from controller.errors import UsageError

        raise UsageError(f"'profile {args.action}' needs a profile.", hint="'halfnormal profile list' names them.")
    return {"list": _list, "show": _show, "check": _check, "encode": _encode, "decode": _decode, "schema": _schema}[
        args.action
    ](args, face)


def _folders() -> list[Path]:
    from controller import places

    return [places.profiles_folder()]


def _load(ref: str) -> Profile:
    from profiles.library import load_profile

    return load_profile(ref, folders=_folders())


def _list(args: argparse.Namespace, face: Face) -> int:
    from profiles.library import all_profiles

    found = all_profiles(folders=_folders())
    data = [
        {
            "id": p.id,
            "maker": p.maker,
            "model": p.model,
            "kind": p.kind,
            "transports": list(p.transports),
            "controls": len(p.controls),
            "verification": p.verification,
        }
        for p in found
    ]
    rows = [
        [p.id, p.maker, p.model, p.kind, ", ".join(p.transports), str(len(p.controls)), p.verification] for p in found
    ]
    heads = ["id", "maker", "model", "kind", "by", "controls", "verification"]
    face.data({"profiles": data}, table(rows, heads, right=(5,)))
    return 0


def _show(args: argparse.Namespace, face: Face) -> int:
    profile = _load(args.id)
    controls = list(profile.controls.values())
    data = {
        "id": profile.id,
        "maker": profile.maker,
        "model": profile.model,
        "kind": profile.kind,
        "verification": profile.verification,
        "notes": profile.notes,
        "not_covered": profile.not_covered,
        "controls": [_control_json(c) for c in controls],
    }
    rows = [
        [c.name, c.unit, _range(c), "hand" if c.by_hand else "sent", "yes" if c.readable else "no"] for c in controls
    ]
    lines = [
        f"{profile.maker} {profile.model} ({profile.kind}, {profile.verification})",
        profile.notes,
        f"not covered: {profile.not_covered}" if profile.not_covered else "",
        *table(rows, ["control", "unit", "range", "set by", "read back"]),
    ]
    face.data(data, [line for line in lines if line])
    return 0


def _control_json(control: Control) -> dict[str, Any]:
    from controller.recall import number

    return {
        "name": control.name,
        "label": control.label,
        "unit": control.unit,
        **number("low", control.low),
        **number("high", control.high),
        **number("default", control.default),
        "choices": list(control.choices),
        "by_hand": control.by_hand,
        "readable": control.readable,
        "dangerous": control.dangerous,
        "role": control.role,
    }


def _range(control: Control) -> str:
    if control.choices:
        return " | ".join(control.choices)
    return "off | on" if control.unit == "bool" else f"{control.low:g}..{control.high:g}"


def _check(args: argparse.Namespace, face: Face) -> int:
    from hardware.wire.examples import check_examples
    from profiles.library import all_profiles

    chosen = [_load(args.id)] if args.id else all_profiles(folders=_folders())
    ran = 0
    problems: list[dict[str, str]] = []
    for profile in chosen:
        report = check_examples(profile)
        ran += report.examples_run
        problems += [{"where": profile.id, "what": str(problem)} for problem in report.problems]
    lines = [f"✕ {p['where']}: {p['what']}" for p in problems]
    summary = f"{len(chosen)} profiles, {ran} examples, {len(problems)} problems."
    face.data({"ok": not problems, "examples_run": ran, "problems": problems}, [*lines, summary])
    return 1 if problems else 0


def _encode(args: argparse.Namespace, face: Face) -> int:
    from controller.errors import UsageError
    from controller.recall import number, say
    from hardware.wire.messages import encode

    profile = _load(args.id)
    if args.control is None or args.value is None:
        raise UsageError("'profile encode' needs ID CONTROL VALUE.", hint="For example: room-desk-24 ch07/fader -6")
    control = profile.control(args.control)
    encoded = encode(profile, args.control, control.value_from_text(args.value))
    port = profile.transports[0]
    messages = [{"port": port, "bytes_hex": message.hex(" ").upper()} for message in encoded.messages]
    data = {"messages": messages, **number("value", encoded.value), "raw": encoded.raw}
    lines = [m["bytes_hex"] for m in messages]
    face.data(data, [*lines, f"lands at {say(encoded.value, control.unit)} (raw {encoded.raw})"])
    return 0


def _decode(args: argparse.Namespace, face: Face) -> int:
    from controller.errors import UsageError
    from controller.recall import number, say
    from hardware.wire.messages import Change, Parser, Refusal

    profile = _load(args.id)
    try:
        data_bytes = bytes.fromhex((args.hex or "").replace(",", " "))
    except ValueError:
        raise UsageError(f"{args.hex!r} is not hex bytes.", hint='Write them like "F0 43 10 … F7".') from None
    if not data_bytes:
        raise UsageError("'profile decode' needs --hex BYTES.")
    heard = Parser(profile).feed(data_bytes)
    changes = [{"control": h.control, **number("value", h.value), "raw": h.raw} for h in heard if isinstance(h, Change)]
    refusals = [{"control": h.control, "code": h.code, "text": h.text} for h in heard if isinstance(h, Refusal)]
    rest = b"".join(h.data for h in heard if not isinstance(h, Change | Refusal))
    lines = [
        f"{h.control} = {say(h.value, profile.controls[h.control].unit)} (raw {h.raw})"
        for h in heard
        if isinstance(h, Change)
    ]
    lines += [f"refused: {r['control'] or '?'} {r['text']}" for r in refusals]
    if rest:
        lines.append(f"not understood: {rest.hex(' ').upper()}")
    face.data({"changes": changes, "refusals": refusals, "unparsed_hex": rest.hex(" ").upper()}, lines)
    return 0 if not rest else 1


def _schema(args: argparse.Namespace, face: Face) -> int:
    import json

    from profiles.schema import json_schema

    del face
    json.dump(json_schema(), sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0
