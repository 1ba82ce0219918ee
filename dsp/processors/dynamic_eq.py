"""The dynamic equaliser: bands whose gain follows the level in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from dsp.filters import BUTTERWORTH_Q, Band, check_rate, sections, svf
from dsp.kernels.compiled import library
from dsp.processor import STEP_FRAMES, Block, Declared, Settings, choice, number, several
from dsp.processors.equaliser import CHUNK_FRAMES, decay_frames, silent
from dsp.processors.follower import Follower, follower_row, stretches

__all__ = ["DynamicBand", "DynamicEqualiser", "RunningDynamicEqualiser"]

_DETECTORS = {"bell": (0.0, 1.0, 0.0), "low_shelf": (0.0, 0.0, 1.0), "high_shelf": (1.0, -1.0, -1.0)}
"""m0, m1 / k and m2 of a band-pass (0 dB at its frequency), low pass and high pass."""

_SHORTEST_WINDOW_S = 0.5e-3


@dataclass(frozen=True)
class DynamicBand(Declared):
    """One band and what moves it.

    Its level is that behind a band-pass of the bell's frequency and Q, or a 12 dB low or high pass at the shelf's, in
    dB against a full-scale sine; of two channels the louder counts. Above ``threshold_db`` (or below it, as ``when``
    says) the gain goes from ``gain_db`` by 1 − 1/ratio dB per dB towards ``gain_db + range_db`` and no further, in dB
    and with the time constants (63 %) ``attack_ms`` and, back again, ``release_ms``.

    The level is averaged over two times one period of the band's frequency (of a low shelf, four), at least 0.5 ms.
    """

    kind: Literal["bell", "low_shelf", "high_shelf"] = choice("bell", "bell", "low_shelf", "high_shelf")
    freq_hz: float = number(1000.0, 20.0, 20_000.0, "Hz", scale="log")
    q: float = number(1.0, 0.1, 20.0, scale="log")
    gain_db: float = number(0.0, -18.0, 18.0, "dB")
    threshold_db: float = number(-24.0, -80.0, 0.0, "dBFS")
    ratio: float = number(2.0, 1.0, 100.0, scale="log")
    range_db: float = number(-6.0, -20.0, 20.0, "dB")
    when: str = choice("above", "above", "below")
    attack_ms: float = number(10.0, 0.5, 500.0, "ms", scale="log")
    release_ms: float = number(100.0, 5.0, 5000.0, "ms", scale="log")

    def follower(self, rate_hz: float) -> NDArray[np.float64]:
        """Return the row of what follows the level in this band. Raises DspError for a rate that cannot carry it."""
        check_rate(Band(self.kind, self.freq_hz), rate_hz)
        g, k = math.tan(math.pi * self.freq_hz / rate_hz), 1.0 / (self.q if self.kind == "bell" else BUTTERWORTH_Q)
        m0, m1, m2 = _DETECTORS[self.kind]
        period_s = (4.0 if self.kind == "low_shelf" else 1.0) / self.freq_hz
        return follower_row(
            np.array([g, k, m0, m1 * k, m2]),
            max(period_s, _SHORTEST_WINDOW_S),
            rate_hz,
            threshold_db=self.threshold_db,
            slope=math.copysign(1.0 - 1.0 / self.ratio, self.range_db),
            most=self.range_db,
            above=self.when == "above",
            attack_ms=self.attack_ms,
            release_ms=self.release_ms,
        )


@dataclass(frozen=True)
class DynamicEqualiser(Settings):
    """Dynamic bands one after the other; all of them hear the input, or the key. At 0 dB of gain every bit passes."""

    kind: ClassVar[str] = "dynamic_eq"

    bands: tuple[DynamicBand, ...] = several(DynamicBand)

    def start(self, rate_hz: float, channels: int) -> RunningDynamicEqualiser:
        """Return it running. Raises DspError for a band that the rate cannot carry."""
        return RunningDynamicEqualiser(self, rate_hz, channels)


class _Table:
    """The sections of a band at every whole dB, made when first needed; between them its five numbers go straight.

    One dB apart, that is within 0.02 dB of the section made for the gain in between.
    """

    def __init__(self, band: DynamicBand, rate_hz: float) -> None:
        self.band = band
        self._rate_hz = rate_hz
        self._rows: dict[int, NDArray[np.float64]] = {}

    def of(self, band: DynamicBand) -> _Table:
        """Return the table for ``band``: what of this one is the same is kept."""
        made = _Table(band, self._rate_hz)
        if (band.kind, band.freq_hz, band.q) == (self.band.kind, self.band.freq_hz, self.band.q):
            made._rows = self._rows
        return made

    def _made(self, gain_db: int) -> NDArray[np.float64]:
        if gain_db not in self._rows:
            band = Band(self.band.kind, self.band.freq_hz, float(gain_db), self.band.q)
            self._rows[gain_db] = svf(sections(band, self._rate_hz)[0])
        return self._rows[gain_db]

    def rows(self, moved_db: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sections (K, 5) at gains (K,) above the band's own."""
        gains = self.band.gain_db + moved_db
        below = np.floor(gains)
        first, last = int(np.min(below)), int(np.max(below)) + 1
        table = np.array([self._made(gain) for gain in range(first, last + 1)])
        index = below.astype(np.int64) - first
        rows: NDArray[np.float64] = table[index] + (gains - below)[:, None] * (table[index + 1] - table[index])
        return rows


class RunningDynamicEqualiser:
    """Sections whose numbers have a knot at every 16th frame, where the level one step earlier says they should be.

    A change begins at the next knot: from where the sections stand there, straight to what the new bands say.
    """

    latency_frames = 0

    def __init__(self, settings: DynamicEqualiser, rate_hz: float, channels: int) -> None:
        self._rate_hz = rate_hz
        self._run = library("sections").run_sections.bind(*[None] * 6)
        self._work = np.zeros((2, CHUNK_FRAMES))
        self._position = 0
        self._pending: tuple[DynamicEqualiser, NDArray[np.float64], int] | None = None
        self._settings = settings
        self._stand_at(settings)

    def _stand_at(self, settings: DynamicEqualiser) -> None:
        self._tables = [_Table(band, self._rate_hz) for band in settings.bands]
        self._follower = Follower(self._follower_rows(settings))
        self._states = np.zeros((len(settings.bands), 2, 2))
        self._from = np.zeros((len(settings.bands), 5))
        self._glide_frames = self._glided = 0

    def _follower_rows(self, settings: DynamicEqualiser) -> NDArray[np.float64]:
        return np.array([band.follower(self._rate_hz) for band in settings.bands]).reshape(-1, 12)

    @property
    def tail_frames(self) -> int:
        """How long the sections ring at whichever end of its range each rings longest."""
        ends = [np.array([0.0, table.band.range_db]) for table in self._tables]
        rows = [table.rows(end) for table, end in zip(self._tables, ends, strict=True)]
        return max((decay_frames(np.array([row[end] for row in rows])) for end in (0, 1)), default=0)

    def process(self, block: Block, key: Block | None = None) -> None:
        """Filter the block as its level, or the key's, asks for."""
        waiting = self._pending
        for start, stop in stretches(len(block), self._position, waits=waiting is not None):
            if waiting is not None and self._position % STEP_FRAMES == 0:
                self._begin(*waiting)
                waiting = self._pending = None
            part = block[start:stop]
            self._next(part, part if key is None else key[start:stop])

    def _next(self, block: Block, heard: Block) -> None:
        moved = self._follower.knots(heard, self._position)
        first = self._position % STEP_FRAMES
        knots = np.zeros((moved.shape[1], 5 * len(self._states) + 4))
        knots[:, [-4, -1]] = 1.0
        self._rows_at(moved, self._glided - first, knots)
        self._run(block, knots, first, self._position, self._states, self._work)
        self._position += len(block)
        self._glided += len(block)

    def _rows_at(self, moved_db: NDArray[np.float64], glided: int, knots: NDArray[np.float64]) -> None:
        """Write the sections for ``moved_db`` (B, K) at knots from ``glided`` frames into the change on."""
        count = moved_db.shape[1]
        share = np.ones(count)
        if glided < self._glide_frames:
            share = np.clip((glided + STEP_FRAMES * np.arange(count)) / self._glide_frames, 0.0, 1.0)
        for band, here in enumerate(self._from):
            gone = band >= len(self._tables)
            rows = silent(here[None]) if gone else self._tables[band].rows(moved_db[band])
            if share[0] < 1.0:
                rows = np.where(share[:, None] < 1.0, here + share[:, None] * (rows - here), rows)
            knots[:, 5 * band : 5 * band + 5] = rows

    def _begin(self, settings: DynamicEqualiser, rows: NDArray[np.float64], frames: int) -> None:
        """Leave for other bands, which ``rows`` follow the levels of, from this knot on."""
        stands = np.zeros((1, 5 * len(self._states) + 4))
        self._rows_at(self._follower.now[:, None], self._glided, stands)
        here = stands[0, :-4].reshape(-1, 5)
        gone = len(here)
        while gone > len(settings.bands) and np.array_equal(here[gone - 1 :], silent(here[gone - 1 :])):
            gone -= 1
        count = max(gone, len(settings.bands))
        old = self._tables
        self._tables = [
            old[index].of(band) if index < len(old) else _Table(band, self._rate_hz)
            for index, band in enumerate(settings.bands)
        ]
        self._follower = self._follower.resized(np.concatenate([rows, self._follower.rows[len(rows) : count]]))
        new = [silent(table.rows(np.zeros(1))) for table in self._tables[gone:]]
        self._from = np.concatenate([here[:gone], *new])
        self._states = np.concatenate([self._states[:gone], np.zeros((count - gone, 2, 2))])
        self._settings = settings
        self._glide_frames = max(STEP_FRAMES, -(-frames // STEP_FRAMES) * STEP_FRAMES)
        self._glided = 0

    def change(self, settings: DynamicEqualiser, frames: int) -> None:
        """Go to other bands, from the next knot on. Raises DspError for a band that the rate cannot carry."""
        self._pending = settings, self._follower_rows(settings), frames

    def reset(self) -> None:
        """Forget what was heard, and stand where the settings were going."""
        self._position = 0
        if self._pending is not None:
            self._settings, self._pending = self._pending[0], None
        self._stand_at(self._settings)
