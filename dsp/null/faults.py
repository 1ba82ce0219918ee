"""Short faults on a time line that goes on unbroken: dropouts, repeated buffers, clicks; each to the frame.

Runs of 256 frames in which the residual stands out tell roughly where; there model and recording are read again.
Which frames are missing, or come from elsewhere, is the interval that saves the most squared residual (the maximum-sum
interval, Bentley, *Comm. ACM* 27 (1984) 865-873).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.null.align import Piece
from dsp.null.segments import CLEANEST, Change
from dsp.null.signal import Signal, Span
from dsp.null.tally import HOP_FRAMES, Hops

Floats = NDArray[np.float64]
Model = Callable[[Piece, Span], Floats]

AROUND = 16  # runs on either side that tell how loud the programme is
JUMP_DB = 15.0
HIGHEST_JUMP_DB = 30.0
JUMP_MADS = 6.0
FAINTEST_DB = -40.0  # re the programme around it: peaks of an analog path's distortion stay below, faults do not
FARTHEST_DB = 45.0  # above the median: in a null that is deep, fainter faults count
MERGE_S = 0.05
MOST_FAULTS = 32
CONTEXT = 1024
CORE = 64  # frames in the middle of a fault by which it is recognised
LONGEST_READ = 1 << 19
EARLIER = 16_384  # frames: how far back a repeated buffer is looked for
SHORTEST_FOREIGN = 64  # frames
GONE = 0.03  # RMS re the model: what a dropout leaves
SAME = 0.1  # of the residual's power: what is left where the recording repeats itself


def find_faults(
    hops: Hops, b: Signal, model: Model, pieces: Sequence[Piece], *, rate_hz: int, noise_rms: float
) -> list[Change]:
    """Return faults in the order of the recording, at most 32.

    A run stands out when the ratio of its residual to the programme around lies 6 robust standard deviations (1.4826
    median absolute deviations; at least 15 dB, at most 30 dB) above its median, above −40 dB (or 45 dB above the
    median, where that is less), and the residual 12 dB above ``noise_rms`` and its own lowest
    tenth, on any channel.
    """
    if hops.first.size < 8:
        return []
    hot = _hot(hops, noise_rms)
    anywhere: NDArray[np.bool_] = np.any(hot, axis=0, keepdims=True)[0]
    found: list[Change] = []
    gap = max(1, round(MERGE_S * rate_hz / HOP_FRAMES))
    for first, last in _runs(anywhere, hops.first, gap):
        start, stop = int(hops.first[first]), int(hops.first[last - 1]) + HOP_FRAMES
        piece = next((piece for piece in pieces if piece.start <= start < piece.stop), None)
        if piece is None:
            continue
        channels = np.flatnonzero(hot[:, first:last].any(axis=1)).tolist()
        found.append(_name(b, model, piece, (start, min(stop, piece.stop)), channels, rate_hz))
        if len(found) == MOST_FAULTS:
            break
    return found


def _hot(hops: Hops, noise_rms: float) -> NDArray[np.bool_]:
    """Return which runs stand out, (channels, runs)."""
    kernel = np.ones(2 * min(AROUND, (hops.first.size - 1) // 2) + 1, np.float32)
    count = np.convolve(np.ones(hops.first.size, np.float32), kernel, mode="same") * HOP_FRAMES
    rows = []
    for left2, model2 in zip(hops.left, hops.model, strict=True):
        left = np.sqrt(left2 / HOP_FRAMES)
        around = np.sqrt(np.convolve(model2, kernel, mode="same") / count)
        floor = max(noise_rms, 1e-9, 1e-4 * float(np.max(around)))
        ratio = 20.0 * np.log10(np.maximum(left, 1e-12) / (around + floor))
        middle = float(np.median(ratio))
        spread = 1.4826 * float(np.median(np.abs(ratio - middle)))
        threshold = max(
            middle + float(np.clip(JUMP_MADS * spread, JUMP_DB, HIGHEST_JUMP_DB)),
            min(FAINTEST_DB, middle + FARTHEST_DB),
        )
        # What is left everywhere is noise, and stands out of a quiet passage without being a fault there.
        everywhere = max(noise_rms, float(np.quantile(left, 0.1)))
        rows.append((ratio > threshold) & (left > 4.0 * everywhere))
    return np.stack(rows)


def _runs(hot: NDArray[np.bool_], first: NDArray[np.int64], gap: int) -> list[Span]:
    """Return (first, one past last) of runs of True, merged when no more than ``gap`` apart on one stretch."""
    out: list[Span] = []
    for place in np.flatnonzero(hot).tolist():
        if out and first[place] - first[out[-1][1] - 1] <= (gap + 1) * HOP_FRAMES:
            out[-1] = (out[-1][0], place + 1)
        else:
            out.append((place, place + 1))
    return out


def _name(b: Signal, model: Model, piece: Piece, hot: Span, channels: list[int], rate_hz: int) -> Change:
    low, high = max(piece.start, hot[0] - CONTEXT), min(piece.stop, hot[1] + CONTEXT)
    where = (
        ""
        if len(channels) == b.channels
        else f", channel{'s' * (len(channels) > 1)} " + ", ".join(str(c + 1) for c in channels)
    )
    if high - low > LONGEST_READ:
        return _change(hot[0], hot[1] - hot[0], "difference", "difference of", where, rate_hz)
    heard, expected = b.read(low, high)[channels], model(piece, (low, high))[channels]
    left = np.sum((heard - expected) ** 2, axis=0)
    start, stop = _best_interval(left - np.sum(heard**2, axis=0))
    inside = slice(start, stop)
    if stop - start >= 2 and _rms(heard[:, inside]) < GONE * _rms(expected[:, inside]):
        return _change(low + start, stop - start, "dropout", "dropout of", where, rate_hz)
    again = _repeat(b, (low, high), (hot[0] - low, hot[1] - low), channels, left)
    if again is not None:
        first, last, back = again
        told = f"{last - first} frames at {_place(low + first, rate_hz)} are those from {back} frames earlier{where}"
        return Change(low + first, last - first, "glitch", told)
    foreign = _foreign(heard, expected, (hot[0] - low, hot[1] - low))
    if foreign is not None:
        first, last = foreign
        told = f"{last - first} frames replaced by other material at {_place(low + first, rate_hz)}{where}"
        return Change(low + first, last - first, "replaced", told)
    loudest = int(np.argmax(left))
    if float(left[loudest]) > 36.0 * float(np.mean(left[hot[0] - low : hot[1] - low])):
        return Change(low + loudest, 1, "click", f"click at {_place(low + loudest, rate_hz)}{where}")
    return _change(hot[0], hot[1] - hot[0], "difference", "difference of", where, rate_hz)


def _change(frame: int, frames: int, kind: str, what: str, where: str, rate_hz: int) -> Change:
    return Change(frame, frames, kind, f"{what} {frames} frame{'s' * (frames != 1)} at {_place(frame, rate_hz)}{where}")


def _repeat(b: Signal, span: Span, hot: Span, channels: list[int], left: Floats) -> tuple[int, int, int] | None:
    """Return (first, one past last, frames back) of a stretch that the recording already played shortly before."""
    low, high = span
    before = b.read(low - EARLIER, high)[channels]
    heard = before[:, EARLIER:]
    inside = left[hot[0] : hot[1]]
    centre = hot[0] + int(np.sum(inside * np.arange(inside.size)) / max(float(np.sum(inside)), 1e-300))
    begin = max(0, centre - CORE // 2)  # the runs of 256 frames reach further than the fault
    core = heard[:, begin : begin + CORE]
    size = 1 << before.shape[1].bit_length()
    cross = np.fft.rfft(before, size) * np.conj(np.fft.rfft(core, size))
    shared = np.fft.irfft(cross, size)[:, : before.shape[1] - core.shape[1] + 1].sum(axis=0)
    sums = np.concatenate([[0.0], np.cumsum(np.sum(before**2, axis=0))])
    power = sums[core.shape[1] :][: shared.size] - sums[: shared.size]
    likeness = np.where(power > 1e-12 * power.max(initial=0.0), shared / np.sqrt(np.maximum(power, 1e-300)), 0.0)
    itself = EARLIER + begin
    likeness[:begin] = likeness[itself - 8 :] = -np.inf  # what lies further back does not reach over the whole span
    back = itself - int(np.argmax(likeness))
    again = before[:, EARLIER - back : EARLIER - back + high - low]
    other = np.sum((heard - again) ** 2, axis=0)
    start, stop = _best_interval(left - other)
    if stop - start < 8 or float(np.sum(other[start:stop])) > SAME * float(np.sum(left[start:stop])):
        return None
    return start, stop, back


def _foreign(heard: Floats, expected: Floats, hot: Span) -> Span | None:
    """Return the stretch in which the model explains nothing of what is heard; None where it explains some.

    A frame is as likely as noise where the model holds and as likely as the programme where it does not.
    """
    left = (heard - expected) ** 2
    outside = np.ones(heard.shape[1], dtype=bool)
    outside[hot[0] : hot[1]] = False
    if not outside.any():
        return None
    loud = np.maximum(np.mean(heard**2, axis=1, keepdims=True), 1e-30)
    noise = np.clip(np.mean(left[:, outside], axis=1, keepdims=True), CLEANEST * loud, loud)
    gain: Floats = np.sum(left / noise + np.log(noise) - heard**2 / loud - np.log(loud), axis=0)
    start, stop = _best_interval(gain)
    inside = slice(start, stop)
    unlike = float(np.sum(left[:, inside])) > 0.5 * float(np.sum(heard[:, inside] ** 2 + expected[:, inside] ** 2))
    return (start, stop) if stop - start >= SHORTEST_FOREIGN and unlike else None


def _best_interval(gain: Floats) -> Span:
    """Return the interval over which ``gain`` sums to the most."""
    sums = np.concatenate([[0.0], np.cumsum(gain)])
    lowest = np.minimum.accumulate(sums)
    stop = int(np.argmax(sums - lowest))
    return int(np.argmin(sums[: stop + 1])), stop


def _rms(x: Floats) -> float:
    return float(np.sqrt(np.mean(x**2)))


def _place(frame: int, rate_hz: int) -> str:
    return f"{frame / rate_hz:.6f} s (frame {frame})"
