"""The profile library: list, show, check; new profiles; the bytes a setting becomes and what bytes mean."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli import profile_learning
from controller.cli.face import Face, add_common, face_of, table

if TYPE_CHECKING:
    from profiles.profile import Control, Profile

ACTIONS = ("list", "show", "check", "encode", "decode", "schema", "import", "learn")
EXAMPLES = f"""\
actions:
  list                       every profile, shipped and your own
  show ID                    its controls, ranges, what is not covered
  check [ID]                 run its examples, check its scales (all without ID)
  encode ID CONTROL VALUE    the bytes a setting becomes
  decode ID --hex BYTES      what bytes mean
  schema                     the JSON Schema of profile files, for editors
{profile_learning.ACTION_HELP}
  ID is a profile's id or the path of a .toml file.

examples:
  halfnormal profile show room-desk-24
  halfnormal profile check my-desk.toml
  halfnormal profile encode yamaha-01v96 ch01/fader -6
  halfnormal profile encode extron-sis-matrix out03/tie 1 --json
  halfnormal profile decode yamaha-01v96 --hex "F0 43 10 3E 7F 01 1C 00 00 00 00 06 37 F7"
  halfnormal profile schema > halfnormal-profile.schema.json
{profile_learning.ACTION_EXAMPLES}

exit code 1 when a check finds problems, or bytes mean nothing to the profile."""
_TAKES = {"list": 0, "show": 1, "check": 1, "encode": 3, "decode": 1, "schema": 0, "import": 1, "learn": 0}
_NEEDS = {**_TAKES, "check": 0}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=ACTIONS, metavar="ACTION", help=f"{', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}")
    parser.add_argument("id", nargs="?", metavar="ID", help="profile id or file; import: the list's file")
    parser.add_argument("control", nargs="?", metavar="CONTROL", help="encode: the control, as 'profile show' lists it")
    parser.add_argument("value", nargs="?", metavar="VALUE", help="encode: in the control's unit; off, true, false")
    parser.add_argument("--hex", metavar="BYTES", help="decode: the bytes")
    profile_learning.add_arguments(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run one action on the library."""
    _check_arguments(args)
    profile_learning.check_options(args)
    chosen = {
        "list": _list,
        "show": _show,
        "check": _check,
        "encode": _encode,
        "decode": _decode,
        "schema": _schema,
        "import": profile_learning.import_profile,
        "learn": profile_learning.learn_profile,
    }
    return chosen[args.action](args, face_of(args))


def _check_arguments(args: argparse.Namespace) -> None:
    from controller.errors import UsageError

    given = [word for word in (args.id, args.control, args.value) if word is not None]
    if len(given) < _NEEDS[args.action]:
        words = " ".join(("ID", "CONTROL", "VALUE")[: _NEEDS[args.action]])
        raise UsageError(
            f"'profile {args.action}' needs {words}.", hint="'halfnormal profile list' names the profiles."
        )
    if len(given) > _TAKES[args.action]:
        raise UsageError(
            f"'profile {args.action}' has no use for '{given[_TAKES[args.action]]}'.",
            hint="'halfnormal profile -h' shows how.",
        )
    if args.action == "decode" and not (args.hex or "").strip():
        raise UsageError("'profile decode' needs --hex BYTES.", hint='For example: --hex "F0 43 10 … F7"')
    if args.action != "decode" and args.hex is not None:
        raise UsageError(f"'profile {args.action}' reads no bytes.", hint="--hex belongs to 'profile decode'.")


def _folders() -> list[Path]:
    from controller import places

    return [places.profiles_folder()]


def _load(ref: str) -> Profile:
    from profiles.library import load_profile

    return load_profile(ref, folders=_folders())


def _list(args: argparse.Namespace, face: Face) -> int:
    from controller.events import Finding
    from profiles.library import list_library

    found, broken = list_library(folders=_folders())
    for error in broken:
        face.emit(Finding("profile", str(error), error.hint, "problem"))
    data = [
        {
            "id": p.id,
            "maker": p.maker,
            "model": p.model,
            "kind": p.kind,
            "transports": list(p.transports),
            "controls": p.controls,
            "verification": p.verification,
        }
        for p in found
    ]
    rows = [[p.id, p.maker, p.model, p.kind, ", ".join(p.transports), str(p.controls), p.verification] for p in found]
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
        "confidence": profile.confidence,
        "sources": list(profile.sources),
        "notes": profile.notes,
        "not_covered": profile.not_covered,
        "options": {
            name: {"choices": list(choices), "default": profile.options[name]}
            for name, choices in profile.option_choices.items()
        },
        "commands": [{"name": c.name, "dangerous": c.dangerous} for c in profile.commands.values()],
        "controls": [_control_json(c) for c in controls],
    }
    rows = [
        [c.name, c.unit, _range(c), "hand" if c.by_hand else "sent", "yes" if c.readable else "no", _sure(c, profile)]
        for c in controls
    ]
    lines = [
        f"{profile.maker} {profile.model} ({profile.kind}, {profile.verification}; {CONFIDENCES[profile.confidence]})",
        *(f"source: {source}" for source in profile.sources),
        profile.notes,
        f"not covered: {profile.not_covered}" if profile.not_covered else "",
        *(
            f"option {name}: {' | '.join(choices)} (set to {profile.options[name]})"
            for name, choices in profile.option_choices.items()
        ),
        f"commands: {', '.join(profile.commands)}" if profile.commands else "",
        *table(rows, ["control", "unit", "range", "set by", "read back", "sure"]),
        *dict.fromkeys(f"{_knob(c)}: {c.remark}" for c in controls if c.remark),
    ]
    face.data(data, [line for line in lines if line])
    return 0


CONFIDENCES = {
    "V2": "two independent sources agree",
    "V1": "one source",
    "M": "from general knowledge, not from a document",
    "I": "inferred; measure it before you rely on it",
}


def _sure(control: Control, profile: Profile) -> str:
    """Say how sure a control's facts are, where they are less or more so than the rest."""
    danger = "dangerous " if control.dangerous else ""
    return danger + (
        control.confidence if control.confidence != profile.confidence or control.confidence == "I" else ""
    )


def _knob(control: Control) -> str:
    """Name a control without its strip's number, so that what holds for all strips is said once."""
    return re.sub(r"\d+", "…", control.name)


def _control_json(control: Control) -> dict[str, Any]:
    from controller.value_text import number

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
        "confidence": control.confidence,
        "remark": control.remark,
        "role": control.role,
    }


def _range(control: Control) -> str:
    if control.choices:
        return " | ".join(control.choices)
    return "off | on" if control.unit == "bool" else f"{control.low:g}..{control.high:g}"


def _check(args: argparse.Namespace, face: Face) -> int:
    from hardware.wire.examples import check_examples
    from profiles.library import Library, read_library

    library = read_library(folders=_folders()) if not args.id else Library((), ())
    chosen = [_load(args.id)] if args.id else list(library.profiles)
    ran = 0
    problems: list[dict[str, str]] = [
        {"where": "library", "what": str(error), "hint": error.hint} for error in library.broken
    ]
    for profile in chosen:
        report = check_examples(profile)
        ran += report.examples_run
        problems += [
            {"where": f"{profile.id}, {problem.where}", "what": problem.what, "hint": problem.hint}
            for problem in report.problems
        ]
    lines = [f"✕ {p['where']}: {p['what']}" + (f"\n    {p['hint']}" if p["hint"] else "") for p in problems]
    counts = ((len(chosen), "profile"), (ran, "example"), (len(problems), "problem"))
    summary = ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in counts) + "."
    face.data({"ok": not problems, "examples_run": ran, "problems": problems}, [*lines, summary])
    return 1 if problems else 0


def _encode(args: argparse.Namespace, face: Face) -> int:
    from controller.value_text import number, say
    from hardware.wire.messages import encode

    profile = _load(args.id)
    control = profile.control(args.control)
    encoded = encode(profile, args.control, control.value_from_text(args.value))
    port = profile.transports[0]
    messages = [{"port": port, "bytes_hex": message.hex(" ").upper()} for message in encoded.messages]
    data = {"messages": messages, **number("value", encoded.value), "raw": encoded.raw}
    lines = [_shown(profile, message) for message in encoded.messages]
    face.data(data, [*lines, f"lands at {say(encoded.value, control.unit)} (raw {encoded.raw})"])
    return 0


def _decode(args: argparse.Namespace, face: Face) -> int:
    from controller.errors import UsageError
    from controller.value_text import number, say
    from hardware.wire.messages import Accepted, Change, Parser, Refusal, Report, Touch, Unparsed

    profile = _load(args.id)
    try:
        data_bytes = bytes.fromhex(re.sub(r"0[xX]|[,:;]", " ", args.hex))
    except ValueError:
        raise UsageError(f"{args.hex!r} is not hex bytes.", hint='Write them like "F0 43 10 … F7".') from None
    parser = Parser(profile)
    heard = parser.feed(data_bytes)
    if profile.text and profile.serial:
        heard += parser.feed(profile.serial.terminator.encode("ascii"))  # a line copied from a manual has no end
    heard += parser.flush()
    changes = [{"control": h.control, **number("value", h.value), "raw": h.raw} for h in heard if isinstance(h, Change)]
    refusals = [{"control": h.control, "code": h.code, "text": h.text} for h in heard if isinstance(h, Refusal)]
    reports: list[dict[str, Any]] = [
        {"means": h.means, "fields": dict(h.fields)} for h in heard if isinstance(h, Report)
    ]
    reports += [{"means": "accepted", "fields": {}} for h in heard if isinstance(h, Accepted)]
    reports += [
        {"means": "touched" if h.on else "released", "fields": {"control": h.control}}
        for h in heard
        if isinstance(h, Touch)
    ]
    rest = b"".join(h.data for h in heard if isinstance(h, Unparsed))
    lines = [
        f"{h.control} = {say(h.value, profile.controls[h.control].unit)} (raw {h.raw})"
        for h in heard
        if isinstance(h, Change)
    ]
    lines += [f"refused: {r['control'] or '?'} {r['text']}" for r in refusals]
    lines += [" ".join([str(r["means"]), *(f"{name} {value}" for name, value in r["fields"].items())]) for r in reports]
    if rest:
        lines.append(f"not understood: {rest.hex(' ').upper()}")
    face.data(
        {"changes": changes, "refusals": refusals, "reports": reports, "unparsed_hex": rest.hex(" ").upper()}, lines
    )
    return 0 if not rest else 1


def _schema(args: argparse.Namespace, face: Face) -> int:
    import json

    from profiles.schema import json_schema

    schema = json_schema()
    face.data({"json_schema": schema}, [json.dumps(schema, indent=1)])
    return 0


def _shown(profile: Profile, message: bytes) -> str:
    """Write a message as hex; of a text protocol, the text too."""
    written = message.hex(" ").upper()
    return f"{written}  {message.decode('latin-1')!r}" if profile.text else written
