"""Filters beside those of other programs: against the analog curve, and why each is off it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.crosscheck_programs import (
    RATE_HZ,
    Finding,
    Found,
    at_hz,
    board,
    db,
    ffmpeg,
    impulse,
    noise,
    ours,
    sine,
    sox,
)
from dsp.crossover import Crossover
from dsp.filters import Band, sections
from dsp.processors.deesser import DeEsser
from dsp.processors.equaliser import Equaliser
from dsp.sidechain import CHUNK_FRAMES

Curve = NDArray[np.complex128]
AT_HZ = np.geomspace(20.0, 20_000.0, 400)
Q = 1.0
BUTTERWORTH = math.sqrt(0.5)
FRAMES = 16_384


def analog(kind: str, s: Curve, gain_db: float, q: float) -> Curve:
    """Return H(s) of R. Bristow-Johnson's Audio EQ Cookbook, s in units of the frequency."""
    a = 10.0 ** (gain_db / 40.0)
    r = math.sqrt(a) / q
    top, bottom = {
        "bell": ((1.0, a / q, 1.0), (1.0, 1.0 / (a * q), 1.0)),
        "low_shelf": ((a, a * r, a * a), (a, r, 1.0)),
        "high_shelf": ((a * a, a * r, a), (1.0, r, a)),
        "notch": ((1.0, 0.0, 1.0), (1.0, 1.0 / q, 1.0)),
        "band_pass": ((0.0, 1.0 / q, 0.0), (1.0, 1.0 / q, 1.0)),
        "high_pass": ((1.0, 0.0, 0.0), (1.0, 1.0 / q, 1.0)),
        "low_pass": ((0.0, 0.0, 1.0), (1.0, 1.0 / q, 1.0)),
        "high_pass_1": ((0.0, 1.0, 0.0), (0.0, 1.0, 1.0)),
        "low_pass_1": ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0)),
    }[kind]
    found: Curve = np.polyval(top, s) / np.polyval(bottom, s)
    return found


def bilinear_s(freq_hz: float) -> Curve:
    """Return where the bilinear transform, exact at ``freq_hz``, takes s from for each of ``AT_HZ``."""
    found: Curve = 1j * np.tan(np.pi * AT_HZ / RATE_HZ) / math.tan(np.pi * freq_hz / RATE_HZ)
    return found


def _pedalboard(kind: str, freq_hz: float, gain_db: float, q: float) -> Any:
    import pedalboard as pb

    plugins: dict[str, Callable[[], Any]] = {
        "bell": lambda: pb.PeakFilter(freq_hz, gain_db, q),
        "low_shelf": lambda: pb.LowShelfFilter(freq_hz, gain_db, q),
        "high_shelf": lambda: pb.HighShelfFilter(freq_hz, gain_db, q),
        "high_pass": lambda: pb.HighpassFilter(freq_hz),
        "low_pass": lambda: pb.LowpassFilter(freq_hz),
    }
    return plugins[kind]() if kind in plugins else None


def _sox(kind: str, freq_hz: float, gain_db: float, q: float) -> tuple[Any, ...]:
    return {
        "bell": ("equalizer", freq_hz, f"{q}q", gain_db),
        "low_shelf": ("bass", gain_db, freq_hz, f"{q}q"),
        "high_shelf": ("treble", gain_db, freq_hz, f"{q}q"),
        "notch": ("bandreject", freq_hz, f"{q}q"),
        "band_pass": ("bandpass", freq_hz, f"{q}q"),
        "high_pass": ("highpass", freq_hz, f"{q}q"),
        "low_pass": ("lowpass", freq_hz, f"{q}q"),
    }[kind]


def _ffmpeg(kind: str, freq_hz: float, gain_db: float, q: float) -> str:
    name = {
        "bell": "equalizer",
        "low_shelf": "lowshelf",
        "high_shelf": "highshelf",
        "notch": "bandreject",
        "band_pass": "bandpass",
        "high_pass": "highpass",
        "low_pass": "lowpass",
    }[kind]
    gain = f":g={gain_db}" if gain_db else ""
    return f"{name}=f={freq_hz}:t=q:w={q}{gain}"


BANDS = (
    ("bell", 8000.0, -9.0, Q),
    ("low_shelf", 100.0, 6.0, BUTTERWORTH),
    ("high_shelf", 10_000.0, 6.0, BUTTERWORTH),
    ("notch", 6000.0, 0.0, Q),
    ("band_pass", 6000.0, 0.0, Q),
    ("high_pass", 80.0, 0.0, BUTTERWORTH),
    ("low_pass", 12_000.0, 0.0, BUTTERWORTH),
)
LOUD_DB = -40.0
"""Where the analog curve lies deeper than that, a difference is of little use."""


def bands() -> Found:
    """Every kind of band: the largest error against the analog curve, 20 Hz to 20 kHz."""
    x = impulse(FRAMES, 0.25)
    for kind, freq_hz, gain_db, q in BANDS:
        ideal = db(analog(kind, np.asarray(1j * AT_HZ / freq_hz), gain_db, q))
        used = ideal > LOUD_DB
        digital = {
            "RBJ, the bilinear transform": db(analog(kind, bilinear_s(freq_hz), gain_db, q)),
            "first order, bilinear": db(analog(f"{kind}_1", bilinear_s(freq_hz), gain_db, q))
            if kind.endswith("pass") and kind != "band_pass"
            else np.full(len(AT_HZ), np.inf),
        }

        def worst(y: Any, ideal: NDArray[np.float64] = ideal, used: NDArray[np.bool_] = used) -> float:
            return float(np.max(np.abs(y - ideal)[used]))

        mine = db(at_hz(ours(Equaliser((Band(kind, freq_hz, gain_db, q),)), x), AT_HZ) / 0.25)  # type: ignore[arg-type]
        peers = {
            "sox": sox(x, *_sox(kind, freq_hz, gain_db, q)),
            "ffmpeg": ffmpeg(x, _ffmpeg(kind, freq_hz, gain_db, q)),
        }
        plugin = _pedalboard(kind, freq_hz, gain_db, q)
        if plugin is not None:
            peers["pedalboard"] = board(x, plugin)
        for name, y in peers.items():
            curve = db(at_hz(y, AT_HZ) / 0.25)
            offs = {why: float(np.max(np.abs(curve - there)[used])) for why, there in digital.items()}
            why = min(offs, key=lambda key: offs[key])
            place = f"{freq_hz / 1000.0:g} kHz" if freq_hz >= 1000.0 else f"{freq_hz:g} Hz"
            label = f"{kind.replace('_', '-')}, {place}: worst error to the analog curve"
            yield Finding(label, "dB", 0.0, worst(mine), name, worst(curve), why, offs[why], 0.005)


def round_off() -> Found:
    """Compare what a bell of 60 Hz adds by counting in float32."""
    from scipy import signal

    freq_hz, gain_db = 60.0, 6.0
    x = noise(RATE_HZ)
    exact, counted = (_rbj_bell(freq_hz, gain_db, Q, kind) for kind in (np.float64, np.float32))
    section = sections(Band("bell", freq_hz, gain_db, Q), RATE_HZ)[0]
    matched = [section.b0, section.b1, section.b2], [1.0, section.a1, section.a2]
    wanted, theirs_wanted = (signal.lfilter(*ba, x[:, 0].astype(np.float64)) for ba in (matched, exact))
    mine = ours(Equaliser((Band("bell", freq_hz, gain_db, Q),)), x)[:, 0]
    theirs = board(x, _pedalboard("bell", freq_hz, gain_db, Q))[:, 0]
    scipys = signal.lfilter(*counted, x[:, 0])

    def error(y: Any, there: Any) -> float:
        return float(db(np.sqrt(np.mean((np.asarray(y, np.float64) - there) ** 2))))

    found = error(theirs, theirs_wanted)
    why = "designed in float32 and run in float32, transposed direct form II: so done, scipy has as much noise"
    off = abs(error(scipys, theirs_wanted) - found)
    yield Finding(
        "bell 60 Hz, +6 dB: noise of counting",
        "dBFS",
        None,
        error(mine, wanted),
        "pedalboard",
        found,
        why,
        off,
        1.0,
        "dB",
    )


def _rbj_bell(freq_hz: float, gain_db: float, q: float, kind: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the bell's b and a, every step of the design counted in ``kind``."""
    a = kind(math.sqrt(kind(10.0 ** (gain_db / 20.0))))
    w = kind(2.0 * np.pi) * kind(freq_hz) / kind(RATE_HZ)
    alpha, c = np.sin(w) / (kind(q) * kind(2.0)), kind(-2.0) * np.cos(w)
    one = kind(1.0)
    inverse = one / (one + alpha / a)
    b = np.array([one + alpha * a, c, one - alpha * a], dtype=kind) * inverse
    return b, np.array([one, c * inverse, (one - alpha / a) * inverse], dtype=kind)


def crossover() -> Found:
    """Compare a crossover of 24 dB per octave at 1 kHz: each side at the corner, and the sum."""
    x = impulse(FRAMES, 0.25)
    mine = Crossover([1000.0], RATE_HZ, 1)
    low, high = np.zeros((FRAMES, 1), np.float32), np.zeros((FRAMES, 1), np.float32)
    for start in range(0, FRAMES, CHUNK_FRAMES):
        mine.split(x[start : start + CHUNK_FRAMES])
        low[start : start + CHUNK_FRAMES, 0], high[start : start + CHUNK_FRAMES, 0] = mine.bands[:, 0]
    split = "acrossover=split=1000:order=4th:precision=double"
    their_low = ffmpeg(x, f"{split}[a][b];[b]anullsink;[a]anull")
    their_high = ffmpeg(x, f"{split}[a][b];[a]anullsink;[b]anull")
    s = bilinear_s(1000.0)
    squared = {
        "low": analog("low_pass", s, 0.0, BUTTERWORTH) ** 2,
        "high": analog("high_pass", s, 0.0, BUTTERWORTH) ** 2,
    }
    corner = np.array([1000.0])
    for side, a, b in (("low", low, their_low), ("high", high, their_high)):
        there = db(at_hz(b, AT_HZ) / 0.25)
        used = db(squared[side]) > -80.0
        off = float(np.max(np.abs(there - db(squared[side]))[used]))
        yield Finding(
            f"crossover 1 kHz, {side} side at its corner",
            "dB",
            float(db(0.5)),
            float(db(at_hz(a, corner) / 0.25)[0]),
            "ffmpeg",
            float(db(at_hz(b, corner) / 0.25)[0]),
            "the same Linkwitz–Riley, bilinear",
            off,
            0.01,
        )
    flat = [
        float(np.max(np.abs(db((at_hz(a, AT_HZ) + at_hz(b, AT_HZ)) / 0.25))))
        for a, b in ((low, high), (their_low, their_high))
    ]
    yield Finding(
        "crossover 1 kHz, ripple of the sum",
        "dB",
        0.0,
        flat[0],
        "ffmpeg",
        flat[1],
        "both add up to an all-pass",
        flat[1],
        0.01,
    )


def deesser() -> Found:
    """Compare a tone of 10 kHz at −6 dBFS under a de-esser that may take 12 dB."""
    x = sine(10_000.0, 2.0, 0.5)
    late = slice(RATE_HZ, None)
    mine = ours(DeEsser(6000.0, -30.0, math.inf, 12.0, 0.0, hold_ms=1.0, band="wide"), x)
    theirs = ffmpeg(x, "deesser=i=0.5:m=0.5:f=0.5")
    gain = [float(db(np.std(y[late]) / np.std(x[late]))) for y in (mine, theirs)]
    yield Finding(
        "de-esser: a tone of 10 kHz, −6 dBFS, range 12 dB (ffmpeg: all at 0.5)", "dB", -12.0, gain[0], "ffmpeg", gain[1]
    )


CHECKS = (bands, round_off, crossover, deesser)
