"""Compiled loop of a stereo bus: both channels in one vector of float64 through filters, compressor and fader.

Cut into slices at absolute frame numbers like the strips: the same bits however a stream is cut into blocks.
"""

from __future__ import annotations

from typing import Any

from dsp.kernels.compiled import kernel
from dsp.kernels.lanes import STEREO, Code, Place, stage
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

SIDES = 2

SLICE_FRAMES = 128
"""Frames worked on at once; states are cleaned of denormals whenever the frame number is a multiple of this."""

_two, _one = filters(STEREO, 2, moving=True), filters(STEREO, 1, moving=True)
_targets, _squeeze = targets(STEREO, moving=True), squeeze(STEREO, moving=True)
_settle, _take = settle(STEREO), take(STEREO)


@stage(STEREO, "place", "whole", "place", "whole", "whole")
def _copy(code: Code, source: Place, begin: Any, target: Place, to: Any, count: Any) -> None:
    target.at(to).copy(source.at(begin), count)


@stage(STEREO, "place", "whole", "whole", "whole", "whole", "number")
def _fade(code: Code, scratch: Place, buffer: Any, frames: Any, row: Any, deltas: Any, share: Any) -> None:
    now = numbers(code, 1, scratch.at(row), scratch.at(deltas), share, moving=True)
    with code.each(frames) as i:
        at = code.plus(buffer, code.times(i, SIDES))
        scratch.store(scratch.load(at) * now()[0], at)


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
    start = 0
    while start < n:
        now = position + start
        into = now % STEP_FRAMES
        if moves or start == 0:
            knot = now // STEP_FRAMES - position // STEP_FRAMES
            _take(rows, SIDES * words * knot, SIDES * words, used, scratch, row, deltas)
            _take(faders, SIDES * knot, SIDES, 1, scratch, fader, fader + SIDES)
        m = min(n - start, STEP_FRAMES - into if moves else SLICE_FRAMES - now % SLICE_FRAMES)
        share = into / STEP_FRAMES if moves else 0.0
        _copy(x, SIDES * start, scratch, 0, SIDES * m)
        if now % SLICE_FRAMES == 0:
            _settle(states, 0, 2 + 2 * sections)
        for k in range(0, sections, 2):
            section = SIDES * (COMPRESSOR_WORDS + SECTION_WORDS * k)
            state = SIDES * (2 + 2 * k)
            if k + 1 < sections:
                _two(scratch, 0, m, row + section, deltas + section, states, state, share)
            else:
                _one(scratch, 0, m, row + section, deltas + section, states, state, share)
        if compresses:
            _targets(scratch, 0, m, row, deltas, links, 0, share, targets_at)
            _squeeze(scratch, 0, m, row, deltas, states, 0, share, targets_at)
        _fade(scratch, 0, m, fader, fader + SIDES, share)
        _copy(scratch, 0, out, SIDES * start, SIDES * m)
        start += m
