"""A null test as its JSON: every number of `dsp.null`, and what the engineer is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controller.null_stems import StemReport
    from dsp.null.explanation import Explanation
    from dsp.null.result import NullResult

MOST_POINTS = 2_000
"""Of anything that runs over time; longer runs are thinned evenly."""


def plain(value: Any) -> Any:
    """Return ``value`` as what JSON knows: tables, lists, numbers; None for a number that is none."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def of_result(result: NullResult) -> dict[str, Any]:
    """Return the numbers of the alignment, the stages and the residual."""
    from dsp.levels import dbfs_from_rms
    from dsp.null.result import DELAY_DEFINITION, NULL_DEFINITION

    level = dbfs_from_rms(result.residual_rms)
    data: dict[str, Any] = {
        "rate_hz": result.rate_hz,
        "delay_samples": result.delay_samples,
        "delay_sd": result.delay_sd,
        "drift_ppm": result.drift_ppm,
        "drift_sd_ppm": result.drift_sd_ppm,
        "time_map": [
            {"at_s": at, "offset_samples": offset, "sd_samples": sd} for at, offset, sd in _thinned(result.time_map)
        ],
        "polarity": list(result.polarity),
        "gain_db": [gain if math.isfinite(gain) else None for gain in result.gain_db],
        "gain_sd_db": list(result.gain_sd_db),
        "channels": [{"a": a + 1, "b": b + 1} for a, b in result.channels],
        "segments": plain(result.segments),
        "definitions": {"null": NULL_DEFINITION, "delay": DELAY_DEFINITION},
        "stages": [{"name": stage.name, "depth_db": stage.depth_db} for stage in result.stages],
        "third_octave": [
            {"hz": hz, "depth_db": depth, "programme_dbfs": heard, "residual_dbfs": left}
            for (hz, depth), (_, heard), (_, left) in zip(
                result.third_octave, result.programme_third_octave, result.residual_third_octave, strict=True
            )
        ],
        "over_time": [{"at_s": at, "depth_db": depth} for at, depth in _thinned(result.over_time)],
        "events": [{"at_s": event.at_s, "what": event.what} for event in result.events],
        "residual_dbfs": level if math.isfinite(level) else None,
        "path": of_path(result),
    }
    if None in data["gain_db"]:
        data["gain_db_note"] = "minus infinity: the channel is silent"
    for key, note in (
        ("null_depth_db", result.note),
        ("null_depth_matched_db", result.note),
        ("limit_db", result.limit_note),
    ):
        value = getattr(result, key)
        data[key] = value
        if value is None:
            data[f"{key}_note"] = note or "not known"
    data["limit_note"] = result.limit_note
    return data


def of_path(result: NullResult) -> dict[str, Any]:
    """Return what the matching stages found the path to be made of; null for a stage that did not pay."""
    corners, matrix, curve = result.corners, result.matrix, result.curve
    return {
        "corners": None
        if corners is None
        else {"model": corners.model, "channels": plain(corners.channels), "note": result.corners_note},
        "matrix": None
        if matrix is None
        else {
            "order": [source + 1 for source in matrix.order],
            "swapped": matrix.swapped,
            "polarity": list(matrix.polarity),
            "gains": plain(matrix.gains),
            "rotation_deg": plain(matrix.rotation_deg),
            "width_db": plain(matrix.width_db),
            "crosstalk_db": plain(matrix.crosstalk_db),
            "gained_db": matrix.gained_db,
        },
        "curve": None
        if curve is None
        else {"orders": list(curve.orders), "channels": plain(curve.channels), "gained_db": curve.gained_db},
    }


def of_explanation(explained: Explanation) -> dict[str, Any]:
    """Return what the residual holds, figures as tables of value, sd and note."""
    return {
        "programme_dbfs": explained.programme_dbfs,
        "residual_dbfs": plain(explained.residual_dbfs),
        "depth_db": explained.depth_db,
        "shares": [
            {"name": s.name, "share": plain(s.share), "level_dbfs": plain(s.level_dbfs)} for s in explained.shares
        ],
        "untold": list(explained.untold),
        "noise": plain(explained.noise),
        "bands": plain(explained.bands),
        "gain": [
            {
                "channel": number,
                "rms_db": plain(track.rms_db),
                "significance": plain(track.significance),
                "cause": plain(cause),
            }
            for number, (track, cause) in enumerate(zip(explained.gain, explained.gain_cause, strict=True), 1)
        ],
        "clipping": plain(explained.clipping),
        "clicks": plain(explained.clicks),
        "click_count": explained.click_count,
        "dropouts": plain(explained.dropouts),
        "dropout_count": explained.dropout_count,
    }


def of_stems(report: StemReport) -> dict[str, Any]:
    """Return every stem's move."""
    moves = report.moves
    return {
        "moves": plain(moves.moves),
        "common_db": plain(moves.common_db),
        "condition": plain(moves.condition),
        "explained": plain(moves.explained),
        "alike": [list(pair) for pair in moves.alike],
        "sum_depth_db": report.sum_depth_db,
        "note": report.note,
    }


def _thinned(points: Any) -> Any:
    step = -(-len(points) // MOST_POINTS)
    return points[:: max(1, step)]
