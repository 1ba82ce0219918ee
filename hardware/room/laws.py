"""The desk's and the compressor's scales: what a raw value means in dB, ms, pan or ratio.

All figures are the devices' own (docs/devices): the fader's printed points, the pots' ranges, the switches' positions.
"""

from __future__ import annotations

import itertools
import math

FADER_POINTS = ((1, -80.0), (20, -60.0), (48, -40.0), (104, -20.0), (144, -10.0), (192, 0.0), (255, 10.0))
"""Fader positions and the dB printed beside them; 0 is OFF, straight lines in dB between the points."""

EQ_CENTRE, EQ_LOW, EQ_HIGH, EQ_STEP_DB = 64, 4, 124, 0.25
COMP_RATIOS = (2.0, 4.0, 10.0)
COMP_ATTACKS_MS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
COMP_RELEASES_MS = (100.0, 300.0, 600.0, 1200.0)


def fader_db(step: int) -> float:
    """Level [dB] of fader position ``step`` (0–255); −∞ at 0."""
    if step == 0:
        return -math.inf
    for (below, below_db), (above, above_db) in itertools.pairwise(FADER_POINTS):
        if step <= above:
            return below_db + (above_db - below_db) * (step - below) / (above - below)
    return FADER_POINTS[-1][1]


def fader_step(level_db: float) -> int:
    """Fader position whose level is nearest to ``level_db``; half-way below the lowest printed level is OFF."""
    if level_db < FADER_POINTS[0][1] - 1.0:
        return 0
    return min(range(1, 256), key=lambda step: abs(fader_db(step) - level_db))


def pan_position(step: int) -> float:
    """Pan −100…100 of pot step 0–127 (steps 0 and 1 are both hard left)."""
    return max(-100.0, (step - 64) / 63 * 100.0)


def pan_step(pan: float) -> int:
    """Nearest pot step of pan −100…100."""
    return 64 + round(pan / 100.0 * 63)


def pan_gains(pan: float) -> tuple[float, float]:
    """Linear gains to L and R at constant power: −3 dB at the centre, 0 dB hard panned (sine/cosine law)."""
    angle = (pan + 100.0) / 200.0 * math.pi / 2
    left, right = math.cos(angle), math.sin(angle)
    return (0.0 if pan >= 100.0 else left), (0.0 if pan <= -100.0 else right)


def eq_gain_db(step: int) -> float:
    """EQ gain [dB] of data value 4–124."""
    return (step - EQ_CENTRE) * EQ_STEP_DB


def comp_threshold_dbu(value: int) -> float:
    """Threshold [dBu] of controller value 0–127."""
    return -20.0 + 40.0 * value / 127


def comp_makeup_db(value: int) -> float:
    """Make-up gain [dB] of controller value 0–127."""
    return -5.0 + 20.0 * value / 127


def switch_position(value: int, upper_edges: tuple[int, ...]) -> int:
    """Position (from 0) of a controller value on a switch whose positions end at ``upper_edges``."""
    return next(index for index, edge in enumerate(upper_edges) if value <= edge)


def linear(level_db: float) -> float:
    """Amplitude ratio of a level in dB; 0 for −∞."""
    return 0.0 if level_db == -math.inf else float(10.0 ** (level_db / 20.0))
