"""Where the signals of a mix go: names that have to fit, ways that must not lead back, and what a solo leaves open."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.mix_inserts import check_bus, check_sends, keys_of
from controller.mix_values import BUS, NOWHERE, REVERB
from controller.tomlfile import Key, KeyValueError, nearest

if TYPE_CHECKING:
    from controller.mix import Mix, Strip
    from controller.mix_busses import AddedBus


def check_routing(mix: Mix) -> None:
    """Raise KeyValueError where a name is used twice or is not there, or where the mix feeds itself."""
    strips = [strip.name for strip in mix.strips]
    added = [bus.name for bus in mix.busses]
    vcas = [vca.name for vca in mix.vcas]
    _check_names("strip", strips, [])
    _check_names("busses", added, strips)
    _check_names("vca", vcas, [*strips, *added, BUS, REVERB])
    outputs = [*added, BUS]
    for key, node in _nodes(mix):
        if node.output != NOWHERE or key[0] == "strip":
            _inside(key, check_bus, node.output, outputs, "output")
        _inside(key, check_sends, node.sends, [*outputs, REVERB])
        if node.vca and node.vca not in vcas:
            raise KeyValueError((*key, "vca"), f'= "{node.vca}" is no VCA{nearest(node.vca, vcas)}')
        _check_keys(mix, key, keys_of(node.inserts))
    _check_keys(mix, ("bus",), keys_of(mix.bus.inserts))
    for index, bus in enumerate(mix.busses):
        if bus.minus:
            _check_minus(mix, bus.minus, ("busses", index, "minus"))
    _check_circles(mix)


def _nodes(mix: Mix) -> Iterator[tuple[Key, Strip | AddedBus]]:
    for index, strip in enumerate(mix.strips):
        yield ("strip", index), strip
    for index, bus in enumerate(mix.busses):
        yield ("busses", index), bus


def _inside(key: Key, check: object, *arguments: object) -> None:
    try:
        check(*arguments)  # type: ignore[operator]
    except KeyValueError as error:
        raise KeyValueError((*key, *error.key), error.what) from error


def _check_names(table: str, names: list[str], others: Iterable[str]) -> None:
    taken = {name.casefold() for name in others}
    for index, name in enumerate(names):
        if name.casefold() in taken:
            raise KeyValueError((table, index, "name"), f'= "{name}" is used twice')
        taken.add(name.casefold())


def _check_keys(mix: Mix, key: Key, found: Iterable[tuple[int, str]]) -> None:
    strips, busses = [s.name for s in mix.strips], [*(b.name for b in mix.busses), REVERB, BUS]
    for index, name in found:
        here = (*key, "insert", index, "key")
        if name in strips and name in busses:
            raise KeyValueError(here, f'= "{name}" is both a strip and a bus; rename the strip')
        if name not in strips and name not in busses:
            raise KeyValueError(here, f'= "{name}" is no strip or bus{nearest(name, [*strips, *busses])}')


def _check_minus(mix: Mix, minus: str, key: Key) -> None:
    nodes = [node for _, node in _nodes(mix) if node.name == minus]
    if not nodes:
        names = [node.name for _, node in _nodes(mix)]
        raise KeyValueError(key, f'= "{minus}" is no strip or bus{nearest(minus, names)}')
    if nodes[0].output != BUS:
        raise KeyValueError(key, f'= "{minus}" goes through bus "{nodes[0].output}"; leave that bus out instead')


def _check_circles(mix: Mix) -> None:
    waits: dict[str, list[str]] = {BUS: [key for _, key in keys_of(mix.bus.inserts)], REVERB: []}
    places: dict[str, Key] = {BUS: ("bus",), REVERB: ("reverb",)}
    for place, node in _nodes(mix):
        # An old strip may bear the name of a bus; nothing feeds a strip, so it is known by its place then.
        name = node.name if node.name not in places else f"strip {node.name}"
        places[name] = place
        waits.setdefault(name, []).extend(key for _, key in keys_of(node.inserts))
        for to in {node.output, *(send.to for send in node.sends)} - {NOWHERE}:
            waits.setdefault(to, []).append(name)
    waits[BUS].append(REVERB)
    try:
        graphlib.TopologicalSorter(waits).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        raise KeyValueError(places[circle[0]], f"feeds itself: {' → '.join(circle)}") from error


@dataclass(frozen=True)
class Audible:
    """What solo and mute leave open.

    ``lit``: strips and busses whose output solo leaves open; ``strips``: those strips of them that are not muted.
    ``sends``: (source, bus) of the sends that are open, or that a moving mute opens.
    """

    lit: frozenset[str]
    strips: frozenset[str]
    sends: frozenset[tuple[str, str]]


def audible(mix: Mix) -> Audible:
    """Return what is open in ``mix``, whose VCAs have been folded.

    Where anything is soloed, a strip stays open if it is soloed itself, or safe, or leads to a soloed bus by its
    output; its sends are open with it. A bus stays open if it is soloed, or safe, or leads to a soloed one, or is fed
    by what is open. A send to a soloed bus is open whatever sends it. Mute closes the output and all sends.
    """
    busses = {bus.name: bus for bus in mix.busses}
    soloed = any(strip.solo for strip in mix.strips) or any(bus.solo for bus in mix.busses)

    def ahead(name: str) -> bool:
        """Whether a bus, or one that its output leads to, is soloed."""
        while name in busses:
            if busses[name].solo:
                return True
            name = busses[name].output
        return False

    lit = {
        name
        for name, node in ((node.name, node) for _, node in _nodes(mix))
        if not soloed or node.solo or node.solo_safe or ahead(node.output) or bool(getattr(node, "minus", ""))
    }
    feeds = [(node.name, to) for _, node in _nodes(mix) for to in (node.output, *(send.to for send in node.sends))]
    while more := {to for source, to in feeds if source in lit and to in busses} - lit:
        lit |= more
    muted = {node.name for _, node in _nodes(mix) if node.mute}
    shut = muted - {move.strip for move in mix.moves if move.what == "mute"}
    sends = {(n.name, to) for _, n in _nodes(mix) for to in (REVERB, *(send.to for send in n.sends))}
    return Audible(
        lit=frozenset(lit),
        strips=frozenset(strip.name for strip in mix.strips if strip.name in lit - muted),
        sends=frozenset((source, to) for source, to in sends if source not in shut and (source in lit or ahead(to))),
    )
