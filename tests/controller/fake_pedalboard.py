"""A plug-in as pedalboard hands it out, made up: a delay, a gain and faults; and the machine that has it installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller import plugin_facts, plugin_host, plugin_shelf


class FakeKnob:
    """A parameter: its scale is read in a thousand steps, as text with ``digits`` digits."""

    def __init__(self, low: float, high: float, value: float, digits: int = 4) -> None:
        self.type, self.low, self.high = float, low, high
        self.raw_value = (value - low) / (high - low)
        self.ranges: dict[tuple[float, float], float] = {}
        start, said = 0.0, None
        for step in range(1001):
            text = round(low + (high - low) * step / 1000, digits)
            if said is not None and text != said:
                self.ranges[(start, step / 1000)] = said
                start = step / 1000
            said = text
        assert said is not None
        self.ranges[(start, 1.0)] = said

    @property
    def value(self) -> float:
        return self.low + self.raw_value * (self.high - self.low)

    def get_raw_value_for(self, value: float) -> float:
        nearest = min(self.ranges, key=lambda span: abs(self.ranges[span] - value))
        return nearest[0]


class FakePlugin:
    """Streams as pedalboard does: what is late is left out of the first blocks."""

    def __init__(self, takes: int, late: int = 0, fault: str = "") -> None:
        self.takes, self.late, self.fault = takes, late, fault
        self.reported_latency_samples = 0
        self.parameters = {"gain_db": FakeKnob(-60.0, 12.0, 0.0), "delay_frames": FakeKnob(0.0, 2000.0, float(late))}
        self.blocks: list[int] = []
        self.reset()

    def reset(self) -> None:
        self.ready = False

    def load_preset(self, path: str) -> None:
        self.parameters["gain_db"].raw_value = FakeKnob(-60.0, 12.0, json.loads(Path(path).read_text())).raw_value

    def process(self, rows: np.ndarray, rate_hz: float, buffer_size: int, reset: bool) -> np.ndarray:
        assert not reset and rows.dtype == np.float32
        if len(rows) != self.takes:
            raise ValueError(f"Plugin does not support {len(rows)}-channel output.")
        if self.fault == "raises":
            raise RuntimeError("Licence not found\nsee the manual")
        if not self.ready:
            # Only when it is made ready does it say how late it is; a parameter reaches it with the first block.
            self.reported_latency_samples = self.late
            self.line = np.zeros((self.takes, self.late), np.float32)
            self.given, self.ready = 0, True
        self.late = round(self.parameters["delay_frames"].value)
        self.blocks.append(rows.shape[1])
        whole = np.concatenate([self.line, rows], axis=1)
        out = whole[:, : rows.shape[1]] * np.float32(10.0 ** (self.parameters["gain_db"].value / 20.0))
        self.line = whole[:, rows.shape[1] :]
        self.given += rows.shape[1]
        usable = min(rows.shape[1], max(0, self.given - self.reported_latency_samples))
        return np.ascontiguousarray(out[:, rows.shape[1] - usable :])


class Machine:
    """A machine with plug-ins in its folder: what their loading answers can be chosen, by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = monkeypatch
        self.folder = folder
        self.answers: dict[str, dict[str, Any]] = {}
        self.makes: dict[str, Any] = {}
        self.asked: list[str] = []
        self.loaded: list[FakePlugin] = []
        monkeypatch.setattr(plugin_shelf, "folders", lambda: (folder,))
        monkeypatch.setattr(plugin_facts, "ask_child", self._ask)
        monkeypatch.setattr(plugin_host, "load_with_pedalboard", self._load)
        self.host("0.9.26")

    def host(self, version: str | None) -> None:
        self._patch.setattr(plugin_facts, "host_version", lambda: version)

    def install(self, name: str, *, takes: int = 2, late: int = 0, fault: str = "", **answer: Any) -> Path:
        """Put a bundle there that streams like a ``FakePlugin``; ``answer`` changes what it says of itself."""
        code = self.folder / f"{name}.vst3" / "Contents" / "x86_64-linux" / f"{name}.so"
        code.parent.mkdir(parents=True)
        code.write_bytes(f"code of {name}".encode())
        number = {"kind": "number", "said": "?", "default": "0"}
        self.answers[f"{name}.vst3"] = {
            "names": [name],
            "host": "pedalboard 0.9.26",
            "name": name,
            "maker": "Somebody",
            "version": "1.2",
            "is_effect": True,
            "channels": [takes],
            "parameters": [
                {**number, "name": "gain_db", "unit": "dB", "low": -60.0, "high": 12.0},
                {**number, "name": "delay_frames", "low": 0.0, "high": 2000.0},
                {"name": "mode", "said": "Mode", "kind": "choice", "values": ["Warm", "Cold"]},
                {"name": "lively", "said": "Lively", "kind": "switch"},
            ],
        } | answer
        self.makes[f"{name}.vst3"] = lambda: FakePlugin(takes, late, fault)
        return self.folder / f"{name}.vst3"

    def _ask(self, code: str, timeout_s: float) -> Mapping[str, Any]:
        self.asked.append(code)
        return next(answer for file, answer in self.answers.items() if file in code)

    def _load(self, path: Path, name: str) -> FakePlugin:
        self.loaded.append(self.makes[path.name]())
        return self.loaded[-1]
