"""Plugin: an effect of somebody else, run by a host above, in step with everything else to the sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.delay import History
from dsp.errors import DspError
from dsp.hosting import PlugIn, PlugInInstance, Value
from dsp.processor import Block, Glide, Settings, choice, number, table
from dsp.ramp import ramp
from dsp.sidechain import check_channels

__all__ = ["Plugin", "RunningPlugin"]


@dataclass(frozen=True)
class Plugin(Settings):
    """A VST3 or Audio Unit of another maker, by the name of its file; without one the sound goes by.

    ``name`` chooses one where a file holds several, ``state`` is a preset that a workstation has saved, and
    ``values`` are set after it, in the plug-in's own words ('halfnormal effects NAME --plugins' lists them). It
    always gets ``block_frames`` at once, so that no cut of the song changes what it does; moves reach it from block to
    block. No plug-in says how long it rings, hence ``tail_s``. ``mix_percent`` 0 passes bit for bit.
    """

    kind: ClassVar[str] = "plugin"

    plugin: PlugIn | None = field(default=None, metadata={})
    name: str = field(default="", metadata={})
    state: Any = field(default=None, metadata={})
    values: tuple[tuple[str, Value], ...] = table()
    mix_percent: float = number(100.0, 0.0, 100.0, "%")
    block_frames: int = choice(512, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
    tail_s: float = number(2.0, 0.0, 60.0, "s")

    def start(self, rate_hz: float, channels: int) -> RunningPlugin:
        """Return it running. Raises DspError where it cannot be loaded, or refuses rate, channels or a parameter."""
        return RunningPlugin(self, rate_hz, channels)


class RunningPlugin:
    """Gathers blocks of one length for the plug-in, hands out what it made of the last one, and waits as long dry."""

    def __init__(self, settings: Plugin, rate_hz: float, channels: int) -> None:
        check_channels(channels)
        self._settings = self._from = settings
        self._frames = self._begun = self._passed = 0
        size = self._size = settings.block_frames
        self._plugin = settings.plugin
        self._instance: PlugInInstance | None = None
        self.latency_frames = 0
        self.tail_frames = 0
        if self._plugin is not None:
            self._plugin.check(settings.values)
            self._instance = self._plugin.start(rate_hz, channels, size, settings.values, settings.state)
            self.latency_frames = size + self._instance.latency_frames
            self.tail_frames = round(settings.tail_s * rate_hz)
        self._in: NDArray[np.float32] = np.zeros((size, channels), np.float32)
        self._out = np.zeros_like(self._in)
        self._filled = 0
        self._dry = History(self.latency_frames, channels)
        self._mix = Glide(_mix(settings))

    def process(self, block: Block, key: Block | None = None) -> None:
        """Process the next (n, channels) in place; the plug-in works when its block is full."""
        if self._instance is None:
            return
        start = 0
        while start < len(block):
            n = min(self._size - self._filled, len(block) - start)
            part, place = block[start : start + n], slice(self._filled, self._filled + n)
            dry = self._dry.late(part)
            mix = ramp(self._mix, n)
            self._in[place] = part
            np.multiply(self._out[place], mix[:, :1], out=part, casting="same_kind")
            if mix[:, 1].any():
                part += (dry * mix[:, 1:]).astype(np.float32)
            start += n
            self._filled += n
            self._passed += n
            if self._filled == self._size:
                self._filled = 0
                self._work()

    def _work(self) -> None:
        assert self._plugin is not None and self._instance is not None  # noqa: S101 - process has looked
        if self._from is not self._settings:
            share = (self._passed - self._begun) / self._frames
            now = self._from.towards(self._settings, share)
            self._instance.put(now.values)
            if share >= 1.0:
                self._from = self._settings
        self._in, self._out = self._out, self._in
        self._instance.run(self._out)
        finite = np.isfinite(self._out)
        if not finite.all():
            self._out[~finite] = 0.0
            self._plugin.tell("gave samples that are no numbers; they are silent")
        late = self._instance.latency_frames
        if late != self.latency_frames - self._size:
            self._plugin.tell(
                f"changed its latency while it ran, from {self.latency_frames - self._size} samples to {late}: "
                "from there on it is out of step"
            )

    def change(self, settings: Plugin, frames: int) -> None:
        """Set other parameters, block by block. Raises DspError for what it refuses, and for another plug-in."""
        here = self._settings
        fixed = ("plugin", "name", "state", "block_frames", "tail_s")
        if any(getattr(settings, key) != getattr(here, key) for key in fixed):
            raise DspError(f"a running plug-in cannot change its {', '.join(fixed)}", hint="start another")
        if self._plugin is not None and settings.values != here.values:
            self._plugin.check(settings.values)
            self._from = self._now()
            self._frames, self._begun = max(1, frames), self._passed
            self._settings = settings
        else:
            self._settings = settings
            self._from = settings if self._from is here else self._from
        if settings.mix_percent != here.mix_percent:
            self._mix.to(_mix(settings), frames)

    def _now(self) -> Plugin:
        """Return the settings on the way at this frame."""
        if self._from is self._settings:
            return self._settings
        return self._from.towards(self._settings, (self._passed - self._begun) / self._frames)

    def reset(self) -> None:
        """Forget all that was heard, and be what the settings asked for."""
        if self._instance is None:
            return
        self._instance.reset()
        self._instance.put(self._settings.values)
        self._from = self._settings
        self._in[:] = self._out[:] = 0.0
        self._filled = 0
        self._dry.clear()
        self._mix = Glide(self._mix.target)


def _mix(settings: Plugin) -> NDArray[np.float64]:
    return np.array([settings.mix_percent / 100.0, 1.0 - settings.mix_percent / 100.0])
