"""Gain, polarity and place in time: what is put right before anything else is heard of a recording."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.delay import LATENCY_FRAMES, TAPS, FractionalDelay
from dsp.errors import DspError
from dsp.processor import STEP_FRAMES, Block, Glide, Settings, choice, number

__all__ = ["Align", "Trim"]

_WHOLE = 1e-6
"""A delay this near to a whole frame is one: at 20 kHz and 48 kHz it is off by less than −110 dB."""

_ROOM_FRAMES = 8_192


@dataclass(frozen=True)
class Trim(Settings):
    """Gain and polarity. At 0 dB and normal polarity every sample passes bit for bit."""

    kind: ClassVar[str] = "trim"

    gain_db: float = number(0.0, -60.0, 24.0, "dB")
    polarity: str = choice("normal", "normal", "inverted")

    @property
    def gain(self) -> float:
        """The linear gain with its sign."""
        return math.copysign(10.0 ** (self.gain_db / 20.0), -1.0 if self.polarity == "inverted" else 1.0)

    def start(self, rate_hz: float, channels: int) -> RunningTrim:
        """Return it running; any rate will do."""
        return RunningTrim(self)


class RunningTrim:
    """A gain that goes straight from one setting to the next, through zero where the polarity turns."""

    latency_frames = 0
    tail_frames = 0

    def __init__(self, settings: Trim) -> None:
        self._glide = Glide(np.array([settings.gain]))

    def process(self, block: Block, key: Block | None = None) -> None:
        """Multiply the block by the gain."""
        knots, first = self._glide.knots(len(block))
        gains = knots[:, 0]
        if len(gains) == 2 and gains[0] == gains[1]:
            if gains[0] != 1.0:
                block *= float(gains[0])
            return
        at = (first + np.arange(len(block))) / STEP_FRAMES
        knot = np.minimum(at.astype(np.int64), len(gains) - 2)
        ramp = gains[knot] + (gains[knot + 1] - gains[knot]) * (at - knot)
        block *= ramp.astype(np.float32)[:, None]

    def change(self, settings: Trim, frames: int) -> None:
        """Go to another gain."""
        self._glide.to(np.array([settings.gain]), frames)

    def reset(self) -> None:
        """Keep nothing: a gain has no memory."""


@dataclass(frozen=True)
class Align(Settings):
    """A shift in time, later or earlier, by the sum of its two numbers; a fraction of a frame is interpolated.

    Earlier, and a fraction less than 47 frames late, is bought with latency, which the graph makes up. Whole frames
    pass bit for bit.
    """

    kind: ClassVar[str] = "align"

    delay_ms: float = number(0.0, -100.0, 100.0, "ms")
    delay_samples: float = number(0.0, -9_600.0, 9_600.0, "samples")

    def frames(self, rate_hz: float) -> float:
        """Return the shift [frames], positive is later."""
        total = self.delay_ms * rate_hz / 1000.0 + self.delay_samples
        return float(round(total)) if abs(total - round(total)) <= _WHOLE else total

    def start(self, rate_hz: float, channels: int) -> RunningAlign:
        """Return it running at ``rate_hz``."""
        return RunningAlign(self, rate_hz, channels)


class _Path:
    """One delay of a stream: whole frames from the history, the rest through an interpolator."""

    def __init__(self, whole: int, rest: float, history: _History) -> None:
        self.whole = whole
        self._rests = [FractionalDelay(rest) for _ in range(history.channels)] if rest else []
        for channel, fraction in enumerate(self._rests):
            fraction.process(history.before(whole, TAPS - 1)[:, channel])

    def read(self, history: _History, frames: int) -> NDArray[np.float32]:
        """Return the path's output of the newest ``frames`` of ``history``."""
        signal = history.before(self.whole, frames)
        if not self._rests:
            return signal
        delayed = [rest.process(signal[:, channel]) for channel, rest in enumerate(self._rests)]
        return np.stack(delayed, axis=1).astype(np.float32)


class _History:
    """The last ``reach`` frames of a stream and more; moved to the front only when its room is used up."""

    def __init__(self, reach: int, channels: int) -> None:
        self.channels = channels
        self._reach = reach
        self._buffer: NDArray[np.float32] = np.zeros((reach + _ROOM_FRAMES, channels), np.float32)
        self._end = reach

    def add(self, block: Block) -> None:
        """Take the next frames."""
        if self._end + len(block) > len(self._buffer):
            kept = self._buffer[self._end - self._reach : self._end].copy()
            if self._reach + len(block) > len(self._buffer):
                self._buffer = np.zeros((self._reach + len(block), self.channels), np.float32)
            self._buffer[: self._reach] = kept
            self._end = self._reach
        self._buffer[self._end : self._end + len(block)] = block
        self._end += len(block)

    def before(self, delay: int, frames: int) -> NDArray[np.float32]:
        """Return the newest ``frames`` frames of the stream ``delay`` frames late."""
        return self._buffer[self._end - delay - frames : self._end - delay]

    def clear(self) -> None:
        """Forget everything."""
        self._buffer[:] = 0.0
        self._end = self._reach


class RunningAlign:
    """A delay line; a change fades from the old delay to the new one.

    Its latency is what its first settings need; settings that would need more are refused with DspError.
    """

    def __init__(self, settings: Align, rate_hz: float, channels: int) -> None:
        self._rate_hz = rate_hz
        shift = settings.frames(rate_hz)
        self.latency_frames = int(max(0, -shift if shift.is_integer() else LATENCY_FRAMES - math.floor(shift)))
        latest = max(p.high * (rate_hz / 1000.0 if p.unit == "ms" else 1.0) for p in Align.parameters())
        # Both numbers may stand at their ends, and the old path is read while the new one starts.
        self._history = _History(self.latency_frames + 2 * math.ceil(latest) + 2 * TAPS, channels)
        self._shift = shift
        self._path = self._next = self._to(shift)
        self._fade = self._faded = 0
        self._waiting: tuple[Align, int] | None = None

    @property
    def tail_frames(self) -> int:
        """The shift, and the interpolator's length where there is one."""
        rest = 0 if self._shift.is_integer() else TAPS
        return max(0, math.ceil(self._shift)) + rest

    def _to(self, shift: float) -> _Path:
        late = self.latency_frames + shift
        whole = int(late) if late.is_integer() else math.floor(late) - LATENCY_FRAMES
        if whole < 0:
            raise DspError(
                f"align cannot go to {shift:g} frames while it runs: it would need more latency than the "
                f"{self.latency_frames} frames it began with",
                hint="Begin with the earliest shift, or move less.",
            )
        return _Path(whole, late - math.floor(late), self._history)

    def process(self, block: Block, key: Block | None = None) -> None:
        """Shift the block."""
        done = 0
        while done < len(block):
            room = self._fade - self._faded
            size = min(len(block) - done, room) if room else len(block) - done
            part = block[done : done + size]
            self._history.add(part)
            if room:
                share = ((self._faded + np.arange(size)) / self._fade).astype(np.float32)[:, None]
                old, new = self._path.read(self._history, size), self._next.read(self._history, size)
                part[:] = old + (new - old) * share
                self._faded += size
                if self._faded == self._fade:
                    self._path, self._fade, self._faded = self._next, 0, 0
                    if self._waiting is not None:
                        (settings, over), self._waiting = self._waiting, None
                        self.change(settings, over)
            else:
                part[:] = self._path.read(self._history, size)
            done += size

    def change(self, settings: Align, frames: int) -> None:
        """Fade to another shift, after a fade under way; raises DspError where it needs more latency."""
        shift = settings.frames(self._rate_hz)
        path = self._to(shift)
        if self._fade:
            self._waiting = (settings, frames)
            return
        if shift != self._shift:
            self._next, self._shift = path, shift
            self._fade, self._faded = max(STEP_FRAMES, frames), 0

    def reset(self) -> None:
        """Forget all that was heard."""
        self._history.clear()
        if self._waiting is not None:
            self._shift = self._waiting[0].frames(self._rate_hz)
        self._fade, self._faded, self._waiting = 0, 0, None
        self._path = self._next = self._to(self._shift)
