"""From one thing to another that has no values in between: a cross-fade, and what is wanted next waits for its end."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Fade"]

T = TypeVar("T")


class Fade(Generic[T]):
    """What sounds now (``here``), and while ``frames`` > 0 what it is faded to (``there``).

    ``done`` of ``frames`` have passed. A target set in the middle of a fade is gone to after it; of several, the last.
    """

    def __init__(self, here: T) -> None:
        self.here = self.there = here
        self.done = self.frames = 0
        self._next: tuple[T, int] | None = None

    @property
    def target(self) -> T:
        """Where it ends, after whatever waits."""
        return self.there if self._next is None else self._next[0]

    def to(self, target: T, frames: int) -> None:
        """Go to ``target`` in ``frames`` ≥ 1 frames; nothing where it is on its way there already."""
        if target == self.target:
            return
        if self.frames == 0:
            self.there, self.frames, self.done = target, max(1, frames), 0
        else:
            self._next = None if target == self.there else (target, max(1, frames))

    def stretch(self, frames: int) -> int:
        """Return how many of the next ``frames`` lie before the end of the fade."""
        return frames if self.frames == 0 else min(frames, self.frames - self.done)

    def stretch_in_steps(self, frames: int, position: int, step: int) -> tuple[int, int]:
        """Return the same for a fade that counts steps of ``step`` frames at absolute frame numbers.

        Of the next ``frames`` from frame ``position`` on, those before the step that begins after the end; and how
        many steps begin in them.
        """
        to_step = -position % step
        if self.frames:
            frames = min(frames, to_step + step * (self.frames - self.done))
        return frames, max(0, -(-(frames - to_step) // step))

    def advance(self, frames: int) -> None:
        """Pass ``frames``, not more than ``stretch`` allows."""
        if self.frames == 0:
            return
        self.done += frames
        if self.done < self.frames:
            return
        self.here, self.frames, self.done = self.there, 0, 0
        if self._next is not None:
            (target, length), self._next = self._next, None
            self.to(target, length)

    def finish(self) -> None:
        """Be at the target at once."""
        self.here = self.there = self.target
        self.done = self.frames = 0
        self._next = None
