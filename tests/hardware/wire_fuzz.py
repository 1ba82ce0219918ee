"""Noise for parsers: random, split, interleaved and cut-off bytes for every shipped profile.

``python -m tests.hardware.wire_fuzz COUNT`` throws COUNT pieces and says what it saw.
"""

from __future__ import annotations

import random
import sys
import tracemalloc
from dataclasses import dataclass, field

from hardware.wire.messages import Accepted, Change, Parser, Refusal, Report, Touch, Unparsed, reply_to
from profiles.library import read_library
from profiles.profile import Control, Profile

KINDS = (Accepted, Change, Refusal, Report, Touch, Unparsed)
ROOM_BYTES = 400_000
"""What one parser may grow by while it hears noise: an unended SysEx of 65 536 bytes and what it remembers."""


@dataclass
class Seen:
    """What a run of noise brought to light."""

    pieces: int = 0
    octets: int = 0
    faults: list[str] = field(default_factory=list)


def spoken(profile: Profile) -> list[Control]:
    """List controls that the device tells something about, one for each form it says it in."""
    found: dict[object, Control] = {}
    for control in profile.controls.values():
        if control.forms and control.listened and reply_to(profile, control.name, control.taper.ends[0]):
            found.setdefault(id(control.forms), control)
    return list(found.values())


def throw(profile: Profile, parser: Parser, count: int, rng: random.Random, seen: Seen) -> None:
    """Feed ``count`` pieces of noise to a parser of a profile, and see that it neither breaks nor makes things up."""
    controls = spoken(profile)
    for _ in range(count):
        piece = _piece(profile, controls, rng)
        seen.pieces += 1
        seen.octets += len(piece)
        try:
            for item in parser.feed(piece):
                if not isinstance(item, KINDS):
                    seen.faults.append(f"{profile.id}: {item!r} is nothing a device can say")
                if isinstance(item, Change):
                    control = profile.controls[item.control]
                    if control.from_raw(item.raw) != item.value:
                        seen.faults.append(f"{profile.id}: {item} contradicts itself")
        except Exception as error:  # this is what is looked for
            seen.faults.append(f"{profile.id}: {piece.hex(' ')} raised {error!r}")


def grown(profile: Profile, parser: Parser, count: int, rng: random.Random, seen: Seen) -> int:
    """Throw noise at a parser that has heard some already; tell by how many bytes it has grown."""
    tracemalloc.start()
    throw(profile, parser, count, rng, seen)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return kept


def _piece(profile: Profile, controls: list[Control], rng: random.Random) -> bytes:
    kind = rng.randrange(5)
    if kind == 0 or not controls:
        return rng.randbytes(rng.randrange(1, 12))
    control = rng.choice(controls)
    said = b"".join(reply_to(profile, control.name, rng.choice(control.taper.ends)))
    if kind == 1 and said:  # cut off
        return said[: rng.randrange(len(said))]
    if kind == 2 and said:  # one byte lost, doubled or bent
        at = rng.randrange(len(said))
        return rng.choice(
            [
                said[:at] + said[at + 1 :],
                said[:at] + said[at : at + 1] + said[at:],
                said[:at] + b"\x7f" + said[at + 1 :],
            ]
        )
    if kind == 3:  # a clock byte in the middle
        at = rng.randrange(len(said) + 1)
        return said[:at] + b"\xf8" + said[at:]
    another = rng.choice(controls)
    other = b"".join(reply_to(profile, another.name, another.taper.ends[0]))
    half = len(said) // 2
    return said[:half] + other + said[half:]


def main(count: int) -> int:
    """Throw ``count`` pieces over the whole library and say what came of it."""
    rng = random.Random(1)
    profiles = [profile for profile in read_library().profiles if any(not c.by_hand for c in profile.controls.values())]
    seen = Seen()
    most = 0
    for profile in profiles:
        parser = Parser(profile)
        throw(profile, parser, 200, rng, seen)
        most = max(most, grown(profile, parser, -(-count // len(profiles)), rng, seen))
    print(
        f"{len(profiles)} profiles, {seen.pieces} pieces, {seen.octets} bytes, {len(seen.faults)} faults, "
        f"at most {most} bytes kept"
    )
    for fault in seen.faults[:10]:
        print(fault)
    return 1 if seen.faults or most > ROOM_BYTES else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
