"""What single tones say of a loop: gain over level, the clip point, distortion, intermodulation, dynamic range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from controller.calibrate_sections import Programme, Section
from controller.calibrate_takes import Take
from controller.loops import LoopFacts
from dsp.levels import decibels
from dsp.measure.distortion import measure_dynamic_range, measure_thd
from dsp.measure.figure import Figure, unseen
from dsp.measure.intermod import measure_ccif, measure_smpte
from dsp.measure.linearity import measure_linearity

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL_KEYS = ("gain_997_db", "linearity_db", "clip_dbfs")
DISTORTION_KEYS = (
    "thd_db", "thdn_db", "thdn_notch_db", "imd_smpte_db", "imd_ccif_d2_db", "imd_ccif_d3_db", "dynamic_range_db",
)  # fmt: skip
REFERENCE_DBFS = -20.0
NOTHING = "nothing came back"


def clip_figures(plan: Programme, loop: LoopFacts, takes: Mapping[str, Take]) -> dict[str, Figure]:
    """Return gain at 997 Hz, linearity and clip point of a loop from its staircase."""
    if loop.input is None:
        return dict.fromkeys(LEVEL_KEYS, unseen(NOTHING))
    steps = [take for take in takes.values() if take.section.rung is not None and loop.output in take.section.active]
    lost = next((take for take in steps if loop.output in take.gone), None)
    if lost is not None:
        return dict.fromkeys(LEVEL_KEYS, unseen(f"the loop vanished before {_level(lost.section):g} dBFS"))
    played = [
        (_level(take.section), take.steady[:, loop.input - 1].astype(np.float64))
        for take in steps
        if loop.output not in take.stopped
    ]
    over = [_level(take.section) for take in steps if loop.output in take.stopped]
    if not played:
        return dict.fromkeys(LEVEL_KEYS, unseen("its return overloads at the lowest level"))
    found = measure_linearity(played, rate_hz=plan.rate_hz)
    clip = found.clip_dbfs
    if over and not clip.observable:
        clip = _overload_point(played[-1], min(over))
    at = min(found.points, key=lambda point: abs(point.level_dbfs - REFERENCE_DBFS))
    gain = at.gain_db if at.level_dbfs == REFERENCE_DBFS else unseen(f"no step at {REFERENCE_DBFS:g} dBFS was played")
    return dict(zip(LEVEL_KEYS, (gain, found.worst_db, clip), strict=True))


def _overload_point(highest: tuple[float, NDArray[np.float64]], over_dbfs: float) -> Figure:
    """Place the clip point of a return that overloaded between two steps: where its peak reaches full scale."""
    level, capture = highest
    headroom_db = -decibels(float(np.max(np.abs(capture), initial=0.0)))
    note = f"the return overloads at {over_dbfs:g} dBFS; full scale is {headroom_db:.1f} dB above the step before"
    return Figure(min(level + headroom_db, over_dbfs), (over_dbfs - level) / np.sqrt(12.0), note)


def distortion_figures(plan: Programme, loop: LoopFacts, takes: Mapping[str, Take]) -> dict[str, Figure]:
    """Return THD, THD+N, IMD and dynamic range of a loop, the level they were read at in their notes."""
    if loop.input is None:
        return dict.fromkeys(DISTORTION_KEYS, unseen(NOTHING))
    column = loop.input - 1

    def reading(key: str, read: Callable[[NDArray[np.float64]], tuple[Figure, ...]], count: int) -> tuple[Figure, ...]:
        take = next(
            (t for k, t in takes.items() if k.rstrip("0123456789") == key and loop.output in t.section.active), None
        )
        if take is None:
            return (unseen("the section was not played"),) * count
        if loop.output in take.gone:
            return (unseen(f"the loop vanished in or before {take.section.name}"),) * count
        if loop.output in take.stopped:
            return (unseen(f"its return overloads below {_level(take.section):g} dBFS"),) * count
        note = f"at {_level(take.section):g} dBFS"
        return tuple(_noted(figure, note) for figure in read(take.steady[:, column].astype(np.float64)))

    def thd(x: NDArray[np.float64]) -> tuple[Figure, ...]:
        found = measure_thd(x, rate_hz=plan.rate_hz)
        return found.thd_db, found.thdn_db, found.thdn_notch_db

    def ccif(x: NDArray[np.float64]) -> tuple[Figure, ...]:
        found = measure_ccif(x, rate_hz=plan.rate_hz)
        return found.d2_db, found.d3_db

    values = (
        *reading("thd", thd, 3),
        *reading("smpte", lambda x: (measure_smpte(x, rate_hz=plan.rate_hz),), 1),
        *reading("ccif", ccif, 2),
        *reading("dynamic", lambda x: (measure_dynamic_range(x, rate_hz=plan.rate_hz),), 1),
    )
    return dict(zip(DISTORTION_KEYS, values, strict=True))


def _level(section: Section) -> float:
    return section.level_dbfs if section.level_dbfs is not None else 0.0


def _noted(figure: Figure, note: str) -> Figure:
    if not figure.observable:
        return figure
    return Figure(figure.value, figure.sd, "; ".join(part for part in (note, figure.note) if part))
