"""Compiled loops of the strips: sixteen channels at once through filters, compressor, gains and sum; and the bus.

Work is cut into slices at absolute frame numbers, each of which stays in the first-level cache while one stage after
the other goes over it. Every stage takes frame after frame, so a stream gives the same bits however it is cut into
blocks, and a group of lanes knows nothing of the others, so any number of threads gives the same bits too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dsp.kernels.compiled import kernel, part
from dsp.kernels.lanes import (
    add,
    doubled,
    exponent,
    join_pair,
    keep,
    larger,
    load,
    magnitude,
    mantissa,
    multiply,
    multiply_add,
    nearest,
    peek,
    poke,
    read,
    smaller,
    splat,
    split_pair,
    store,
    subtract,
    sum_four,
    swap_neighbours,
    transpose,
    where_below,
    write,
)

SLICE_FRAMES = 128
"""Frames worked on at once; states are cleaned of denormals whenever the frame number is a multiple of this."""

STEP_FRAMES = 16
"""Frames between two knots of numbers that move."""

TINY = 1e-30
"""float64 states below this (−600 dBFS) are set to zero, far above the denormals that would slow the loops down."""

SECTION_WORDS = 6
"""Rows of a filter section: e, q, h, c0, c1, c2 of ``dsp.filters.lane_section``."""

COMPRESSOR_WORDS = 8
"""Rows of a compressor, levels in octaves: threshold, slope 1/R − 1, half knee, knee, slope / (2 knee), 1 − pole of
attack, 1 − pole of release, make-up."""

# Words of a group's plan.
SECTIONS, COMPRESSES, MOVES, FADES, QUADS, WRITES, PLAN_WORDS = 0, 1, 2, 3, 4, 5, 6

_F = np.float32
_LANES = 16
_FLOOR = _F(1e-15)  # −300 dBFS: the quietest level a compressor hears
_TINY = _F(1e-20)  # −400 dBFS
_LOWEST = _F(-126.0)  # the smallest gain, in octaves, that is a normal number

# log2(m) = t · L(t), t = m − 1, 1 ≤ m < 2: minimax fit, error below 3.1e-7 octaves (1.9e-6 dB)
_L0, _L1, _L2, _L3 = _F(1.442667841911316), _F(-0.7205854654312134), _F(0.4735534191131592), _F(-0.32590198516845703)
_L4, _L5, _L6 = _F(0.19429431855678558), _F(-0.07955773174762726), _F(0.015529917553067207)
# 2^f = 1 + f · E(f), |f| ≤ 1/2: minimax fit, relative error below 9.2e-8 (8e-7 dB)
_E0, _E1, _E2 = _F(0.6931470036506653), _F(0.24022242426872253), _F(0.05550733581185341)
_E3, _E4 = _F(0.009671512991189957), _F(0.001326472731307149)


@part
def _octaves(a: Any) -> Any:
    """log2 of positive normal numbers."""
    t = subtract(mantissa(a), splat(_F(1.0)))
    p = multiply_add(splat(_L6), t, splat(_L5))
    p = multiply_add(p, t, splat(_L4))
    p = multiply_add(p, t, splat(_L3))
    p = multiply_add(p, t, splat(_L2))
    p = multiply_add(p, t, splat(_L1))
    p = multiply_add(p, t, splat(_L0))
    return multiply_add(p, t, exponent(a))


@part
def _power(octaves: Any) -> Any:
    """2^octaves, exactly 1 for 0."""
    x = larger(octaves, splat(_LOWEST))
    whole = nearest(x)
    f = subtract(x, whole)
    p = multiply_add(splat(_E4), f, splat(_E3))
    p = multiply_add(p, f, splat(_E2))
    p = multiply_add(p, f, splat(_E1))
    p = multiply_add(p, f, splat(_E0))
    return doubled(multiply_add(p, f, splat(_F(1.0))), whole)


@part
def _settled(a: Any) -> Any:
    """Return ``a``, and 0 where it is too small to matter."""
    return where_below(magnitude(a), splat(_TINY), splat(_F(0.0)), a)


@part
def _filter_two(buffer: Any, at: int, m: int, rows: Any, row: int, states: Any, state: int) -> None:
    """Two sections in one loop: each waits for its own last state, so the processor works on both at once."""
    e, q, h = load(rows, row), load(rows, row + 16), load(rows, row + 32)
    c0, c1, c2 = load(rows, row + 48), load(rows, row + 64), load(rows, row + 80)
    f, r, j = load(rows, row + 96), load(rows, row + 112), load(rows, row + 128)
    d0, d1, d2 = load(rows, row + 144), load(rows, row + 160), load(rows, row + 176)
    s1, s2 = load(states, state), load(states, state + 16)
    z1, z2 = load(states, state + 32), load(states, state + 48)
    for i in range(m):
        x = load(buffer, at + 16 * i)
        v = subtract(x, s2)
        y = multiply_add(c2, v, multiply_add(c1, s1, multiply(c0, x)))
        t = multiply_add(q, v, multiply_add(e, s1, s1))
        s2 = multiply_add(h, v, multiply_add(q, s1, s2))
        s1 = t
        w = subtract(y, z2)
        store(buffer, at + 16 * i, multiply_add(d2, w, multiply_add(d1, z1, multiply(d0, y))))
        t = multiply_add(r, w, multiply_add(f, z1, z1))
        z2 = multiply_add(j, w, multiply_add(r, z1, z2))
        z1 = t
    store(states, state, s1)
    store(states, state + 16, s2)
    store(states, state + 32, z1)
    store(states, state + 48, z2)


@part
def _filter_one(buffer: Any, at: int, m: int, rows: Any, row: int, states: Any, state: int) -> None:
    e, q, h = load(rows, row), load(rows, row + 16), load(rows, row + 32)
    c0, c1, c2 = load(rows, row + 48), load(rows, row + 64), load(rows, row + 80)
    s1, s2 = load(states, state), load(states, state + 16)
    for i in range(m):
        x = load(buffer, at + 16 * i)
        v = subtract(x, s2)
        store(buffer, at + 16 * i, multiply_add(c2, v, multiply_add(c1, s1, multiply(c0, x))))
        t = multiply_add(q, v, multiply_add(e, s1, s1))
        s2 = multiply_add(h, v, multiply_add(q, s1, s2))
        s1 = t
    store(states, state, s1)
    store(states, state + 16, s2)


@part
def _compress(
    buffer: Any, at: int, m: int, rows: Any, row: int, links: Any, link: int, states: Any, state: int
) -> None:
    """Feed-forward peak compressor (D. Giannoulis, M. Massberg and J. D. Reiss, JAES 60, 2012, eq. 4 and 16).

    The gain in octaves is smoothed by a branching one-pole whose rounding errors are carried along (W. Kahan, "Further
    remarks on reducing truncation errors", CACM 8, 1965): in float32 a release of seconds would stop short otherwise.
    """
    threshold, slope, half_knee, knee = (
        load(rows, row),
        load(rows, row + 16),
        load(rows, row + 32),
        load(rows, row + 48),
    )
    in_knee, attack, release = load(rows, row + 64), load(rows, row + 80), load(rows, row + 96)
    makeup = load(rows, row + 112)
    linked = load(links, link)
    s, rest = load(states, state), load(states, state + 16)
    zero = splat(_F(0.0))
    for i in range(m):
        x = load(buffer, at + 16 * i)
        level = magnitude(x)
        level = larger(level, keep(swap_neighbours(level), linked))
        over = subtract(_octaves(larger(level, splat(_FLOOR))), threshold)
        t = smaller(larger(add(over, half_knee), zero), knee)
        target = multiply_add(multiply(in_knee, t), t, multiply(slope, larger(subtract(over, half_knee), zero)))
        step = multiply_add(where_below(target, s, attack, release), subtract(target, s), rest)
        new = add(s, step)
        rest = subtract(step, subtract(new, s))
        s = new
        store(buffer, at + 16 * i, multiply(x, _power(add(s, makeup))))
    store(states, state, s)
    store(states, state + 16, rest)


@part
def _sum(buffer: Any, at: int, m: int, gains: Any, gain: int, sums: Any, to: int, peaks: Any, peak: int) -> None:
    """Sum the lanes into four destinations, and keep the largest magnitude of each lane."""
    a, b, c, d = load(gains, gain), load(gains, gain + 16), load(gains, gain + 32), load(gains, gain + 48)
    largest = load(peaks, peak)
    for i in range(m):
        x = load(buffer, at + 16 * i)
        largest = larger(magnitude(x), largest)
        sum_four(sums, to + 4 * i, multiply(x, a), multiply(x, b), multiply(x, c), multiply(x, d))
    store(peaks, peak, largest)


@part
def _copy(knots: Any, at: int, words: int, row: Any, to: int) -> None:
    for word in range(words):
        store(row, to + 16 * word, load(knots, at + 16 * word))


@part
def _between(knots: Any, at: int, step: int, words: int, share: Any, row: Any, to: int) -> None:
    """Put the numbers ``share`` of the way from one knot to the next, ``step`` words later, into ``row``."""
    for word in range(words):
        here = load(knots, at + 16 * word)
        there = load(knots, at + 16 * (step + word))
        store(row, to + 16 * word, multiply_add(subtract(there, here), share, here))


@part
def _gather(sources: Any, g: int, begin: int, m: int, scratch: Any, thread: int, planar: int) -> None:
    """Bring ``m`` frames from ``begin`` on of a group's blocks into rows at ``planar`` of a thread's scratch."""
    base = thread * scratch.shape[1] + planar
    whole = m // 16
    for lane in range(16):
        address, stride = sources[g, lane, 0], sources[g, lane, 1]
        at = lane * SLICE_FRAMES
        if stride == 0:
            for i in range((m + 15) // 16):
                store(scratch, base + at + 16 * i, splat(_F(0.0)))
            continue
        if stride == 1:
            for i in range(whole):
                store(scratch, base + at + 16 * i, read(address, begin + 16 * i))
        elif lane % 2 == 0:
            for i in range(whole):
                split_pair(
                    address, 2 * (begin + 16 * i), scratch, base + at + 16 * i, base + at + SLICE_FRAMES + 16 * i
                )
        for i in range(16 * whole, m):
            scratch[thread, planar + at + i] = peek(address, stride * (begin + i))


@part
def _scatter(scratch: Any, thread: int, planar: int, outs: Any, g: int, begin: int, m: int) -> None:
    """Bring ``m`` frames of the rows at ``planar`` back into a group's blocks from ``begin`` on."""
    base = thread * scratch.shape[1] + planar
    whole = m // 16
    for lane in range(16):
        address, stride = outs[g, lane, 0], outs[g, lane, 1]
        at = lane * SLICE_FRAMES
        if stride == 0:
            continue
        if stride == 1:
            for i in range(whole):
                write(address, begin + 16 * i, load(scratch, base + at + 16 * i))
        elif lane % 2 == 0:
            for i in range(whole):
                join_pair(scratch, base + at + 16 * i, base + at + SLICE_FRAMES + 16 * i, address, 2 * (begin + 16 * i))
        for i in range(16 * whole, m):
            poke(address, stride * (begin + i), scratch[thread, planar + at + i])


@kernel(
    "i8", "i8", "i8", "i8", "i8", "i8", "i8[:,::1]", "i8[:,:,::1]", "i8[:,:,::1]", "f4[:,:,:,::1]", "f4[:,:,:,::1]",
    "f4[:,::1]", "f4[:,:,::1]", "f4[:,::1]", "f4[:,::1]", "f4[:,:,:,::1]",
)  # fmt: skip
def run_groups(
    first: int,
    last: int,
    offset: int,
    n: int,
    position: int,
    thread: int,
    plan: Any,
    sources: Any,
    outs: Any,
    rows: Any,
    gains: Any,
    links: Any,
    states: Any,
    peaks: Any,
    scratch: Any,
    sums: Any,
) -> None:
    """Run the groups ``first`` ≤ g < ``last`` of sixteen lanes over ``n`` frames from ``offset`` on in their blocks.

    ``position`` is the number of the first of these frames since the start. ``plan`` (G, PLAN_WORDS). ``sources`` and
    ``outs`` (G, 16, 2): address and stride in float32 of each lane's samples, stride 0 for none; two lanes of stride 2
    are the sides of one stereo block. ``rows`` (G, knots, words, 16): the compressor's numbers, then every
    section's; ``gains`` (G, knots, destinations, 16); knots stand ``STEP_FRAMES`` apart on absolute frame numbers, only
    the first counts where nothing moves. ``links`` (G, 16): all bits set where a lane's neighbour is its other side.
    ``states`` (G, 2 + 2·sections, 16), the compressor's first. ``peaks`` (G, 16). ``scratch`` (threads, words) of
    SLICE_FRAMES·32 + 16·(words + destinations) float32. ``sums`` (G, destinations / 4, ≥ n, 4) is written where the
    plan's QUADS have their bit set.
    """
    knots, words = rows.shape[1], rows.shape[2]
    destinations = gains.shape[2]
    planar, row = 16 * SLICE_FRAMES, 32 * SLICE_FRAMES
    lanes_at = thread * scratch.shape[1]
    planar_at, row_at = lanes_at + planar, lanes_at + row
    sections_at, gain_at = row_at + 16 * COMPRESSOR_WORDS, row_at + 16 * words
    most = sums.shape[2]
    for g in range(first, last):
        sections = plan[g, SECTIONS]
        compresses = plan[g, COMPRESSES] != 0
        moves, fades = plan[g, MOVES] != 0, plan[g, FADES] != 0
        quads = plan[g, QUADS]
        writes = plan[g, WRITES] != 0
        rows_at, gains_at = 16 * g * knots * words, 16 * g * knots * destinations
        state_at = 16 * g * states.shape[1]
        used = COMPRESSOR_WORDS + SECTION_WORDS * sections
        _copy(rows, rows_at, used, scratch, row_at)
        _copy(gains, gains_at, destinations, scratch, gain_at)
        start = 0
        while start < n:
            now = position + start
            m = min(n - start, SLICE_FRAMES - now % SLICE_FRAMES)
            tiles = (m + 15) // 16
            _gather(sources, g, offset + start, m, scratch, thread, planar)
            for i in range(tiles):
                transpose(scratch, planar_at + 16 * i, SLICE_FRAMES, scratch, lanes_at + 256 * i, 16)
            if now % SLICE_FRAMES == 0:
                for k in range(2 + 2 * sections):
                    store(states, state_at + 16 * k, _settled(load(states, state_at + 16 * k)))
            # Numbers that move are others for every frame.
            done = 0
            count = 1 if moves else m
            while done < m:
                if moves:
                    knot = (now + done) // STEP_FRAMES - position // STEP_FRAMES
                    share = splat(_F((now + done) % STEP_FRAMES) * _F(1.0 / STEP_FRAMES))
                    _between(rows, rows_at + 16 * knot * words, words, used, share, scratch, row_at)
                at = lanes_at + 16 * done
                for k in range(0, sections - 1, 2):
                    _filter_two(scratch, at, count, scratch, sections_at + 96 * k, states, state_at + 32 * (k + 1))
                if sections % 2 == 1:
                    k = sections - 1
                    _filter_one(scratch, at, count, scratch, sections_at + 96 * k, states, state_at + 32 * (k + 1))
                if compresses:
                    _compress(scratch, at, count, scratch, row_at, links, 16 * g, states, state_at)
                done += count
            if writes:
                for i in range(tiles):
                    transpose(scratch, lanes_at + 256 * i, 16, scratch, planar_at + 16 * i, SLICE_FRAMES)
                _scatter(scratch, thread, planar, outs, g, offset + start, m)
            done = 0
            count = 1 if fades else m
            while done < m and quads != 0:
                if fades:
                    knot = (now + done) // STEP_FRAMES - position // STEP_FRAMES
                    share = splat(_F((now + done) % STEP_FRAMES) * _F(1.0 / STEP_FRAMES))
                    _between(
                        gains, gains_at + 16 * knot * destinations, destinations, destinations, share, scratch, gain_at
                    )
                at = lanes_at + 16 * done
                for quad in range(destinations // 4):
                    if (quads >> quad) & 1 == 1:
                        to = 4 * ((g * (destinations // 4) + quad) * most + start + done)
                        _sum(scratch, at, count, scratch, gain_at + 64 * quad, sums, to, peaks, 16 * g)
                done += count
            start += m


@kernel("i8[:,::1]", "f4[:,:,:,::1]", "i8", "i8", "f8[:,::1]")
def add_groups(plan: Any, sums: Any, n: int, offset: int, total: Any) -> None:
    """Add the groups' ``sums`` (G, destinations / 4, ≥ n, 4) up in float64, one group after the other.

    ``total`` (destinations, ≥ offset + n) is written from ``offset`` on.
    """
    for quad in range(sums.shape[1]):
        for i in range(n):
            a = b = c = d = 0.0
            for g in range(sums.shape[0]):
                if (plan[g, QUADS] >> quad) & 1 == 1:
                    a += sums[g, quad, i, 0]
                    b += sums[g, quad, i, 1]
                    c += sums[g, quad, i, 2]
                    d += sums[g, quad, i, 3]
            total[4 * quad, offset + i] = a
            total[4 * quad + 1, offset + i] = b
            total[4 * quad + 2, offset + i] = c
            total[4 * quad + 3, offset + i] = d
