"""The parent's side of a live stream: what feeds the ring, tells the transport and reads the meters."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from dsp.errors import DspError
from hardware.audio_process.rings import XRUN_SLOTS, Word
from hardware.errors import AudioError
from hardware.live.messages import LiveGraph, packed
from hardware.live.seam import LiveLevels, LiveState
from hardware.live.shared import GAIN_ONE, GATE_SLOTS, NEVER, TIME_BIN_NS, LiveRings, LiveWord
from hardware.seams import Xrun

if TYPE_CHECKING:
    from numpy.typing import NDArray

_XRUN_KINDS = {2: "output", 3: "feeder"}
_TRIES = 100


class RingStream:
    """A live stream on shared rings, as far as it does not matter who runs the graph.

    Implementations say how a message gets there (`_send`), how time passes (`wait`) and what went wrong (`_failure`).
    """

    device = ""

    def __init__(self, rings: LiveRings, graph: LiveGraph, pair: tuple[int, int], *, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.block_frames = rings.geometry.block_frames
        self.outputs = pair
        self.channels = graph.channels
        self._rings = rings
        self._told = self._in_force = graph
        self._wanted: LiveGraph | None = None
        self._serial = 0
        self._refusal = 0
        self._commands = 0
        self._fed = 0
        self._seen = 0
        self._gated = 0
        self._lock = threading.Lock()
        self._parts: list[tuple[int, int, int]] = []
        at = 0
        for strip in graph.strips:
            stop = at + self.block_frames * strip.channels
            self._parts.append((at, stop, strip.channels))
            at = stop

    def _send(self, message: bytes) -> None:
        raise NotImplementedError

    def _failure(self) -> Exception | None:
        raise NotImplementedError

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise what went wrong with the stream, if something did.

        Raises
        ------
        AudioError
            The audio process died, the device vanished, or the graph failed.
        """
        if failure := self._failure():
            raise failure

    @property
    def room_blocks(self) -> int:
        """How many blocks `feed` takes now."""
        return self._rings.geometry.slots - (self._fed - self._rings.words[Word.DONE])

    @property
    def ahead_blocks(self) -> int:
        """How many blocks are fed and not yet played, those of an earlier place in the song not counted."""
        words = self._rings.words
        begin = words[LiveWord.START] if words[LiveWord.IN_FORCE] != words[LiveWord.TRANSPORT] else words[Word.DONE]
        return self._fed - max(begin, words[Word.DONE])

    def feed(self, stems: Sequence[NDArray[np.float32]], song: int, jump_at: int, jump_to: int) -> None:
        """Hand over the next block of every strip, each (block_frames, channels); only where there is room."""
        rings = self._rings
        slot = self._fed % rings.geometry.slots
        block = rings.block(slot)
        for (start, stop, channels), stem in zip(self._parts, stems, strict=True):
            block[start:stop].reshape(-1, channels)[:] = stem
        rings.marks[slot] = song, jump_at, jump_to
        self._fed += 1
        rings.words[Word.FED] = self._fed

    def begin_here(self) -> int:
        """Return the number of the block that `feed` takes next, for `play`."""
        return self._fed

    def play(self, block: int) -> None:
        """Play from fed block ``block`` on; what sounds now fades out meanwhile."""
        self._command(block, playing=True)

    def stop(self) -> None:
        """Fade the feed out; the graph rings on."""
        self._command(self._fed, playing=False)

    def end_at(self, block: int) -> None:
        """Fade the song out by itself from that block on; what is fed behind it is the fade's. `play` begins anew."""
        self._rings.words[LiveWord.END] = block

    def _command(self, block: int, *, playing: bool) -> None:
        words = self._rings.words
        self._commands += 1
        words[LiveWord.START] = block
        words[LiveWord.END] = NEVER
        words[LiveWord.TRANSPORT] = 2 * self._commands + int(playing)

    @property
    def obeyed(self) -> bool:
        """Whether the newest command is in force."""
        return bool(self._rings.words[LiveWord.IN_FORCE] == self._rings.words[LiveWord.TRANSPORT])

    def monitor(self, gain: float) -> None:
        """Take the output to this linear gain, in at most 50 ms from silence to unity."""
        self._rings.words[LiveWord.MONITOR] = round(max(0.0, gain) * GAIN_ONE)

    def change(self, graph: LiveGraph) -> None:
        """Let the graph that plays become ``graph``, which is fed with the same stems.

        What is the same in structure is heard from the next block on; another structure is built first and blended in.
        While one change is under way the next waits, and only the newest of those that wait is sent.

        Raises
        ------
        AudioError
            It is fed with other stems, or the stream has failed.
        """
        if not graph.fed_like(self._told):
            raise AudioError(
                "Another set of strips cannot take over while the mix plays.", hint="Stop, and play again."
            )
        with self._lock:
            self._wanted = graph
        self.pump()

    def pump(self) -> None:
        """Send the newest change as soon as the one before is answered; to be called now and then.

        Raises
        ------
        AudioError
            The stream has failed.
        """
        with self._lock:
            words = self._rings.words
            if words[LiveWord.ANSWERED] < self._serial:
                return
            if words[LiveWord.REFUSED] == self._serial:
                self._told = self._in_force
            else:
                self._in_force = self._told
            if self._wanted is None:
                return
            delta = self._wanted.changed_from(self._told)
            self._told, self._wanted = self._wanted, None
            if delta.strips or delta.busses is not None or delta.bus is not None:
                self._serial += 1
                self._send(packed(delta.numbered(self._serial)))

    @property
    def heard(self) -> bool:
        """Whether the newest change is in force."""
        return self._wanted is None and bool(self._rings.words[LiveWord.ANSWERED] >= self._serial)

    def refusal(self) -> DspError | None:
        """Return why a change was refused since this was last asked."""
        refused = self._rings.words[LiveWord.REFUSED]
        if refused == self._refusal:
            return None
        self._refusal = refused
        told = json.loads(self._rings.text)
        return DspError(told["message"], hint=told["hint"])

    def state(self) -> LiveState:
        """Return where the stream stands."""
        words = self._rings.words
        return LiveState(
            playing=bool(words[LiveWord.PLAYING]),
            song_frame=words[LiveWord.SONG],
            played_frames=words[LiveWord.PLAYED],
            silent_frames=words[LiveWord.SILENT],
            latency_frames=words[LiveWord.LATENCY],
            tail_frames=words[LiveWord.TAIL],
            callbacks=words[Word.CALLBACKS],
            non_finite=words[LiveWord.NON_FINITE],
        )

    def xruns(self) -> list[Xrun]:
        """Return what the callback noted since this was last asked; frames count from the stream's start."""
        frames = self.block_frames
        count = self._rings.words[Word.XRUNS]
        found: list[Xrun] = []
        for entry in range(max(self._seen, count - XRUN_SLOTS), count):
            block, code = self._rings.xruns[entry % XRUN_SLOTS].tolist()
            kind = _XRUN_KINDS[code]
            last = found[-1] if found else None
            if last is not None and last.kind == kind and last.at_frame + last.frames == block * frames:
                found[-1] = Xrun(last.at_frame, last.frames + frames, last.kind)
            else:
                found.append(Xrun(block * frames, frames, "output" if kind == "output" else "feeder"))
        self._seen = count
        return found

    def callback_ms(self, share: float) -> float:
        """Return the time [ms] that so large a share of the callbacks took no longer than; to 10 µs, 0 before any."""
        counts = np.cumsum(self._rings.times)
        if counts[-1] == 0:
            return 0.0
        return float(int(np.searchsorted(counts, share * counts[-1])) + 1) * TIME_BIN_NS / 1e6

    def levels(self) -> LiveLevels | None:
        """Return the newest meters; None before the first."""
        words, rings = self._rings.words, self._rings
        for _ in range(_TRIES):
            count = words[LiveWord.METERS]
            if count == 0:
                return None
            if count % 2 == 0:
                strips, busses = len(self._told.strips), len(self._told.busses) + 1
                found = LiveLevels(
                    rings.strip_peaks[: self.channels].copy(),
                    rings.strip_rms[: self.channels].copy(),
                    rings.strip_reduction_db[:strips].copy(),
                    rings.bus_peaks[:busses].copy(),
                    rings.bus_rms[:busses].copy(),
                    rings.bus_reduction_db[:busses].copy(),
                    rings.main[0:2].copy(),
                    rings.main[2:4].copy(),
                    rings.main[4:6].copy(),
                    float(rings.main[6]),
                    float(rings.main[7]),
                )
                if words[LiveWord.METERS] == count:
                    return found
        return None

    def gated(self) -> list[float]:
        """Return the momentary loudness [LUFS] of every 100 ms since this was last asked (at most 12.8 s of it)."""
        count = self._rings.words[LiveWord.GATED]
        first = max(self._gated, count - GATE_SLOTS)
        self._gated = count
        return [float(self._rings.gated[number % GATE_SLOTS]) for number in range(first, count)]

    def close(self) -> None:
        """Let go of the stream."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
