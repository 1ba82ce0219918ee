"""The box side of an analog pass: what every D/A output plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from controller.allocation import Allocation, Route
from controller.box_render import BoxMix
from controller.desk import db_to_gain
from controller.errors import MixError
from controller.project import Project
from controller.rendering import BLOCK_FRAMES
from dsp.delay import FractionalDelay

if TYPE_CHECKING:
    from numpy.typing import NDArray

FADE_IN_S = 0.01


class FeedSource:
    """Renders the feeds of an analog pass, block by block, from frame ``start`` of the song on.

    The graph is run from the song's beginning in any case, so that a region recorded again gets the very samples of
    the first pass. ``levels_dbfs`` holds the peak of every strip after its fader in the newest block.
    """

    def __init__(
        self,
        project: Project,
        allocation: Allocation,
        *,
        outputs: int,
        frames: int,
        start: int = 0,
        rate_hz: int,
    ) -> None:
        self._box = BoxMix(project, allocation, itb=False, pre=[route.strip for route in allocation.routes])
        self._index = {s.name: i for i, s in enumerate(allocation.feeds)}
        self._routes = allocation.routes
        self._pair = allocation.box_pair
        self._outputs = outputs
        self._left = frames
        self._held: NDArray[np.float32] = np.zeros((0, outputs), np.float32)
        every = (*self._routes, *(self._pair or ()))
        self._delay = max((r.delay_frames for r in every), default=0)
        self._late: NDArray[np.float64] = np.zeros((self._delay, outputs))
        self._rests = {r.output: FractionalDelay(r.delay_rest) for r in every if allocation.feed_latency_frames}
        self.levels_dbfs: dict[str, float] = {}
        self._skip(start)
        fade = round(FADE_IN_S * rate_hz) if start else 0
        self._fade: NDArray[np.float32] = np.linspace(0.0, 1.0, fade, endpoint=False, dtype=np.float32)

    def _skip(self, frames: int) -> None:
        while frames > 0:
            step = min(frames, BLOCK_FRAMES)
            self._render(step)
            frames -= step
            self._left -= step

    def _render(self, frames: int) -> NDArray[np.float32]:
        block = self._box.read(frames)
        self.levels_dbfs = self._box.levels_dbfs
        late = self._delay
        out = np.zeros((frames + late, self._outputs))
        out[:late] += self._late
        for route in self._routes:
            signal = block.pre[self._index[route.strip]]
            assert signal is not None  # noqa: S101 - it was asked for
            self._add(out, route, signal[:, route.channel])
        for side, route in enumerate(self._pair or ()):
            self._add(out, route, block.bus[:, side])
        self._late = out[frames:]
        return out[:frames].astype(np.float32)

    def _add(self, out: NDArray[np.float64], route: Route, signal: NDArray[np.float32] | NDArray[np.float64]) -> None:
        begin = route.delay_frames
        if route.output in self._rests:
            signal = self._rests[route.output].process(signal)
        out[begin : begin + len(signal), route.output - 1] += signal * db_to_gain(route.trim_db)

    def read(self, frames: int) -> NDArray[np.float32]:
        """Return at most ``frames`` frames, shape (n, outputs), full scale 1.0; fewer at the end of the pass."""
        while len(self._held) < frames and self._left > 0:
            step = min(self._left, BLOCK_FRAMES)
            block = self._render(step)
            faded = min(len(self._fade), step)
            if faded:
                block[:faded] *= self._fade[:faded, None]
                self._fade = self._fade[faded:]
            self._held = np.concatenate([self._held, block]) if len(self._held) else block
            self._left -= step
        given, self._held = self._held[:frames], self._held[frames:]
        return given

    def close(self) -> None:
        """Release the stems and the graph's threads."""
        self._box.close()


def check_headroom(
    project: Project,
    allocation: Allocation,
    *,
    outputs: int,
    frames: int,
    rate_hz: int,
    progress: Callable[[float], None],
) -> float:
    """Render all feeds once without playing them; return the highest peak [full scale].

    Raises
    ------
    MixError
        A feed would clip its D/A; names the strip, the amount, the place and the remedy.
    """
    source = FeedSource(project, allocation, outputs=outputs, frames=frames, rate_hz=rate_hz)
    peaks = np.zeros(outputs)
    places = np.zeros(outputs, np.int64)
    try:
        for done in range(0, frames, BLOCK_FRAMES):
            block = np.abs(source.read(min(BLOCK_FRAMES, frames - done)))
            here = block.max(axis=0)
            louder = here > peaks
            places[louder] = done + block.argmax(axis=0)[louder]
            peaks[louder] = here[louder]
            progress(done / frames)
    finally:
        source.close()
    worst = int(peaks.argmax())
    if peaks[worst] > 1.0:
        over_db = 20 * float(np.log10(peaks[worst]))
        names = {r.output: r.strip for r in (*allocation.routes, *(allocation.box_pair or ()))}
        raise MixError(
            f"strip {names[worst + 1]!r} would clip output {worst + 1} by {over_db:.1f} dB at "
            f"{places[worst] / rate_hz:.2f} s; nothing was played",
            hint=f"Lower its trim_db by {over_db + 0.5:.1f} dB (and raise its fader_db as much).",
        )
    return float(peaks[worst])
