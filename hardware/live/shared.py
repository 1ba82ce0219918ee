"""What a live stream shares besides its ring: the transport, where the song is, meters, how long callbacks took.

A block of the ring holds the stems strip after strip, each (frames, channels), so that the graph reads them where they
lie. Beside every block stand its *marks*: the song's frame of its first frame, and where in it the song jumps, and to
which frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware.audio_process.rings import MAX_CHANNELS, Geometry, Rings

__all__ = [
    "GAIN_ONE",
    "GATE_SLOTS",
    "MARKS",
    "MAX_BUSSES",
    "NEVER",
    "TIME_BINS",
    "TIME_BIN_NS",
    "LiveRings",
    "LiveWord",
    "live_geometry",
]

MARKS = 3
"""Numbers beside each block: the song's frame, where in the block the song jumps (at its end: nowhere), where to."""

MAX_BUSSES = 128
GAIN_ONE = 1_000_000_000
"""Unity gain in the word MONITOR."""

NEVER = 1 << 62
"""The word END where the song goes on."""

TIME_BIN_NS = 10_000
TIME_BINS = 4096
"""Callback times are counted in bins of 10 µs, up to 41 ms; what takes longer stands in the last."""

GATE_SLOTS = 128
"""Gating blocks (BS.1770-5: 400 ms, one every 100 ms) kept for who reads them."""

_LEVELS = 3 * MAX_CHANNELS + 5 * MAX_BUSSES + 8


class LiveWord:
    """Words of the header that only live streams use, and who writes them; plain numbers as in `Word`."""

    TRANSPORT = 16  # parent: number of the newest command, times two, and one if it is to play
    START = 17  # parent: the block with which that command begins
    MONITOR = 18  # parent: gain of the output, GAIN_ONE for unity
    IN_FORCE = 20  # child: the command that is obeyed
    ANSWERED = 21  # child: the newest change that is heard, or refused
    REFUSED = 22  # child: the newest change that was refused; its text says why
    LATENCY = 23  # child: how late the graph is [frames]
    TAIL = 24  # child: how long it rings on [frames]
    SONG = 25  # child: the frame of the song that is played next
    PLAYED = 26  # child: frames of the song played
    SILENT = 27  # child: frames since the last one of the song
    METERS = 28  # child: number of the newest meters; odd while they are written
    GATED = 29  # child: gating blocks since the start
    END = 30  # parent: the block with which the song fades out by itself
    PLAYING = 31  # child: one while the song plays
    NON_FINITE = 32  # child: samples of stems that were no numbers, and are silent


class LiveRings(Rings):
    """Views on the shared file of a live stream.

    Attributes
    ----------
    marks : (slots, MARKS) int64.
    times : (TIME_BINS,) int64, how many callbacks took that long.
    strip_peaks, strip_rms : (MAX_CHANNELS,) float32 by channel of the feed, before the faders.
    strip_reduction_db : (MAX_CHANNELS,) float32 by strip.
    bus_peaks, bus_rms : (MAX_BUSSES, 2) float32, in the order of the graph's busses, the main one last.
    bus_reduction_db : (MAX_BUSSES,) float32, likewise.
    main : (8,) float32: true peak left and right, the highest of these since the song began, peak left and right,
        momentary and short-term loudness [LUFS].
    gated : (GATE_SLOTS,) float32, momentary loudness every 100 ms [LUFS].
    """

    def __init__(self, path: Path, geometry: Geometry) -> None:
        super().__init__(path, geometry)
        at = geometry.extra_at

        def array(dtype: type[np.generic], *shape: int) -> NDArray[Any]:
            nonlocal at
            found = self._array(dtype, at, shape)
            at += found.nbytes
            return found

        self.marks = array(np.int64, geometry.slots, MARKS)
        self.times = array(np.int64, TIME_BINS)
        self.strip_peaks = array(np.float32, MAX_CHANNELS)
        self.strip_rms = array(np.float32, MAX_CHANNELS)
        self.strip_reduction_db = array(np.float32, MAX_CHANNELS)
        self.bus_peaks = array(np.float32, MAX_BUSSES, 2)
        self.bus_rms = array(np.float32, MAX_BUSSES, 2)
        self.bus_reduction_db = array(np.float32, MAX_BUSSES)
        self.main = array(np.float32, 8)
        self.gated = array(np.float32, GATE_SLOTS)

    def block(self, slot: int) -> NDArray[np.float32]:
        """Return one block of the feed, (frames * channels,): strip after strip."""
        flat: NDArray[np.float32] = self.output[slot].reshape(-1)
        return flat


def live_geometry(seconds: float, *, rate_hz: int, block_frames: int, channels: int) -> Geometry:
    """Return the shape of a ring that holds ``seconds`` [s] of ``channels`` side by side, and of what goes with it."""
    plain = Geometry.lasting(seconds, rate_hz=rate_hz, block_frames=block_frames, outputs=channels, inputs=0)
    extra = 8 * (plain.slots * MARKS + TIME_BINS) + 4 * (_LEVELS + GATE_SLOTS)
    return Geometry(plain.block_frames, plain.slots, plain.outputs, 0, extra)
