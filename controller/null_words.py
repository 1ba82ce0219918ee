"""What is left after a null, in sentences: the loudest cause first, nothing that is not significant."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsp.measure.figure import Figure
    from dsp.null.explanation import Explanation
    from dsp.null.gain_causes import GainCause
    from dsp.null.result import NullResult

SHARE_NAMES = {
    "noise": "noise",
    "linear": "a linear difference (gain, equaliser, delay) that no stage took out",
    "harmonic 2": "second-order distortion",
    "harmonic 3": "third-order distortion",
    "gain": "a gain that moves",
    "clicks": "clicks and dropouts",
    "clipping": "clipping",
    "dc": "DC",
    "other": "nothing that could be named",
}
LEAST_SHARE = 0.02
SURE = 3.0
MOST_NAMED = 4
"""Clicks and fader moves told one by one."""


def sentences(explained: Explanation) -> list[str]:
    """Return what the residual holds, one sentence a cause (what cannot be told apart: ``untold``)."""
    return [*_shares(explained), *_noise(explained), *_gains(explained), *_faults(explained)]


def path_sentences(result: NullResult) -> list[str]:
    """Return what the path is made of, one sentence a stage that paid."""
    return [*_corners(result), *_matrix(result), *_curve(result)]


def _corners(result: NullResult) -> Iterator[str]:
    if result.corners is None:
        return
    told: list[str] = []
    for number, channel in enumerate(result.corners.channels, 1):
        corners = [f"{bare(corner, 3)} Hz" for corner in channel.coupling_hz if corner.observable]
        parts = [f"coupling{'s' * (len(corners) > 1)} at {' and '.join(corners)}"] if corners else []
        if channel.low_pass_hz.observable:
            khz = channel.low_pass_hz
            parts.append(f"a low-pass at {khz.value / 1e3:.2f} ± {khz.sd / 1e3:.2g} kHz")
        if parts:
            told.append(f"channel {number}: {', '.join(parts)}")
    if told:
        yield "the path has " + "; ".join(told) + (f" ({result.corners_note})" if result.corners_note else "")


def _matrix(result: NullResult) -> Iterator[str]:
    matrix = result.matrix
    if matrix is None:
        return
    parts = ["the channels are swapped"] if matrix.swapped else []
    turn = matrix.rotation_deg
    if turn.observable and abs(turn.value) > SURE * turn.sd:
        parts.append(f"the stereo image is turned by {spread(turn, 2)}°")
    leaks = [
        (leak.value, f"channel {source} leaks into channel {out} at {spread(leak, 1)} dB")
        for out, row in enumerate(matrix.crosstalk_db, 1)
        for source, leak in enumerate(row, 1)
        if leak.observable
    ]
    parts += [sentence for _, sentence in sorted(leaks, reverse=True)[:MOST_NAMED]]
    if parts:
        yield "; ".join(parts)


def _curve(result: NullResult) -> Iterator[str]:
    if result.curve is None:
        return
    told: list[str] = []
    for number, channel in enumerate(result.curve.channels, 1):
        parts = [
            f"{name} {spread(level, 1)} dB"
            for name, level in (("H2", channel.h2_db), ("H3", channel.h3_db))
            if level.observable
        ]
        if parts:
            told.append(f"channel {number}: {', '.join(parts)} for a sine of {channel.peak_dbfs:.1f} dBFS")
    if told:
        yield "static distortion, " + "; ".join(told)


def _shares(explained: Explanation) -> Iterator[str]:
    told = [
        (share.share.value, share)
        for share in explained.shares
        if share.share.observable and share.share.value >= LEAST_SHARE and share.share.value > SURE * share.share.sd
    ]
    for value, share in sorted(told, key=lambda item: -item[0]):
        name = SHARE_NAMES.get(share.name, share.name)
        level = f" at {share.level_dbfs.value:.1f} dBFS" if share.level_dbfs.observable else ""
        yield f"{100.0 * value:.0f} % of the residual is {name}{level}"


def _noise(explained: Explanation) -> Iterator[str]:
    hum = explained.noise.hum
    if hum.lines:
        loudest = max(hum.lines, key=lambda line: max(f.value for f in line.level_dbfs))
        lines = ", ".join(f"{line.hz:.1f} Hz" for line in hum.lines[:MOST_NAMED])
        level = max(f.value for f in loudest.level_dbfs)
        yield f"hum of {spread(hum.mains_hz, 3)} Hz mains: {lines}, up to {level:.1f} dBFS"


def _gains(explained: Explanation) -> Iterator[str]:
    for number, cause in enumerate(explained.gain_cause, 1):
        if cause.kind != "steady":
            yield f"channel {number}: {_cause(cause)}"


def _cause(cause: GainCause) -> str:
    if cause.kind == "distortion":
        return "the gain follows the level as a static distortion makes it"
    if cause.compressor is not None:
        comp = cause.compressor
        way = "falls" if comp.slope.value < 0 else "rises"
        ratio = 1.0 / (1.0 + comp.slope.value) if -1.0 < comp.slope.value < 0.0 else math.inf
        about = f", about {ratio:.1f}:1" if 1.0 < ratio < 20.0 else ""
        return (
            f"the gain {way} with the level ({spread(comp.slope, 2)} dB/dB above {spread(comp.threshold_dbfs, 1)} dBFS"
            f"{about}; at most {spread(comp.most_reduction_db, 2)} dB): {cause.kind}"
        )
    if cause.tremolo is not None:
        return f"the gain swings by {spread(cause.tremolo.depth_db, 2)} dB at {spread(cause.tremolo.hz, 2)} Hz"
    moves = [
        f"{move.amount_db.value:+.2f} dB at {move.at_s:.2f} s"
        + (f" over {move.length_s:.2f} s" if move.length_s else "")
        for move in cause.moves[:MOST_NAMED]
    ]
    more = f" and {len(cause.moves) - MOST_NAMED} more" if len(cause.moves) > MOST_NAMED else ""
    return f"the gain moves: {', '.join(moves)}{more}" if moves else "the gain moves, and nothing simple explains how"


def _faults(explained: Explanation) -> Iterator[str]:
    for number, clip in enumerate(explained.clipping, 1):
        if clip.samples and clip.first_frame is not None:
            at = clip.first_frame / explained.rate_hz
            level = f" at {clip.level_dbfs.value:.2f} dBFS" if clip.level_dbfs.observable else ""
            yield f"channel {number} of B is clipped{level}: {clip.samples} samples, the first at {at:.3f} s"
        elif clip.top_loss_db.observable and clip.top_loss_db.value > SURE * clip.top_loss_db.sd > 0.0:
            yield f"channel {number}: the highest peaks of B are {spread(clip.top_loss_db, 2)} dB lower than A's"
    if explained.click_count:
        places = [f"{click.at_s:.4f} s" for click in explained.clicks]
        yield f"{_counted(explained.click_count, 'click')} in B ({_some(places, explained.click_count)})"
    if explained.dropout_count:
        places = [f"{each.length_frames} frames at {each.at_s:.4f} s" for each in explained.dropouts]
        yield f"B stands still {_counted(explained.dropout_count, 'time')} ({_some(places, explained.dropout_count)})"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count > 1)}"


def _some(places: list[str], count: int) -> str:
    named = list(dict.fromkeys(places))[:MOST_NAMED]  # both channels of a click are at one place
    return ", ".join(named) + (", …" if count > len(places) or len(set(places)) > len(named) else "")


def bare(figure: Figure, digits: int) -> str:
    """Write a figure that has no sign with its error bar."""
    return f"{figure.value:.{digits}f} ± {figure.sd:.2g}"


def spread(figure: Figure, digits: int) -> str:
    """Write a figure with its error bar; "n/o" where there is no number."""
    if not figure.observable:
        return "n/o"
    return f"{figure.value:+.{digits}f} ± {figure.sd:.2g}" if figure.sd else f"{figure.value:+.{digits}f}"
