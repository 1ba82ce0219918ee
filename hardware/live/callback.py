"""What PortAudio calls every block of a live stream: feed from the ring, through the graph, to two outputs.

No lock and no waiting. The transport's commands fade: whatever sounds gives way over 10 ms to what comes, song or
silence, while the graph runs on, so that it rings out.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import library
from hardware.audio_process.rings import Word, XrunCode
from hardware.live.meters import MeterWriter
from hardware.live.player import Player
from hardware.live.shared import GAIN_ONE, MARKS, TIME_BIN_NS, TIME_BINS, LiveRings, LiveWord

__all__ = ["FADE_S", "RISE_S", "LiveCallback"]

FADE_S = 0.010
"""How long the feed takes from what sounds to what comes [s]."""

RISE_S = 0.050
"""How long the output takes from silence to its level and back [s]."""

_IDLE = 0
_WARM_CALLS = 8


class LiveCallback:
    """Feeds ``player`` from ``rings`` and writes the main bus to the outputs ``pair`` (from 0).

    ``failure`` is what stopped the graph; from then on there is silence. ``thread`` is the native id of the thread that
    it was first called in, 0 before.
    """

    def __init__(self, rings: LiveRings, player: Player, pair: tuple[int, int], *, rate_hz: int) -> None:
        geometry = rings.geometry
        frames = geometry.block_frames
        self.failure: BaseException | None = None
        self.thread = 0
        self._rings = rings
        self._words = rings.words
        self._player = player
        self._frames = frames
        self._slots = geometry.slots
        self._blocks = [rings.block(slot) for slot in range(geometry.slots)]
        self._feed = np.zeros(frames * geometry.outputs, np.float32)
        self._take = library("feeds").take.bind(None, self._feed)
        self._old = np.zeros_like(self._feed)
        self._strips, frame_of = _strips(self._feed, player, frames)
        self._weights = np.zeros_like(self._feed)
        fade = -(-round(FADE_S * rate_hz) // frames) * frames
        rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)
        self._fade = rise.astype(np.float32).reshape(-1, frames)
        """The rise from what sounded to what comes, block by block."""
        self._frame_of = frame_of
        self._command = _IDLE
        self._playing = False
        self._at = 0
        self._from: int | None = None
        self._step = len(self._fade)
        self._gain = 0.0
        self._gain_step = frames / max(1.0, RISE_S * rate_hz)
        self._leave = library("feeds").leave.bind(None, None, None, *pair, None)
        self._calls = 0
        self._silent = 1 << 40
        self._meters = MeterWriter(rings, player, rate_hz=rate_hz)
        self._bin_ns = TIME_BIN_NS
        self._times, self._marks = rings.times.data, rings.marks.reshape(-1).data
        self._told = -1

    def warm(self, outputs: int) -> None:
        """Run a few blocks that nobody hears, so that the first one that counts finds everything at hand."""
        out = np.zeros((self._frames, outputs), np.float32)
        for _ in range(_WARM_CALLS):
            self(out, self._frames, None, None)
        self._calls = self.thread = 0
        self._words[Word.CALLBACKS] = 0
        self._rings.times.fill(0)

    def __call__(self, outdata: NDArray[np.float32], frames: int, clock: Any, status: Any) -> None:
        """Play the next block."""
        begin_ns = time.perf_counter_ns()
        words = self._words
        self._calls += 1
        if self._calls == 1:
            self.thread = threading.get_native_id()
        if status and (status.output_underflow or status.output_overflow):
            self._rings.log_xrun(self._calls - 1, XrunCode.OUTPUT)
        try:
            sounds = self.failure is None and self._play(outdata)
        except Exception as error:  # the callback's last line: silence, and the watching thread says why
            self.failure, sounds = error, False
        if not sounds:
            outdata.fill(0.0)
        words[Word.CALLBACKS] = self._calls
        index = min((time.perf_counter_ns() - begin_ns) // self._bin_ns, TIME_BINS - 1)
        self._times[index] += 1

    def _play(self, outdata: NDArray[np.float32]) -> bool:
        """Play the next block to the outputs; return whether anything of it is to be heard."""
        words, player = self._words, self._player
        player.take()
        self._obey()
        jump_at, jump_to = self._fill()
        bus = player.play(self._strips, jump_at, jump_to)
        self._meters.write(self._frames)
        begin, gain = self._gain, self._next_gain()
        if sounds := begin > 0.0 or gain > 0.0:
            self._leave(bus, begin, gain, outdata)
        if player.answered != self._told:
            self._told = player.answered
            words[LiveWord.LATENCY], words[LiveWord.TAIL] = player.latency_frames, player.tail_frames
            words[LiveWord.ANSWERED] = player.answered
        words[LiveWord.SONG] = player.song
        words[LiveWord.SILENT] = self._silent
        return sounds

    def _obey(self) -> None:
        """Take the transport's newest command, or end the song, once the fade before is over."""
        words = self._words
        if self._step < len(self._fade):
            return
        command = words[LiveWord.TRANSPORT]
        if command != self._command:
            self._command = command
            start = words[LiveWord.START]
            if command & 1:
                self._begin(start)
            else:
                self._end(start)
        elif self._playing and self._at >= words[LiveWord.END]:
            self._end(words[Word.FED])

    def _begin(self, block: int) -> None:
        song = self._marks[MARKS * (block % self._slots)]
        self._from = self._at if self._playing else None
        if self._silent >= self._player.latency_frames + self._player.tail_frames:
            self._player.begin(song)
        # From the song's first frame on nothing is faded: what is heard there is what a print holds.
        self._step = len(self._fade) if song == 0 and self._from is None else 0
        self._playing, self._at = True, block

    def _end(self, block: int) -> None:
        if self._playing:
            self._from, self._step, self._silent = self._at, 0, 0
        self._playing, self._at = False, block

    def _fill(self) -> tuple[int, int]:
        """Lay the next block of the feed down; return where in it the song jumps, and to where."""
        words = self._words
        jump = self._frames, 0
        if not self._playing:
            self._feed.fill(0.0)
            self._silent += self._frames
        elif self._at < words[Word.FED]:
            slot = self._at % self._slots
            self._take(self._blocks[slot])
            mark, marks = MARKS * slot, self._marks
            self._player.locate(marks[mark])
            jump = marks[mark + 1], marks[mark + 2]
            self._at += 1
            self._silent = 0
            words[LiveWord.PLAYED] += self._frames
        else:
            self._feed.fill(0.0)
            self._rings.log_xrun(self._calls - 1, XrunCode.STARVED)
        if self._step < len(self._fade):
            self._blend(self._fade[self._step])
            self._step += 1
            if self._step == len(self._fade):
                self._from = None
        words[LiveWord.IN_FORCE] = self._command
        words[LiveWord.PLAYING] = int(self._playing)
        words[Word.DONE] = self._at if self._from is None else self._from
        return jump

    def _blend(self, rise: NDArray[np.float32]) -> None:
        np.take(rise, self._frame_of, out=self._weights)
        self._feed *= self._weights
        if self._from is not None and self._from < self._words[Word.FED]:
            np.subtract(1.0, self._weights, out=self._weights)
            np.multiply(self._blocks[self._from % self._slots], self._weights, out=self._old)
            self._feed += self._old
            self._from += 1

    def _next_gain(self) -> float:
        """Go on to the monitor's level, at most at the speed of RISE_S; return the gain at the end of this block."""
        wanted = self._words[LiveWord.MONITOR] / GAIN_ONE
        if wanted > self._gain:
            self._gain = min(self._gain + self._gain_step, wanted)
        else:
            self._gain = max(self._gain - self._gain_step, wanted)
        return self._gain


def _strips(
    feed: NDArray[np.float32], player: Player, frames: int
) -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.intp]]:
    """Return every strip's part of ``feed`` as (frames, channels), and the frame of each number in it."""
    parts, frame_of, at = [], [], 0
    for strip in player.graph.strips:
        stop = at + frames * strip.channels
        parts.append(feed[at:stop].reshape(frames, strip.channels))
        frame_of.append(np.repeat(np.arange(frames), strip.channels))
        at = stop
    return tuple(parts), np.concatenate(frame_of)
