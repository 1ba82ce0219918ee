"""Every effect there is, by the name a mix file calls it; a module is imported when its effect is first used."""

from __future__ import annotations

import importlib
from functools import cache

from dsp.errors import DspError
from dsp.processor import Settings

__all__ = ["KINDS", "effect"]

KINDS: dict[str, str] = {
    "align": "delay:Align",
    "advance": "trim:Advance",
    "trim": "trim:Trim",
    "gate": "gate:Gate",
    "compressor": "compressor:Compressor",
    "deesser": "deesser:DeEsser",
    "eq": "equaliser:Equaliser",
    "autofilter": "autofilter:AutoFilter",
    "dynamic_eq": "dynamic_eq:DynamicEqualiser",
    "linear_phase": "linear_phase:LinearPhase",
    "convolution": "convolution:Convolution",
    "delay": "delay:Delay",
    "reverb": "reverb:Reverb",
    "saturation": "saturation:Saturation",
    "limiter": "limiter:Limiter",
    "multiband": "multiband:Multiband",
    "transient": "transient:Transient",
    "width": "stereo:Width",
    "ms": "stereo:MidSide",
    "balance": "stereo:Balance",
    "rotate": "stereo:Rotate",
    "tremolo": "tremolo:Tremolo",
    "chorus": "modulation:Chorus",
    "flanger": "modulation:Flanger",
    "phaser": "modulation:Phaser",
    "micro_shift": "pitch:MicroShift",
    "twin": "twin:Twin",
    "plugin": "plugin:Plugin",
}
"""Kind → ``module:Class``, the module in ``dsp.processors``."""


@cache
def effect(kind: str) -> type[Settings]:
    """Return the settings class of ``kind``. Raises DspError for one that is not known."""
    if kind not in KINDS:
        raise DspError(f"effect {kind!r} is not known", hint=f"use one of {', '.join(KINDS)}")
    module, name = KINDS[kind].split(":")
    found: type[Settings] = getattr(importlib.import_module(f"dsp.processors.{module}"), name)
    return found
