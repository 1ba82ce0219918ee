"""Compiled loops of the true-peak limiter: what lies between the samples, and the gain that keeps it down.

Samples stand in frames, as in a block, so a vector of sixteen holds neighbouring frames of all channels. Stages work on
whole vectors: arrays have room for ``TILE_FRAMES`` more than are asked for, and what is left there means nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel
from dsp.kernels.lanes import (
    STRIPS,
    Cell,
    Code,
    Kind,
    Lanes,
    Place,
    Stage,
    apart,
    multiply_add,
    smaller,
    stage,
    where_below,
)
from dsp.kernels.sliding import sliding_minimum
from dsp.kernels.stages import octaves, power

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LANES = 16
TILE_FRAMES = 16
STEP_FRAMES = 16
NOTHING = 1.7e-10
"""What a release goes beyond its end, so that it gets there [octaves, 1e-9 dB]."""

_GRAIN = 1.5 * 2.0**22
"""Adding this leaves whole multiples of 2⁻³⁰: gains are such, so that running sums of them are exact for ever."""

_BELOW = 1.0 - 1e-5
"""What lies this far below the ceiling needs nothing for certain, whatever logarithms are rounded to."""

SINGLES, FOURS, ONE = Kind(32, 4), Kind(64, 4), Kind(64, 1)

_least = sliding_minimum(STRIPS)

_PAIRS = ((0, 1), (4, 5)), ((2, 3), (6, None))
"""Columns of the taps, even and odd part of a phase: as many at once as registers hold sums."""


def _highest(a: Lanes, b: Lanes) -> Lanes:
    """Return the larger one, lane by lane, or ``a`` where ``b`` is NaN."""
    return where_below(a, b, b, a)


@stage(STRIPS, "place", "whole", "whole", "whole", "place", "whole", "whole", "place")
def _between(
    code: Code, frames: Place, start: Any, channels: Any, tiles: Any, taps: Place, half: Any, words: Any, out: Place
) -> None:
    """Write the peaks of every channel, sixteen samples at a time.

    An interpolator's phase p and its mirror 1 − p read the same samples, the one forwards, the other backwards. With
    e what the even part of the taps makes of them, and o the odd, these are e + o and e − o, the larger magnitude is
    |e| + |o|, and each takes half of the taps.
    """
    last = code.times(code.plus(half, half, -1), channels)
    with code.each(tiles) as tile:
        source = frames.at(start, code.times(tile, LANES))
        top = _highest(code.all(0.0), source.load(code.times(code.plus(half, -1), channels)).magnitude())
        for pairs in _PAIRS:
            columns = [column for pair in pairs for column in pair if column is not None]
            sums = {column: code.cell(code.all(0.0)) for column in columns}
            with code.each(half) as k:
                further = code.times(k, channels)
                near, far = source.load(further), source.load(code.builder.sub(last, further))
                row = taps.at(code.times(k, words))
                parts = near + far, near - far
                for column, total in sums.items():
                    tap = code.spread(code.builder.load(row.at(column).pointer))
                    total.set(multiply_add(tap, parts[column % 2], total.get()))
            for even, odd in pairs:
                value = sums[even].get().magnitude()
                top = _highest(top, value if odd is None else value + sums[odd].get().magnitude())
        out.store(top, code.times(tile, LANES))


@kernel("f4[:, ::1]", "i8", "i8", "f4[:, ::1]", "f4[::1]")
def peaks(frames: F32, start: int, n: int, taps: F32, out: F32) -> None:
    """Write to ``out`` the largest magnitudes from one sample to just before the next, those of each channel.

    ``frames`` (≥ start + n + T − 1 + TILE_FRAMES, channels); ``taps`` (T / 2, 7): even and odd part of an eighth, of
    two and of three eighths after the middle, and four eighths, which are even; ``out``
    (≥ channels · (n + TILE_FRAMES),) has frames side by side as ``frames`` does.
    """
    channels = frames.shape[1]
    tiles = (channels * n + LANES - 1) // LANES
    _between(frames, channels * start, channels, tiles, taps, taps.shape[0], taps.shape[1], out)


@kernel("f4[::1]", "i8", "i8", "i8", "f4[::1]", "f4", "f4[:, ::1]", "f4[::1]", "f4[::1]")
def peaks_near(
    samples: F32, channels: int, start: int, n: int, coarse: F32, above: float, taps: F32, work: F32, out: F32
) -> None:
    """Raise ``out`` to the exact peaks wherever ``coarse``, one frame earlier, has one of at least ``above``.

    ``samples`` (≥ channels · (start + n + T − 1),) as ``peaks`` has them; ``coarse`` (≥ channels · (n + 2)) what it
    finds, from the frame before the first; ``taps`` (T, phases) neighbouring phases around the frame, T a multiple of
    4. Between three phases a parabola. ``out`` (≥ n) is of all channels.
    """
    length, phases = taps.shape
    for i in range(channels * n):
        b = coarse[i + channels]
        if b >= above and b >= coarse[i] and b >= coarse[i + 2 * channels]:
            for p in range(phases):
                work[p] = np.float32(0.0)
            for k in range(0, length, 4):
                x = samples[channels * (start + k) + i :]
                x0, x1, x2, x3 = x[0], x[channels], x[2 * channels], x[3 * channels]
                h0, h1, h2, h3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
                for p in range(phases):
                    work[p] += (h0[p] * x0 + h1[p] * x1) + (h2[p] * x2 + h3[p] * x3)
            top = np.float32(0.0)
            for p in range(1, phases - 1):
                left, here, right = abs(work[p - 1]), abs(work[p]), abs(work[p + 1])
                if here >= left and here >= right:
                    bend = max(np.float32(2.0) * here - left - right, np.float32(1e-20))
                    top = max(top, here + (left - right) * (left - right) / (np.float32(8.0) * bend))
            out[i // channels] = max(out[i // channels], top)


@stage(STRIPS, "place", "whole")
def _louder(code: Code, tops: Place, tiles: Any) -> None:
    """Put the larger of two neighbours in the place of both."""
    with code.each(tiles) as tile:
        to = code.times(tile, LANES)
        a, b = tops.load(to, to), tops.load(to, to, LANES)
        tops.store(_highest(*apart(a, b)), to)


@stage(STRIPS, "place", "whole", "whole", "number", "number", "number")
def _line(code: Code, row: Place, start: Any, tiles: Any, value: Any, slope: Any, share: Any) -> None:
    """Write a number on its way, which goes by ``slope`` in STEP_FRAMES frames and has gone ``share`` of that."""
    ramp = [lane / STEP_FRAMES for lane in range(LANES)]
    at = code.cell(Lanes(code, code.kind.floats(ramp)) + code.spread(share))
    with code.each(tiles) as tile:
        row.store(code.spread(value) + code.spread(slope) * at.get(), start, code.times(tile, LANES))
        at.set(at.get() + code.all(LANES / STEP_FRAMES))


@stage(STRIPS, "place", "place", "whole", "number", "place", "whole", "whole")
def _needs(
    code: Code, tops: Place, ceilings: Place, tiles: Any, lowest: Any, needs: Place, to: Any, total: Any
) -> None:
    """Write the gains in octaves that peaks need, none if below ``lowest``, and at ``total`` 0 if all need nothing."""
    b, nothing, limit = code.builder, code.all(0.0), power(code, code.spread(lowest)) * code.all(_BELOW)
    found = code.cell(nothing)
    with code.each(tiles) as tile:
        at = code.times(tile, LANES)
        top = tops.load(at)
        above = b.bitcast(b.fcmp_ordered(">", top.value, limit.value), ir.IntType(LANES))
        needs.store(nothing, to, at)
        with b.if_then(b.icmp_unsigned("!=", above, above.type(0)), likely=False):
            need = smaller(ceilings.load(at) - octaves(code, top), nothing)
            need = where_below(limit, top, need, nothing)
            needs.store(need, to, at)
            found.set(smaller(found.get(), need))
    one = found.get()
    for size in (8, 4, 2, 1):
        one = one.pick(range(size)) + one.pick(range(size, 2 * size))
    needs.store(one, total)


def _doubles(code: Code, place: Place, *offsets: Any) -> Lanes:
    """Return the float32 there as float64."""
    singles = Place(Code(code.builder, SINGLES), place.pointer).load(*offsets)
    return Lanes(code, code.builder.fpext(singles.value, code.kind.floats))


@stage(FOURS, "place", "place", "whole", "whole", "place", "place", "whole")
def _release(
    code: Code, least: Place, lines: Place, shares: Any, tiles: Any, state: Place, gains: Place, released: Any
) -> None:
    """Release the needed gains: every one waits for the last, and for nothing else that takes time."""
    one = Code(code.builder, ONE)
    now = one.cell(one.of(state.load(0).pick((0,))))
    with code.each(tiles) as tile:
        i = code.times(tile, 4)
        need, share = _doubles(code, least, i), _doubles(code, lines, shares, i)
        stay, go = code.all(1.0) - share, share * (need + code.all(NOTHING))
        frames = []
        for lane in range(4):
            target, pole, way = (one.of(a.pick((lane,))) for a in (need, stay, go))
            now.set(smaller(target, multiply_add(pole, now.get(), way)))
            frames.append(now.get())
        pairs = [a.pick(range(2), other=b) for a, b in (frames[:2], frames[2:])]
        gains.store(pairs[0].pick(range(4), other=pairs[1]), released, i)


@stage(STRIPS, "place", "whole", "whole", "place", "whole")
def _linear(code: Code, gains: Place, released: Any, tiles: Any, sharp: Place, long: Any) -> None:
    """Write released gains in octaves as linear ones."""
    wide = Code(code.builder, Kind(64, LANES))
    source = Place(wide, gains.pointer)
    with code.each(tiles) as tile:
        at = code.times(tile, LANES)
        octave = Lanes(code, code.builder.fptrunc(source.load(released, at).value, code.kind.floats))
        sharp.store(power(code, octave), long, at)


@stage(FOURS, "place", "whole", "whole", "place", "whole", "place", "place")
def _smooth(
    code: Code, sharp: Place, long: Any, tiles: Any, once: Place, short: Any, state: Place, gains: Place
) -> None:
    """Write the sums that are the two running means."""
    nothing, grain, sums = code.all(0.0), code.all(_GRAIN), state.load(0)
    wide, wider = (code.cell(sums.pick((k,), 4)) for k in (1, 2))

    def summed(a: Lanes, total: Cell) -> Lanes:
        """Add the first, the first two, three and four to the total: exact, so in any order."""
        a = a + a.pick((4, 0, 1, 2), other=nothing)
        a = a + a.pick((4, 5, 0, 1), other=nothing) + total.get()
        total.set(a.pick((3,), 4))
        return a

    with code.each(tiles) as tile:
        i = code.times(tile, 4)
        new, old = (_doubles(code, sharp, i, *late) + grain - grain for late in ((long,), ()))
        mean = summed(new - old, wide)
        once.store(mean, short, i)
        gains.store(summed(mean - once.load(i), wider), i)


def _turn(channels: int) -> Stage:
    """Return the stage that turns samples down, four frames at a time."""

    @stage(FOURS, "place", "whole", "place", "number", "whole", "place")
    def write(code: Code, frames: Place, start: Any, gains: Place, scale: Any, tiles: Any, out: Place) -> None:
        b = code.builder
        wanted, width = Kind(64, 4 * channels), Code(b, Kind(32, 4 * channels))
        source, target = Place(width, frames.pointer), Place(width, out.pointer)
        with code.each(tiles) as tile:
            gain = gains.load(code.times(tile, 4)) * code.spread(scale)
            gain = gain.pick([lane // channels for lane in range(4 * channels)])
            at = code.times(tile, 4 * channels)
            x = Lanes(code, b.fpext(source.load(start, at).value, wanted.floats)) * gain
            target.store(Lanes(width, b.fptrunc(x.value, width.kind.floats)), at)

    return write


_turn_mono, _turn_stereo = _turn(1), _turn(2)


@stage(STRIPS, "place", "place", "whole", "whole")
def _copy(code: Code, target: Place, source: Place, start: Any, count: Any) -> None:
    target.copy(source.at(start), count)


@stage(STRIPS, "place", "whole", "place", "whole")
def _append(code: Code, target: Place, to: Any, source: Place, count: Any) -> None:
    target.at(to).copy(source, count)


def _slide(kind: Kind) -> Stage:
    """Return the stage that puts ``count`` numbers from ``start`` on at the beginning."""

    @stage(kind, "place", "whole", "whole")
    def write(code: Code, row: Place, start: Any, count: Any) -> None:
        cgutils.raw_memmove(code.builder, row.pointer, row.at(start).pointer, count, kind.bytes)

    return write


_slide_singles, _slide_doubles = _slide(STRIPS), _slide(FOURS)


@kernel(
    "f4[:, ::1]", "i8", "f4[:, ::1]", "i8", "i8", "f4[:, ::1]", "f4[::1]", "f8[:, ::1]", "i8", "i8", "i8", "i8",
    "f4[:, ::1]", "f4[:, ::1]", "f4[::1]", "f8[::1]", "f8[:, ::1]", "f8[::1]", "i8[::1]",
)  # fmt: skip
def limit(
    block: F32,
    looks: int,
    past: F32,
    kept: int,
    late: int,
    taps: F32,
    tops: F32,
    knots: F64,
    first: int,
    window: int,
    long: int,
    short: int,
    lines: F32,
    needs: F32,
    sharp: F32,
    once: F64,
    gains: F64,
    state: F64,
    quiet: I64,
) -> None:
    """Limit ``block`` (n, channels), which is ``late`` frames later then; where ``looks`` is 0, ``tops`` are given.

    ``past`` (≥ kept + n, channels) begins with the last ``kept`` frames, which are ``late`` and T − 1 at least.
    ``taps`` as ``peaks`` has them; ``tops`` (≥ channels · n,), of all channels. Rows of ``knots``: ceiling in octaves,
    1 − pole of the release; ``lines`` (2, ≥ n) is room for both.

    The needed gain in octaves is held by a sliding minimum over ``window`` frames (row 0 of ``needs`` (3, ≥ window − 1
    + n) begins with the last window − 1), released by a one-pole, and taken through two running means of ``long`` and
    ``short`` frames over the linear gain (``sharp`` and ``once`` begin with the last ``long`` and ``short`` values
    before each). ``gains`` (2, ≥ n) is scratch. ``state``: released gain in octaves, both sums, the last gain.
    ``quiet``: how many frames in a row have needed nothing. What cannot make a difference is left out.
    """
    n, channels = block.shape
    tiles, fours = (n + LANES - 1) // LANES, (n + 3) // 4
    _append(past, kept * channels, block, n * channels)
    if looks != 0:
        start = channels * (kept - 2 * taps.shape[0] + 1)
        rows = (channels * n + LANES - 1) // LANES
        _between(past, start, channels, rows, taps, taps.shape[0], taps.shape[1], tops)
        if channels == 2:
            _louder(tops, tiles)

    lowest = knots[0, 0]
    done, last, width = 0, knots.shape[0] - 2, lines.shape[1]
    for k in range(last + 1):
        lowest = min(lowest, knots[k + 1, 0])
        count = n - done if k == last else (k + 1) * STEP_FRAMES - first - done
        share = (first + done - k * STEP_FRAMES) * (1.0 / STEP_FRAMES)
        for j in range(2):
            way = knots[k + 1, j] - knots[k, j]
            _line(lines, j * width + done, (count + LANES - 1) // LANES, knots[k, j], way, share)
        done += count
    _needs(tops, lines, tiles, lowest, needs, window - 1, needs.shape[1])

    quiet[0] = quiet[0] + n if needs[1, 0] == np.float32(0.0) else 0
    nothing = quiet[0] >= window - 1 + n
    begin = channels * (kept - late)
    size = float(long * short)
    if nothing and state[0] == 0.0 and state[1] == long and state[2] == size:
        _copy(block, past, begin, channels * n)
    else:
        least = needs[0, window - 1 :]
        if not nothing:
            least = _least(needs, n, window)
        _release(least, lines, width, fours, state, gains, gains.shape[1])
        _linear(gains, gains.shape[1], tiles, sharp, long)
        _smooth(sharp, long, fours, once, short, state, gains)
        if channels == 2:
            _turn_stereo(past, begin, gains, 1.0 / size, fours, tops)
        else:
            _turn_mono(past, begin, gains, 1.0 / size, fours, tops)
        _copy(block, tops, 0, channels * n)
        state[0] = gains[1, n - 1]
        state[1] = once[short + n - 1]
        state[2] = gains[0, n - 1]
        state[3] = state[2] * (1.0 / size)
        _slide_singles(sharp, n, long)
        _slide_doubles(once, n, short)
    _slide_singles(needs, n, window - 1)
    _slide_singles(past, channels * n, channels * kept)
