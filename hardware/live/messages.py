"""What a live graph is told: whole at first, then what changed of it; as length-prefixed pickles on a private pipe.

The pipe belongs to the parent alone, yet what is read from it is built from the values of the dsp floor and from
nothing else: a name from elsewhere is refused before anything of it is made.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dsp.graph_settings import GraphBus, GraphStrip
from hardware.errors import AudioError

__all__ = ["Delta", "LiveGraph", "packed", "read_message", "unpacked"]

_LENGTH = struct.Struct("<I")
_OWN = frozenset({"LiveGraph", "Delta"})
_PLAIN = {
    "builtins": frozenset({"frozenset", "set", "complex", "slice", "range", "bytearray"}),
    "numpy": frozenset({"dtype", "ndarray"}),
    "numpy.core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy._core.numeric": frozenset({"_frombuffer"}),
}
"""What values of the dsp floor are made of, beyond its own classes."""


@dataclass(frozen=True)
class LiveGraph:
    """A whole graph: what `dsp.graph.MixGraph` takes."""

    strips: tuple[GraphStrip, ...]
    busses: tuple[GraphBus, ...] = ()
    bus: GraphBus = field(default_factory=GraphBus)

    @property
    def channels(self) -> int:
        """Channels of all strips side by side."""
        return sum(strip.channels for strip in self.strips)

    def fed_like(self, other: LiveGraph) -> bool:
        """Whether both take the same stems: as many strips, of the same widths, under the same names."""
        return [(s.name, s.channels) for s in self.strips] == [(s.name, s.channels) for s in other.strips]

    def changed_from(self, other: LiveGraph) -> Delta:
        """Return what has to be told to somebody who knows ``other``, which is fed like this one."""
        strips = {i: new for i, (new, old) in enumerate(zip(self.strips, other.strips, strict=True)) if new != old}
        return Delta(
            strips,
            None if self.busses == other.busses else self.busses,
            None if self.bus == other.bus else self.bus,
        )


@dataclass(frozen=True)
class Delta:
    """What changed of a graph; None for what did not. ``serial`` counts the changes."""

    strips: Mapping[int, GraphStrip]
    busses: tuple[GraphBus, ...] | None = None
    bus: GraphBus | None = None
    serial: int = 0

    def numbered(self, serial: int) -> Delta:
        """Return it as the change of that number."""
        return replace(self, serial=serial)

    def applied(self, graph: LiveGraph) -> LiveGraph:
        """Return the graph after the change."""
        return LiveGraph(
            tuple(self.strips.get(i, strip) for i, strip in enumerate(graph.strips)),
            graph.busses if self.busses is None else self.busses,
            graph.bus if self.bus is None else self.bus,
        )


class _Reader(pickle.Unpickler):
    """Reads values of the dsp floor only."""

    def find_class(self, module: str, name: str) -> Any:
        known = (module == __name__ and name in _OWN) or name in _PLAIN.get(module, ())
        if known or ((module == "dsp" or module.startswith("dsp.")) and "." not in name):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a graph")


def packed(value: LiveGraph | Delta) -> bytes:
    """Return a message: its length in four bytes, and what is in it.

    Raises
    ------
    AudioError
        Something in the graph cannot be sent to another process.
    """
    try:
        body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AudioError(f"This mix cannot be played live: {error}.") from error
    return _LENGTH.pack(len(body)) + body


def unpacked(body: bytes) -> Any:
    """Return what is in a message, without its length.

    Raises
    ------
    pickle.UnpicklingError
        Something in it is no part of a graph.
    """
    return _Reader(io.BytesIO(body)).load()


def read_message(read: Callable[[int], bytes]) -> Any:
    """Read the next message by ``read(count)``, which gives at most that many bytes; None at the end of all."""
    head = _exactly(read, _LENGTH.size)
    if head is None:
        return None
    body = _exactly(read, _LENGTH.unpack(head)[0])
    return None if body is None else unpacked(body)


def _exactly(read: Callable[[int], bytes], count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        piece = read(count - len(parts))
        if not piece:
            return None
        parts += piece
    return bytes(parts)
