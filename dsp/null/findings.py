"""What the residual of a null test gives away: short events, slips, and the noise of the recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.null.bands import frame_rms
from dsp.null.search import block_delays

Floats = NDArray[np.float64]

EVENT_FRAMES = 256
AROUND = 16  # frames on either side that tell how loud the programme is
JUMP_DB = 15.0
HIGHEST_JUMP_DB = 30.0
JUMP_MADS = 6.0
FAINTEST_EVENT_DB = -40.0  # re the programme around it: peaks of an analog path's distortion stay below, faults do not
FARTHEST_DB = 45.0  # above the median: in a null that is deep, fainter events count
MERGE_S = 0.05
LONGEST_S = 0.5
MOST_EVENTS = 32
NOISE_FRAMES_S = 0.05
QUIETEST = 0.02  # share of the recording taken for its quiet passages


@dataclass(frozen=True)
class Event:
    """A short span in which the recordings differ far more than elsewhere."""

    at_s: float
    """In the recording B [s]."""
    length_s: float
    what: str


def find_events(
    model: Floats, recording: Floats, *, rate_hz: int, first_frame: int, noise_rms: float
) -> tuple[Event, ...]:
    """Return dropouts, clicks and other short differences in time order, at most 32.

    Frames of 256 are compared by the ratio of residual to programme around them. A frame stands out when that ratio
    lies 6 robust standard deviations (1.4826 median absolute deviations; at least 15 dB, at most 30 dB) above its
    median, above −40 dB (or 45 dB above the median, where that is less), and the residual 12 dB above ``noise_rms``.
    ``model`` and ``recording`` are (channels, frames).
    """
    left = frame_rms(recording - model, EVENT_FRAMES)
    expected, heard = frame_rms(model, EVENT_FRAMES), frame_rms(recording, EVENT_FRAMES)
    runs = left.shape[1]
    if runs < 8:
        return ()
    kernel = np.ones(2 * AROUND + 1)
    count = np.convolve(np.ones(runs), kernel, mode="same")
    found: list[Event] = []
    for channel in range(left.shape[0]):
        around = np.sqrt(np.convolve(expected[channel] ** 2, kernel, mode="same") / count)
        floor = max(noise_rms, 1e-9, 1e-4 * float(np.max(around)))
        ratio = 20.0 * np.log10(np.maximum(left[channel], 1e-12) / (around + floor))
        middle = float(np.median(ratio))
        spread = 1.4826 * float(np.median(np.abs(ratio - middle)))
        threshold = max(
            middle + float(np.clip(JUMP_MADS * spread, JUMP_DB, HIGHEST_JUMP_DB)),
            min(FAINTEST_EVENT_DB, middle + FARTHEST_DB),
        )
        hot = (ratio > threshold) & (left[channel] > 4.0 * noise_rms)
        for first, last in _runs(hot, max(1, round(MERGE_S * rate_hz / EVENT_FRAMES))):
            length_s = (last - first) * EVENT_FRAMES / rate_hz
            if length_s > LONGEST_S:
                continue
            start = first * EVENT_FRAMES
            stop = last * EVENT_FRAMES
            what = _name(model[channel, start:stop], recording[channel, start:stop], heard[channel, first:last])
            at_s = (first_frame + start) / rate_hz
            found.append(Event(at_s, length_s, f"{what}, {1e3 * length_s:.0f} ms, channel {channel + 1}"))
    return tuple(sorted(found, key=lambda event: event.at_s)[:MOST_EVENTS])


def find_slips(
    model: Floats, recording: Floats, *, rate_hz: int, first_frame: int, reach: int = 4096
) -> tuple[Event, ...]:
    """Return the places where the recording jumps in time against the aligned model by a sample or more.

    Lost or repeated frames do that, and so do edits. Blocks of 32768 frames are laid over each other
    one by one; a jump counts when the blocks before and after it agree among themselves.
    """
    blocks = max(4, min(64, recording.shape[1] // 16_384))
    points = block_delays(model, recording, near=0, reach=reach, blocks=blocks)
    slips: list[Event] = []
    lags = [lag for _, lag in points]
    for n in range(1, len(points)):
        settled = n + 1 >= len(points) or abs(lags[n + 1] - lags[n]) < 1.0
        if abs(lags[n] - lags[n - 1]) >= 1.0 and settled and (n < 2 or abs(lags[n - 2] - lags[n - 1]) < 1.0):
            at_s = (first_frame + 0.5 * (points[n - 1][0] + points[n][0])) / rate_hz
            way = "later" if lags[n] > lags[n - 1] else "earlier"
            slips.append(Event(at_s, 0.0, f"slip: from about here B is {abs(lags[n] - lags[n - 1]):.0f} samples {way}"))
    return tuple(slips[:MOST_EVENTS])


def quiet_noise(model: Floats, recording: Floats, *, rate_hz: int) -> tuple[float | None, str]:
    """Return the RMS of the recording's noise from its quietest passages, or None and the reason.

    The quietest 2 % of 50 ms frames count when the reference is at least 10 dB quieter there than the recording, so
    that what is heard cannot be programme.
    """
    frames = max(64, round(NOISE_FRAMES_S * rate_hz))
    heard = np.sqrt(np.mean(frame_rms(recording, frames) ** 2, axis=0))
    expected = np.sqrt(np.mean(frame_rms(model, frames) ** 2, axis=0))
    if heard.size < 10:
        return None, "too short to find a quiet passage; give the noise of the recording"
    quietest = np.argsort(heard)[: max(3, round(QUIETEST * heard.size))]
    level = float(np.sqrt(np.mean(heard[quietest] ** 2)))
    if level == 0.0:
        return None, "B is digitally silent in its quietest passages; give the noise of the recording"
    if float(np.sqrt(np.mean(expected[quietest] ** 2))) > 10.0**-0.5 * level:
        return None, "no passage is quiet enough to hear the noise of B; give the noise of the recording"
    return level, "estimated from the quietest passages of B"


def _runs(hot: NDArray[np.bool_], gap: int) -> list[tuple[int, int]]:
    """Return (first, one past last) of runs of True, merged when no more than ``gap`` apart."""
    out: list[tuple[int, int]] = []
    for place in np.flatnonzero(hot).tolist():
        if out and place - out[-1][1] <= gap:
            out[-1] = (out[-1][0], place + 1)
        else:
            out.append((place, place + 1))
    return out


def _name(model: Floats, recording: Floats, heard: Floats) -> str:
    loudest = float(np.max(np.abs(model), initial=0.0))
    if float(np.min(heard)) < 0.03 * float(np.sqrt(np.mean(model**2))):
        return "dropout"
    left = np.abs(recording - model)
    if float(np.max(left)) > 6.0 * float(np.sqrt(np.mean(left**2))) or float(np.max(np.abs(recording))) > 2.0 * loudest:
        return "click"
    return "difference"
