"""dBu at 0 dBFS: what is said of its uncertainty, against meters that err as their class allows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.measurement_loops import loop_trials
from benchmarks.rows import row
from controller.dbu import parse_accuracy, parse_reading, uncertainty

PERCENT = 1.0
VOLTS = 1.2277


def meter_spread_db(trials: int, seed: int) -> float:
    """Return the spread of the reading of 1.2277 V over meters off by up to 1 %, showing four decimals [dB]."""
    rng = np.random.default_rng(seed)
    shown = np.round(VOLTS * (1.0 + rng.uniform(-PERCENT, PERCENT, trials) / 100.0), 4)
    return float(np.std(20.0 * np.log10(shown / VOLTS)))


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """Return the rows of dBu."""
    parts = uncertainty([parse_reading(f"{VOLTS} V")], parse_accuracy(f"{PERCENT}%"), steadiness_db=None)
    said = math.sqrt(sum(part.sd_db**2 for part in parts))
    spread = meter_spread_db(200_000, 1)
    gain = loop_trials(4_096, -60.0, 500 if quick else 4_000, 2)[1]
    between = math.sqrt(2.0) * gain.rmse
    return [
        row(
            "dBu at 0 dBFS with a meter of 1 %: standard uncertainty",
            said,
            "dB",
            goal=0.1,
            holds=said <= 0.1,
            note=f"{said / spread:.3f} x the spread of such meters, their errors even over the class; "
            f"{2.0 * said:.2f} dB with k = 2",
        ),
        row(
            "dBu, channel to channel, noise -60 dBFS, 85 ms",
            between,
            "dB",
            goal=0.002,
            holds=between <= 0.002,
            note=f"two gains; reported sd {gain.honesty:.3f} x the error",
        ),
    ]
