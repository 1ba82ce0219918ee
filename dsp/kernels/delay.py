"""Compiled loops of the delays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel
from dsp.kernels.lanes import STEREO, STRIPS, Cell, Code, Lanes, Place, larger, multiply_add, stage, where_below

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@kernel("f4[:,::1]", "f4[:,::1]", "i8[::1]", "i8[::1]", "f8[:,::1]", "i8", "i8", "f8[:,::1]")
def align(block: F32, rings: F32, position: I64, delays: I64, taps: F64, done: int, fade: int, work: F64) -> None:
    """Delay ``block`` (n, ch) in place by ``delays[0]`` frames, or on the way from there to ``delays[1]``.

    ``rings`` (ch, 2^k + g) hold what came before; ``position[0]`` is the frame number. ``taps`` (2, T) are
    the weights of T frames from each delay on; where the first of a row is NaN the delay is whole and the frame is
    copied. While ``fade`` > 0, frame i is (done + i) / fade of the way; ``work`` (3, g + T) is
    scratch; the last g frames of a ring repeat its first, so that a stretch of g is read in one piece. T is a multiple
    of 4.
    """
    frames, channels = block.shape
    guard = work.shape[1] - taps.shape[1]
    size = rings.shape[1] - guard
    start = 0
    while start < frames:
        at = (position[0] + start) & (size - 1)
        m = min(frames - start, guard, size - at)
        for c in range(channels):
            ring = rings[c]
            for i in range(m):
                ring[at + i] = block[start + i, c]
            if at < guard:
                for i in range(at, min(at + m, guard)):
                    ring[size + i] = ring[i]
            past = work[2]
            for side in range(2 if fade > 0 else 1):
                out = work[side]
                if math.isnan(taps[side, 0]):
                    from_ = (at - delays[side]) & (size - 1)
                    for i in range(m):
                        out[i] = ring[from_ + i]
                else:
                    count = taps.shape[1]
                    from_ = (at - delays[side] - (count - 1)) & (size - 1)
                    for i in range(m + count - 1):
                        past[i] = ring[(from_ + i) & (size - 1)]
                    for i in range(m):
                        out[i] = 0.0
                    for k in range(0, count, 4):
                        w0, w1, w2, w3 = taps[side, k], taps[side, k + 1], taps[side, k + 2], taps[side, k + 3]
                        p0, p1 = past[count - 1 - k :], past[count - 2 - k :]
                        p2, p3 = past[count - 3 - k :], past[count - 4 - k :]
                        for i in range(m):
                            out[i] += (w0 * p0[i] + w1 * p1[i]) + (w2 * p2[i] + w3 * p3[i])
            if fade > 0:
                for i in range(m):
                    share = (done + start + i) / fade
                    block[start + i, c] = work[0, i] + (work[1, i] - work[0, i]) * share
            else:
                for i in range(m):
                    block[start + i, c] = work[0, i]
        start += m
    position[0] += frames


_POINTS = 16
"""Frames that interpolate one between them."""

_PHASES = 512
"""Places between two frames for which the table has weights."""

_DAMPING = 1.4142135623730951
"""1 / Q of a Butterworth filter."""

_TINY = 1e-20


class _Echo:
    """What the loop over frames is written down from: both channels in one vector, one channel in both lanes."""

    def __init__(self, code: Code, rings: Place, table: Place, stride: Any, channels: Any) -> None:
        self.code, self.b = code, code.builder
        self.points = Code(code.builder, STRIPS)
        self.rings, self.table = Place(self.points, rings.pointer), Place(self.points, table.pointer)
        self.stride = stride
        self.mask = self.b.sub(stride, code.whole(_POINTS + 1))
        self.second = self.b.sub(channels, code.whole(1))

    def pair(self, left: Any, right: Any) -> Lanes:
        """Return two numbers as one vector."""
        vector = self.b.insert_element(self.code.all(0.0).value, left, STRIPS.whole(0))
        return Lanes(self.code, self.b.insert_element(vector, right, STRIPS.whole(1)))

    def sides(self, vector: Lanes) -> tuple[Any, Any]:
        """Return a vector's two numbers in float32."""
        left, right = (self.b.extract_element(vector.value, STRIPS.whole(side)) for side in range(2))
        return self.b.fptrunc(left, STRIPS.element), self.b.fptrunc(right, STRIPS.element)

    def past(self, t: Any, far: Lanes) -> Lanes:
        """Return what was heard ``far`` frames before frame ``t``, between frames by the table."""
        b, code = self.b, self.code
        found = []
        for side, row in enumerate((code.whole(0), self.second)):
            frames = b.extract_element(far.value, STRIPS.whole(side))
            whole = b.fptosi(frames, t.type)
            place = b.fmul(b.fsub(frames, b.sitofp(whole, STEREO.element)), STEREO.element(_PHASES))
            phase = b.fptosi(place, t.type)
            rest = self.points.spread(b.fptrunc(b.fsub(place, b.sitofp(phase, STEREO.element)), STRIPS.element))
            weights = self.table.load(code.times(phase, _POINTS))
            weights = multiply_add(self.table.load(code.times(phase, _POINTS), _POINTS) - weights, rest, weights)
            begin = b.and_(b.sub(t, code.plus(whole, _POINTS // 2)), self.mask)
            x = self.rings.load(code.times(row, self.stride), begin) * weights
            for size in (8, 4, 2, 1):
                x = x.pick(range(size)) + x.pick(range(size, 2 * size))
            found.append(b.fpext(b.extract_element(x.value, STRIPS.whole(0)), STEREO.element))
        return self.pair(*found)

    def put(self, t: Any, x: Lanes) -> None:
        """Let the rings hold ``x`` at frame ``t``; what stands at their start is repeated behind their end."""
        b, code = self.b, self.code
        at = b.and_(t, self.mask)
        again = b.select(b.icmp_signed("<", at, code.whole(_POINTS)), code.plus(at, self.mask, 1), at)
        for row, value in zip((code.whole(0), self.second), self.sides(x), strict=True):
            for place in (at, again):
                b.store(value, self.rings.at(code.times(row, self.stride), place).pointer)


def _section(code: Code, cells: Sequence[Cell], x: Lanes, numbers: Place) -> tuple[Lanes, Lanes]:
    """Return band-pass and low-pass of a trapezoidal state-variable filter (A. Simper, Cytomic 2013)."""
    b = code.builder
    a1, a2, a3 = (code.spread(b.load(numbers.at(k).pointer)) for k in range(3))
    first, second = (cell.get() for cell in cells)
    v3 = x - second
    v1 = a1 * first + a2 * v3
    v2 = second + a2 * first + a3 * v3
    cells[0].set(v1 + v1 - first)
    cells[1].set(v2 + v2 - second)
    return v1, v2


@stage(STEREO, *["place"] * 6, *["whole"] * 7, "number", "number", "whole")
def _echoes(
    code: Code,
    block: Place,
    rings: Place,
    table: Place,
    rows: Place,
    filters: Place,
    state: Place,
    i: Any,
    t: Any,
    phase: Any,
    frames: Any,
    channels: Any,
    stride: Any,
    fade: Any,
    other: Any,
    share: Any,
    faded: Any,
) -> None:
    """Delay ``frames`` frames of one step in place, the first being frame ``i`` of the block and ``t`` of all."""
    b = code.builder
    echo = _Echo(code, rings, table, stride, channels)
    fading = b.icmp_signed(">", fade, code.whole(0))
    wide = STEREO.element
    cells = [code.cell(state.load(2 * k)) for k in range(4)]

    def now(word: int, along: Any, far: int = 16) -> Lanes:
        """Return a number of the row on its way from the last step's to this one's."""
        before, after = b.load(rows.at(word).pointer), b.load(rows.at(word, far).pointer)
        return code.spread(b.fadd(before, b.fmul(b.fsub(after, before), along)))

    with code.each(frames) as j:
        along = b.fmul(b.sitofp(code.plus(phase, j), wide), wide(1.0 / 16.0))
        at = code.plus(t, j)
        swing = state.load(8)
        swing = multiply_add(state.load(10) - swing, code.spread(along), swing) * now(1, along)
        least = code.all(_POINTS / 2 + 1.0)
        y = code.cell(echo.past(at, larger(now(0, along) + swing, least)))
        with b.if_then(fading, likely=False):
            weight = code.spread(b.fmul(b.sitofp(code.plus(faded, j), wide), share))
            y.set(multiply_add(echo.past(at, larger(code.spread(other) + swing, least)) - y.get(), weight, y.get()))
        v1, v2 = _section(code, cells[:2], y.get(), filters)
        _, e = _section(code, cells[2:], y.get() - (code.all(_DAMPING) * v1 + v2), filters.at(3))
        places = [block.at(code.times(code.plus(i, j), channels), side) for side in (code.whole(0), echo.second)]
        x = echo.pair(*(b.fpext(b.load(place.pointer), wide) for place in places))
        cross = now(6, along)
        # Ping-pong: half the sum goes to the left, nothing to the right, and what comes out to the other side.
        sent = x.swapped() * _pair(code, 0.5, 0.0) - x * _pair(code, 0.5, 1.0)
        u = x + cross * sent + now(3, along) * multiply_add(e.swapped() - e, cross, e)
        echo.put(at, where_below(u.magnitude(), code.all(_TINY), code.all(0.0), u))
        heard = (now(8, along) * e + now(9, along) * e.swapped()) * now(15, along)
        for place, value in zip(places, echo.sides(now(7, along) * x + heard), strict=True):
            b.store(value, place.pointer)
    for k, cell in enumerate(cells):
        state.store(cell.get(), 2 * k)


def _pair(code: Code, left: float, right: float) -> Lanes:
    return Lanes(code, ir.Constant(STEREO.floats, [left, right]))


@kernel(
    "f4[:,::1]", "f4[:,::1]", "i8", "i8", "f4[:,::1]", "i8[::1]", "f4[:,::1]", "f8[:,::1]", "i8", "f8[:,::1]",
    "i8", "i8", "f8", "i8", "i8", "f8[:,::1]", "f8[::1]", "f8[::1]",
)  # fmt: skip
def echo(
    block: F32,
    key: F32,
    start: int,
    stop: int,
    rings: F32,
    position: I64,
    table: F32,
    knots: F64,
    first: int,
    times: F64,
    times_first: int,
    ducks: int,
    other_frames: float,
    faded: int,
    fade: int,
    rows: F64,
    filters: F64,
    state: F64,
) -> None:
    """Delay frames ``start`` … ``stop`` of ``block`` (n, ch) with feedback, in place.

    Steps of sixteen frames begin at absolute frame numbers. ``knots`` (K, 16) stand sixteen frames apart, frame
    ``start`` being ``first`` frames after knot 0: nothing, depth of the modulation [frames], turn of its oscillator in
    a step [rad], feedback, logarithms of the tangents of high-pass and low-pass, share of ping-pong, dry, wet to the
    same and to the other side, most ducking [dB], its threshold [dB], its attack and release as one-pole shares a
    frame, the share by which time and depth come closer to what is wanted in a step; the
    last is ours: the gain of the ducking. ``times`` (K, 1), from
    ``times_first``, are the delay [frames]. ``rows`` (2, 16): both, of the last step and of this one.
    While ``fade`` > 0 a second tap, ``other_frames`` long, is faded in, ``start`` being frame ``faded`` of as many.
    ``rings`` (ch, 2^k + 16) hold what came before; ``table`` (513, 16) interpolates between frames. With ``ducks`` the
    envelope of ``key`` (n, …) is followed. ``filters`` (6,): both filters' numbers. ``state`` (14,): of the filters;
    from 8 the oscillator's two sides, of the last step and of this, its phase, and the envelope.
    """
    channels = block.shape[1]
    before, now = rows[0], rows[1]
    t = position[0]
    i = start
    while i < stop:
        phase = t & 15
        if phase == 0:
            at = min((first + i - start) >> 4, knots.shape[0] - 2)
            part = (first + i - start - (at << 4)) / 16.0
            for w in range(15):
                before[w] = now[w]
                now[w] = knots[at, w] + (knots[at + 1, w] - knots[at, w]) * part
            at = min((times_first + i - start) >> 4, times.shape[0] - 2)
            part = (times_first + i - start - (at << 4)) / 16.0
            now[0] = times[at, 0] + (times[at + 1, 0] - times[at, 0]) * part
            # Time and depth set in and stop softly, as a motor does; a jump of speed would be heard.
            for w in range(2):
                wanted = now[w]
                now[w] = before[w] + (wanted - before[w]) * now[14]
                if abs(wanted - now[w]) < 1e-3:
                    now[w] = wanted
            for w in range(8):
                if abs(state[w]) < 1e-30:
                    state[w] = 0.0
            state[12] = (state[12] + now[2]) % 6.283185307179586
            for side in range(2):
                state[8 + side] = state[10 + side]
                state[10 + side] = math.sin(state[12] + side * (channels - 1) * 1.5707963267948966)
            for k in range(2):
                tan = math.exp(now[4 + k])
                a = 1.0 / (1.0 + tan * (tan + _DAMPING))
                filters[3 * k] = a
                filters[3 * k + 1] = tan * a
                filters[3 * k + 2] = tan * tan * a
            before[15] = now[15]
            over = 20.0 * math.log10(max(state[13], 1e-10)) - now[11]
            now[15] = 10.0 ** (-0.05 * min(max(over, 0.0), now[10])) if now[10] > 0.0 else 1.0
        m = min(16 - phase, stop - i)
        if ducks > 0:
            level = state[13]
            for j in range(i, i + m):
                x = 0.0
                for c in range(key.shape[1]):
                    x = max(x, abs(key[j, c]))
                level += (x - level) * (now[12] if x > level else now[13])
            state[13] = level if level > 1e-30 else 0.0
        _echoes(
            block, rings, table, rows, filters, state, i, t, phase, m, channels, rings.shape[1], fade, other_frames,
            1.0 / max(fade, 1), faded + i - start,
        )  # fmt: skip
        i += m
        t += m
    position[0] = t
