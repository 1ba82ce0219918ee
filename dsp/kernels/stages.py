"""Stages of strips and busses: filter sections, compressor, numbers that move; for vectors of either kind.

A buffer is frames of one vector each. The numbers a stage needs are a row of vectors. Where they move they go straight:
in frame i of a step they are row + deltas · (share + i / STEP_FRAMES). A number whose delta is 0 stays what it is to
the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dsp.kernels.lanes import Cell, Code, Kind, Lanes, Place, Stage, larger, multiply_add, smaller, stage, where_below

__all__ = [
    "COMPRESSOR_WORDS",
    "SECTION_WORDS",
    "STEP_FRAMES",
    "amplify",
    "filters",
    "numbers",
    "octaves",
    "power",
    "settle",
    "squeeze",
    "targets",
]

STEP_FRAMES = 16
"""Frames between two knots of numbers that move."""

SECTION_WORDS = 6
"""A filter section: e, q, h, c0, c1, c2 with v = x − s2, y = c0 x + c1 s1 + c2 v, s1' = s1 + e s1 + q v,
s2' = s2 + q s1 + h v. That is a trapezoidal state-variable filter (A. Simper, "Linear Trapezoidal Integrated SVF",
Cytomic 2013) told by what its states change by, which is little at low frequencies and keeps its digits so."""

COMPRESSOR_WORDS = 8
"""A compressor, levels in octaves: where its knee begins, slope 1/R − 1, knee, slope / (2 knee), 1 − pole of attack,
1 − pole of release, make-up, and how much of the gain reduction counts (1, or on the way from or to nothing)."""

# Minimax fits (E. Ya. Remez 1934): log2(1 + t) = t · Σ log_k t^k for 0 ≤ t ≤ 1, absolute error below 3.1e-7 octaves
# (1.9e-6 dB) in float32 and 1.8e-10 in float64; 2^f = 1 + f · Σ exp_k f^k for |f| ≤ 1/2, relative error below 9.2e-8
# (8e-7 dB) and 4.7e-11.
_LOG2 = {
    4: (
        1.442667841911316, -0.7205854654312134, 0.4735534191131592, -0.32590198516845703, 0.19429431855678558,
        -0.07955773174762726, 0.015529917553067207,
    ),
    8: (
        1.4426950074059965, -0.7213454534702274, 0.4808537485440427, -0.3601891159971325, 0.28542951491821633,
        -0.2275786379755399, 0.16972490920612923, -0.10708047945828349, 0.050652694048228655, -0.015342221012161286,
        0.002180033962638331,
    ),
}  # fmt: skip
_EXP2 = {
    4: (0.6931470036506653, 0.24022242426872253, 0.05550733581185341, 0.009671512991189957, 0.001326472731307149),
    8: (
        0.6931471807045319, 0.24022651066561101, 0.055504103659925634, 0.009618038132058465, 0.0013333935054625297,
        0.00015466756317993125, 1.5196156763119516e-05,
    ),
}  # fmt: skip
_TINY = {4: 1e-20, 8: 1e-30}
"""States smaller than this are set to zero, far above the denormals that would slow the loops down."""


def _polynomial(code: Code, coefficients: Sequence[float], x: Lanes) -> Lanes:
    *others, highest = coefficients
    value = code.all(highest)
    for coefficient in reversed(others):
        value = multiply_add(value, x, code.all(coefficient))
    return value


def octaves(code: Code, a: Lanes) -> Lanes:
    """log2 of positive normal numbers; what is smaller counts as the smallest."""
    t = a.mantissa() - code.all(1.0)
    return multiply_add(_polynomial(code, _LOG2[code.kind.bytes], t), t, a.exponent())


def power(code: Code, octaves: Lanes) -> Lanes:
    """2^octaves, exactly 1 for 0, and the smallest normal number for less than its logarithm."""
    x = larger(octaves, code.all(1.0 - code.kind.bias))
    rounding = code.all(1.5 * 2.0**code.kind.fraction_bits)  # there is no place for a fraction behind such a number
    shifted = x + rounding
    f = x - (shifted - rounding)
    return multiply_add(_polynomial(code, _EXP2[code.kind.bytes], f), f, code.all(1.0)).doubled(shifted)


def _loaded(code: Code, row: Place, word: int, frames: int) -> Lanes:
    """Return a number of a row, for each of the ``frames`` that a vector holds."""
    if frames == 1:
        return row.load(word * code.kind.count)
    channels = code.kind.count // frames
    narrow = Place(Code(code.builder, Kind(8 * code.kind.bytes, channels)), row.pointer)
    return code.of(narrow.load(word * channels).pick(range(channels), frames))


def numbers(
    code: Code, count: int, row: Place, deltas: Place, share: Any, *, moving: bool, frames: int = 1
) -> Callable[[], list[Lanes]]:
    """Return what gives a row's ``count`` numbers, called once for every vector; those that move, once a frame."""
    if not moving:
        still = [_loaded(code, row, word, frames) for word in range(count)]
        return lambda: still
    places = [word * code.kind.count for word in range(count)]
    at = code.cell(code.spread(share))

    def now() -> list[Lanes]:
        here = at.get()
        at.set(here + code.all(1.0 / STEP_FRAMES))
        return [multiply_add(deltas.load(place), here, row.load(place)) for place in places]

    return now


def filters(kind: Kind, count: int, *, moving: bool) -> Stage:
    """Return a stage of ``count`` sections in one loop: each waits for its own states, so they are worked on at once.

    It takes scratch, buffer, frames, row, deltas, states, state, share.
    """

    def write(
        code: Code,
        scratch: Place,
        buffer: Any,
        frames: Any,
        row: Any,
        deltas: Any,
        states: Place,
        state: Any,
        share: Any,
    ) -> None:
        now = numbers(code, SECTION_WORDS * count, scratch.at(row), scratch.at(deltas), share, moving=moving)
        places = [code.plus(state, k * kind.count) for k in range(2 * count)]
        cells = [code.cell(states.load(place)) for place in places]
        with code.each(frames) as i:
            at = code.plus(buffer, code.times(i, kind.count))
            x = scratch.load(at)
            words = now()
            for k in range(count):
                x = _section(x, cells[2 * k], cells[2 * k + 1], *words[SECTION_WORDS * k : SECTION_WORDS * (k + 1)])
            scratch.store(x, at)
        for cell, place in zip(cells, places, strict=True):
            states.store(cell.get(), place)

    return stage(kind, "place", "whole", "whole", "whole", "whole", "place", "whole", "number")(write)


def _section(x: Lanes, first: Cell, second: Cell, e: Lanes, q: Lanes, h: Lanes, *c: Lanes) -> Lanes:
    s1, s2 = first.get(), second.get()
    v = x - s2
    first.set(multiply_add(q, v, multiply_add(e, s1, s1)))
    second.set(multiply_add(h, v, multiply_add(q, s1, s2)))
    return multiply_add(c[2], v, multiply_add(c[1], s1, c[0] * x))


def targets(kind: Kind, *, moving: bool, together: int = 1) -> Stage:
    """Return the stage that puts the gains in octaves that the levels ask for into another buffer.

    Feed-forward, peak detector, quadratic knee (D. Giannoulis, M. Massberg and J. D. Reiss, JAES 60, 2012, eq. 4). With
    p the level above where the knee begins and t the part of it within the knee, their curve is
    slope · (p − t) + slope / (2 knee) · t². ``links``: all bits set where a neighbour's level counts too.
    No frame waits for another: where numbers stand still, a vector may hold several ``together``, counted as one.
    It takes scratch, buffer, frames, row, deltas, links, link, share, targets.
    """

    def write(
        code: Code, scratch: Place, buffer: Any, frames: Any, row: Any, deltas: Any, links: Place, link: Any,
        share: Any, to: Any,
    ) -> None:  # fmt: skip
        now = numbers(code, 4, scratch.at(row), scratch.at(deltas), share, moving=moving, frames=together)
        linked = _loaded(code, links.at(link), 0, together)
        nothing = code.all(0.0)
        with code.each(frames) as i:
            frame = code.times(i, kind.count)
            begin, slope, knee, in_knee = now()
            level = scratch.load(buffer, frame).magnitude()
            level = larger(level, level.swapped().kept(linked))
            p = larger(octaves(code, level) - begin, nothing)
            t = smaller(p, knee)
            scratch.store(multiply_add(multiply_add(in_knee, t, nothing - slope), t, slope * p), to, frame)

    return stage(kind, "place", "whole", "whole", "whole", "whole", "place", "whole", "number", "whole")(write)


def squeeze(kind: Kind, *, moving: bool, amplifies: bool = True) -> Stage:
    """Return the stage that brings the targets to a buffer by a branching one-pole (the same, eq. 16), as gains.

    In float32 the one-pole carries its rounding errors along (W. Kahan, "Further remarks on reducing truncation
    errors", CACM 8, 1965): a release of seconds would stop short otherwise.
    It takes scratch, buffer, frames, row, deltas, states, state, share, targets. Where it does not amplify itself, it
    leaves the gains in octaves in the place of the targets.
    """
    carries = kind.bytes == 4

    def write(
        code: Code, scratch: Place, buffer: Any, frames: Any, row: Any, deltas: Any, states: Place, state: Any,
        share: Any, to: Any,
    ) -> None:  # fmt: skip
        skipped = 4 * kind.count
        now = numbers(code, 4, scratch.at(row, skipped), scratch.at(deltas, skipped), share, moving=moving)
        gain, rest = code.cell(states.load(state)), code.cell(states.load(state, kind.count))
        with code.each(frames) as i:
            frame = code.times(i, kind.count)
            attack, release, makeup, amount = now()
            target, s = scratch.load(to, frame), gain.get()
            share_of_way = where_below(target, s, attack, release)
            if carries:
                step = multiply_add(share_of_way, target - s, rest.get())
                new = s + step
                rest.set(step - (new - s))
            else:
                new = multiply_add(share_of_way, target - s, s)
            gain.set(new)
            octave = multiply_add(new, amount, makeup)
            if amplifies:
                scratch.store(scratch.load(buffer, frame) * power(code, octave), buffer, frame)
            else:
                scratch.store(octave, to, frame)
        states.store(gain.get(), state)
        if carries:
            states.store(rest.get(), state, kind.count)

    return stage(kind, "place", "whole", "whole", "whole", "whole", "place", "whole", "number", "whole")(write)


def amplify(kind: Kind) -> Stage:
    """Return the stage that amplifies a buffer by gains in octaves. It takes scratch, buffer, vectors, gains."""

    def write(code: Code, scratch: Place, buffer: Any, vectors: Any, gains: Any) -> None:
        with code.each(vectors) as i:
            at = code.times(i, kind.count)
            scratch.store(scratch.load(buffer, at) * power(code, scratch.load(gains, at)), buffer, at)

    return stage(kind, "place", "whole", "whole", "whole")(write)


def settle(kind: Kind) -> Stage:
    """Return the stage that sets states that are too small to matter to zero. It takes states, state, count."""

    def write(code: Code, states: Place, state: Any, count: Any) -> None:
        with code.each(count) as k:
            at = code.plus(state, code.times(k, kind.count))
            value = states.load(at)
            states.store(where_below(value.magnitude(), code.all(_TINY[kind.bytes]), code.all(0.0), value), at)

    return stage(kind, "place", "whole", "whole")(write)


def take(kind: Kind) -> Stage:
    """Return the stage that brings a row of ``count`` numbers at a knot into scratch, and those to the next knot.

    It takes knots, knot, stride (elements from a knot to the next), count, scratch, row, deltas.
    """

    def write(
        code: Code, knots: Place, knot: Any, stride: Any, count: Any, scratch: Place, row: Any, deltas: Any
    ) -> None:
        with code.each(count) as word:
            at = code.times(word, kind.count)
            here = knots.load(knot, at)
            scratch.store(here, row, at)
            scratch.store(knots.load(knot, stride, at) - here, deltas, at)

    return stage(kind, "place", "whole", "whole", "whole", "place", "whole", "whole")(write)
