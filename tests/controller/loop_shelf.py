"""Calibrations made up by hand: a shelf of files as months of measuring would leave it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from controller.figures import Figure
from controller.loops import Calibration, LoopFacts, StoredCalibration, StoredResponse, store

START = dt.datetime(2026, 1, 5, 9, 0, tzinfo=dt.UTC)


def loop(output: int = 1, figures: Mapping[str, Figure] | None = None, **facts: Any) -> LoopFacts:
    """A sound loop of a desk's strip: 137 samples, -1 dB; ``facts`` change it."""
    made = LoopFacts(
        output=output,
        address=f"desk/ch{output:02d}",
        expected_input=1,
        input=1,
        present=True,
        polarity=1,
        latency_samples=137.0,
        latency_sd=1e-4,
        gain_db=-1.0,
        gain_sd=1e-4,
        noise_dbfs=-95.0,
        strip_found=f"desk/ch{output:02d}",
        ok=True,
        figures=dict(figures or {}),
    )
    return msgspec.structs.replace(made, **facts)


def calibration(*loops: LoopFacts, days: float = 0.0, rig: str = "small", **facts: Any) -> Calibration:
    """A calibration of these loops, ``days`` after the first."""
    made = Calibration(
        rig=rig,
        made_at=(START + dt.timedelta(days=days)).isoformat(),
        rate_hz=48_000,
        block_frames=256,
        program="0.1.0",
        level_dbfs=-40.0,
        loops=loops or (loop(),),
        problems=(),
    )
    return msgspec.structs.replace(made, **facts)


def shelve(folder: Path, *calibrations: Calibration) -> list[StoredCalibration]:
    """File calibrations in a rig's folder."""
    return [store(made, folder) for made in calibrations]


def response(delay_samples: float, gain_db: float, *, corner_hz: float = 3.0, rate_hz: int = 48_000) -> StoredResponse:
    """A loop as a formula: delay, gain, one coupling (first-order high-pass); 5 Hz to 23 kHz."""
    hz = np.geomspace(5.0, 23_000.0, 800)
    h = 10 ** (gain_db / 20) * (1j * hz / corner_hz) / (1 + 1j * hz / corner_hz)
    h = h * np.exp(-2j * np.pi * hz * delay_samples / rate_hz)
    columns = (hz, h.real, h.imag, np.full(len(hz), 1e-5))
    return StoredResponse(*(tuple(map(float, column)) for column in columns))
