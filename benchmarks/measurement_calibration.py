"""How long a whole calibration sounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from benchmarks.rows import row
from controller.calibrate_sections import programme
from controller.calibrate_wiring import WiredLoop, Wiring
from hardware.rig import load_rig

LOOPS = 32


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """Return the row of a calibration's length: every part of 32 loops, each output back on its own input."""
    rig = load_rig("demo")
    rig = replace(rig, audio=msgspec.structs.replace(rig.audio, outputs=LOOPS, inputs=LOOPS))
    loops = tuple(WiredLoop(k, f"loopback/{k}", (k,)) for k in range(1, LOOPS + 1))
    plan = programme(rig, Wiring(loops, ((),), (0, 0)))
    parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in plan.seconds_by_part().items())
    return [
        row(
            "full calibration of 32 loops: signal",
            plan.seconds,
            "s",
            goal=60.0,
            holds=plan.seconds <= 60.0,
            note=f"{parts} s; what several parts share counts for the first",
        )
    ]
