"""What the lanes of a bank are told: gains, and words of filters and compressor, at the knots of what moves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.bank_strip import LANES, Automation, RunningStrip
from dsp.kernels.compiled import library
from dsp.lane_numbers import MOST_SECTIONS, NUMBERS, WORDS, StripSound, Ways, led_by
from dsp.processor import STEP_FRAMES

__all__ = ["BankNumbers", "aligned"]

_SECTIONS, _COMPRESSES, _MOVES, _FADES, _QUADS, _WRITES, _MEASURES, _PLAN_WORDS = range(8)
"""Words of a group's plan, as ``dsp.kernels.strip`` reads them."""

_UNITY = slice(8 + 3, None, 6)
"""Of a lane's words, those that are 1 where its sections do nothing."""

_NO_DOUBLES = np.zeros(0)


def aligned(*shape: int) -> NDArray[np.float32]:
    """Return zeros that begin on a cache line."""
    size = math.prod(shape)
    raw = np.zeros(size + 16, dtype=np.float32)
    start = (-raw.ctypes.data % 64) // 4
    return raw[start : start + size].reshape(shape)


class BankNumbers:
    """The numbers of all strips on their ways, and the tables that ``run_groups`` of ``dsp.kernels.strip`` reads.

    ``plan``, ``rows`` and ``gains`` are as described there, for ``count`` groups, those behind inserts included.
    """

    def __init__(
        self, strips: Sequence[RunningStrip], groups: Sequence[Sequence[RunningStrip]], count: int, destinations: int,
        rate_hz: float,
    ) -> None:  # fmt: skip
        self._strips = strips
        self._groups = groups
        self._rate_hz = rate_hz
        self._destinations = destinations
        self._sounds = Ways(np.array([strip.numbers for strip in strips]).reshape(-1, NUMBERS))
        self._levels = Ways(np.array([strip.gains for strip in strips]).reshape(-1, destinations, 2))
        self._trims = Ways(np.array([[strip.strip.sound.gain] for strip in strips]).reshape(-1, 1))
        self.plan = np.zeros((count, _PLAN_WORDS), dtype=np.int64)
        self.rows = aligned(count, 2, WORDS, LANES)
        self.rows[:, :, _UNITY] = 1.0
        self.gains = aligned(count, 2, -(-destinations // 4) * 4, LANES)
        self.states = aligned(count, 2 + 2 * MOST_SECTIONS, LANES)
        self.heard = np.zeros((self.gains.shape[2] // 4, count + 1), dtype=np.int64)
        """For every four destinations how many groups have anything for them, and which."""
        self._automated = {s.index: s.strip.automation for s in strips if s.strip.automation is not None}
        self._moving: set[int] = set()
        self._fading = set(self._automated)
        self._unplanned, self._unheard = set(range(len(groups))), set(range(len(groups)))
        self._kernels = library("words")
        self._room = np.zeros(NUMBERS), np.zeros(WORDS)

    @property
    def moves(self) -> bool:
        """Whether filters or compressors move."""
        return bool(self._moving)

    def change(self, index: int, sound: StripSound, position: int, frames: int) -> None:
        """Take strip ``index`` to ``sound`` from frame ``position`` on, over ``frames`` frames."""
        strip = self._strips[index]
        if not self._sounds.moves(index, position):
            strip.arrive()
        self._sounds.go(index, strip.numbers_of(sound), position, frames, led_by)
        self._trims.go(index, np.array([sound.gain]), position, frames)
        for states in strip.leave():
            self.states[strip.group, states, strip.lanes] = 0.0
        self._moving.add(index)
        self._unplanned.add(strip.group)

    def fade(self, index: int, gains: Sequence[Sequence[float]], position: int, frames: int) -> None:
        """Take strip ``index`` to ``gains`` from frame ``position`` on, over ``frames`` frames."""
        strip = self._strips[index]
        self._levels.go(index, strip.gains_of(gains), position, frames)
        self._fading.add(index)
        self._unheard.add(strip.group)

    def measure(self) -> None:
        """Have the squares of all lanes summed up, too."""
        self.plan[:, _MEASURES] = 1

    def automate(self, index: int, automation: Automation) -> None:
        """Have the gains of strip ``index`` follow ``automation``."""
        self._automated[index] = automation
        self._fading.add(index)
        self._unheard.add(self._strips[index].group)

    def trim(self, index: int, position: int, frames: int) -> NDArray[np.float32]:
        """Return the trim of strip ``index`` for ``frames`` frames from ``position`` on, (1, 1) or (frames, 1)."""
        if not self._trims.moves(index, position):
            return self._trims.rows[index, 2:].astype(np.float32)
        return self._trims.line(index, position, frames).astype(np.float32)

    def tell(self, position: int, frames: int) -> bool:
        """Write all that changes for ``frames`` frames from ``position`` on; return whether there are new tables."""
        if not (self._moving or self._fading or self._unplanned or self._unheard):
            return False
        for i in [i for i in self._moving if not self._sounds.moves(i, position)]:
            self._moving.remove(i)
            self._strips[i].arrive()
            self._unplanned.add(self._strips[i].group)
        for i in [i for i in self._fading - self._automated.keys() if not self._levels.moves(i, position)]:
            self._fading.remove(i)
            self._unheard.add(self._strips[i].group)
        first, offset = divmod(position, STEP_FRAMES)
        knots = (offset + frames - 1) // STEP_FRAMES + 2
        grown = self._make_room(knots)
        for g in self._unplanned:
            self._plan(g)
            self._write_words(self._groups[g], first, self.rows.shape[1] if self.plan[g, _MOVES] else 2)
        self._unplanned.clear()
        if self._unheard:
            for g in self._unheard:
                self._listen(g, first)
            self._unheard.clear()
            self._count_heard()
        if self._moving:
            self._write_words([self._strips[i] for i in self._moving], first, knots)
        if self._fading:
            self._write_gains([self._strips[i] for i in self._fading - self._automated.keys()], first, knots)
        for i, automation in self._automated.items():
            strip, at = self._strips[i], np.arange(first, first + knots)
            table = np.swapaxes(automation(at * STEP_FRAMES / self._rate_hz), 1, 2)
            self.gains[strip.behind, :knots, : self._destinations, strip.lanes] = table
        return grown

    def _make_room(self, knots: int) -> bool:
        """Have so many knots where anything moves; what stands still is written at every one."""

        def with_room(table: NDArray[np.float32], wanted: int) -> NDArray[np.float32]:
            if table.shape[1] >= wanted:
                return table
            made = aligned(len(table), wanted, *table.shape[2:])
            made[:] = table[:, :1]
            return made

        before = self.rows, self.gains
        self.rows = with_room(self.rows, knots if self._moving else 0)
        self.gains = with_room(self.gains, knots if self._fading else 0)
        return self.rows is not before[0] or self.gains is not before[1]

    def _plan(self, g: int) -> None:
        """Write which stages group ``g`` has to go through."""
        group, plan = self._groups[g], self.plan[g]
        plan[_SECTIONS] = max(strip.sections for strip in group)
        plan[_COMPRESSES] = any(strip.compresses for strip in group)
        plan[_MOVES] = any(strip.index in self._moving for strip in group)
        plan[_WRITES] = any(strip.strip.wants_pre or strip.strip.post_inserts for strip in group)

    def _listen(self, g: int, first_knot: int) -> None:
        """Write which destinations group ``g`` has anything for; what has arrived is written at every knot."""
        group, behind = self._groups[g], self._groups[g][0].behind
        still = [strip for strip in group if strip.index not in self._fading]
        self._write_gains(still, first_knot, self.gains.shape[1])
        fades = len(still) < len(group)
        heard = np.any(self.gains[behind, 0].reshape(-1, 4, LANES), axis=(1, 2)) | fades
        heard[0] = True  # the peaks are measured there
        self.plan[behind, _FADES] = fades
        self.plan[behind, _QUADS] = int(np.sum(heard << np.arange(len(heard))))

    def _count_heard(self) -> None:
        for quad, row in enumerate(self.heard):
            groups = np.flatnonzero((self.plan[:, _QUADS] >> quad) & 1)
            row[0] = len(groups)
            row[1 : 1 + len(groups)] = groups

    def _write_words(self, strips: Sequence[RunningStrip], first_knot: int, knots: int) -> None:
        step = self.rows.shape[1] * WORDS * LANES
        ends = [(strip.index, strip.group * step + lane) for strip in strips for lane in range(LANES)[strip.lanes]]
        sections = int(max(self.plan[strip.group, _SECTIONS] for strip in strips))
        steps = first_knot, knots, sections, WORDS * LANES, LANES
        ways = self._sounds.rows, self._sounds.spans
        self._kernels.write_words(np.array(ends), *steps, *ways, *self._room, self.rows.reshape(-1), _NO_DOUBLES)

    def _write_gains(self, strips: Sequence[RunningStrip], first_knot: int, knots: int) -> None:
        size = math.prod(self.gains.shape[2:])
        step = self.gains.shape[1] * size
        ends = [(strip.index, strip.behind * step + strip.lane, strip.strip.channels) for strip in strips]
        places = np.array(ends, dtype=np.int64).reshape(-1, 3)
        ways = self._levels.rows, self._levels.spans
        self._kernels.write_gains(places, first_knot, knots, size, LANES, *ways, self.gains.reshape(-1))
