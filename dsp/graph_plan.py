"""The plan of a graph before anything runs: what runs after what, how late it all is, how long it rings on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dsp.errors import DspError
from dsp.graph_settings import MAIN, REVERB, GraphBus, GraphStrip, Insert, Node, levels, with_minus
from dsp.processor import STEP_FRAMES

__all__ = ["Cost", "GraphPlan", "NodePlan", "Place", "Step", "plan_graph"]

Cost = Callable[[str, Insert, int], tuple[int, int]]
"""Latency and tail [frames] of an insert of a node ("strip vox") on so many channels; asked once for each, in order."""


@dataclass(frozen=True)
class Place:
    """Where an insert stands [frames]: its signal waits for its key, or its key for its signal; it leaves so late."""

    wait_frames: int
    key_wait_frames: int
    leaves_frames: int
    key_channels: int


@dataclass(frozen=True)
class NodePlan:
    """One strip or bus: how late its signal arrives and leaves, and its inserts in between [frames].

    ``tail_frames`` is how long it rings on after the stems; ``channels`` what it offers as a key.
    """

    arrives_frames: int
    places: tuple[Place, ...]
    tail_frames: int
    channels: int

    @property
    def leaves_frames(self) -> int:
        """How late its signal is behind its inserts [frames]."""
        return self.places[-1].leaves_frames if self.places else self.arrives_frames

    @property
    def late_frames(self) -> int:
        """What its inserts cost, waiting for keys included [frames]."""
        return self.leaves_frames - self.arrives_frames


@dataclass(frozen=True)
class Step:
    """What runs at once: strips that wait for the same, by index, or one bus. It hands on ``leaves_frames`` late.

    Strips leave at whole steps, so that the knots of their gains lie on the song's.
    """

    strips: tuple[int, ...]
    bus: str
    leaves_frames: int


@dataclass(frozen=True)
class GraphPlan:
    """The whole plan: nodes by "strip NAME" and "bus NAME", steps in order; ``keys``: how late each is as a key."""

    strips: tuple[GraphStrip, ...]
    busses: dict[str, GraphBus]
    nodes: dict[str, NodePlan] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)

    def latency_frames(self, *, with_busses: bool = False) -> int:
        """Return how late the last of the outputs is: of strips and main bus, and of the others if they are wanted."""
        wanted = [step for step in self.steps if with_busses or step.bus in ("", MAIN)]
        return max(step.leaves_frames for step in wanted)

    @property
    def tail_frames(self) -> int:
        """How long, after the last sample of the stems, something may still come out of any bus [frames]."""
        return max(node.tail_frames for node in self.nodes.values())

    @property
    def late_frames(self) -> dict[str, int]:
        """What the inserts of each node cost [frames], for those that cost something."""
        return {name: node.late_frames for name, node in self.nodes.items() if node.late_frames}


def plan_graph(strips: Sequence[GraphStrip], busses: Sequence[GraphBus], main: GraphBus, cost: Cost) -> GraphPlan:
    """Plan a graph.

    Raises DspError where a feed, key or ``minus`` names what is not there, a name is used twice, or the mix feeds
    itself.
    """
    every, others = with_minus(strips, busses)
    plan = GraphPlan(tuple(every), {bus.name: bus for bus in (*others, main)})
    _check_twice("strips", [strip.name for strip in every])
    _check_twice("busses", [*(bus.name for bus in others), main.name])
    arrivals = dict.fromkeys(plan.busses, 0)
    tails = dict.fromkeys(plan.busses, 0)

    def lead(node: Node, leaves: int, tail: int) -> None:
        for way in ways(node, plan):
            arrivals[way] = max(arrivals[way], leaves)
            tails[way] = max(tails[way], tail)

    for step in _ordered(plan):
        if isinstance(step, GraphBus):
            node = _node(step, plan, cost, arrivals[step.name], tails[step.name])
            plan.nodes[title(step)] = node
            plan.keys[title(step)] = node.leaves_frames
            plan.steps.append(Step((), step.name, node.leaves_frames))
            lead(step, node.leaves_frames, node.tail_frames)
            continue
        for index in step:
            strip = plan.strips[index]
            plan.nodes[title(strip)] = _node(strip, plan, cost, 0, 0)
        latest = max(plan.nodes[title(plan.strips[index])].leaves_frames for index in step)
        leaves = -(-latest // STEP_FRAMES) * STEP_FRAMES
        plan.steps.append(Step(tuple(step), "", leaves))
        for index in step:
            strip = plan.strips[index]
            plan.keys[title(strip)] = leaves
            lead(strip, leaves, plan.nodes[title(strip)].tail_frames)
    return plan


def title(node: Node) -> str:
    """Return what a node is called here."""
    return f"{'bus' if isinstance(node, GraphBus) else 'strip'} {node.name}"


def ways(node: Node, plan: GraphPlan) -> list[str]:
    """Return the busses that a node feeds."""
    feeds = node.feeds if isinstance(node, GraphBus) else node.ways(reverb=REVERB in plan.busses)
    return [way.to for way in feeds if way.to]


def key_title(key: str, plan: GraphPlan) -> str:
    """Return the node that a key's name means: a bus before a strip."""
    return f"bus {key}" if key in plan.busses else f"strip {key}"


def _check_twice(what: str, names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DspError(f"the mix has two {what} called {twice!r}")


def _node(node: Node, plan: GraphPlan, cost: Cost, arrives: int, tail: int) -> NodePlan:
    channels = 2 if isinstance(node, GraphBus) else node.channels
    late = arrives
    places = []
    for insert in node.inserts:
        source = key_title(insert.key, plan)
        key = plan.nodes[source] if insert.key else None
        key_late = late if key is None else plan.keys[source]
        latency, rings = cost(title(node), insert, channels)
        leaves = max(late, key_late) + latency
        places.append(
            Place(max(0, key_late - late), max(0, late - key_late), leaves, channels if key is None else key.channels)
        )
        late, tail = leaves, tail + rings
    return NodePlan(arrives, tuple(places), tail, channels)


def _ordered(plan: GraphPlan) -> list[GraphBus | list[int]]:
    """Return what runs one after the other: strips together that wait for the same, busses one by one."""
    every: tuple[Node, ...] = (*plan.strips, *plan.busses.values())
    nodes = {title(node): node for node in every}
    waits: dict[str, list[str]] = {name: [] for name in nodes}
    for name, node in nodes.items():
        for insert in node.inserts:
            if insert.key:
                source = key_title(insert.key, plan)
                if source not in nodes:
                    raise DspError(f"an insert of {name} listens to {insert.key!r}: there is no strip or bus so called")
                waits[name].append(source)
        for to in ways(node, plan):
            if to not in plan.busses:
                raise DspError(f"{name} feeds bus {to!r}, and there is none of that name")
            waits[f"bus {to}"].append(name)
    level = levels(waits)
    steps: list[GraphBus | list[int]] = []
    for height in range(max(level.values()) + 1):
        bank = [index for index, strip in enumerate(plan.strips) if level[title(strip)] == height]
        if bank:
            steps.append(bank)
        steps += [bus for bus in plan.busses.values() if level[title(bus)] == height]
    return steps
