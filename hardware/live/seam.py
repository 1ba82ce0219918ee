"""The seam of live streams: workflows and tests on one side, the audio process or the in-process one on the other.

It stands apart from `hardware.seams`, because it speaks of graphs, which the virtual room must not share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsp.errors import DspError
    from hardware.live.messages import LiveGraph
    from hardware.seams import Xrun

    Block = NDArray[np.float32]

__all__ = ["LiveLevels", "LiveState", "LiveStream"]


@dataclass(frozen=True)
class LiveState:
    """Where a live stream stands. Frames of the song are those that come in; what is heard is ``latency_frames`` later.

    ``silent_frames``: how long ago the last frame of the song came in; ``callbacks``: blocks since the stream's start;
    ``non_finite``: samples of the stems that were no numbers, and are silent.
    """

    playing: bool
    song_frame: int
    played_frames: int
    silent_frames: int
    latency_frames: int
    tail_frames: int
    callbacks: int
    non_finite: int = 0


@dataclass(frozen=True)
class LiveLevels:
    """Meters of a live stream, linear (full scale 1.0); peaks fall slowly, so that a reading now and then misses none.

    ``strip_peaks``, ``strip_rms``: by channel, strip after strip, before the faders; ``strip_reduction_db``: by strip.
    ``bus_peaks``, ``bus_rms``: (busses, 2), ``bus_reduction_db``: (busses,), the main bus last. Of the main bus
    ``true_peak``, ``true_peak_max`` since the song began, ``peak``: (2,), and its loudness [LUFS].
    """

    strip_peaks: Block
    strip_rms: Block
    strip_reduction_db: Block
    bus_peaks: Block
    bus_rms: Block
    bus_reduction_db: Block
    true_peak: Block
    true_peak_max: Block
    peak: Block
    momentary_lufs: float
    short_term_lufs: float


class LiveStream(Protocol):
    """A mix graph that plays to two outputs of an interface. It runs in silence until it is told to play.

    Whoever feeds it calls `feed` where there is room, and `wait` in between; `pump` sends on what was changed.
    """

    device: str
    rate_hz: int
    block_frames: int
    outputs: tuple[int, int]
    channels: int

    @property
    def room_blocks(self) -> int:
        """How many blocks `feed` takes now."""
        ...

    @property
    def ahead_blocks(self) -> int:
        """How many blocks are fed and not yet played."""
        ...

    def feed(self, stems: Sequence[Block], song: int, jump_at: int, jump_to: int) -> None:
        """Hand over the next block of every strip, each (block_frames, channels).

        ``song`` is the song's frame of its first frame; at ``jump_at`` within the block (its end: nowhere) the song
        goes on from frame ``jump_to``. All of them are whole steps of 16 frames.
        """
        ...

    def begin_here(self) -> int:
        """Return the number of the block that `feed` takes next, for `play`."""
        ...

    def play(self, block: int) -> None:
        """Play from the fed block of that number on; what sounds now fades out meanwhile."""
        ...

    def stop(self) -> None:
        """Fade the feed out; the graph rings on."""
        ...

    def end_at(self, block: int) -> None:
        """Fade the song out by itself from the fed block of that number on; what is fed behind it is the fade's."""
        ...

    @property
    def obeyed(self) -> bool:
        """Whether the newest of these commands is in force."""
        ...

    def monitor(self, gain: float) -> None:
        """Take the output to this linear gain; it was silent at first, and rises within 50 ms."""
        ...

    def change(self, graph: LiveGraph) -> None:
        """Let the graph that plays become ``graph``, which is fed with the same stems."""
        ...

    def pump(self) -> None:
        """Send on what was changed, as soon as it can be."""
        ...

    @property
    def heard(self) -> bool:
        """Whether the newest change is in force."""
        ...

    def refusal(self) -> DspError | None:
        """Return why a change was refused since this was last asked; what played before it plays on."""
        ...

    def state(self) -> LiveState:
        """Return where the stream stands."""
        ...

    def xruns(self) -> list[Xrun]:
        """Return what went wrong since this was last asked; frames count from the stream's start."""
        ...

    def callback_ms(self, share: float) -> float:
        """Return the time [ms] that this share of the callbacks took no longer than."""
        ...

    def levels(self) -> LiveLevels | None:
        """Return the newest meters; None before the first."""
        ...

    def gated(self) -> list[float]:
        """Return the momentary loudness [LUFS] of every 100 ms since this was last asked."""
        ...

    def check(self) -> None:
        """Raise what went wrong with the stream, if something did."""
        ...

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        ...

    def close(self) -> None:
        """End the stream; harmless when called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
