"""Find where in a reference a recording lies, before anything is fitted.

``a`` is the reference, ``b`` the recording. Both are correlated as a whole at a low rate; then short blocks all along
``b`` are laid over ``a`` at the full rate. Blocks that lie on one line are a piece of the recording; where the line
jumps, something was cut, lost or repeated (:mod:`dsp.null.segments` finds the frame).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.errors import NoAlignment
from dsp.null.align import Piece, overlap
from dsp.null.probes import BLOCK_FRAMES, BLOCKS, Probe, block_delays, probe, vertex
from dsp.null.reader import read
from dsp.null.signal import Signal, Span, as_signal, in_order
from dsp.null.sketch import Sketch, common_lags, lags_of_part, pair_up, sketch

Floats = NDArray[np.float64]

SLIP_REACH = 2_048  # samples: how far a block is looked for around the line, before it is looked for everywhere
MOST_BLOCKS = 1_024
MOST_RELOCATED = 24
SHORT_BLOCK_FRAMES, SHORT_HOP_FRAMES, SHORT_SCORE = 8_192, 4_096, 5.0
MOST_SHORT = 64
ON_LINE = 1.5  # samples; for the first line
SMALLEST_JUMP = 0.5  # samples; a block's delay is told to some 0.05
STEEPEST = 3e-4  # a crystal more than 300 ppm off is broken
JUDGES = 12
NEAR_LINE = 16.0  # samples: a filter delays some bands more than others; chance puts 1 block in 120 here
ASSIGN_DB = 3.0  # by how much other channels must null deeper than the same ones to be taken instead


@dataclass(frozen=True)
class Guess:
    """A first alignment: good enough for :func:`dsp.null.align.refine` to converge from."""

    delay_samples: float
    """Of the longest piece, at ``b``'s first frame."""
    drift: float
    pieces: tuple[Piece, ...]
    """In the order of ``b``; between two of them ``b`` jumps, and neither reaches to the jump."""
    strange: tuple[bool, bool] = (False, False)
    """Whether ``b`` plays something else before the first piece, and after the last."""

    def whole_lags(self) -> tuple[int, ...]:
        """Return the whole delays that a guess along these lines may stand for, of the longest piece first."""
        longest_first = sorted(self.pieces, key=lambda piece: -piece.frames)
        middles = (round(piece.delay + self.drift * 0.5 * (piece.start + piece.stop)) for piece in longest_first)
        return (round(self.delay_samples), *middles)


def nothing_in_common() -> NoAlignment:
    """Return the error for recordings that share nothing."""
    return NoAlignment(
        "The two recordings have nothing in common that could be aligned.",
        hint="Check that both hold the same song, and the same part of it.",
    )


def coarse_delay(a: Signal | Floats, b: Signal | Floats, *, rate_hz: int) -> int:
    """Return the delay of ``b`` after ``a`` to some tens of samples, whatever the polarity.

    Raises
    ------
    NoAlignment
        No lag stands out of the correlation.
    """
    a, b = as_signal(a), as_signal(b)
    lags = common_lags(sketch(a, b, rate_hz=rate_hz))
    if not lags:
        raise nothing_in_common()
    return lags[0]


def first_guess(
    a: Signal | Floats, b: Signal | Floats, *, rate_hz: int, both: Sketch | None = None, near: int | None = None
) -> Guess:
    """Return the pieces of ``b`` with their delays to a tenth of a sample, and the drift.

    Channel ``n`` of one is compared with channel ``n`` of the other. ``both`` and ``near`` are the low-rate copies and
    the likeliest lag, where they are known.

    Raises
    ------
    NoAlignment
        Nothing in common.
    """
    a, b = as_signal(a), as_signal(b)
    both = both or sketch(a, b, rate_hz=rate_hz)
    if near is None:
        lags = common_lags(both)
        if not lags:
            raise nothing_in_common()
        near = lags[0]
    start, slope = _first_line(a, b, near)
    probes = _probes(a, b, start, slope, both)
    guess = _pieces(a, b, probes, start, slope)
    return replace(guess, pieces=_with_short_ones(a, b, guess))


def assign(a: Signal, b: Signal, both: Sketch) -> tuple[tuple[tuple[int, int], ...], int]:
    """Return (channel of ``a``, channel of ``b``) pairs to compare, and the likeliest lag.

    The same channels are compared unless others null clearly deeper.

    One channel is compared with every one of the other. Of unequal counts each channel of the smaller takes the one
    that resembles it most.

    Raises
    ------
    NoAlignment
        Nothing in common.
    """
    lags = common_lags(both, every_pair=True)
    if not lags:
        raise nothing_in_common()
    count = min(a.channels, b.channels)
    if count == 1:
        most = range(max(a.channels, b.channels))
        return tuple((n if a.channels > 1 else 0, n if b.channels > 1 else 0) for n in most), lags[0]
    return pair_up(_resemblance(a, b, lags[0], both), by_db=ASSIGN_DB), lags[0]


def on_line(a: Signal, b: Signal, pieces: Sequence[Piece], drift: float) -> bool:
    """Return whether at least half of a dozen short blocks, each looked for around its place, lie where they should."""
    piece = max(pieces, key=lambda piece: piece.frames)
    frames = min(BLOCK_FRAMES, piece.frames)
    firsts = sorted(set(np.linspace(piece.start, piece.stop - frames, JUDGES).astype(int).tolist()))

    def off(first: int) -> float:
        expected = piece.delay + drift * (first + 0.5 * frames)
        return abs(probe(a, b, first, frames, round(expected), SLIP_REACH).delay - expected)

    places = np.array(list(in_order(off, firsts)))
    return bool(np.mean(places <= NEAR_LINE) >= 0.5)


def _first_line(a: Signal, b: Signal, near: int) -> tuple[float, float]:
    """Return delay at ``b``'s first frame and drift of the line that most of a dozen blocks lie on.

    The line goes through two block delays (or level through one), so that lost frames and wrong blocks do not bend it.
    A level line wins a draw.
    """
    reach = SLIP_REACH + int(STEEPEST * b.frames)
    points = np.array(block_delays(a, b, near=near, reach=reach))
    if not points.size:
        return float(near), 0.0
    time, delay = points.T
    i, j = np.triu_indices(time.size, 1)
    slopes = np.concatenate([np.zeros(time.size), (delay[j] - delay[i]) / (time[j] - time[i])])
    through = np.concatenate([np.arange(time.size), i])
    slopes[np.abs(slopes) > STEEPEST] = 0.0
    off = delay[None, :] - delay[through][:, None] - slopes[:, None] * (time[None, :] - time[through][:, None])
    agree = np.abs(off) <= ON_LINE
    score = agree.sum(axis=1) - 1e-3 * np.mean(np.minimum(np.abs(off), 9.0), axis=1) + 0.5 * (slopes == 0.0)
    best = int(np.argmax(score))
    on = agree[best]
    slope = float(slopes[best])
    if slope != 0.0:
        slope = float(np.polyfit(time[on], delay[on], 1)[0])
    return float(np.median(delay[on] - slope * time[on])), slope


def _probes(a: Signal, b: Signal, start: float, slope: float, both: Sketch) -> list[Probe]:
    """Return blocks all along ``b``: first looked for near the line, then near other lines, then everywhere."""
    frames = min(BLOCK_FRAMES, b.frames)
    count = int(np.clip(b.frames // BLOCK_FRAMES, BLOCKS, MOST_BLOCKS))
    firsts = sorted(set(np.linspace(0, b.frames - frames, count).astype(int).tolist()))

    def near_line(first: int) -> Probe:
        near = round(start + slope * (first + 0.5 * frames))
        beside = near - first - frames >= 0 or first - near >= a.frames
        return Probe(first + 0.5 * frames, np.nan) if beside else probe(a, b, first, frames, near, SLIP_REACH)

    probes = list(in_order(near_line, firsts))
    settled = [(first, one) for first, one in zip(firsts, probes, strict=True) if one.found]
    usual = [_unexplained(a, b, first, frames, one) for first, one in settled[:: max(1, len(settled) // 8)]]
    most = max(1e-3, 100.0 * float(np.median(usual))) if usual else 1.0  # a loop with another voice is elsewhere
    offsets: list[float] = []
    for first, last in _lost_runs(probes)[:MOST_RELOCATED]:
        for offset in offsets:
            for n in range(first, last):
                near = round(offset + slope * probes[n].middle)
                moved = probe(a, b, firsts[n], frames, near, SLIP_REACH)
                probes[n] = moved if moved.found and not probes[n].found else probes[n]
        for _ in range(3):
            lost = [n for n in range(first, last) if not probes[n].found]
            if len(lost) < 2:
                break
            lag = _elsewhere(a, b, firsts, frames, lost, both, most)
            if lag is None:
                break
            offset = lag - slope * probes[lost[len(lost) // 2]].middle
            before = sum(probe.found for probe in probes)
            for n in lost:
                probes[n] = probe(a, b, firsts[n], frames, round(offset + slope * probes[n].middle), SLIP_REACH)
            if sum(probe.found for probe in probes) == before:
                break
            offsets.append(offset)
    return probes


def _unexplained(a: Signal, b: Signal, first: int, frames: int, found: Probe) -> float:
    """Return the share of a block's power that ``a`` does not explain at the delay found, gains per channel free."""
    y, _ = read(a, delay=found.delay, drift=0.0, start=first, stop=first + frames)
    heard = b.read(first, first + frames)
    power, own, shared = (np.sum(p * q, axis=1) for p, q in ((y, y), (heard, heard), (y, heard)))
    explained = float(np.sum(np.where(power > 0.0, shared**2 / np.where(power > 0.0, power, 1.0), 0.0)))
    return 1.0 - explained / max(float(np.sum(own)), 1e-300)


def _elsewhere(
    a: Signal, b: Signal, firsts: list[int], frames: int, lost: list[int], both: Sketch, most: float
) -> int | None:
    """Return a delay anywhere in ``a`` at which most blocks of the lost run are found; None when there is none.

    Of a block no more than ``most`` may be left unexplained there.
    """
    trials = [lost[n] for n in sorted({len(lost) // 4, len(lost) // 2, 3 * len(lost) // 4})]
    best, found = None, 0
    for lag in lags_of_part(both, firsts[lost[0]], firsts[lost[-1]] + frames):
        tries = [(n, probe(a, b, firsts[n], frames, lag, SLIP_REACH)) for n in trials]
        hits = sum(one.found and _unexplained(a, b, firsts[n], frames, one) <= most for n, one in tries)
        if hits > found:
            best, found = lag, hits
    return best


def _lost_runs(probes: Sequence[Probe]) -> list[Span]:
    """Return (first, one past last) of runs of two or more blocks that were not found, the longest first."""
    lost = np.concatenate([[0], [not probe.found for probe in probes], [0]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(lost))
    runs = [(int(i), int(j)) for i, j in zip(edges[::2], edges[1::2], strict=True) if j - i >= 2]
    return sorted(runs, key=lambda run: run[0] - run[1])


def _pieces(a: Signal, b: Signal, probes: list[Probe], start: float, slope: float) -> Guess:
    """Group the blocks into pieces; a piece reaches to half a block from the jumps at its ends."""
    found = [probe for probe in probes if probe.found]
    if not found:
        return Guess(start, slope, (Piece(*overlap(start, slope, a.frames, b.frames), start),))
    time, delay = np.array([(probe.middle, probe.delay) for probe in found]).T
    steps = np.diff(delay) - slope * np.diff(time)
    usual = steps[np.abs(steps - np.median(steps)) < SMALLEST_JUMP] if steps.size else steps
    tolerance = max(SMALLEST_JUMP, 6.0 * 1.4826 * float(np.median(np.abs(usual)))) if usual.size else ON_LINE
    groups: list[list[Probe]] = []
    for one in found:
        if groups and _off(groups[-1], one, slope) <= tolerance:
            groups[-1].append(one)
        else:
            groups.append([one])
    groups = [group for group in groups if len(group) > 1] or [max(groups, key=len)]
    merged = [groups[0]]
    for group in groups[1:]:
        if _off(merged[-1], group[len(group) // 2], slope) <= tolerance:
            merged[-1] += group
        else:
            merged.append(group)
    if slope != 0.0:
        slope = _common_slope(merged)
    half = BLOCK_FRAMES / 2.0
    sounding = float(
        np.median([np.sqrt(np.mean(_heard(b, probe) ** 2)) for probe in found[:: max(1, len(found) // 8)]])
    )
    strange = [
        len(run) >= 2 and bool(np.median([np.sqrt(np.mean(_heard(b, probe) ** 2)) for probe in run]) > 0.01 * sounding)
        for run in (
            _inside(a, [p for p in probes if p.middle < merged[0][0].middle], merged[0][0].delay),
            _inside(a, [p for p in probes if p.middle > merged[-1][-1].middle], merged[-1][-1].delay),
        )
    ]
    pieces: list[Piece] = []
    for n, group in enumerate(merged):
        at = float(np.median([probe.delay - slope * probe.middle for probe in group]))
        low, high = overlap(at, slope, a.frames, b.frames)
        first, last = group[0].middle, group[-1].middle
        inner = first + half, last - half
        if inner[1] - inner[0] < half:
            inner = first, max(last, first + 1.0)
        if n > 0 or strange[0]:
            low = max(low, round(inner[0]))
        if n < len(merged) - 1 or strange[1]:
            high = min(high, round(inner[1]))
        if high > low:
            pieces.append(Piece(low, high, at))
    if not pieces:
        raise nothing_in_common()
    main = max(pieces, key=lambda piece: piece.frames)
    return Guess(main.delay, slope, tuple(pieces), (strange[0], strange[1]))


def _with_short_ones(a: Signal, b: Signal, guess: Guess) -> tuple[Piece, ...]:
    """Return the pieces with those between two of them that are too short for the blocks they were found by.

    Where three or more short blocks agree on a line of their own, there is another piece.
    """
    out = [guess.pieces[0]]
    for after in guess.pieces[1:]:
        before = out[-1]
        firsts = range(before.stop - SHORT_HOP_FRAMES, after.start - SHORT_HOP_FRAMES, SHORT_HOP_FRAMES)

        def near(first: int, lines: tuple[Piece, Piece] = (before, after)) -> Probe:
            tries = [
                probe(a, b, first, SHORT_BLOCK_FRAMES, round(p.delay + guess.drift * first), SLIP_REACH, SHORT_SCORE)
                for p in lines
            ]
            return next((found for found in tries if found.found), tries[0])

        for group in _agreeing(list(in_order(near, firsts)) if len(firsts) < MOST_SHORT else [], guess.drift):
            level = float(np.median([p.delay - guess.drift * p.middle for p in group]))
            start, stop = round(group[0].middle), round(group[-1].middle)
            if len(group) >= 3 and min(abs(level - before.delay), abs(level - after.delay)) > SMALLEST_JUMP:
                out.append(Piece(start, stop, level))
        out.append(after)
    return tuple(out)


def _agreeing(probes: Sequence[Probe], slope: float) -> list[list[Probe]]:
    """Return runs of blocks that lie on one line each."""
    groups: list[list[Probe]] = []
    for one in probes:
        if not one.found:
            continue
        if groups and _off(groups[-1], one, slope) <= SMALLEST_JUMP:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _off(group: list[Probe], one: Probe, slope: float) -> float:
    """Return how far a block is off the last few of a group; a block over a jump of one frame lies half way."""
    levels = [probe.delay - slope * probe.middle for probe in group[-5:]]
    return abs(one.delay - slope * one.middle - float(np.median(levels)))


def _inside(a: Signal, probes: list[Probe], delay: float) -> list[Probe]:
    """Return those blocks for which ``a`` has something to offer at that delay."""
    half = BLOCK_FRAMES / 2.0
    return [probe for probe in probes if half < probe.middle - delay < a.frames - half]


def _heard(b: Signal, probe: Probe) -> Floats:
    return b.read(int(probe.middle) - 2048, int(probe.middle) + 2048)


def _common_slope(groups: list[list[Probe]]) -> float:
    """Return the least-squares slope that all groups share, each with a level of its own."""
    over, under = 0.0, 0.0
    for group in groups:
        time = np.array([probe.middle for probe in group])
        delay = np.array([probe.delay for probe in group])
        over += float(np.sum((time - time.mean()) * (delay - delay.mean())))
        under += float(np.sum((time - time.mean()) ** 2))
    return over / under if under > 0.0 else 0.0


def _resemblance(a: Signal, b: Signal, near: int, both: Sketch) -> Floats:
    """Return the squared correlation coefficients of every channel of ``a`` (rows) with every one of ``b``.

    Taken from a few blocks at the full rate, each read at the delay at which its best pair agrees most.
    """
    reach = SLIP_REACH + both.factor + int(STEEPEST * b.frames)
    start, stop = max(0, near), min(b.frames, a.frames + near)
    frames = min(BLOCK_FRAMES, stop - start)
    total = np.zeros((a.channels, b.channels))
    powers = np.zeros((a.channels, 1)), np.zeros((1, b.channels))
    for first in np.linspace(start, stop - frames, 6).astype(int).tolist():
        heard = b.read(first, first + frames)
        around = a.read(first - near - reach, first - near + frames + reach)
        size = 1 << around.shape[1].bit_length()
        spectra = np.fft.rfft(np.diff(around), size), np.fft.rfft(np.diff(heard) * np.hanning(frames - 1), size)
        power = sum(
            np.fft.irfft(np.conj(x) * y / np.maximum(np.abs(x * y), 1e-300), size) ** 2
            for x in spectra[0]
            for y in spectra[1]
        )
        lags = np.sqrt(np.asarray(power)[-np.arange(0, 2 * reach + 1) % size])
        best = int(np.argmax(lags))
        delay = near + reach - best - vertex(lags, best)
        y, _ = read(a, delay=float(delay), drift=0.0, start=first, stop=first + frames)
        total += y @ heard.T
        powers[0][:, 0] += np.sum(y**2, axis=1)
        powers[1][0] += np.sum(heard**2, axis=1)
    scale = powers[0] * powers[1]
    squared: Floats = np.where(scale > 0.0, total**2 / np.where(scale > 0.0, scale, 1.0), 0.0)
    return squared
