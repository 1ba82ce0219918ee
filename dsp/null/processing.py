"""A place from which the recording was processed otherwise: a gain that steps and stays, an equaliser switched in.

The gain of the recording re its model is followed in runs of 4096 frames over the whole band, and in windows of 65536
frames per octave. A step is the change point of a piecewise constant gain, weighted by what the programme tells
(Hinkley, *Biometrika* 57 (1970) 1-17). It is named only where it explains nearly all of the gain's movement: a
compressor moves the gain too, but does not step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.null.align import Piece
from dsp.null.segments import Change, find_cut
from dsp.null.signal import Signal, Span
from dsp.null.tally import HOP_FRAMES, OCTAVES_HZ, Tally

Floats = NDArray[np.float64]
Model = Callable[[Piece, Span], Floats]

RUNS = 16  # of 256 frames per value of the gain
SIDE_S = 1.0  # at least so much on either side
LEAST_DB = 0.02
LEAST_BAND_DB = 0.2
EXPLAINED = 0.7  # of the gain's movement
SIGMAS = 12.0
FINEST = 16_384  # frames around the step that are read again
MOST_BANDS = 3
QUIET = 1e-6  # of the loudest octave: what is below tells nothing


def find_processing(tally: Tally, b: Signal, model: Model, pieces: Sequence[Piece], *, rate_hz: int) -> list[Change]:
    """Return the place where the gain, or the gain of some octaves, changes for good; nothing where it does not."""
    bands = _band_steps(tally, rate_hz)
    hops = tally.hops()
    count = hops.first.size // RUNS
    if count < 8:
        return []
    power, shared = (
        x[:, : count * RUNS].reshape(x.shape[0], count, RUNS).sum(axis=(0, 2)) for x in (hops.model, hops.shared)
    )
    frames: Floats = hops.first[: count * RUNS : RUNS].astype(np.float64) + 0.5 * RUNS * HOP_FRAMES
    step = _step(frames, power, shared, side=SIDE_S * rate_hz)
    if step is not None and (not bands or _alike(bands, step[2] / step[1])):
        at, before, after = step
        change = 20.0 * float(np.log10(after / before))
        if abs(change) >= LEAST_DB:
            at = _finer(at, before, after, b, model, pieces)
            place = f"{at / rate_hz:.6f} s (frame {at})"
            return [Change(at, 0, "processing", f"from {place} on B is {abs(change):.2f} dB {_way(change)}")]
    if not bands:
        return []
    bands.sort(key=lambda band: -abs(band[2]))
    told = ", ".join(f"{db:+.1f} dB at {_hertz(hz)}" for hz, _, db in sorted(bands[:MOST_BANDS]))
    at = round(bands[0][1])
    return [Change(at, 0, "processing", f"from about {at / rate_hz:.1f} s on B is processed differently: {told}")]


def _step(
    frames: Floats, power: NDArray[np.floating], shared: NDArray[np.floating], *, side: float
) -> tuple[int, float, float] | None:
    """Return (frame, gain before, gain after) of the step that explains the gain's movement; None where none does."""
    told = power > QUIET * power.max(initial=0.0)
    time, weight = frames[told], power[told]
    if time.size < 8:
        return None
    gain = shared[told] / weight
    w, wg = np.cumsum(weight), np.cumsum(weight * gain)
    total, mean = w[-1], wg[-1] / w[-1]
    rest = np.maximum(total - w, 1e-300)
    before, after = wg / w, (wg[-1] - wg) / rest
    saved = w * rest / total * (before - after) ** 2
    saved[(time - time[0] < side) | (time[-1] - time < side)] = 0.0
    best = int(np.argmax(saved))
    movement = float(np.sum(weight * (gain - mean) ** 2))
    left = max(movement - float(saved[best]), 0.0)
    if movement <= 0.0 or saved[best] < EXPLAINED * movement:
        return None
    if saved[best] < SIGMAS**2 * left / (time.size - 2) or before[best] <= 0.0 or after[best] <= 0.0:
        return None
    return round(0.5 * (time[best] + time[min(best + 1, time.size - 1)])), float(before[best]), float(after[best])


def _band_steps(tally: Tally, rate_hz: int) -> list[tuple[float, float, float]]:
    """Return (octave [Hz], frame, change [dB]) of every octave whose gain steps."""
    middles, windows = tally.windows()
    found: list[tuple[float, float, float]] = []
    if middles.size < 8:
        return found
    loudest = float(windows[:, 0].sum(axis=0).max())
    for n, hz in enumerate(OCTAVES_HZ):
        power, shared = windows[:, 0, n], windows[:, 1, n]
        if hz > 0.5 * rate_hz or float(power.sum()) <= QUIET * loudest:
            continue
        step = _step(middles, power, shared, side=SIDE_S * rate_hz)
        if step is not None:
            change = 20.0 * float(np.log10(step[2] / step[1]))
            if abs(change) >= LEAST_BAND_DB:
                found.append((hz, step[0], change))
    return found


def _alike(bands: list[tuple[float, float, float]], ratio: float) -> bool:
    """Return whether all octaves step by much the same amount."""
    change = 20.0 * float(np.log10(ratio))
    return all(abs(db - change) < max(LEAST_BAND_DB, 0.2 * abs(change)) for _, _, db in bands)


def _finer(at: int, before: float, after: float, b: Signal, model: Model, pieces: Sequence[Piece]) -> int:
    """Return the frame of the step, from the cut that leaves the least."""
    piece = next((piece for piece in pieces if piece.start <= at < piece.stop), None)
    if piece is None:
        return at
    low, high = max(piece.start, at - FINEST), min(piece.stop, at + FINEST)
    expected = model(piece, (low, high))
    stop, start, _, _ = find_cut(before * expected, after * expected, b.read(low, high))
    return low + (stop if start == stop else at - low)


def _way(change: float) -> str:
    return "louder" if change > 0.0 else "quieter"


def _hertz(hz: float) -> str:
    return f"{hz / 1000.0:g} kHz" if hz >= 1000.0 else f"{hz:g} Hz"
