"""Plug-ins of others in the graph: the one place that imports pedalboard, and only when a mix names a plug-in.

pedalboard streams like this (0.9.26, measured with an impulse): ``process(..., reset=False)`` leaves out the first
samples, as many as the plug-in is late, and from then on returns as many as it was given. Put at the end of their
blocks they are the plug-in's output as late as it says, which is what the graph makes up for.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from controller.files import content_hash
from controller.plugin_facts import PlugInFacts, format_of
from dsp.errors import DspError
from dsp.hosting import Value
from dsp.processor import Block

_STEPS = 1000
"""Steps of a parameter's scale of which pedalboard asks the text."""
_FINE = 64
"""A scale of fewer values than this has steps of its own."""

Load = Callable[[Path, str], Any]
"""Path and name → what pedalboard calls a plug-in."""


@dataclass(frozen=True)
class Preset:
    """A saved state in a file, of ``hash``."""

    path: Path
    hash: str

    @classmethod
    def of(cls, path: Path) -> Preset:
        """Return the preset in a file, as it is now. Raises StorageError where it cannot be read."""
        return cls(path, content_hash(path))


@dataclass(frozen=True)
class Missing:
    """A plug-in that cannot run here, and why; its insert is out of circuit."""

    name: str
    why: str
    hint: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Hosted:
    """An installed plug-in. Two are equal where code and name are."""

    path: Path
    facts: PlugInFacts
    load: Load = field(compare=False)
    troubles: dict[str, None] = field(default_factory=dict, compare=False, repr=False)
    """What went wrong while it ran, each once."""

    def __str__(self) -> str:
        return f"{self.facts.name} {self.facts.version} ({format_of(self.path)})"

    def __hash__(self) -> int:
        return hash((self.facts.hash, self.facts.name))

    @property
    def chosen(self) -> str:
        """Which of several in one file it is; empty for the only one."""
        return self.facts.name if len(self.facts.names) > 1 else ""

    def check(self, values: Sequence[tuple[str, Value]]) -> None:
        """Raise DspError for a parameter that it does not have, and for a value out of range."""
        self.facts.check(values)

    def start(
        self,
        rate_hz: float,
        channels: int,
        block_frames: int,
        values: Sequence[tuple[str, Value]],
        state: Preset | None,
    ) -> Instance:
        """Return it running; one that takes a single channel runs once for each. Raises DspError where it does not."""
        return Instance(self, rate_hz, channels, block_frames, values, state)

    def tell(self, trouble: str) -> None:
        """Keep a sentence about something that went wrong."""
        self.troubles[trouble] = None

    def to_json(self) -> dict[str, Any]:
        """Return what a print's provenance says of it."""
        return {
            "name": self.facts.name,
            "maker": self.facts.maker,
            "version": self.facts.version,
            "format": format_of(self.path),
            "file": str(self.path),
            "hash": self.facts.hash,
            "host": self.facts.host,
            "note": "a plug-in of others: the same samples a second time are its maker's to promise, and not ours",
            "troubles": [*self.troubles],
        }


class Instance:
    """One insert's plug-in, once or once for each channel."""

    def __init__(
        self,
        hosted: Hosted,
        rate_hz: float,
        channels: int,
        block_frames: int,
        values: Sequence[tuple[str, Value]],
        state: Preset | None,
    ) -> None:
        self._hosted = hosted
        self._rate_hz = float(rate_hz)
        self._size = block_frames
        self._takes = channels if channels in hosted.facts.channels else hosted.facts.channels[0]
        with _failing(hosted, "could not be loaded"):
            count = max(1, channels // self._takes)
            self._running = on_loading_thread(lambda: [hosted.load(hosted.path, hosted.chosen) for _ in range(count)])
        if state is not None:
            with _failing(hosted, f"refused the preset {state.path.name}"):
                for plugin in self._running:
                    plugin.load_preset(str(state.path))
        self._knobs: dict[str, list[Knob]] = {}
        self._set: dict[str, Value] = {}
        self.put(values)
        on_loading_thread(lambda: self._warm_up(channels))

    def _warm_up(self, channels: int) -> None:
        """Run on silence twice: values reach it in the first block; how late they make it is known in the second."""
        for _ in range(2):
            self.run(np.zeros((self._size, channels), np.float32))
            self._reset()

    @property
    def latency_frames(self) -> int:
        """What the plug-in says [frames]; while it runs it may be a while until a change is heard of here."""
        return max(int(plugin.reported_latency_samples) for plugin in self._running)

    def run(self, block: Block) -> None:
        """Process the next block in place; a mono strip is both sides of a stereo plug-in, and hears their mean."""
        rows = np.ascontiguousarray(block.T)
        if len(self._running) > 1:
            made = [self._made(plugin, rows[side : side + 1]) for side, plugin in enumerate(self._running)]
            out = np.concatenate(made)
        elif self._takes > len(rows):
            out = self._made(self._running[0], np.repeat(rows, 2, axis=0)).mean(axis=0, keepdims=True)
        else:
            out = self._made(self._running[0], rows)
        block[:] = out.T

    def _made(self, plugin: Any, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        with _failing(self._hosted, "failed while it ran"):
            out = plugin.process(rows, self._rate_hz, buffer_size=self._size, reset=False)
        whole = np.zeros_like(rows)
        if out.shape[1]:
            whole[:, -out.shape[1] :] = out
        return whole

    def put(self, values: Sequence[tuple[str, Value]]) -> None:
        """Set the parameters that are not set like this already."""
        for name, value in values:
            if self._set.get(name) == value:
                continue
            with _failing(self._hosted, f"refused {name} = {value}"):
                if name not in self._knobs:
                    self._knobs[name] = [Knob(plugin.parameters[name]) for plugin in self._running]
                for knob in self._knobs[name]:
                    knob.put(value)
            self._set[name] = value

    def reset(self) -> None:
        """Forget all that was heard."""
        on_loading_thread(self._reset)

    def _reset(self) -> None:
        with _failing(self._hosted, "could not be reset"):
            for plugin in self._running:
                plugin.reset()


class Knob:
    """One parameter of a running plug-in.

    pedalboard 0.9.26 reads a scale in a thousand steps, and sets every value that lies nearer to the next of them to
    that one. Here a value between two steps goes between them.
    """

    def __init__(self, knob: Any) -> None:
        self._knob = knob
        self._values: list[float] = []
        self._raws: list[float] = []
        if knob.type is not float:
            return
        spans = sorted(knob.ranges.items())
        values = [float(value) for _, value in spans]
        if len(values) < _FINE:
            return
        falls = values[-1] < values[0]
        if all((a > b) if falls else (a < b) for a, b in itertools.pairwise(values)):
            # A text that several steps share stands for their middle; the ends of the scale are its ends.
            raws = [(first + last - 1.0 / _STEPS) / 2.0 for (first, last), _ in spans]
            raws[0], raws[-1] = 0.0, 1.0
            order = -1 if falls else 1
            self._values, self._raws = values[::order], raws[::order]

    def put(self, value: Value) -> None:
        """Set it."""
        if self._values:
            self._knob.raw_value = float(np.interp(float(value), self._values, self._raws))
        else:
            self._knob.raw_value = self._knob.get_raw_value_for(value)


class _failing:  # noqa: N801 - read as a verb
    """Turns whatever a plug-in or its host raises into one sentence; a class, because it is entered for every block."""

    def __init__(self, hosted: Hosted, what: str) -> None:
        self._hosted, self._what = hosted, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            said = str(error).strip().splitlines()
            reason = said[0] if said else type(error).__name__
            raise DspError(f"plug-in {self._hosted.facts.name} {self._what}: {reason}") from error


T = TypeVar("T")


@cache
def _loading_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "plug-ins")


def on_loading_thread(work: Callable[[], T]) -> T:
    """Do ``work`` on the thread that loads plug-ins: pedalboard wants it always to be the same.

    On macOS that has to be the program's first thread, and the work is done by whoever calls.
    """
    return work() if sys.platform == "darwin" else _loading_thread().submit(work).result()


def load_with_pedalboard(path: Path, name: str) -> Any:
    """Load a plug-in into this process. Raises whatever pedalboard raises."""
    import pedalboard

    return pedalboard.load_plugin(str(path), plugin_name=name or None)
