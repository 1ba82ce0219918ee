"""What a running graph is to become, compared with what it is: other settings of the same structure, or another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dsp.bus import bus_sound
from dsp.errors import DspError
from dsp.graph_chain import RunningInsert, check_moves
from dsp.graph_plan import title
from dsp.graph_settings import REVERB, Feed, GraphBus, GraphStrip, Insert, Node, with_minus
from dsp.strip import strip_sound

__all__ = ["GraphChange", "by_title", "change_inserts", "compared"]


@dataclass(frozen=True)
class GraphChange:
    """A graph as it is to be, its structure the same: the strips as they were given, and every node by title."""

    strips: tuple[GraphStrip, ...]
    nodes: Mapping[str, Node]


def by_title(strips: Sequence[GraphStrip], busses: Sequence[GraphBus], main: GraphBus) -> dict[str, Node]:
    """Return all nodes, with the feeds that a ``minus`` needs, by title.

    Raises DspError where a bus is to leave out what does not feed the main bus.
    """
    every, others = with_minus(strips, busses)
    nodes: tuple[Node, ...] = (*every, *others, main)
    return {title(node): node for node in nodes}


def compared(
    before: Mapping[str, Node],
    after: Mapping[str, Node],
    leads: Mapping[str, frozenset[str]],
    strips: tuple[GraphStrip, ...],
    *,
    rate_hz: float,
    same_first: bool,
) -> GraphChange | None:
    """Return the change from ``before`` to ``after``, nodes by title, or None where that is another structure.

    ``strips`` as they were given; ``leads``: the busses that each node's stage can lead signals to. ``same_first``: a
    node's first way must go on leading where it does. What has not changed is the very same object afterwards.

    Raises
    ------
    DspError
        A band cannot be built at this rate, or an insert would refuse one of its moves.
    """
    if list(before) != list(after):
        return None
    reverb = f"bus {REVERB}" in after
    made: dict[str, Node] = {}
    for name, was in before.items():
        node = after[name]
        if node == was:
            made[name] = was
            continue
        feeds = _feeds(node, reverb=reverb)
        if _frame(node) != _frame(was) or not all(feed.to in leads[name] for feed in feeds):
            return None
        if same_first and [feed.to for feed in feeds[:1]] != [feed.to for feed in _feeds(was, reverb=reverb)[:1]]:
            return None
        made[name] = node
    for name, node in made.items():
        if node is not before[name]:
            _check(node, before[name], rate_hz)
    return GraphChange(strips, made)


def _feeds(node: Node, *, reverb: bool) -> tuple[Feed, ...]:
    return node.feeds if isinstance(node, GraphBus) else node.ways(reverb=reverb)


def _frame(node: Node) -> tuple[object, ...]:
    """Return what of a node the graph is built upon."""

    def chain(inserts: tuple[Insert, ...]) -> tuple[tuple[type, str], ...]:
        return tuple((type(insert.settings), insert.key) for insert in inserts)

    return isinstance(node, GraphStrip) and node.channels, chain(node.pre), chain(node.post)


def _check(node: Node, was: Node, rate_hz: float) -> None:
    """Find out what a change would raise; the sections that are made for it are kept."""
    if isinstance(node, GraphStrip):
        strip_sound(node, rate_hz)
    else:
        bus_sound(node, rate_hz)
    channels = 2 if isinstance(node, GraphBus) else node.channels
    for insert, before in zip(node.inserts, was.inserts, strict=True):
        if insert.moves and insert != before:
            check_moves(insert, channels, rate_hz, 0)


def change_inserts(chains: Mapping[str, Sequence[RunningInsert]], nodes: Mapping[str, Node], frames: int) -> bool:
    """Take every insert to its settings in ``nodes``; return whether all could, or else have changed none."""
    done: list[tuple[RunningInsert, Insert]] = []
    for name, chain in chains.items():
        for running, insert in zip(chain, nodes[name].inserts, strict=True):
            before = running.insert
            if insert is before or insert == before:
                continue
            try:
                running.change(insert, frames)
            except DspError:
                for other, settings in done:
                    other.change(settings, frames)
                return False
            done.append((running, before))
    return True
