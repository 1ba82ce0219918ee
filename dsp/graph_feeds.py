"""Ways to a bus as they run: gains that stand still, follow the song, or are on their way to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dsp.graph_settings import STEREO, Feed, GraphBus
from dsp.moving_gains import StereoGains
from dsp.processor import STEP_FRAMES
from dsp.song_line import SongLine

__all__ = ["RunningFeed", "change_feeds", "closed", "fader_feed"]


_LONG_AGO = -(2**62)


def closed(feed: Feed) -> Feed:
    """Return a way to the same bus on which nothing passes."""
    return replace(feed, gains=tuple((0.0, 0.0) for _ in feed.gains), automation=None)


def fader_feed(bus: GraphBus) -> Feed:
    """Return the main bus's fader as its way out of the graph."""
    fader = 10.0 ** (bus.fader_db / 20.0)
    if bus.automation is None:
        return Feed("", ((fader, 0.0), (0.0, fader)))
    return Feed("", STEREO, StereoGains(bus.automation))


class RunningFeed:
    """One way to a bus. Frames are those of the graph's input; gains have a knot at every 16th frame of the song."""

    def __init__(self, feed: Feed, line: SongLine, rate_hz: float) -> None:
        self._line = line
        self._rate_hz = rate_hz
        self._first = self._last = _LONG_AGO
        """Knots between which its gains go from what they were to what they are to be."""
        self.feed = feed
        self.to = feed.to
        self.gains = feed.gains
        self.still = np.array(feed.gains, dtype=np.float64)
        """The gains (channels, 2) where they do not move."""
        self._before = self._start = self.still

    def moves(self, at: int) -> bool:
        """Whether its gains follow the song, or are still on their way at frame ``at``."""
        return self.feed.automation is not None or at < self._last

    def knots(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the gains at knots, frames that rise: (K, channels, 2)."""
        if self.feed.automation is None:
            gains: NDArray[np.float64] = np.broadcast_to(self.still, (len(at), *self.still.shape))
        else:
            gains = self.feed.automation(self._line.knots(at) / self._rate_hz)
        if at[0] >= self._last:
            return gains
        share = ((at - self._first) / (self._last - self._first))[:, None, None]
        ways = np.where(share >= 1.0, gains, self._start + (gains - self._start) * share)
        return np.where(share < 0.0, self._before, ways)

    def ramp(self, at: int, frames: int) -> NDArray[np.float64]:
        """Return the gains at ``frames`` frames from frame ``at`` on, straight between knots: (frames, channels, 2)."""
        into = (at + self._line.phase) % STEP_FRAMES
        count = (into + frames - 1) // STEP_FRAMES + 2
        knots = self.knots(at - into + STEP_FRAMES * np.arange(count))
        place = np.arange(into, into + frames)
        knot = place // STEP_FRAMES
        share = ((place - knot * STEP_FRAMES) / STEP_FRAMES).reshape(-1, 1, 1)
        gains: NDArray[np.float64] = knots[knot] + (knots[knot + 1] - knots[knot]) * share
        return gains

    def change(self, feed: Feed, at: int, frames: int) -> None:
        """Go to what ``feed`` has over ``frames`` frames, at least one step, from the first knot at ``at`` or later."""
        if feed == self.feed:
            return
        first = at + -(at + self._line.phase) % STEP_FRAMES
        if self.moves(first - STEP_FRAMES):
            self._before, self._start = self.knots(np.array([first - STEP_FRAMES, first]))
        else:
            self._before = self._start = self.still
        self._first, self._last = first, first + max(1, -(-frames // STEP_FRAMES)) * STEP_FRAMES
        self.feed, self.gains = feed, feed.gains
        self.still = np.array(feed.gains, dtype=np.float64)


def change_feeds(
    running: list[RunningFeed], feeds: Sequence[Feed], line: SongLine, rate_hz: float, at: int, frames: int
) -> None:
    """Take ``running`` ways to ``feeds``, each to one that leads where it does.

    One that is no longer there closes; a new one opens from nothing, and is added to them.
    """
    waiting = list(feeds)
    for way in running:
        feed = next((feed for feed in waiting if feed.to == way.to), None)
        if feed is not None:
            waiting.remove(feed)
        way.change(closed(way.feed) if feed is None else feed, at, frames)
    for feed in waiting:
        way = RunningFeed(closed(feed), line, rate_hz)
        way.change(feed, at, frames)
        running.append(way)
