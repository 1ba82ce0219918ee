"""The virtual room as a process of its own: desk, outboard and matrix on JACK, JACK MIDI and pseudo-terminals."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from controller.cli.face import to_json

EXAMPLES = """\
examples:
  jackd --no-realtime -d dummy -r 48000 -p 256 &
  halfnormal room serve --rig room
  halfnormal calibrate --rig room --yes          # in another terminal

One JSON line says when it is ready: ready, audio, midi, serial. It then reads
standard input, one command a line: 'turn desk/ch07/hpf_freq 80', 'knobs',
'tally', 'ports', 'fault no_reply device=desk count=2', 'heal', 'quit'; the end
of the input stops it too. docs/virtual-room.md lists the faults, and the gear
that a model file can add."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=["serve"], metavar="ACTION", help="serve")
    parser.add_argument("--rig", default="room", metavar="RIG", help="the rig whose room this is (default: room)")
    parser.add_argument("--model", type=Path, metavar="FILE", help="model file: latencies, noise, gear, faults (TOML)")
    parser.add_argument("--json", action="store_true", help="accepted for symmetry: the ready line is JSON anyway")


def run(args: argparse.Namespace) -> int:
    """Serve the room until told to stop."""
    from controller import places
    from hardware.rig import load_rig
    from hardware.room.model import load_model
    from hardware.room.room import Room
    from hardware.room.serve import serve

    rig = load_rig(args.rig, folders=[places.rigs_folder()])
    room = Room(load_model(args.model or rig.room_model), rate_hz=rig.audio.rate_hz)

    def ready(facts: dict[str, Any]) -> None:
        sys.stdout.write(f"{to_json(facts)}\n")
        sys.stdout.flush()

    serve(room, name=rig.audio.port, serial_folder=places.run_folder(), ready=ready)
    return 0
