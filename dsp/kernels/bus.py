"""Compiled loop of a stereo bus: both channels in one vector of float64 through filters, compressor and fader.

Cut into slices at absolute frame numbers like the strips: the same bits however a stream is cut into blocks. Its stages
take numbers that stand still; while they move, every frame is a slice with a row of its own.
"""

from __future__ import annotations

from typing import Any

from dsp.kernels.compiled import kernel, part
from dsp.kernels.lanes import STEREO, Code, Kind, Place, multiply_add, stage
from dsp.kernels.stages import (
    COMPRESSOR_WORDS,
    SECTION_WORDS,
    STEP_FRAMES,
    amplify,
    filters,
    numbers,
    settle,
    squeeze,
    take,
    targets,
)

SIDES = 2

SLICE_FRAMES = 128
"""Frames worked on at once; states are cleaned of denormals whenever the frame number is a multiple of this."""

PAIRS = Kind(64, 4)
"""Both sides of two frames."""

_three, _two, _one = (filters(STEREO, count, moving=False) for count in (3, 2, 1))
_targets, _amplify = targets(PAIRS, moving=False, together=2), amplify(PAIRS)
_squeeze = squeeze(STEREO, moving=False, amplifies=False)
_settle, _take = settle(STEREO), take(STEREO)


@stage(STEREO, "place", "whole", "place", "whole", "whole")
def _copy(code: Code, source: Place, begin: Any, target: Place, to: Any, count: Any) -> None:
    target.at(to).copy(source.at(begin), count)


@stage(STEREO, "place", "whole", "whole", "whole", "number")
def _go(code: Code, scratch: Place, row: Any, deltas: Any, count: Any, share: Any) -> None:
    """Take a row of numbers a ``share`` of the way to the next knot."""
    with code.each(count) as word:
        at = code.times(word, SIDES)
        here = multiply_add(scratch.load(deltas, at), code.spread(share), scratch.load(row, at))
        scratch.store(here, row, at)


@stage(STEREO, "place", "whole", "whole", "whole", "number", "place", "whole")
def _fade(code: Code, scratch: Place, frames: Any, row: Any, deltas: Any, share: Any, out: Place, to: Any) -> None:
    now = numbers(code, 1, scratch.at(row), scratch.at(deltas), share, moving=True)
    with code.each(frames) as i:
        at = code.times(i, SIDES)
        out.store(scratch.load(at) * now()[0], to, at)


@part
def _stand(rows: Any, knot: int, words: int) -> bool:
    """Tell whether the first ``words`` at a knot are those at the next."""
    for word in range(words):
        for side in range(SIDES):
            if rows[knot, word, side] != rows[knot + 1, word, side]:
                return False
    return True


@kernel(
    "i8", "i8", "i8", "i8", "f8[:,::1]", "f8[:,:,::1]", "f8[:,:,::1]", "f8[::1]", "f8[:,::1]", "f8[::1]", "f8[:,::1]"
)  # fmt: skip
def run_bus(
    position: int,
    sections: int,
    compresses: int,
    moves: int,
    x: Any,
    rows: Any,
    faders: Any,
    links: Any,
    states: Any,
    scratch: Any,
    out: Any,
) -> None:
    """Run ``x`` (n, 2) through ``sections`` filters, the compressor and the fader into ``out`` (n, 2).

    ``position`` is the frame number of ``x[0]`` since the start. ``rows`` (knots, words, 2) as ``run_groups`` of the
    strips takes them, ``faders`` (knots, 1, 2); there are two knots at least, and only those where nothing ``moves``.
    ``links`` (2,): all bits set. ``states`` (2 + 2 · sections, 2), the compressor's first. ``scratch``:
    2 · SLICE_FRAMES + 2 · words + 2 vectors.
    """
    n, words = x.shape[0], rows.shape[1]
    targets_at = SIDES * SLICE_FRAMES
    row = 2 * SIDES * SLICE_FRAMES
    deltas = row + SIDES * words
    fader = deltas + SIDES * words
    used = COMPRESSOR_WORDS + SECTION_WORDS * sections
    stands = True
    start = 0
    while start < n:
        now = position + start
        into = now % STEP_FRAMES
        share = into / STEP_FRAMES if moves else 0.0
        m = min(n - start, STEP_FRAMES - into if moves else SLICE_FRAMES - now % SLICE_FRAMES)
        if moves or start == 0:
            knot = now // STEP_FRAMES - position // STEP_FRAMES
            _take(rows, SIDES * words * knot, SIDES * words, used, scratch, row, deltas)
            _take(faders, SIDES * knot, SIDES, 1, scratch, fader, fader + SIDES)
            if into == 0 or start == 0:
                stands = not moves or _stand(rows, knot, used)
            if not stands:
                _go(scratch, row, deltas, used, share)
                m = 1
        _copy(x, SIDES * start, scratch, 0, SIDES * m)
        if now % SLICE_FRAMES == 0:
            _settle(states, 0, 2 + 2 * sections)
        k = 0
        while k < sections:
            section = row + SIDES * (COMPRESSOR_WORDS + SECTION_WORDS * k)
            state = SIDES * (2 + 2 * k)
            if k + 2 < sections:
                _three(scratch, 0, m, section, deltas, states, state, share)
                k += 3
            elif k + 1 < sections:
                _two(scratch, 0, m, section, deltas, states, state, share)
                k += 2
            else:
                _one(scratch, 0, m, section, deltas, states, state, share)
                k += 1
        if compresses:
            pairs = (m + 1) // 2
            _targets(scratch, 0, pairs, row, deltas, links, 0, share, targets_at)
            _squeeze(scratch, 0, m, row, deltas, states, 0, share, targets_at)
            _amplify(scratch, 0, pairs, targets_at)
        _fade(scratch, m, fader, fader + SIDES, share, out, SIDES * start)
        start += m
