"""``halfnormal loops dbu`` and ``trim``: a meter's reading typed in, and trims turned while the terminal looks on."""

from __future__ import annotations

import argparse
import sys
import threading
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from controller.dbu import ChannelLevel, Reading, StoredReading
    from controller.trim import LineReading


def run_dbu(args: argparse.Namespace, face: Face) -> int:
    """Play a tone, take the meter's reading, and say what 0 dBFS is in dBu."""
    from controller.dbu import parse_accuracy, parse_reading
    from controller.dbu_reading import Request, read_dbu
    from controller.errors import DeclinedError, UsageError
    from controller.studio import Studio

    if args.output is None or args.accuracy is None:
        raise UsageError(
            "'loops dbu' needs --output and --accuracy.",
            hint="For example: --output 7 --accuracy 0.5%+3digits; the meter's manual states its accuracy.",
        )
    accuracy = parse_accuracy(args.accuracy)
    readings = [parse_reading(" ".join(words)) for words in args.reading]
    if not readings and not args.dry_run and not sys.stdin.isatty():
        raise UsageError(
            "Nobody is here to read the meter.", hint='In a script, give what it shows: --reading "1.2285 V".'
        )
    request = Request(args.output, args.level, accuracy, args.pad)
    ask: Callable[[], Sequence[Reading]] = (lambda: readings) if readings else lambda: [_ask()]
    with Studio.open(args.rig) as studio:
        try:
            stored = read_dbu(studio, request, ask=ask, emit=face.emit, accept=face.accept)
        except DeclinedError:
            if not args.dry_run:
                raise
            return dry_run(face)
    face.data(_dbu_json(stored), _dbu_lines(stored))
    return 0


def _ask() -> Reading:
    """Ask for what the meter shows until it is a reading."""
    from controller.dbu import parse_reading
    from controller.errors import UsageError

    while True:
        sys.stderr.write("\nWhat does the meter show (1.2285 V, +4.01 dBu)? ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            sys.stderr.write("\n")
            raise UsageError("No reading was typed; nothing was filed.", hint="Type what the meter shows.")
        try:
            return parse_reading(line)
        except UsageError as error:
            sys.stderr.write(f"{error} {error.hint}\n")


def dry_run(face: Face) -> int:
    """Print the plan of something that would have sounded."""
    plan = face.plan
    lines = list(plan.lines) if plan is not None else []
    face.data({"plan": lines, "note": "dry run: nothing sounded or moved"}, [*lines, "Dry run: nothing sounded."])
    return 0


def _dbu_json(stored: StoredReading) -> dict[str, Any]:
    from controller.dbu import DEFINITION
    from controller.files import relative

    reading = stored.reading
    return {
        "reading": relative(stored.path),
        "output": reading.output,
        "level_dbfs": reading.level_dbfs,
        "reading_dbu": reading.reading_dbu,
        "dbu_at_0dbfs": reading.dbu_at_0dbfs.value,
        "dbu_at_0dbfs_sd": reading.dbu_at_0dbfs.sd,
        "definition": DEFINITION,
        "uncertainty": [{"name": part.name, "sd_db": part.sd_db, "how": part.how} for part in reading.parts],
        "pad_db": reading.pad_db,
        "calibration": reading.calibration or None,
        "outputs": [_channel_json(channel) for channel in reading.outputs],
        "inputs": [_channel_json(channel) for channel in reading.inputs],
        "problems": [],
    }


def _channel_json(channel: ChannelLevel) -> dict[str, Any]:
    return {
        "channel": channel.channel,
        "address": channel.address or None,
        "dbu_at_0dbfs": channel.dbu_at_0dbfs.value,
        "dbu_at_0dbfs_sd": channel.dbu_at_0dbfs.sd,
        "re_read_db": channel.re_read_db.value,
        "re_read_sd": channel.re_read_db.sd,
        "how": channel.dbu_at_0dbfs.note,
    }


def _dbu_lines(stored: StoredReading) -> list[str]:
    reading = stored.reading
    level = reading.dbu_at_0dbfs
    lines = [
        f"output {reading.output}: {level.value:+.3f} ± {level.sd:.3f} dBu at 0 dBFS (one standard deviation)",
        *(f"  {part.name:<14} {part.sd_db:.4f} dB   {part.how}" for part in reading.parts),
        "",
    ]
    rows = [
        [
            kind,
            str(channel.channel),
            channel.address or "—",
            f"{channel.dbu_at_0dbfs.value:+.3f} ± {channel.dbu_at_0dbfs.sd:.3f}",
            f"{channel.re_read_db.value:+.4f} ± {channel.re_read_db.sd:.4f}",
        ]
        for kind, channels in (("output", reading.outputs), ("input", reading.inputs))
        for channel in channels
    ]
    return [*lines, *table(rows, ["", "ch", "strip", "dBu at 0 dBFS", "re the one read [dB]"], right=(1, 3, 4))]


def run_trim(args: argparse.Namespace, face: Face) -> int:
    """Lead every line to a standard's level, and say what is still to turn."""
    from controller.errors import DeclinedError, UsageError
    from controller.studio import Studio
    from controller.trim import Request, standard, trim

    if args.standard is None:
        raise UsageError("'loops trim' needs --standard.", hint="EBU-R68, SMPTE-RP155, or DBU=18.")
    if args.tolerance <= 0.0:
        raise UsageError(f"A tolerance of {args.tolerance:g} dB is none.", hint="Give more than 0, for instance 0.1.")
    if not args.once and not args.dry_run and not sys.stdin.isatty():
        raise UsageError("Nobody is here to turn the trims.", hint="In a script, add --once: it measures and ends.")
    outputs = () if args.output is None else (args.output,)
    request = Request(standard(args.standard), args.side, outputs, args.tolerance, args.once)
    with Studio.open(args.rig) as studio:
        try:
            told = trim(studio, request, emit=face.emit, accept=face.accept, watch=_on_enter(args.once or args.dry_run))
        except DeclinedError:
            if not args.dry_run:
                raise
            return dry_run(face)
    inside = all(reading.inside for reading in told)
    data = {
        "ok": inside,
        "standard": request.standard.name,
        "level_dbfs": request.standard.level_dbfs,
        "level_dbu": request.standard.level_dbu,
        "tolerance_db": request.tolerance_db,
        "side": request.side,
        "lines": [_line_json(reading) for reading in told],
        "problems": [
            {"where": reading.line.name(request.side), "what": reading.sentence, "hint": "Turn its trim."}
            for reading in told
            if not reading.inside
        ],
    }
    face.data(data, [f"{'●' if reading.inside else '✕'} {reading.sentence}" for reading in told])
    return 0 if inside else 1


def _on_enter(once: bool) -> Callable[[LineReading], bool]:
    """Return what says, when the Enter key was hit, to go on to the next line; nobody is asked ``once``."""
    if once or not sys.stdin.isatty():
        return lambda reading: False
    sys.stderr.write("Enter goes on to the next line.\n")
    hits: list[str] = []

    def wait() -> None:
        while line := sys.stdin.readline():
            hits.append(line)

    threading.Thread(target=wait, name="enter", daemon=True).start()
    return lambda reading: bool(hits and hits.pop())


def _line_json(reading: LineReading) -> dict[str, Any]:
    told: dict[str, Any] = {
        "output": reading.line.output,
        "address": reading.line.address,
        "input": reading.line.input,
        "level": reading.level.value,
        "level_unit": "dBu" if reading.side == "output" else "dBFS",
        "turn_up_db": reading.error_db.value,
        "turn_up_sd": reading.error_db.sd,
        "inside": reading.inside,
        "what": reading.sentence,
    }
    if reading.error_db.value is None:
        told |= {"level_note": "silent", "turn_up_db_note": "silent"}
    return told
