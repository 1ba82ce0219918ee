"""What a running graph measures of itself for the eye: peaks, RMS, gain reduction, true peak and loudness.

Peaks rise at once and fall by 20 dB in 1.7 s (the return of a Type I programme meter, IEC 60268-10); RMS levels are
mean squares by a one-pole of 300 ms (the integration time of a VU meter, IEC 60268-17). So whoever looks now and then
misses nothing. The main bus's loudness is that of ``dsp.loudness``, its true peak is read at 8 times the rate by the
limiter's interpolator (ITU-R BS.1770-5 Annex 2 asks for 4 times).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.bank import StripBank
from dsp.filters import svf
from dsp.graph_chain import RunningInsert
from dsp.graph_chunk import CHUNK_FRAMES
from dsp.kernels.compiled import library
from dsp.loudness import MOMENTARY_HOPS, OFFSET_LU, SHORT_HOPS, k_weighting, lufs
from dsp.processors.limiter import TILE_FRAMES, true_peak_taps

__all__ = ["FALL_DB_PER_S", "RMS_S", "BankMeter", "GraphMeters"]

FALL_DB_PER_S = 20.0 / 1.7
"""How quickly a peak falls (IEC 60268-10, Type I)."""

RMS_S = 0.3
"""Time in which a mean square covers 63 % of a step."""


class GraphMeters:
    """Arrays that a graph with these ``chains`` of inserts fills in with every block; they stay the same objects.

    Attributes
    ----------
    strip_peaks, strip_rms : (channels,) float32
        Of every channel of every strip in order, behind its filters, compressor and inserts, before its gains; linear,
        full scale 1.0. Strip i has the channels from ``first_channels[i]`` on.
    strip_reduction_db : (strips,) float32
        What a strip's own compressor takes away, 0 or below.
    bus_reduction_db : (busses,) float32
        The same of the busses, in the order of ``busses``.
    inserts : tuple of (str, int)
        The inserts that know a gain reduction: "strip NAME" or "bus NAME", and which of its inserts, from 0.
    bus_peaks, bus_rms : (busses, 2) float32
        In the order of ``busses``, the main bus last: what leaves the graph of that one, of the others before their
        faders.
    true_peak : (2,) float32
        Of what leaves the graph; it falls like the peaks.
    true_peak_max : (2,) float32
        The highest since the last reset.
    """

    def __init__(
        self,
        strips: Sequence[int],
        busses: Sequence[str],
        chains: Mapping[str, Sequence[RunningInsert]],
        rate_hz: float,
    ) -> None:
        self.busses = tuple(busses)
        all_inserts = [(name, k, insert) for name, chain in chains.items() for k, insert in enumerate(chain)]
        self._reducing = [one for one in all_inserts if one[2].reduction_db is not None]
        self.inserts = tuple((name, number) for name, number, _ in self._reducing)
        self._rows = {name: row for row, name in enumerate(busses)}
        self.first_channels = tuple(np.concatenate([[0], np.cumsum(strips)[:-1]]).astype(int).tolist())[: len(strips)]
        channels, count = int(sum(strips)), len(busses)
        self.strip_peaks, self.strip_rms = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
        self.strip_reduction_db = np.zeros(len(strips), np.float32)
        self.bus_peaks, self.bus_rms = np.zeros((count, 2), np.float32), np.zeros((count, 2), np.float32)
        self.bus_reduction_db = np.zeros(count, np.float32)
        self.true_peak, self.true_peak_max = np.zeros(2, np.float32), np.zeros(2, np.float32)
        self._strip_squares, self._bus_squares = np.zeros(channels), np.zeros((count, 2))
        self._rate_hz = rate_hz
        self._frames, self._fall, self._share = 0, 1.0, 0.0
        kernels = library("meters")
        levels = self.bus_peaks, self.bus_rms, self._bus_squares
        self._weigh_bus = kernels.weigh_bus.bind(None, None, None, None, *levels)
        taps = true_peak_taps()
        seen = 2 * len(taps) - 1
        self._past = np.zeros((seen + CHUNK_FRAMES + TILE_FRAMES, 2), np.float32)
        tops = np.zeros(2 * (CHUNK_FRAMES + TILE_FRAMES), np.float32)
        self._lay_behind = kernels.lay_behind.bind(None, seen, self._past)
        self._read_between = library("limiter").peaks.bind(self._past, 0, None, taps, tops)
        sections = np.stack([svf(section) for section in k_weighting(rate_hz)])
        self._states, weighted = np.zeros((2, 2, 2)), np.zeros((CHUNK_FRAMES, 2))
        self._hops = np.zeros(SHORT_HOPS)
        self._place, self._found = np.zeros(2, np.int64), np.zeros(3)
        peaks = seen, self._past, tops, self.true_peak, self.true_peak_max
        loudness = float(rate_hz), MOMENTARY_HOPS, self._place, self._hops, self._found
        self._weigh_main = kernels.weigh_main.bind(
            None, None, None, count - 1, *levels, *peaks, sections, self._states, weighted, *loudness
        )

    @property
    def insert_reduction_db(self) -> NDArray[np.float32]:
        """What ``inserts`` take away now, (inserts,), 0 or below."""
        return np.array([insert.reduction_db for _, _, insert in self._reducing], np.float32)

    @property
    def momentary_lufs(self) -> float:
        """The loudness of the newest 400 ms of what leaves the graph; silence before its start counts. −∞ is silence.

        It is a new one every 10 ms.
        """
        return lufs(float(self._found[1]))

    @property
    def short_term_lufs(self) -> float:
        """The loudness of the newest 3 s, likewise."""
        return lufs(float(self._found[2]))

    def telling(self, *shared: NDArray[np.float32]) -> Callable[[], None]:
        """Return what copies all this to ``shared`` arrays, as ``tell`` of ``dsp.kernels.meters`` takes them."""
        strips = self.strip_peaks, self.strip_rms, self.strip_reduction_db
        busses = self.bus_peaks, self.bus_rms, self.bus_reduction_db, self.true_peak, self.true_peak_max
        told: Callable[[], None] = library("meters").tell.bind(*strips, *busses, self._found, OFFSET_LU, *shared)
        return told

    def begin(self, frames: int) -> None:
        """Get ready for a chunk of ``frames`` frames."""
        if frames != self._frames:
            self._frames = frames
            self._fall = 10.0 ** (-FALL_DB_PER_S / 20.0 * frames / self._rate_hz)
            self._share = -math.expm1(-frames / (RMS_S * self._rate_hz))

    def hear_reduction(self, name: str, reduction_db: float) -> None:
        """Take in what a bus's own compressor takes away now, 0 or below."""
        self.bus_reduction_db[self._rows[name]] = reduction_db

    def hear_bus(self, name: str, signal: NDArray[np.float64]) -> None:
        """Take in a bus's signal (n, 2)."""
        self._weigh_bus(signal, self._rows[name], self._fall, self._share)

    def hear_main(self, signal: NDArray[np.float64]) -> None:
        """Take in what leaves the graph, (n, 2)."""
        self._lay_behind(signal)
        self._read_between(len(signal))
        self._weigh_main(signal, self._fall, self._share)

    @property
    def strips(self) -> tuple[NDArray[Any], ...]:
        """What ``weigh_strips`` of ``dsp.kernels.meters`` fills in: peaks, RMS, mean squares, reductions."""
        return self.strip_peaks, self.strip_rms, self._strip_squares, self.strip_reduction_db

    @property
    def weights(self) -> tuple[int, float, float]:
        """The frames of the chunk, how far a peak falls in them, and a mean square's share."""
        return self._frames, self._fall, self._share

    def reset(self) -> None:
        """Forget all that was heard."""
        for values in (
            *(self.strip_peaks, self.strip_rms, self.strip_reduction_db),
            *(self.bus_peaks, self.bus_rms, self.bus_reduction_db, self.true_peak, self.true_peak_max),
            *(self._strip_squares, self._bus_squares, self._past, self._states, self._hops, self._place, self._found),
        ):
            values.fill(0)


class BankMeter:
    """What ``meters`` hear of one bank, whose strips are those with ``indices`` of the graph's."""

    def __init__(self, bank: StripBank, indices: Sequence[int], meters: GraphMeters) -> None:
        self._meters = meters
        levels, lanes = bank.measured()
        strips = zip(indices, bank.strips, strict=True)
        channels = [meters.first_channels[index] + k for index, strip in strips for k in range(strip.channels)]
        places = np.stack([lanes, channels], axis=1).astype(np.int64)
        states, seats, squeezes = bank.reducing()
        numbered = np.column_stack([seats, np.array(indices, dtype=np.int64)])
        self._held = np.zeros(len(channels), np.float32)
        self._weigh = library("meters").weigh_strips.bind(
            *(levels, places, states, numbered, squeezes, None, None, None, self._held),
            *meters.strips,
        )

    def hear(self) -> None:
        """Take in the newest chunk."""
        self._weigh(*self._meters.weights)

    def peaks(self) -> NDArray[np.float32]:
        """Return every channel's largest magnitude since this was last asked."""
        found = self._held.copy()
        self._held.fill(0.0)
        return found
