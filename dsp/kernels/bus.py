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
    bring,
    change,
    filters,
    numbers,
    settle,
    squeeze,
    take,
    targets,
)
from dsp.kernels.words import words_of, write_words

SIDES = 2

SLICE_FRAMES = 128
"""Frames worked on at once; states are cleaned of denormals whenever the frame number is a multiple of this."""

_two, _one = filters(STEREO, 2, moving=True), filters(STEREO, 1, moving=True)
_targets, _squeeze = targets(STEREO, moving=True), squeeze(STEREO, moving=True)
_settle, _take, _bring, _change = settle(STEREO), take(STEREO), bring(STEREO), change(STEREO)


@stage(STEREO, "place", "whole", "whole", "whole", "whole", "number")
def _fade(code: Code, scratch: Place, buffer: Any, frames: Any, row: Any, deltas: Any, share: Any) -> None:
    now = numbers(code, 1, scratch.at(row), scratch.at(deltas), share, moving=True)
    with code.each(frames) as i:
        at = code.plus(buffer, code.times(i, SIDES))
        scratch.store(scratch.load(at) * now()[0], at)


@kernel(
    "i8", "i8[::1]", "f8[:,::1]", "f8[:,:,::1]", "i8[:,::1]", "f8[::1]", "f8[::1]", "f8[:,:,::1]", "f8[::1]",
    "f8[:,::1]", "f8[::1]", "f8[:,::1]",
)  # fmt: skip
def run_bus(
    position: int,
    plan: Any,
    x: Any,
    ways: Any,
    spans: Any,
    numbers_now: Any,
    rows: Any,
    faders: Any,
    links: Any,
    states: Any,
    scratch: Any,
    out: Any,
) -> None:
    """Run ``x`` (n, 2) through filters, compressor and fader into ``out`` (n, 2).

    ``position`` is the frame number of ``x[0]`` since the start. ``plan``: how many sections, whether to compress, and
    whether ``rows`` (words · 2) are not yet the words of what stands still, which is kept here. ``ways`` and ``spans``:
    ``dsp.lane_numbers.Ways`` of one row, ``numbers_now`` room for its numbers. ``faders`` (knots, 1, 2): two knots that
    are the same, or those around these frames. ``links`` (2,): all bits set. ``states`` (2 + 2 · sections, 2), the
    compressor's first. ``scratch``: 2 · SLICE_FRAMES + 3 · words + 2 vectors.
    """
    n, words = x.shape[0], words_of(ways.shape[2])
    sections, fades = plan[0], faders.shape[0] > 2
    targets_at = SIDES * SLICE_FRAMES
    row = 2 * SIDES * SLICE_FRAMES
    deltas = row + SIDES * words
    following = deltas + SIDES * words
    fader = following + SIDES * words
    used = COMPRESSOR_WORDS + SECTION_WORDS * sections
    moves = spans[0, 1] > position // STEP_FRAMES
    if plan[2] != 0:
        for side in range(SIDES):
            write_words(ways, spans, 0, position // STEP_FRAMES, sections, True, numbers_now, rows, side, SIDES)
    plan[2] = 1 if moves else 0
    _bring(rows, 0, scratch, following, SIDES * used)
    _bring(rows, 0, scratch, row, SIDES * used)
    _change(scratch, following, row, deltas, used)
    _take(faders, 0, SIDES, 1, scratch, fader, fader + SIDES)
    start = 0
    while start < n:
        now = position + start
        m, share = min(n - start, SLICE_FRAMES - now % SLICE_FRAMES), 0.0
        if moves or fades:
            into, knot = now % STEP_FRAMES, now // STEP_FRAMES
            m, share = min(m, STEP_FRAMES - into), into / STEP_FRAMES
            if moves:
                _bring(scratch, following, scratch, row, SIDES * used)
                for side in range(SIDES):
                    at = following + side
                    write_words(ways, spans, 0, knot + 1, sections, False, numbers_now, scratch, at, SIDES)
                _change(scratch, following, row, deltas, used)
            if fades:
                _take(faders, SIDES * (knot - position // STEP_FRAMES), SIDES, 1, scratch, fader, fader + SIDES)
        _bring(x, SIDES * start, scratch, 0, SIDES * m)
        if now % SLICE_FRAMES == 0:
            _settle(states, 0, 2 + 2 * sections)
        for k in range(0, sections, 2):
            section = SIDES * (COMPRESSOR_WORDS + SECTION_WORDS * k)
            state = SIDES * (2 + 2 * k)
            if k + 1 < sections:
                _two(scratch, 0, m, row + section, deltas + section, states, state, share)
            else:
                _one(scratch, 0, m, row + section, deltas + section, states, state, share)
        if plan[1] != 0:
            _targets(scratch, 0, m, row, deltas, links, 0, share, targets_at)
            _squeeze(scratch, 0, m, row, deltas, states, 0, share, targets_at)
        _fade(scratch, 0, m, fader, fader + SIDES, share)
        _bring(scratch, 0, out, SIDES * start, SIDES * m)
        start += m
