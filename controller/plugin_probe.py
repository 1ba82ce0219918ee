"""What is done in a child process: load one plug-in of others, and print what it is as JSON. It may crash here."""

from __future__ import annotations

import json
import math
from typing import Any


def look(path: str, name: str) -> dict[str, Any]:
    """Load the plug-in and return what ``plugin_facts.PlugInFacts`` is made from; only ``names`` where that is open."""
    import numpy as np
    import pedalboard

    kind = "AudioUnitPlugin" if path.endswith(".component") else "VST3Plugin"
    hosted = getattr(pedalboard, kind, None)
    if hosted is None:
        raise ImportError("Audio Units run on macOS only")
    names = list(hosted.get_plugin_names_for_file(path))
    if name not in names and (name or len(names) > 1):
        return {"names": names}
    plugin = pedalboard.load_plugin(path, plugin_name=name or None)
    parameters = [_parameter(key, knob) for key, knob in plugin.parameters.items()]
    channels = []
    for count in (1, 2) if plugin.is_effect else ():
        try:
            plugin.process(np.zeros((count, 256), np.float32), 48_000.0, buffer_size=256, reset=False)
        except ValueError:
            continue  # what pedalboard says to a number of channels that the plug-in does not take
        channels.append(count)
    return {
        "names": names,
        "host": f"pedalboard {pedalboard.__version__}",
        "name": plugin.name,
        "maker": plugin.manufacturer_name,
        "version": plugin.version,
        "category": plugin.category,
        "is_effect": bool(plugin.is_effect),
        "channels": channels,
        "parameters": parameters,
    }


def _parameter(key: str, knob: Any) -> dict[str, Any]:
    value = getattr(knob, "string_value", "")
    fact = {"name": key, "said": knob.name, "unit": (knob.label or "").strip(), "default": value}
    if knob.type is bool:
        return fact | {"kind": "switch"}
    if knob.type is float and math.isfinite(knob.min_value) and math.isfinite(knob.max_value):
        return fact | {"kind": "number", "low": knob.min_value, "high": knob.max_value, "default": _plain(value)}
    return fact | {"kind": "choice", "values": list(dict.fromkeys(map(str, knob.valid_values)))}


def _plain(text: str) -> str:
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def main(path: str, name: str) -> None:
    """Print what there is, or ``error`` with the reason."""
    try:
        answer = look(path, name)
    except Exception as error:
        answer = {"error": str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}
    print("\n" + json.dumps(answer), flush=True)
