"""The seam to plug-ins of others: their host stands above, and this floor sees no file and no foreign library."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from dsp.processor import Block

__all__ = ["PlugIn", "PlugInInstance", "Value"]

Value = float | str | bool
"""What a parameter of a plug-in is set to, in the plug-in's own units and words."""


class PlugInInstance(Protocol):
    """One running plug-in."""

    @property
    def latency_frames(self) -> int:
        """How much later its output is, as it says now [frames]; constant unless a parameter changes it."""
        ...

    def run(self, block: Block) -> None:
        """Process the next (``block_frames``, channels) in place; what comes is late, the first of it is silence.

        Raises DspError where the plug-in fails.
        """
        ...

    def put(self, values: Sequence[tuple[str, Value]]) -> None:
        """Set parameters by name; they hold from the next block on. Raises DspError where the plug-in refuses one."""
        ...

    def reset(self) -> None:
        """Forget all that was heard; parameters stay."""
        ...


class PlugIn(Hashable, Protocol):
    """A plug-in that can be started as often as needed; equal to another where the code is the same."""

    def check(self, values: Sequence[tuple[str, Value]]) -> None:
        """Raise DspError for a parameter that it does not have, naming the nearest, and for a value out of range."""
        ...

    def start(
        self, rate_hz: float, channels: int, block_frames: int, values: Sequence[tuple[str, Value]], state: Any
    ) -> PlugInInstance:
        """Return it running on ``channels`` (1 or 2) in blocks of ``block_frames``.

        It begins in the saved ``state``, in whatever form the host knows (None: its own beginning), with ``values`` set
        after it. Raises DspError where it cannot be loaded, or not run like that.
        """
        ...

    def tell(self, trouble: str) -> None:
        """Keep a sentence about something that went wrong while it ran; each is told to the engineer once."""
        ...
