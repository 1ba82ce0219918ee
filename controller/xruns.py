"""Which frames of a run its xruns may have touched, and which they left alone."""

from __future__ import annotations

from collections.abc import Sequence

from hardware.seams import AudioStream, Xrun

GUARD_BLOCKS = 4


def guard_frames(stream: AudioStream, latency_frames: int = 0) -> int:
    """Return how far from an xrun frames count as touched, where what is lost comes back ``latency_frames`` later."""
    return GUARD_BLOCKS * stream.block_frames + latency_frames


def damaged_regions(xruns: Sequence[Xrun], *, frames: int, guard: int, merge: int) -> list[tuple[int, int]]:
    """Return the regions of a recording that its xruns may have touched: ``guard`` frames either side, merged."""
    regions: list[tuple[int, int]] = []
    for xrun in sorted(xruns, key=lambda x: x.at_frame):
        begin = max(0, xrun.at_frame - guard)
        end = min(frames, xrun.at_frame + xrun.frames + guard)
        if end <= begin:
            continue
        if regions and begin <= regions[-1][1] + merge:
            regions[-1] = (regions[-1][0], max(end, regions[-1][1]))
        else:
            regions.append((begin, end))
    return regions


def clean_stretches(xruns: Sequence[Xrun], *, frames: int, guard: int) -> list[tuple[int, int]]:
    """Return what lies between the damaged regions, in order: (first frame, one past the last)."""
    stretches, at = [], 0
    for begin, end in [*damaged_regions(xruns, frames=frames, guard=guard, merge=0), (frames, frames)]:
        if begin > at:
            stretches.append((at, begin))
        at = end
    return stretches
