"""Compiled loops of the partitioned convolution: taps, transforms, products of spectra, all in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel
from dsp.kernels.lanes import Code, Kind, Lanes, Place, stage

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

FOURS = Kind(64, 4)
"""Four frequencies or frames side by side."""


def _times(a: tuple[Lanes, Lanes], b: tuple[Lanes, Lanes]) -> tuple[Lanes, Lanes]:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _butterfly(work: Place, source: tuple[Any, Any], quarter: Any, offset: Any) -> list[tuple[Lanes, Lanes]]:
    """Return the four sums of one radix-4 step, before they are turned."""
    code = work.code
    (a, ai), (b, bi), (c, ci), (d, di) = (
        tuple(work.load(part, offset, code.times(quarter, k)) for part in source) for k in range(4)
    )
    e, ei, f, fi = a + c, ai + ci, a - c, ai - ci
    g, gi, h, hi = b + d, bi + di, b - d, bi - di
    return [(e + g, ei + gi), (f + hi, fi - h), (e - g, ei - gi), (f - hi, fi + h)]


@stage(FOURS, "place", "whole", "whole", "whole", "whole", "whole", "place")
def _first_pass(
    code: Code, work: Place, real: Any, imaginary: Any, to_real: Any, to_imaginary: Any, n: Any, turns: Place
) -> None:
    """Step of a transform of n ≥ 16 points in natural order; ``turns`` holds 3 × 2 rows of n / 4 factors."""
    quarter = code.builder.lshr(n, code.whole(2))
    with code.each(code.builder.lshr(n, code.whole(4))) as i:
        at = code.times(i, 4)
        sums = _butterfly(work, (real, imaginary), quarter, at)
        turned = sums[:1]
        for k in range(3):
            row = code.times(quarter, 2 * k)
            turned.append(_times(sums[k + 1], (turns.load(row, at), turns.load(row, quarter, at))))
        for part, to in enumerate((to_real, to_imaginary)):
            # The four results of one frequency side by side.
            a, b, c, d = (pair[part] for pair in turned)
            low = a.pick((0, 4, 1, 5), other=b), c.pick((0, 4, 1, 5), other=d)
            high = a.pick((2, 6, 3, 7), other=b), c.pick((2, 6, 3, 7), other=d)
            for k, (left, right) in enumerate((low, low, high, high)):
                places = (0, 1, 4, 5) if k % 2 == 0 else (2, 3, 6, 7)
                work.store(left.pick(places, other=right), to, code.times(at, 4), 4 * k)


@stage(FOURS, "place", "whole", "whole", "whole", "whole", "whole", "whole", "place")
def _pass(
    code: Code,
    work: Place,
    real: Any,
    imaginary: Any,
    to_real: Any,
    to_imaginary: Any,
    n: Any,
    stride: Any,
    circle: Place,
) -> None:
    """Step of the same at ``stride`` = 4, 16 …; ``circle`` holds 2 rows of n: cos and −sin of 2π k / n."""
    b = code.builder
    quarter = b.lshr(n, code.whole(2))
    with code.each(b.udiv(quarter, stride)) as p:
        start = code.times(p, stride)
        places = [circle.at(code.times(start, k)) for k in (1, 2, 3)]
        turns = [(code.spread(b.load(at.pointer)), code.spread(b.load(at.at(n).pointer))) for at in places]
        with code.each(b.lshr(stride, code.whole(2))) as q:
            at = code.times(q, 4)
            sums = _butterfly(work, (real, imaginary), quarter, code.plus(start, at))
            turned = [sums[0], *(_times(sums[k + 1], turns[k]) for k in range(3))]
            for k, pair in enumerate(turned):
                for to, value in zip((to_real, to_imaginary), pair, strict=True):
                    work.store(value, to, code.times(start, 4), at, code.times(stride, k))


@stage(FOURS, "place", "whole", "whole", "whole", "whole", "whole")
def _last_pass(code: Code, work: Place, real: Any, imaginary: Any, to_real: Any, to_imaginary: Any, n: Any) -> None:
    """Radix-2 step that ends a transform whose length is no power of 4."""
    half = code.builder.lshr(n, code.whole(1))
    with code.each(code.builder.lshr(n, code.whole(3))) as i:
        at = code.times(i, 4)
        for source, to in ((real, to_real), (imaginary, to_imaginary)):
            a, b = work.load(source, at), work.load(source, half, at)
            work.store(a + b, to, at)
            work.store(a - b, to, half, at)


_FORTH = (3, 2, 1, 0)
"""Four numbers in the other order."""


@stage(FOURS, "place", "whole", "place", "whole", "whole", "whole")
def _take(code: Code, ring: Place, start: Any, work: Place, real: Any, imaginary: Any, n: Any) -> None:
    """Put 2 n numbers in as n complex ones."""
    with code.each(code.builder.lshr(n, code.whole(2))) as i:
        at = code.times(i, 4)
        a, b = ring.load(start, at, at), ring.load(start, at, at, 4)
        work.store(a.pick((0, 2, 4, 6), other=b), real, at)
        work.store(a.pick((1, 3, 5, 7), other=b), imaginary, at)


@stage(FOURS, "place", "whole", "whole", "whole", "place", "whole", "place", "whole")
def _part(
    code: Code, work: Place, real: Any, imaginary: Any, n: Any, halves: Place, row: Any, heard: Place, to: Any
) -> None:
    """Part the transform of n complex numbers, the first repeated at the end, into that of the 2 n real ones."""
    with code.each(code.builder.lshr(n, code.whole(2))) as i:
        at = code.times(i, 4)
        mirror = code.builder.sub(n, code.plus(at, 3))
        a, ai = work.load(real, at), work.load(imaginary, at)
        b, bi = work.load(real, mirror).pick(_FORTH), work.load(imaginary, mirror).pick(_FORTH)
        half = code.all(0.5)
        turn = halves.load(at), halves.load(row, at)
        odd = _times(((ai + bi) * half, (b - a) * half), turn)
        heard.store((a + b) * half + odd[0], to, at)
        heard.store((ai - bi) * half + odd[1], to, row, at)


@stage(FOURS, "place", "whole", "whole", "place", "place", "whole", "whole", "whole")
def _join(
    code: Code, sums: Place, start: Any, row: Any, halves: Place, work: Place, real: Any, imaginary: Any, n: Any
) -> None:
    """Join the spectrum of 2 n real numbers into that of n complex ones, times 2."""
    with code.each(code.builder.lshr(n, code.whole(2))) as i:
        at = code.times(i, 4)
        mirror = code.builder.sub(n, code.plus(at, 3))
        a, ai = sums.load(start, at), sums.load(start, row, at)
        b, bi = sums.load(start, mirror).pick(_FORTH), sums.load(start, row, mirror).pick(_FORTH)
        turn = halves.load(at), code.all(0.0) - halves.load(row, at)
        odd = _times((a - b, ai + bi), turn)
        work.store((a + b) - odd[1], real, at)
        work.store((ai - bi) + odd[0], imaginary, at)


@stage(FOURS, "place", "whole", "whole", "whole", "number", "place", "whole")
def _give(code: Code, work: Place, real: Any, imaginary: Any, n: Any, scale: Any, ready: Place, to: Any) -> None:
    """Put n complex numbers out as 2 n real ones."""
    factor = code.spread(scale)
    with code.each(code.builder.lshr(n, code.whole(2))) as i:
        at = code.times(i, 4)
        a, b = work.load(real, at) * factor, work.load(imaginary, at) * factor
        ready.store(a.pick((0, 4, 1, 5), other=b), to, at, at)
        ready.store(a.pick((2, 6, 3, 7), other=b), to, at, at, 4)


@stage(FOURS, "place", "whole", "whole", "whole")
def _clear(code: Code, sums: Place, start: Any, row: Any, count: Any) -> None:
    for part in range(2):
        sums.at(start, code.times(row, part)).clear(count)


@stage(FOURS, "place", "whole", "place", "whole", "place", "whole", "whole", "whole")
def _accumulate(
    code: Code, sums: Place, to: Any, heard: Place, left: Any, responses: Place, right: Any, row: Any, count: Any
) -> None:
    """Add the products of ``count`` bins."""
    with code.each(code.builder.lshr(count, code.whole(2))) as i:
        at = code.times(i, 4)
        a, b = heard.load(left, at), heard.load(left, row, at)
        c, d = responses.load(right, at), responses.load(right, row, at)
        sums.store(sums.load(to, at) + (a * c - b * d), to, at)
        sums.store(sums.load(to, row, at) + (a * d + b * c), to, row, at)


@kernel(
    "i8", "i8", "i8", "i8", "f8[:,::1]", "i8", "f8[:,:,:,::1]", "f8[:,:,:,::1]", "i8[:,::1]", "f8[:,:,::1]",
    "f8[:,::1]", "i8", "f8[:,::1]", "f8[:,::1]", "f8[:,::1]", "f8[:,::1]",
)  # fmt: skip
def convolve_blocks(
    block: int,
    blocks: int,
    begun: int,
    due: int,
    ring: F64,
    start: int,
    heard: F64,
    responses: F64,
    paths: I64,
    sums: F64,
    ready: F64,
    delay: int,
    turns: F64,
    circle: F64,
    halves: F64,
    work: F64,
) -> None:
    """Do jobs ``begun`` … ``due`` of ``blocks`` blocks of n frames, the first being number ``block``.

    Its jobs: each side's transform, four quarters of the products, each side's transform back. ``ring`` (sides, …) has
    the first block's two blocks of input from ``start`` on. ``heard`` (sides, slots, 2, n + 4): spectra of what was
    heard, ``responses`` (paths, slots, 2, n + 4): of the response's parts, ``paths`` (paths, 2): from which side to
    which, ``sums`` (sides, 2, n + 4): of the answer; three bins are padding. The answer stands in ``ready``
    (sides, 2^k) from frame block · n + ``delay`` on. ``turns`` (6, n / 4), ``circle`` (2, n) and ``halves`` (2, n + 4)
    hold cosines and −sines. ``work`` (4, n + 4) is scratch.

    Stockham's self-sorting FFT, radix 4 (C. Van Loan, "Computational Frameworks for the Fast Fourier Transform", 1.7),
    of real numbers as half as many complex ones (W. H. Press et al., "Numerical Recipes", 12.3). Sums are in one fixed
    order.
    """
    sides, parts, n, row = heard.shape[0], heard.shape[1], circle.shape[1], sums.shape[2]
    quarter = (row + 15) // 16 * 4
    for number in range(block, block + blocks):
        slot = number % parts
        for job in range(begun, due):
            if sides <= job < sides + 4:
                for begin in range((job - sides) * quarter, min((job - sides + 1) * quarter, row), 256):
                    count = min(256, min((job - sides + 1) * quarter, row) - begin)
                    for side in range(sides):
                        _clear(sums, 2 * side * row + begin, row, count)
                    for path in range(paths.shape[0]):
                        for p in range(parts):
                            left = 2 * row * (paths[path, 0] * parts + (slot - p) % parts) + begin
                            right = 2 * row * (path * parts + p) + begin
                            _accumulate(
                                sums, 2 * paths[path, 1] * row + begin, heard, left, responses, right, row, count
                            )
                continue
            back = job >= sides
            side = job - sides - 4 if back else job
            # With the two parts exchanged a transform is its own inverse, but for the factor n.
            a, b, c, d = (row, 0, 3 * row, 2 * row) if back else (0, row, 2 * row, 3 * row)
            if back:
                _join(sums, 2 * side * row, row, halves, work, b, a, n)
            else:
                _take(ring, side * ring.shape[1] + start + (number - block) * n, work, a, b, n)
            _first_pass(work, a, b, c, d, n, turns)
            a, b, c, d = c, d, a, b
            stride = 4
            while 4 * stride <= n:
                _pass(work, a, b, c, d, n, stride, circle)
                a, b, c, d = c, d, a, b
                stride *= 4
            if stride < n:
                _last_pass(work, a, b, c, d, n)
                a, b, c, d = c, d, a, b
            if back:
                to = side * ready.shape[1] + (number * n + delay) % ready.shape[1]
                _give(work, b + (n >> 1), a + (n >> 1), n >> 1, 0.5 / n, ready, to)
            else:
                at, bt = a // row, b // row
                work[at, n], work[bt, n] = work[at, 0], work[bt, 0]
                _part(work, a, b, n, halves, row, heard, 2 * row * (side * parts + slot))
                heard[side, slot, 0, n], heard[side, slot, 1, n] = work[at, 0] - work[bt, 0], 0.0


@kernel("f8[:,::1]", "i8", "i8", "f8[:,::1]", "i8[:,::1]", "f8[:,::1]", "i8")
def convolve_head(ring: F64, at: int, frames: int, taps: F64, paths: I64, out: F64, to: int) -> None:
    """Put ``ring`` (sides, n) from ``at`` on, convolved with ``taps`` (paths, T), into ``out`` from ``to`` on.

    ``at`` ≥ T − 1; T is a multiple of 4.
    """
    count = taps.shape[1]
    for side in range(out.shape[0]):
        for begin in range(0, frames, 512):
            m = min(512, frames - begin)
            y = out[side, to + begin : to + begin + m]
            for i in range(m):
                y[i] = 0.0
            for path in range(paths.shape[0]):
                if paths[path, 1] == side:
                    past = ring[paths[path, 0], at + begin - (count - 1) : at + begin + m]
                    for k in range(0, count, 4):
                        w0, w1, w2, w3 = taps[path, k], taps[path, k + 1], taps[path, k + 2], taps[path, k + 3]
                        p = count - 4 - k
                        x0, x1, x2, x3 = past[p + 3 :], past[p + 2 :], past[p + 1 :], past[p:]
                        for i in range(m):
                            y[i] += (w0 * x0[i] + w1 * x1[i]) + (w2 * x2[i] + w3 * x3[i])
