"""The plug-ins of others that a mix names: found and looked at before a render, or taken out of circuit and said so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from controller import plugin_facts, plugin_host, plugin_shelf
from controller.errors import MixError
from controller.events import Finding
from controller.mix import BUS, AddedBus, Bus, Insert, Mix, Strip
from controller.plugin_facts import PlugInError
from controller.plugin_host import Hosted, Missing
from dsp.errors import DspError

if TYPE_CHECKING:
    from controller.allocation import Allocation
    from dsp.graph_settings import GraphBus, GraphStrip

KIND = "plugin"


def hosted(insert: Insert, where: str, project: Path) -> Insert:
    """Return an insert of kind "plugin" ready to run; out of circuit, with a ``Missing``, where it cannot run here.

    What is out of circuit already is not looked at.

    Raises
    ------
    MixError
        No plug-in is named, the name cannot be one, it is to have a side-chain, lacks a parameter or refuses a value.
    StorageError
        It cannot be read.
    """
    name = insert.settings["plugin"]
    if not insert.on or not isinstance(name, str):
        return insert
    if not name:
        raise MixError(f"{where}: it names no plugin", hint="'halfnormal effects --plugins' lists what is installed.")
    if insert.key:
        raise MixError(f'{where}: key = "{insert.key}", but a plug-in gets no side-chain', hint="Take the key out.")
    found = _found(name, insert.settings["name"], where, project)
    if isinstance(found, Missing):
        return msgspec.structs.replace(insert, on=False, settings={**insert.settings, "plugin": found})
    try:
        found.check(tuple(insert.settings["values"].items()))
    except DspError as error:
        hint = f"'halfnormal effects \"{name}\" --plugins' lists them."
        raise MixError(f"{where}: {error}", hint=hint) from error
    return msgspec.structs.replace(insert, settings={**insert.settings, "plugin": found})


def _found(name: str, chosen: str, where: str, project: Path) -> Hosted | Missing:
    path = plugin_shelf.find(name, project)
    if plugin_facts.host_version() is None:
        return Missing(name, "pedalboard, which hosts plug-ins, is not installed", plugin_shelf.NO_HOST_HINT)
    if path is None:
        known = [file.stem for file in plugin_shelf.installed()]
        lv2 = plugin_shelf.lv2_of(name)
        why = f"not installed here{plugin_shelf.close_to(name, known)}"
        if lv2 is not None:
            why = f"there is only {lv2}, and LV2 is not hosted"
        return Missing(name, why, f"Install its VST3 into one of {plugin_shelf.looked_in()}.")
    try:
        facts = plugin_facts.facts_of(path, chosen)
    except PlugInError as error:
        return Missing(name, str(error), error.hint)
    except MixError as error:
        raise MixError(f"{where}: {error}", hint=error.hint) from error
    return Hosted(path, facts, plugin_host.load_with_pedalboard)


def bypassed(mix: Mix) -> tuple[Finding, ...]:
    """Return a warning for every plug-in of a mix (after ``effect_files.with_files``) that cannot run here."""
    nodes: list[tuple[str, Strip | Bus | AddedBus]] = [(strip.name, strip) for strip in mix.strips]
    nodes += [(bus.name, bus) for bus in mix.busses] + [(BUS, mix.bus)]
    return tuple(
        Finding(name, f"insert {number}, plug-in {plugin}, is bypassed: {plugin.why}", plugin.hint, "warning")
        for name, node in nodes
        for number, insert in enumerate(node.inserts, 1)
        if isinstance(plugin := insert.settings.get("plugin"), Missing)
    )


def running(allocation: Allocation) -> Iterator[tuple[str, Hosted, Any]]:
    """Yield the strip or bus, the plug-in and its preset of every insert that runs in an allocation's box."""
    nodes: tuple[GraphStrip | GraphBus, ...] = (*allocation.itb, *allocation.busses_itb, allocation.bus_itb)
    for node in nodes:
        for insert in node.inserts:
            plugin = getattr(insert.settings, "plugin", None)
            if isinstance(plugin, Hosted):
                yield node.name, plugin, getattr(insert.settings, "state", None)


def troubles(allocation: Allocation) -> tuple[Finding, ...]:
    """Return a warning for everything that went wrong while the plug-ins of an allocation ran."""
    return tuple(
        Finding(name, f"plug-in {plugin.facts.name} {trouble}", "Do not trust this print there.", "warning")
        for name, plugin, _ in running(allocation)
        for trouble in plugin.troubles
    )


def provenance(allocation: Allocation) -> dict[str, Any]:
    """Return what a print says of the plug-ins that made it, and of those that should have."""
    used = [
        {
            "strip": name,
            **plugin.to_json(),
            **({"preset": {"file": state.path.name, "hash": state.hash}} if state is not None else {}),
        }
        for name, plugin, state in running(allocation)
    ]
    missing = [{"strip": finding.where, "what": finding.what} for finding in allocation.bypassed]
    return {**({"plugins": used} if used else {}), **({"bypassed": missing} if missing else {})}
