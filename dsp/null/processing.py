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
Step = tuple[int, float, float]
Model = Callable[[Piece, Span], Floats]

RUNS = 16  # of 256 frames per value of the gain
SIDE_S = 1.0  # at least so much on either side
GONE = 10.0**-3.0  # of the gain on the other side: silence, not a gain
LEAST_DB = 0.02
LEAST_BAND_DB = 0.2
EXPLAINED = 0.85  # of the gain's movement; a step explains three quarters of a steady fade
SIGMAS = 12.0
FINEST = 16_384  # frames around the step that are read again
BAND_FINEST = 98_304  # of one octave, whose windows are 65536 frames long
HALF_OCTAVE = 10.0**0.15
MOST_BANDS = 3
QUIET = 1e-6  # of the loudest octave: what is below tells nothing


def find_processing(tally: Tally, b: Signal, model: Model, pieces: Sequence[Piece], *, rate_hz: int) -> list[Change]:
    """Return the place where the gain, or the gain of some octaves, changes for good; nothing where it does not."""
    bands = _band_steps(tally, rate_hz)
    hops = tally.hops
    count = hops.first.size // RUNS
    if count < 8:
        return []
    power, shared = (
        x[:, : count * RUNS].reshape(x.shape[0], count, RUNS).sum(axis=(0, 2), dtype=np.float64)
        for x in (hops.model, hops.shared)
    )
    frames: Floats = hops.first[: count * RUNS : RUNS].astype(np.float64) + 0.5 * RUNS * HOP_FRAMES
    step = _step(frames, power, shared, side=SIDE_S * rate_hz)
    if step is not None and (not bands or _alike(bands, _change(step))):
        _, before, after = step
        change = _change(step)
        if abs(change) >= LEAST_DB:
            at = _finer(step, b, model, pieces)
            place = f"{at / rate_hz:.6f} s (frame {at})"
            if min(before, after) <= 2.0 * GONE * max(before, after):
                silent = f"from {place} on B is silent" if after < before else f"until {place} B is silent"
                return [Change(at, 0, "silent", silent)]
            return [Change(at, 0, "processing", f"from {place} on B is {abs(change):.2f} dB {_way(change)}")]
    if not bands:
        return []
    bands.sort(key=lambda band: -abs(_change(band[1])))
    told = ", ".join(f"{_change(step):+.1f} dB at {_hertz(hz)}" for hz, step in sorted(bands[:MOST_BANDS]))
    hz, clearest = bands[0]
    at = _finer(clearest, b, model, pieces, band=(hz / HALF_OCTAVE / rate_hz, hz * HALF_OCTAVE / rate_hz))
    return [Change(at, 0, "processing", f"from about {at / rate_hz:.2f} s on B is processed differently: {told}")]


def _step(frames: Floats, power: NDArray[np.floating], shared: NDArray[np.floating], *, side: float) -> Step | None:
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
    # The runs at the step hold some of both sides.
    first, second = float(before[max(0, best - 1)]), float(after[min(best + 1, time.size - 2)])
    if saved[best] < SIGMAS**2 * left / (time.size - 2) or max(first, second) <= 0.0:
        return None
    at = round(0.5 * (time[best] + time[min(best + 1, time.size - 1)]))
    return at, max(first, GONE * second), max(second, GONE * first)


def _band_steps(tally: Tally, rate_hz: int) -> list[tuple[float, Step]]:
    """Return (octave [Hz], step) of every octave whose gain steps."""
    middles, windows = tally.windows()
    found: list[tuple[float, Step]] = []
    if middles.size < 8:
        return found
    loudest = float(windows[:, 0].sum(axis=0).max())
    for n, hz in enumerate(OCTAVES_HZ):
        power, shared = windows[:, 0, n], windows[:, 1, n]
        if hz > 0.5 * rate_hz or float(power.sum()) <= QUIET * loudest:
            continue
        step = _step(middles, power, shared, side=SIDE_S * rate_hz)
        if step is not None and abs(_change(step)) >= LEAST_BAND_DB:
            found.append((hz, step))
    return found


def _change(step: Step) -> float:
    """Return by how much the gain steps [dB]."""
    return 20.0 * float(np.log10(step[2] / step[1]))


def _alike(bands: list[tuple[float, Step]], change: float) -> bool:
    """Return whether all octaves step by much the same amount [dB]."""
    return all(abs(_change(step) - change) < max(LEAST_BAND_DB, 0.2 * abs(change)) for _, step in bands)


def _finer(step: Step, b: Signal, model: Model, pieces: Sequence[Piece], band: tuple[float, float] = (0.0, 1.0)) -> int:
    """Return the frame of the step, from the cut that leaves the least within a band [of the sample rate]."""
    at, before, after = step
    piece = next((piece for piece in pieces if piece.start <= at < piece.stop), None)
    if piece is None:
        return at
    reach = FINEST if band == (0.0, 1.0) else BAND_FINEST
    low, high = max(piece.start, at - reach), min(piece.stop, at + reach)
    heard, expected = _only(b.read(low, high), band), _only(model(piece, (low, high)), band)
    stop, start, _, _ = find_cut(before * expected, after * expected, heard)
    return low + stop if start == stop else at


def _only(x: Floats, band: tuple[float, float]) -> Floats:
    """Return what lies within a band [of the sample rate]."""
    if band == (0.0, 1.0):
        return x
    spectrum = np.fft.rfft(x, axis=1)
    place = np.arange(spectrum.shape[1]) / x.shape[1]
    spectrum[:, (place < band[0]) | (place >= band[1])] = 0.0
    out: Floats = np.fft.irfft(spectrum, x.shape[1], axis=1)
    return out


def _way(change: float) -> str:
    return "louder" if change > 0.0 else "quieter"


def _hertz(hz: float) -> str:
    return f"{hz / 1000.0:g} kHz" if hz >= 1000.0 else f"{hz:g} Hz"
