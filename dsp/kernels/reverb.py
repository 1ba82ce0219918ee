"""Compiled loop of the reverb: early reflections and a sixteen-line feedback delay network, sixteen frames at a time.

Where frames do not wait for each other (all-passes, taps, the mixing of the lines) a vector holds sixteen frames of one
signal; in the lines' filters, where they do, it holds one frame of the sixteen lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel
from dsp.kernels.lanes import STRIPS, Code, Kind, Lanes, Place, apart, joined, multiply_add, stage, turned, where_below

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

STEP = 16
LINES = 16
TAPS = 12
TINY = 1e-20
"""Below this (−400 dBFS) samples are set to zero, far above the denormals of float32."""

_FILTERS = 2 * 6 * LINES
_STATES = 2 * 2 * LINES
_ROOM = 80
_OUT = (5, 11)
"""The two of the matrix's outputs that are heard."""


def _quiet(a: Lanes) -> Lanes:
    return where_below(a.magnitude(), a.code.all(TINY), a.code.all(0.0), a)


EIGHTS = Kind(32, 8)
"""Half a step, or half of the lines: what one register of most machines holds."""


class _Step:
    """What a step is written down from."""

    def __init__(self, code: Code, t: Any, delays: Place, fade: Any, share: Any, slope: Any, work: Place) -> None:
        self.code = code
        self.t = t
        self.delays = delays
        self.moving = code.builder.icmp_signed(">", fade, code.whole(0))
        self.ramp = work.load(512)
        self.along = multiply_add(self.ramp, code.spread(slope), code.spread(share))

    def number(self, place: Place, *offsets: Any) -> Any:
        """Return the one number there."""
        return self.code.builder.load(place.at(*offsets).pointer)

    def glide(self, now: Place, before: Place, word: int) -> Lanes:
        """Return a gain on its way from what it was to what it is now."""
        a = self.code.spread(self.number(before, word))
        return multiply_add(self.ramp, self.code.spread(self.number(now, word)) - a, a)

    def at(self, stride: Any, delay: Any = None) -> Any:
        """Return where in a ring this step, or the one ``delay`` frames ago, stands."""
        b = self.code.builder
        return b.and_(self.t if delay is None else b.sub(self.t, delay), b.sub(stride, self.code.whole(STEP + 1)))

    def around(self, stride: Any, delay: Any = None) -> Any:
        """Return the same for a ring whose length is no power of two."""
        b = self.code.builder
        size = b.sub(stride, self.code.whole(STEP))
        now = b.urem(self.t, size)
        if delay is None:
            return now
        past = b.sub(now, delay)
        return b.select(b.icmp_signed("<", past, self.code.whole(0)), b.add(past, size), past)

    def between(self, here: Lanes, there: Lanes, share: Lanes) -> Lanes:
        """Return what lies ``share`` of the way."""
        return multiply_add(there - here, share, here)

    def past(self, rings: Place, row: Any, stride: Any, word: Any) -> Lanes:
        """Return what a ring held a delay ago; while delays are faded, on the way from one to the other."""
        code = self.code
        start = code.times(row, stride)
        x = code.cell(rings.load(start, self.at(stride, self.number(self.delays, word))))
        with code.builder.if_then(self.moving, likely=False):
            other = rings.load(start, self.at(stride, self.number(self.delays, word, _ROOM)))
            x.set(self.between(x.get(), other, self.along))
        return x.get()


@stage(STRIPS, *["place"] * 11, *["whole"] * 6, "number", "number")
def _step(
    code: Code,
    box: Place,
    predelays: Place,
    diffusers: Place,
    earlies: Place,
    lines: Place,
    delays: Place,
    gains: Place,
    row: Place,
    filters: Place,
    state: Place,
    work: Place,
    t: Any,
    pre: Any,
    dif: Any,
    ear: Any,
    lin: Any,
    fade: Any,
    share: Any,
    slope: Any,
) -> None:
    step = _Step(code, t, delays, fade, share, slope, work)
    now, before = row.at(16), state.at(16)
    heard = _enter(step, box, predelays, diffusers, earlies, gains, pre, dif, ear, step.glide(now, before, 0))
    _through_lines(step, lines, filters, work, lin)
    into = step.glide(now, before, 9)
    left, right = (earlies.load(code.times(side, ear), step.at(ear)) * into for side in range(2))
    late = []
    for k, x in enumerate(_mixed(step, state, work)):
        late.append(x)
        x = multiply_add(code.spread(step.number(gains, 6 * TAPS, k)), right, x)
        x = multiply_add(code.spread(step.number(gains, 4 * TAPS, k)), left, x)
        lines.store(_quiet(x), step.number(delays, 64, k), step.around(lin))
    late = [late[line] for line in _OUT]
    gliding = [step.glide(now, before, word) for word in (1, 2, 3, 4)]
    for side in range(2):
        x = code.all(0.0)
        for gain, (same, other) in zip(gliding[::2], (heard, late), strict=True):
            x = multiply_add(gain, (same, other)[side], x)
        for gain, (same, other) in zip(gliding[1::2], (heard, late), strict=True):
            x = multiply_add(gain, (other, same)[side], x)
        box.store(_quiet(x), STEP * (2 + side))
    # What stands at a ring's start is repeated behind its end.
    for rings, rows, stride, at in (
        (predelays, 2, pre, step.at(pre)),
        (diffusers, 8, dif, step.at(dif)),
        (earlies, 2, ear, step.at(ear)),
        (lines, LINES, lin, step.around(lin)),
    ):
        with (
            code.builder.if_then(code.builder.icmp_signed("==", at, code.whole(0)), likely=False),
            code.each(rows) as k,
        ):
            start = code.times(k, stride)
            rings.store(rings.load(start), start, stride, -STEP)


def _enter(
    step: _Step,
    box: Place,
    predelays: Place,
    diffusers: Place,
    earlies: Place,
    gains: Place,
    pre: Any,
    dif: Any,
    ear: Any,
    diffusion: Lanes,
) -> tuple[Lanes, Lanes]:
    """Take the input through predelay and four all-passes a side; return the reflections to left and right."""
    code = step.code
    for side in range(2):
        predelays.store(box.load(STEP * side), code.times(side, pre), step.at(pre))
        x = step.past(predelays, side, pre, 0)
        for k in range(4 * side, 4 * side + 4):
            start = code.times(k, dif)
            late = diffusers.load(start, step.at(dif, step.number(step.delays, 1 + k)))
            inner = _quiet(x - diffusion * late)
            diffusers.store(inner, start, step.at(dif))
            x = multiply_add(diffusion, inner, late)
        earlies.store(x, code.times(side, ear), step.at(ear))
    left, right = code.cell(code.all(0.0)), code.cell(code.all(0.0))
    for side in range(2):
        with code.each(TAPS) as k:
            x = step.past(earlies, side, ear, code.plus(16 + TAPS * side, k))
            left.set(multiply_add(code.spread(step.number(gains, TAPS * side, k)), x, left.get()))
            right.set(multiply_add(code.spread(step.number(gains, TAPS * (2 + side), k)), x, right.get()))
    return left.get(), right.get()


def _through_lines(step: _Step, lines: Place, filters: Place, work: Place, lin: Any) -> None:
    """Put what comes out of the lines, filtered, into the first rows of ``work``, one row a line.

    While a room is faded this is done for both, each with its own delays and filters.
    """
    code, b = step.code, step.code.builder
    eights = Code(b, EIGHTS)
    narrow, narrow_lines = Place(eights, work.pointer), Place(eights, lines.pointer)
    with code.each(b.select(step.moving, code.whole(2), code.whole(1))) as room:
        here = code.plus(256, code.times(room, 384))
        with code.each(LINES // 8) as half:
            first = code.times(half, 8)
            places = []
            for k in range(8):
                delay = step.number(step.delays, code.times(room, _ROOM), 48, first, k)
                places.append(code.plus(code.times(code.plus(first, k), lin), step.around(lin, delay)))
            for frame in range(0, STEP, 8):
                for k, row in enumerate(turned([narrow_lines.load(place, frame) for place in places])):
                    narrow.store(row, here, first, STEP * (frame + k))
        numbers = [filters.load(code.times(room, _FILTERS), LINES * k) for k in range(12)]
        kept = filters.at(2 * _FILTERS, code.times(room, _STATES))
        states = [code.cell(_quiet(kept.load(LINES * k))) for k in range(4)]
        with code.each(STEP) as f:
            at = code.plus(here, code.times(f, STEP))
            x = work.load(at)
            for section in range(2):
                d, c1, c2, p, q, h = numbers[6 * section : 6 * section + 6]
                first, second = states[2 * section : 2 * section + 2]
                s1, s2 = first.get(), second.get()
                v = x - s2
                first.set(multiply_add(q, v, p * s1))
                second.set(multiply_add(h, v, multiply_add(q, s1, s2)))
                x = multiply_add(c1, s1, multiply_add(c2, s2, d * x))
            work.store(x, at)
        for k, cell in enumerate(states):
            kept.store(cell.get(), LINES * k)
    with b.if_then(step.moving, likely=False), code.each(STEP) as f:
        # The f-th of the frames that ``along`` holds side by side.
        share = code.spread(b.extract_element(step.along.value, b.trunc(f, STRIPS.whole)))
        at = code.times(f, STEP)
        work.store(step.between(work.load(at, 256), work.load(at, 640), share), at, 256)
    with code.each(LINES // 8) as half:
        first = code.times(half, 8)
        for frame in range(0, STEP, 8):
            rows = [narrow.load(first, 256 + STEP * (frame + k)) for k in range(8)]
            for k, row in enumerate(turned(rows)):
                narrow.store(row, code.times(first, STEP), STEP * k + frame)


def _mixed(step: _Step, state: Place, work: Place) -> Iterator[Lanes]:
    """Rotate pairs of lines slowly, then mix all by the Hadamard matrix: both keep the energy."""
    code, b = step.code, step.code.builder
    since = b.uitofp(b.and_(step.t, code.whole(255)), STRIPS.element)
    since = multiply_add(step.ramp, code.all(1.0 / 16.0), code.spread(b.fmul(since, STRIPS.element(1.0 / 256.0))))

    def rotated(k: Any, x: Lanes, y: Lanes) -> tuple[Lanes, Lanes]:
        c, s = (
            multiply_add(since, code.spread(step.number(state, word + 8, k)), code.spread(step.number(state, word, k)))
            for word in (32, 48)
        )
        return c * x - s * y, multiply_add(s, x, c * y)

    def mixed(q: Lanes, r: Lanes, u: Lanes, v: Lanes) -> tuple[Lanes, ...]:
        a, c, e, g = q + r, q - r, u + v, u - v
        return a + e, c + g, a - e, c - g

    with code.each(4) as k:
        at = code.times(k, STEP)
        q, r, u, v = (work.load(at, 4 * STEP * j) for j in range(4))
        q, u = rotated(k, q, u)
        r, v = rotated(code.plus(k, 4), r, v)
        for j, y in enumerate(mixed(q, r, u, v)):
            work.store(y, at, 4 * STEP * j)
    for k in range(4):
        yield from mixed(*(work.load(STEP * (4 * k + j)) for j in range(4)))


@stage(STRIPS, "place", "whole", "place")
def _take_in(code: Code, block: Place, begin: Any, box: Place) -> None:
    """Take a step of stereo frames apart into the first two rows of the box."""
    a, b = block.load(begin), block.load(begin, STEP)
    for side, x in enumerate(apart(a, b)):
        box.store(x, STEP * side)


@stage(STRIPS, "place", "whole", "place", "place", "number", "number")
def _hand_out(code: Code, block: Place, begin: Any, box: Place, work: Place, dry: Any, slope: Any) -> None:
    """Put a step of both sides, the dry sound and the room, back into stereo frames, as single frames are put."""
    gain = code.spread(dry) + code.spread(slope) * (work.load(512) * code.all(float(STEP)))
    left, right = (gain * box.load(STEP * side) + box.load(STEP * (2 + side)) for side in range(2))
    for half, x in enumerate(joined(left, right)):
        block.store(x, begin, STEP * half)


@kernel(
    "f4[:,::1]", "i8", "i8", "f4[:,::1]", "f4[:,::1]", "f4[:,::1]", "f4[:,::1]", "f4[:,::1]", "i8[::1]",
    "i8[:,::1]", "f4[:,::1]", "i8", "i8", "f8[:,::1]", "i8", "f4[::1]", "f4[::1]", "f4[::1]", "f4[::1]",
)  # fmt: skip
def reverberate(
    block: F32,
    start: int,
    stop: int,
    box: F32,
    predelays: F32,
    diffusers: F32,
    earlies: F32,
    lines: F32,
    position: I64,
    delays: I64,
    gains: F32,
    faded: int,
    fade: int,
    knots: F64,
    first: int,
    row: F32,
    filters: F32,
    state: F32,
    work: F32,
) -> None:
    """Replace frames ``start``..``stop`` of ``block`` (n, channels) by themselves times the dry gain plus the room.

    One channel is heard from both sides, and gets the left one. Whatever is heard is at least one step of sixteen
    frames old, so a whole step is worked out when it begins.

    ``box`` (4, 16): the step that comes in (left, right), the one that goes out. Rings are powers of two long, the
    lines a multiple of sixteen, and all sixteen frames more, which repeat the first: ``predelays`` (2, …),
    ``diffusers`` (8, …), ``earlies`` (2, …), ``lines`` (16, …). ``position[0]`` is the frame number.
    ``delays`` (2, 80) in frames, those that are and those that are faded to: predelay, from 1 the diffusers', from 16
    the reflections', from 48 the lines', none below 17; from 64 where in ``lines`` an output of the matrix goes. While
    ``fade`` > 0, this is step ``faded`` of as many. ``gains`` (4, 24): reflections to left and right, inputs to lines.
    ``knots`` (K, 32) stand sixteen frames apart, frame ``start`` being ``first`` frames after knot 0: cosine and sine
    of the 8 slow oscillators' steps, from 16 diffusion, early gain to the same and to the other side, late gain
    likewise, dry gain, tangent of half the greatest rotation, low-pass and high-pass of the input, gain into the lines.
    ``row`` (32,) is where they stand.
    ``filters`` (512,): 2 rooms × 2 sections × 6 numbers × 16 lines, then their states, 2 × 2 × 2 × 16.
    ``state`` (80,): oscillators, from 16 the gains of the last step, from 32 rotations and their slopes, from 64 input
    filters. ``work`` (896,) is scratch, with k / 16 at 512 + k.
    """
    t, channels = position[0], block.shape[1]
    fresh = True
    i = start
    while i < stop:
        phase = t & 15
        if phase == 0:
            # The row of this step; what is a gain goes there within the step.
            for w in range(16):
                state[16 + w] = row[16 + w]
            if fresh or knots.shape[0] > 2:
                k = min((first + i - start) >> 4, knots.shape[0] - 2)
                share = (first + i - start - (k << 4)) / 16.0
                for w in range(32):
                    row[w] = knots[k, w] + (knots[k + 1, w] - knots[k, w]) * share
                fresh = False
            if t & 255 == 0:
                for k in range(8):
                    u = row[k] * state[k] - row[8 + k] * state[8 + k]
                    v = row[8 + k] * state[k] + row[k] * state[8 + k]
                    r = np.float32(1.5) - np.float32(0.5) * (u * u + v * v)
                    state[k] = u * r
                    state[8 + k] = v * r
                    q = row[22] * v * r
                    r = np.float32(1.0) / (np.float32(1.0) + q * q)
                    state[32 + k] += state[40 + k]
                    state[48 + k] += state[56 + k]
                    state[40 + k] = (np.float32(1.0) - q * q) * r - state[32 + k]
                    state[56 + k] = (q + q) * r - state[48 + k]
            _step(
                box, predelays, diffusers, earlies, lines, delays, gains, row, filters, state, work, t,
                predelays.shape[1], diffusers.shape[1], earlies.shape[1], lines.shape[1], fade,
                np.float32(faded / max(fade, 1)), np.float32(1.0 / max(fade, 1)),
            )  # fmt: skip
            faded += 1
        m = min(16 - phase, stop - i)
        dry = state[21]
        slope = (row[21] - dry) * np.float32(1.0 / STEP)
        whole = m == STEP and channels == 2
        cuts = row[23] != 1.0 or row[24] != 0.0
        if whole and not cuts:
            _take_in(block, 2 * i, box)
            _hand_out(block, 2 * i, box, work, dry, slope)
            i += m
            t += m
            continue
        for side in range(2):
            low, high = row[23], row[24]
            channel = min(side, channels - 1)
            if not cuts:
                for j in range(m):
                    box[side, phase + j] = block[i + j, channel]
            else:
                u, v = state[64 + 2 * side], state[65 + 2 * side]
                for j in range(m):
                    u += low * (block[i + j, channel] - u)
                    v += high * (u - v)
                    box[side, phase + j] = u - v
                if phase + m == 16:
                    u = u if abs(u) > TINY else np.float32(0.0)
                    v = v if abs(v) > TINY else np.float32(0.0)
                state[64 + 2 * side], state[65 + 2 * side] = u, v
        for side in range(channels):
            for j in range(m):
                gain = dry + slope * np.float32(phase + j)
                block[i + j, side] = gain * block[i + j, side] + box[2 + side, phase + j]
        i += m
        t += m
    position[0] = t
