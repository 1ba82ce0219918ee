"""A mix in the engine's words: bands, compressors, reverb and linear gains of its strips and busses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from controller.desk import db_to_gain
from controller.mix import AddedBus, Comp, EqBand, Mix, Strip
from dsp.dynamics import Compressor
from dsp.filters import Band
from dsp.space import ReverbSettings
from dsp.stereo import PanLaw

BAND_KINDS: tuple[tuple[str, Literal["low_shelf", "bell", "high_shelf"]], ...] = (
    ("lf", "low_shelf"),
    ("lmf", "bell"),
    ("hmf", "bell"),
    ("hf", "high_shelf"),
)


def by_band(eq: Mapping[str, EqBand]) -> dict[str, EqBand]:
    """Return the bands that do something, by name."""
    return {name: band for name, band in eq.items() if band.gain_db != 0.0}


def engine_bands(eq: Mapping[str, EqBand], moving: Collection[str] = ()) -> tuple[Band, ...]:
    """Return the bands that do something, or whose gain moves, in signal order."""
    return tuple(
        Band(kind=kind, freq_hz=eq[name].freq_hz, gain_db=eq[name].gain_db, q=eq[name].q)
        for name, kind in BAND_KINDS
        if name in eq and (eq[name].gain_db != 0.0 or name in moving)
    )


def band_names(eq: Mapping[str, EqBand], moving: Collection[str] = ()) -> list[str]:
    """Return the names of what :func:`engine_bands` returns."""
    return [name for name, _ in BAND_KINDS if name in eq and (eq[name].gain_db != 0.0 or name in moving)]


def engine_compressor(comp: Comp) -> Compressor | None:
    """Return the compressor, or None when it is out of circuit."""
    if not comp.on:
        return None
    return Compressor(
        threshold_db=comp.threshold_db,
        ratio=comp.ratio,
        attack_ms=comp.attack_ms,
        release_ms=comp.release_ms,
        knee_db=comp.knee_db,
        makeup_db=comp.makeup_db,
    )


def engine_reverb(mix: Mix) -> ReverbSettings:
    """Return the mix's reverb."""
    reverb = mix.reverb
    return ReverbSettings(
        decay_s=reverb.decay_s,
        predelay_ms=reverb.predelay_ms,
        damping_hz=reverb.damping_hz,
        return_db=reverb.return_db,
    )


def pan_law(mix: Mix) -> PanLaw:
    """Return how the mix pans."""
    return PanLaw(mix.pan_law_db, mix.panning == "lcr")


def channel_gains(
    node: Strip | AddedBus, mix: Mix, width: int, channel: int, *, pan: float | None = None
) -> tuple[float, float]:
    """Return the linear gains to left and right of one channel (from 0) of a strip or bus, pan or balance only.

    ``pan`` stands for its own where it moves.
    """
    return pan_law(mix).matrix(node.pan if pan is None else pan, width)[channel]


def pan_matrix(node: Strip | AddedBus, mix: Mix, width: int) -> tuple[tuple[float, float], ...]:
    """Return the linear gains to left and right of every channel, like ``channel_gains``."""
    return pan_law(mix).matrix(node.pan, width)


def strip_gains(strip: Strip, mix: Mix, width: int, muted: bool) -> tuple[tuple[float, float], ...]:
    """Return the linear gains to left and right of every channel of a strip: fader, pan and mute."""
    return scaled(pan_matrix(strip, mix, width), 0.0 if muted else db_to_gain(strip.fader_db))


def scaled(gains: tuple[tuple[float, float], ...], factor: float) -> tuple[tuple[float, float], ...]:
    """Return every gain times ``factor``."""
    return tuple((left * factor, right * factor) for left, right in gains)
