"""Recordings that are the same to the last bit, shifted by whole samples or inverted at most."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dsp.levels import decibels
from dsp.null.result import Event, NullResult, Segment, Sink, Stage
from dsp.null.segments import sounds_outside
from dsp.null.signal import Signal, Span, blocks, in_order
from dsp.null.sweep import edge_frames, noise_of
from dsp.null.tally import Tally, fft_frames

Floats = NDArray[np.float64]
FEWEST_FRAMES = 4_096
LOOK_FRAMES = 65_536


def identical(
    a: Signal,
    b: Signal,
    lags: Iterable[int],
    *,
    rate_hz: int,
    noise_dbfs: float | None,
    pairs: tuple[tuple[int, int], ...],
    sink: Sink | None,
) -> NullResult | None:
    """Return the result for such a pair at the first of ``lags`` (of ``b`` after ``a``) that fits; None at none.

    Whatever else was guessed about the two: tones fit a drift or another lag nearly as well. The sink hears nothing
    before it is certain.
    """
    found = next(((lag, signs) for lag in dict.fromkeys(lags) if (signs := _signs(a, b, lag)) is not None), None)
    if found is None:
        return None
    lag, signs = found
    start, stop = _shared(a, b, lag)
    edge = edge_frames((start, stop), rate_hz)
    first, last = start + edge, stop - edge
    tally = Tally(rate_hz, first, last, fft_frames(min(last - first, 1 << 19)))
    whole = 0.0

    def one(span: Span) -> tuple[int, Floats, Floats]:
        return span[0], b.read(*span), a.read(span[0] - lag, span[1] - lag)

    for at, heard, shifted in in_order(one, blocks(first, last)):
        tally.add(tally.part(at, heard, [heard], []))
        whole += float(np.sum((heard - shifted) ** 2))
        if sink is not None:
            sink(at, heard, heard, heard)
    heard2 = float(tally.sums[0])
    rms = float(np.sqrt(heard2 / ((last - first) * b.channels)))
    noise, limit_note = noise_of(tally.hops, rate_hz=rate_hz, noise_dbfs=noise_dbfs)
    extras = [f"{abs(lag)} samples {'later' if lag > 0 else 'earlier'}"] if lag else []
    extras += [f"channel {n + 1} inverted" for n, sign in enumerate(signs) if sign < 0]
    extras += ["channels swapped"] * (len(pairs) == 2 and pairs == ((1, 0), (0, 1)))
    shifted_depth = 10.0 * float(np.log10(whole / heard2)) if whole > 0.0 and heard2 > 0.0 else None
    changes = sounds_outside(b, lag, a.frames + lag, programme_rms=rms, rate_hz=rate_hz)
    return NullResult(
        rate_hz=rate_hz,
        delay_samples=float(lag),
        delay_sd=0.0,
        drift_ppm=0.0,
        drift_sd_ppm=0.0,
        time_map=(),
        polarity=signs,
        gain_db=(0.0,) * len(signs),
        gain_sd_db=(0.0,) * len(signs),
        channels=pairs,
        null_depth_db=None,
        null_depth_matched_db=None,
        note="identical" + (f" ({', '.join(extras)})" if extras else ""),
        limit_db=None if noise is None or rms == 0.0 else decibels(noise / rms),
        limit_note=limit_note,
        stages=tuple(Stage(n, shifted_depth if n == "delay" else None) for n in ("delay", "gain", "fraction", "eq")),
        segments=(Segment(start / rate_hz, stop / rate_hz, float(lag)),),
        changes=tuple(changes),
        events=tuple(Event(c.frame / rate_hz, c.frames / rate_hz, c.what) for c in changes),
        third_octave=tally.depths(1),
        third_octave_matched=tally.depths(2),
        programme_third_octave=tally.levels(0),
        residual_third_octave=tally.levels(1),
        over_time=tally.over_time(),
        residual_rms=0.0,
        programme_rms=rms,
        first_frame=first,
        stop_frame=last,
    )


def _shared(a: Signal, b: Signal, lag: int) -> Span:
    """Return the frames of ``b`` that lie on ``a`` at a lag."""
    return max(0, lag), min(b.frames, a.frames + lag)


def _signs(a: Signal, b: Signal, lag: int) -> tuple[int, ...] | None:
    """Return +1 or −1 per channel of identical recordings, None for others; most are told apart by one short look."""
    start, stop = _shared(a, b, lag)
    if stop - start < FEWEST_FRAMES:
        return None

    def one(part: Span) -> tuple[list[tuple[bool, bool]], bool]:
        heard, x = b.read(*part), a.read(part[0] - lag, part[1] - lag)
        same = [(np.array_equal(p, q), np.array_equal(-p, q)) for p, q in zip(x, heard, strict=True)]
        return same, bool(np.any(heard))

    middle = (start + stop) // 2
    if not all(any(answer) for answer in one((middle, min(stop, middle + LOOK_FRAMES)))[0]):
        return None
    told, sounding = np.ones((b.channels, 2), dtype=bool), False
    for answers, sounds in in_order(one, blocks(start, stop)):
        told &= np.array(answers)
        sounding |= sounds
        if not np.all(told.any(axis=1)):
            return None
    return tuple(1 if same else -1 for same, _ in told.tolist()) if sounding else None
