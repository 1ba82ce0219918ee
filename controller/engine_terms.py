"""A mix in the engine's words: bands, compressors, reverb and linear gains of its strips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from controller.desk import db_to_gain
from controller.mix import Comp, EqBand, Mix, Strip
from dsp.engine import Automation, Band, Compressor, ReverbSettings, StripSettings
from dsp.stereo import balance_gains, pan_gains

BAND_KINDS: tuple[tuple[str, Literal["low_shelf", "bell", "high_shelf"]], ...] = (
    ("lf", "low_shelf"),
    ("lmf", "bell"),
    ("hmf", "bell"),
    ("hf", "high_shelf"),
)


def by_band(eq: Mapping[str, EqBand]) -> dict[str, EqBand]:
    """Return the bands that do something, by name."""
    return {name: band for name, band in eq.items() if band.gain_db != 0.0}


def engine_bands(eq: Mapping[str, EqBand]) -> tuple[Band, ...]:
    """Return the bands that do something, in signal order."""
    return tuple(
        Band(kind=kind, freq_hz=eq[name].freq_hz, gain_db=eq[name].gain_db, q=eq[name].q)
        for name, kind in BAND_KINDS
        if name in eq and eq[name].gain_db != 0.0
    )


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


def channel_gains(strip: Strip, mix: Mix, width: int, channel: int) -> tuple[float, float]:
    """Return the linear gains to left and right of one channel (from 0) of a strip, pan or balance only."""
    if width == 1:
        return pan_gains(strip.pan, mix.pan_law_db)
    left, right = balance_gains(strip.pan, mix.pan_law_db)
    return (left, 0.0) if channel == 0 else (0.0, right)


def strip_gains(strip: Strip, mix: Mix, width: int, muted: bool) -> tuple[tuple[float, float], ...]:
    """Return the linear gains to left and right of every channel of a strip: fader, pan and mute."""
    level = 0.0 if muted else db_to_gain(strip.fader_db)
    pairs = (channel_gains(strip, mix, width, channel) for channel in range(width))
    return tuple((left * level, right * level) for left, right in pairs)


def strip_settings(
    strip: Strip,
    width: int,
    hpf: float | None,
    bands: tuple[Band, ...],
    compressor: Compressor | None,
    gains: tuple[tuple[float, float], ...],
    send: float,
    *,
    on_bus: bool,
    automation: Automation | None = None,
) -> StripSettings:
    """Return a strip's settings with these filters, dynamics and gains."""
    return StripSettings(
        name=strip.name,
        channels=2 if width == 2 else 1,
        polarity_inverted=strip.polarity == "inverted",
        trim_db=strip.trim_db,
        hpf_hz=hpf,
        bands=bands,
        compressor=compressor,
        gains=gains,
        send=send,
        on_bus=on_bus,
        automation=automation,
    )
