"""Compiled loops of the strips: sixteen channels at once through filters, compressor and gains, and their sum.

Work is cut into slices at absolute frame numbers, each of which stays in the first-level cache while one stage after
the other goes over it. Every stage takes frame after frame, so a stream gives the same bits however it is cut into
blocks, and a group of lanes knows nothing of the others, so it does not matter either which thread runs which.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dsp.kernels.compiled import kernel
from dsp.kernels.lanes import (
    STRIPS,
    Code,
    Kind,
    Lanes,
    Place,
    Stage,
    apart,
    joined,
    larger,
    multiply_add,
    stage,
    turned,
)
from dsp.kernels.stages import (
    COMPRESSOR_WORDS,
    SECTION_WORDS,
    STEP_FRAMES,
    filters,
    numbers,
    settle,
    squeeze,
    take,
    targets,
)

LANES = 16
EIGHTS, SINGLES, DOUBLES = Kind(32, 8), Kind(32, 4), Kind(64, 4)

SLICE_FRAMES = 128
"""Frames worked on at once; states are cleaned of denormals whenever the frame number is a multiple of this."""

SCRATCH_FRAMES = 2 * SLICE_FRAMES + 2 * SLICE_FRAMES // LANES
"""Vectors of scratch: a slice as rows, a slice as frames, and a slice of a stereo pair."""

# Words of a group's plan.
SECTIONS, COMPRESSES, MOVES, FADES, QUADS, WRITES, MEASURES = 0, 1, 2, 3, 4, 5, 6

_STEP = np.float32(1.0 / STEP_FRAMES)
_LARGEST = np.float32(3.4028235e38)
"""The largest finite float32."""

_two_still, _two_moving = filters(STRIPS, 2, moving=False), filters(STRIPS, 2, moving=True)
_one_still, _one_moving = filters(STRIPS, 1, moving=False), filters(STRIPS, 1, moving=True)
_targets_still, _targets_moving = targets(STRIPS, moving=False), targets(STRIPS, moving=True)
_squeeze_still, _squeeze_moving = squeeze(STRIPS, moving=False), squeeze(STRIPS, moving=True)
_settle, _take = settle(STRIPS), take(STRIPS)


@stage(EIGHTS, "place", "whole", "whole", "whole")
def _turn(code: Code, scratch: Place, planar: Any, lanes: Any, tiles: Any) -> None:
    """Put rows of SLICE_FRAMES frames at ``planar`` into frames of sixteen lanes at ``lanes``, eight by eight."""
    with code.each(tiles) as tile, code.each(LANES // 8) as half:
        frame, lane = code.times(tile, 8), code.times(half, 8)
        source = scratch.at(planar, frame, code.times(lane, SLICE_FRAMES))
        for k, row in enumerate(turned([source.load(k * SLICE_FRAMES) for k in range(8)])):
            scratch.store(row, lanes, code.times(frame, LANES), k * LANES, lane)


@stage(EIGHTS, "place", "whole", "whole", "whole")
def _turn_back(code: Code, scratch: Place, lanes: Any, planar: Any, tiles: Any) -> None:
    """Put frames of sixteen lanes at ``lanes`` into rows of SLICE_FRAMES frames at ``planar``, eight by eight."""
    with code.each(tiles) as tile, code.each(LANES // 8) as half:
        frame, lane = code.times(tile, 8), code.times(half, 8)
        source = scratch.at(lanes, code.times(frame, LANES), lane)
        for k, row in enumerate(turned([source.load(k * LANES) for k in range(8)])):
            scratch.store(row, planar, frame, code.times(lane, SLICE_FRAMES), k * SLICE_FRAMES)


@stage(STRIPS, "place", "whole", "whole")
def _silence(code: Code, scratch: Place, row: Any, frames: Any) -> None:
    scratch.at(row).clear(frames)


@stage(STRIPS, "place", "whole", "whole", "whole")
def _judge(code: Code, scratch: Place, row: Any, tiles: Any, verdict: Any) -> None:
    """Put one number at ``verdict``: 0 where all of a row are finite, as zero times a number is, and NaN else."""
    found = code.cell(code.all(0.0))
    with code.each(tiles) as tile:
        found.set(multiply_add(scratch.load(row, code.times(tile, LANES)), code.all(0.0), found.get()))
    one = found.get()
    for size in (8, 4, 2, 1):
        one = one.pick(range(size)) + one.pick(range(size, 2 * size))
    scratch.store(one, verdict)


def _expect_next(source: Place, channels: int) -> None:
    """Ask for the next slice of a block: so many blocks side by side are more than a processor foresees by itself."""
    slice_floats = SLICE_FRAMES * channels
    for line in range(0, slice_floats, 16):
        source.expect(slice_floats + line)


@stage(STRIPS, "whole", "whole", "place", "whole", "whole")
def _gather_mono(code: Code, address: Any, begin: Any, scratch: Place, row: Any, frames: Any) -> None:
    source = Place.of_address(code, address).at(begin)
    scratch.at(row).copy(source, frames)
    _expect_next(source, 1)


@stage(STRIPS, "place", "whole", "whole", "whole", "whole")
def _scatter_mono(code: Code, scratch: Place, row: Any, address: Any, begin: Any, frames: Any) -> None:
    Place.of_address(code, address).at(begin).copy(scratch.at(row), frames)


@stage(STRIPS, "whole", "whole", "place", "whole", "whole", "whole")
def _gather_stereo(code: Code, address: Any, begin: Any, scratch: Place, row: Any, frames: Any, pairs: Any) -> None:
    """Take ``frames`` stereo frames apart into two rows; ``pairs`` is room for them side by side."""
    source = Place.of_address(code, address).at(begin, begin)
    scratch.at(pairs).copy(source, code.times(frames, 2))
    _expect_next(source, 2)
    with code.each(code.builder.udiv(code.plus(frames, LANES - 1), code.whole(LANES))) as tile:
        start = code.times(tile, LANES)
        a, b = scratch.load(pairs, start, start), scratch.load(pairs, start, start, LANES)
        for side, x in enumerate(apart(a, b)):
            scratch.store(x, row, start, side * SLICE_FRAMES)


@stage(STRIPS, "place", "whole", "whole", "whole", "whole", "whole")
def _scatter_stereo(code: Code, scratch: Place, row: Any, address: Any, begin: Any, frames: Any, pairs: Any) -> None:
    """Put two rows of ``frames`` frames together as stereo frames; ``pairs`` is room for them side by side."""
    with code.each(code.builder.udiv(code.plus(frames, LANES - 1), code.whole(LANES))) as tile:
        start = code.times(tile, LANES)
        a, b = scratch.load(row, start), scratch.load(row, start, SLICE_FRAMES)
        for half, x in enumerate(joined(a, b)):
            scratch.store(x, pairs, start, start, half * LANES)
    Place.of_address(code, address).at(begin, begin).copy(scratch.at(pairs), code.times(frames, 2))


def _four_sums(x: Lanes, gains: list[Lanes]) -> Lanes:
    """Return the sums over the lanes of x times each of four gains, each added as one fixed tree."""

    def folded(a: Lanes, b: Lanes, size: int) -> Lanes:
        """Add the lanes that stand ``size`` apart; those of ``a`` come first."""
        places = [start + lane for start in range(0, 16, 2 * size) for lane in range(size)]
        return a.pick(places, other=b) + a.pick([place + size for place in places], other=b)

    low, high = range(8), range(8, 16)
    eights = Code(x.code.builder, EIGHTS)
    a, b, c, d = (
        multiply_add(eights.of(x.pick(low)), eights.of(g.pick(low)), eights.of(x.pick(high)) * eights.of(g.pick(high)))
        for g in gains
    )
    twos = folded(folded(a, b, 4), folded(c, d, 4), 2)
    return twos.pick(range(0, 8, 2)) + twos.pick(range(1, 8, 2))


def _sum(*, moving: bool) -> Stage:
    """Return the stage that sums the lanes into four destinations, and keeps the largest magnitude of each lane."""

    @stage(STRIPS, "place", "whole", "whole", "whole", "whole", "number", "place", "whole", "place", "whole")
    def write(
        code: Code,
        scratch: Place,
        buffer: Any,
        frames: Any,
        row: Any,
        deltas: Any,
        share: Any,
        sums: Place,
        to: Any,
        peaks: Place,
        peak: Any,
    ) -> None:
        now = numbers(code, 4, scratch.at(row), scratch.at(deltas), share, moving=moving)
        largest = code.cell(peaks.load(peak))
        with code.each(frames) as i:
            x = scratch.load(buffer, code.times(i, LANES))
            largest.set(larger(largest.get(), x.magnitude()))
            sums.store(_four_sums(x, now()), to, code.times(i, 4))
        peaks.store(largest.get(), peak)

    return write


_sum_still, _sum_moving = _sum(moving=False), _sum(moving=True)


@stage(STRIPS, "place", "whole", "whole", "place", "whole")
def _measure(code: Code, scratch: Place, buffer: Any, frames: Any, squares: Place, to: Any) -> None:
    """Add the squares of each lane up."""
    total = code.cell(squares.load(to))
    with code.each(frames) as i:
        x = scratch.load(buffer, code.times(i, LANES))
        total.set(multiply_add(x, x, total.get()))
    squares.store(total.get(), to)


@stage(STRIPS, "place", "whole", "whole", "whole", "place", "whole")
def _look(code: Code, objects: Place, owner: Any, place: Any, offset: Any, sources: Place, to: Any) -> None:
    """Read in an array object where its data is."""
    b = code.builder
    word = b.add(b.load(b.gep(objects.pointer, [owner])), place)
    address = b.load(b.inttoptr(word, objects.pointer.type))
    b.store(b.add(address, offset), b.gep(sources.pointer, [to]))


@kernel("i8[::1]", "i8", "i8[:,::1]", "i8[:,:,::1]")
def point(objects: Any, place: int, lanes: Any, sources: Any) -> None:
    """Write the addresses of all lanes' samples into ``sources`` (G, 16, 2).

    ``objects``: addresses of array objects, ``place``: where in such an object the address of its data stands [bytes].
    ``lanes`` (≤ G · 16, 2): which object a lane's samples are in, negative for none, and how far into its data [bytes].
    """
    for lane in range(lanes.shape[0]):
        if lanes[lane, 0] >= 0:
            _look(objects, lanes[lane, 0], place, lanes[lane, 1], sources, 2 * lane)


@kernel(
    "i8", "i8", "i8", "i8", "i8", "i8[:,::1]", "i8[:,:,::1]", "i8[:,:,::1]", "f4[:,:,:,::1]", "f4[:,:,:,::1]",
    "f4[:,::1]", "f4[:,:,::1]", "f4[:,::1]", "f4[::1]", "f4[:,:,:,::1]", "i8[:,::1]",
)  # fmt: skip
def run_groups(
    first: int,
    last: int,
    offset: int,
    n: int,
    position: int,
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
    bad: Any,
) -> None:
    """Run the groups ``first`` ≤ g < ``last`` of sixteen lanes over ``n`` frames from ``offset`` on in their blocks.

    ``position`` is the number of the first of these frames since the start. ``plan`` (G, 7): the words above.
    ``sources`` and ``outs`` (G, 16, 2): address and stride in float32 of each lane's samples, stride 0 for none; two
    lanes of stride 2 are the sides of one stereo block. ``rows`` (G, knots, words, 16): the compressor's numbers, then
    every section's; ``gains`` (G, knots, destinations, 16); knots stand ``STEP_FRAMES`` apart at absolute frame
    numbers, and there are two at least. ``links`` (G, 16): all bits set where a lane's neighbour is its other side.
    ``states`` (G, 2 + 2 · sections, 16), the compressor's first. ``peaks`` (2 G, 16): the largest magnitudes, and
    then, where the plan MEASURES, the sums of the squares. ``scratch``:
    SCRATCH_FRAMES + 2 · words + 2 · destinations vectors. ``sums`` (G, destinations / 4, ≥ n, 4) is written where the
    plan's QUADS have their bit set. A sample that is not finite is taken for 0, and counted in ``bad`` (G, 16).
    """
    knots, words, destinations, most = rows.shape[1], rows.shape[2], gains.shape[2], sums.shape[2]
    lanes, planar = 0, LANES * SLICE_FRAMES
    row = planar + LANES * SLICE_FRAMES
    deltas = row + LANES * words
    gain = deltas + LANES * words
    gain_deltas = gain + LANES * destinations
    pairs = gain_deltas + LANES * destinations
    for g in range(first, last):
        sections, quads = plan[g, SECTIONS], plan[g, QUADS]
        compresses, writes = plan[g, COMPRESSES] != 0, plan[g, WRITES] != 0
        moves, fades = plan[g, MOVES] != 0, plan[g, FADES] != 0
        rows_at, gains_at = LANES * g * knots * words, LANES * g * gains.shape[1] * destinations
        state = LANES * g * states.shape[1]
        used = COMPRESSOR_WORDS + SECTION_WORDS * sections
        _take(rows, rows_at, LANES * words, used, scratch, row, deltas)
        _take(gains, gains_at, LANES * destinations, destinations, scratch, gain, gain_deltas)
        start = 0
        while start < n:
            now = position + start
            m = min(n - start, SLICE_FRAMES - now % SLICE_FRAMES)
            for lane in range(LANES):
                address, stride = sources[g, lane, 0], sources[g, lane, 1]
                if stride == 1:
                    _gather_mono(address, offset + start, scratch, planar + lane * SLICE_FRAMES, m)
                elif stride == 0:
                    _silence(scratch, planar + lane * SLICE_FRAMES, m)
                elif lane % 2 == 0:
                    _gather_stereo(address, offset + start, scratch, planar + lane * SLICE_FRAMES, m, pairs)
            for lane in range(LANES):
                if sources[g, lane, 1] != 0:
                    _judge(scratch, planar + lane * SLICE_FRAMES, (m + LANES - 1) // LANES, pairs)
                    if scratch[pairs] != 0.0:
                        first_sample = planar + lane * SLICE_FRAMES
                        for sample in range(first_sample, first_sample + m):
                            if not abs(scratch[sample]) <= _LARGEST:
                                scratch[sample] = np.float32(0.0)
                                bad[g, lane] += 1
            _turn(scratch, planar, lanes, (m + 7) // 8)
            if now % SLICE_FRAMES == 0:
                _settle(states, state, 2 + 2 * sections)
            done = 0
            while done < m:
                count, share = m - done, np.float32(0.0)
                if moves:
                    into = (now + done) % STEP_FRAMES
                    count, share = min(count, STEP_FRAMES - into), np.float32(into) * _STEP
                    knot = (now + done) // STEP_FRAMES - position // STEP_FRAMES
                    _take(rows, rows_at + LANES * knot * words, LANES * words, used, scratch, row, deltas)
                at, to = lanes + LANES * done, planar + LANES * done
                for k in range(0, sections, 2):
                    section = LANES * (COMPRESSOR_WORDS + SECTION_WORDS * k)
                    r, d, s = row + section, deltas + section, state + LANES * (2 + 2 * k)
                    if k + 1 < sections:
                        if moves:
                            _two_moving(scratch, at, count, r, d, states, s, share)
                        else:
                            _two_still(scratch, at, count, r, d, states, s, share)
                    elif moves:
                        _one_moving(scratch, at, count, r, d, states, s, share)
                    else:
                        _one_still(scratch, at, count, r, d, states, s, share)
                if compresses:
                    if moves:
                        _targets_moving(scratch, at, count, row, deltas, links, LANES * g, share, to)
                        _squeeze_moving(scratch, at, count, row, deltas, states, state, share, to)
                    else:
                        _targets_still(scratch, at, count, row, deltas, links, LANES * g, share, to)
                        _squeeze_still(scratch, at, count, row, deltas, states, state, share, to)
                done += count
            if writes:
                _turn_back(scratch, lanes, planar, (m + 7) // 8)
                for lane in range(LANES):
                    address, stride = outs[g, lane, 0], outs[g, lane, 1]
                    if stride == 1:
                        _scatter_mono(scratch, planar + lane * SLICE_FRAMES, address, offset + start, m)
                    elif stride == 2 and lane % 2 == 0:
                        _scatter_stereo(scratch, planar + lane * SLICE_FRAMES, address, offset + start, m, pairs)
            if plan[g, MEASURES] != 0 and quads != 0:
                _measure(scratch, lanes, m, peaks, LANES * (plan.shape[0] + g))
            done = 0
            while done < m and quads != 0:
                count, share = m - done, np.float32(0.0)
                if fades:
                    into = (now + done) % STEP_FRAMES
                    count, share = min(count, STEP_FRAMES - into), np.float32(into) * _STEP
                    knot = (now + done) // STEP_FRAMES - position // STEP_FRAMES
                    at = gains_at + LANES * knot * destinations
                    _take(gains, at, LANES * destinations, destinations, scratch, gain, gain_deltas)
                for quad in range(destinations // 4):
                    if (quads >> quad) & 1 == 1:
                        at, to = lanes + LANES * done, 4 * ((g * (destinations // 4) + quad) * most + start + done)
                        r, d = gain + 4 * LANES * quad, gain_deltas + 4 * LANES * quad
                        if fades:
                            _sum_moving(scratch, at, count, r, d, share, sums, to, peaks, LANES * g)
                        else:
                            _sum_still(scratch, at, count, r, d, share, sums, to, peaks, LANES * g)
                done += count
            start += m


@stage(DOUBLES, "place", "whole", "whole", "place", "whole", "place", "whole", "whole", "whole")
def _add(
    code: Code, sums: Place, at: Any, stride: Any, heard: Place, listed: Any, total: Place, to: Any, width: Any,
    frames: Any,
) -> None:  # fmt: skip
    """Add four destinations of the ``listed`` groups up, which lie ``stride`` apart, into four rows of ``width``."""
    b = code.builder
    count = b.load(b.gep(heard.pointer, [listed]))
    singles = Code(code.builder, SINGLES)
    with code.each(frames) as i:
        four = code.cell(code.all(0.0))
        with code.each(count) as k:
            g = b.load(b.gep(heard.pointer, [code.plus(listed, 1, k)]))
            added = Place(singles, sums.pointer).load(at, code.times(g, stride), code.times(i, 4))
            four.set(four.get() + Lanes(code, code.builder.fpext(added.value, code.kind.floats)))
        for k in range(4):
            total.store(four.get().pick([k]), to, i, code.times(width, k))


@kernel("f4[:,:,:,::1]", "i8[:,::1]", "i8", "i8", "f8[:,::1]")
def add_groups(sums: Any, heard: Any, n: int, offset: int, total: Any) -> None:
    """Add the groups' ``sums`` (G, destinations / 4, ≥ n, 4) up in float64, one group after the other.

    ``heard`` (destinations / 4, 1 + G): how many groups are added, and which. ``total`` (destinations, ≥ offset + n) is
    written from ``offset`` on.
    """
    quads, most = sums.shape[1], sums.shape[2]
    width = total.shape[1]
    for quad in range(quads):
        listed = quad * heard.shape[1]
        _add(sums, 4 * quad * most, 4 * quads * most, heard, listed, total, 4 * quad * width + offset, width, n)
