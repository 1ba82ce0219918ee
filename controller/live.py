"""A mix that plays: the very graph that prints, fed from disk, changed while it sounds.

`Live` is one stream with its transport. Whoever holds it calls `Live.step` and lets time pass in between; commands
and changes may come from any thread. Nothing is heard before a plan was accepted (`open_live`).
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

from controller.desk import gain_to_db
from controller.errors import DeclinedError
from controller.events import Accept, Emit, Finding, Question
from controller.live_feed import Loop, SongFeed
from controller.live_plan import LivePlan, plan_live, playable
from controller.mix import Mix
from controller.project import Project
from controller.studio import Studio
from dsp.loudness import SILENCE_LUFS
from hardware.live.seam import LiveLevels, LiveStream
from hardware.seams import Clock, Xrun

__all__ = ["FLOOR_DB", "JOB", "STEP_S", "Heard", "Live", "open_live"]

JOB = "play"
STEP_S = 0.01
"""How long to wait between two steps [s]."""

FLOOR_DB = -120.0
_AHEAD_S = 1.0
"""How much of the song is read ahead of what plays [s]."""

_FIRST_S = 0.1
"""How much has to be there before it begins."""

_TAIL_S = 0.02
"""How much is read behind the end, for the fade there."""

_BLOCKS_A_STEP = 64
_FADE_OUT_S = 0.08


def open_live(
    project: Project,
    mix: Mix,
    studio: Studio,
    *,
    emit: Emit,
    accept: Accept,
    block_frames: int | None = None,
    level_db: float = 0.0,
    clock: Clock | None = None,
) -> Live:
    """Show the plan and, once it is accepted, open the stream: it runs in silence.

    Raises
    ------
    DeclinedError
        The plan was not accepted; nothing was opened.
    MixError, ProjectError, UsageError
        As :func:`plan_live`.
    AudioError, AudioFileError
        The device does not open; a stem cannot be read.
    """
    planned = plan_live(project, mix, studio, block_frames=block_frames, level_db=level_db)
    if not accept(Question(f"Play {mix.name} of {project.title}", planned.lines)):
        raise DeclinedError("The plan was not accepted; nothing played.")
    feed = SongFeed(project, planned.stems, planned.block_frames)
    try:
        stream = studio.live(planned.graph, block_frames=planned.block_frames, clock=clock)
    except BaseException:
        feed.close()
        raise
    stream.monitor(10.0 ** (level_db / 20.0))
    return Live(project, planned, stream, feed, emit=emit)


@dataclass
class Heard:
    """What was heard so far. Peaks are linear; loudness in LUFS."""

    peak: float = 0.0
    true_peak: float = 0.0
    momentary_max_lufs: float = -math.inf
    short_term_max_lufs: float = -math.inf
    gating_lufs: list[float] = field(default_factory=list)
    """The momentary loudness every 100 ms, as the integrated is made of (BS.1770-5)."""
    xruns: list[Xrun] = field(default_factory=list)

    def take(self, levels: LiveLevels) -> None:
        """Take a reading of the meters."""
        self.true_peak = max(self.true_peak, *levels.true_peak_max.tolist())
        self.peak = max(self.peak, *levels.peak.tolist())
        self.momentary_max_lufs = max(self.momentary_max_lufs, levels.momentary_lufs)
        self.short_term_max_lufs = max(self.short_term_max_lufs, levels.short_term_lufs)


class Live:
    """One open stream and its transport.

    ``error`` is what ended it early. ``heard`` keeps what was measured.
    """

    def __init__(self, project: Project, planned: LivePlan, stream: LiveStream, feed: SongFeed, *, emit: Emit) -> None:
        self.planned = planned
        self.stream = stream
        self.heard = Heard()
        self.end_frame = project.frames
        """Where the song ends when there is no loop."""
        self._project = project
        self._feed = feed
        self._emit = emit
        self._lock = threading.Lock()
        self._command: tuple[str, int] | None = None
        self._loop: tuple[Loop | None] | None = None
        self._rate_hz = stream.rate_hz
        per_s = stream.rate_hz / stream.block_frames
        self._ahead, self._first, self._tail = (max(2, math.ceil(s * per_s)) for s in (_AHEAD_S, _FIRST_S, _TAIL_S))
        self._sounding = False
        self._begin = 0
        self._fed_to_end = False
        self._place = 0
        self._levels: dict[str, float] = {}
        self._reductions: dict[str, float] = {}
        self.newest: LiveLevels | None = None
        """The newest reading of all meters."""
        self._graph = planned.graph
        self._closed = self._warned = False

    @property
    def playing(self) -> bool:
        """Whether the song plays, or is about to."""
        with self._lock:
            wanted = self._command
        return wanted[0] == "play" if wanted is not None else self._sounding

    @property
    def position_s(self) -> float:
        """The moment of the song that is heard now, or from which it will play [s]."""
        if not self._sounding:
            return self._place / self._rate_hz
        state = self.stream.state()
        return max(0, state.song_frame - state.latency_frames) / self._rate_hz

    @property
    def loop(self) -> Loop | None:
        """The loop, if there is one."""
        with self._lock:
            return self._loop[0] if self._loop is not None else self._feed.loop

    def play(self, frame: int | None = None) -> None:
        """Play from a frame of the song, or from where it stopped; also to go elsewhere while it plays."""
        with self._lock:
            self._command = ("play", self._place if frame is None else frame)

    def cue(self, frame: int) -> None:
        """Let the next play begin at this frame of the song; what plays plays on."""
        self._place = frame

    def stop(self) -> None:
        """Fade the song out; what rings on rings out."""
        with self._lock:
            self._command = ("stop", 0)

    def set_loop(self, loop: Loop | None) -> None:
        """Go round this loop from what is read next on; None goes on to the song's end."""
        with self._lock:
            self._loop = (loop,)

    def change(self, mix: Mix) -> None:
        """Let what plays become this mix; heard from the next block on, where the structure is the same.

        Raises
        ------
        MixError
            The mix cannot be rendered; what plays plays on.
        AudioError
            It has other strips, or the stream has failed.
        """
        graph = playable(self._project, mix)
        self._graph = graph
        self.stream.change(graph)

    def step(self) -> None:
        """Do what is due: commands, reading ahead, meters.

        Raises
        ------
        AudioError
            The stream has failed.
        AudioFileError
            A stem is damaged; the song is fading out.
        """
        stream = self.stream
        stream.check()
        stream.pump()
        if stream.obeyed:
            self._take_command()
        try:
            self._read_ahead()
        except BaseException:
            if self._sounding:
                self._silence()
            raise
        if self._sounding and self._fed_to_end and stream.obeyed and not stream.state().playing:
            self._sounding, self._place = False, 0
        self.heard.xruns += stream.xruns()
        self.heard.gating_lufs += stream.gated()
        if (levels := stream.levels()) is not None:
            self.heard.take(levels)
            self._note(levels)
        if not self._warned and stream.state().non_finite:
            self._warned = True
            self._emit(Finding("stems", "samples that are no numbers are silent", "A print names the stem.", "warning"))
        if (refusal := stream.refusal()) is not None:
            self._emit(Finding("mix", f"this change cannot be heard: {refusal}", refusal.hint, "warning"))

    def _take_command(self) -> None:
        with self._lock:
            command, self._command = self._command, None
            loop, self._loop = self._loop, None
        if loop is not None:
            self._feed.set_loop(loop[0])
            self._fed_to_end = False
        if command is None:
            return
        what, frame = command
        if what == "play":
            self._feed.locate(min(frame, self.end_frame))
            self._fed_to_end = False
            begin = self.stream.begin_here()
            for _ in range(self._first):
                self._feed_one()
            self.stream.play(begin)
            self._sounding = True
        elif self._sounding:
            self._silence()

    def _silence(self) -> None:
        self._place = self.stream.state().song_frame
        self._sounding = False
        self.stream.stop()

    def _read_ahead(self) -> None:
        if not (self._sounding and self.stream.obeyed):
            return
        for _ in range(_BLOCKS_A_STEP):
            if self._fed_to_end or self.stream.ahead_blocks >= self._ahead or self.stream.room_blocks <= self._tail:
                return
            self._feed_one()

    def _feed_one(self) -> None:
        if self._fed_to_end:
            return
        block = self._feed.read()
        self.stream.feed(block.stems, block.song, block.jump_at, block.jump_to)
        if self._feed.loop is None and self._feed.position >= self.end_frame:
            self.stream.end_at(self.stream.begin_here())
            for _ in range(self._tail):
                last = self._feed.read()
                self.stream.feed(last.stems, last.song, last.jump_at, last.jump_to)
            self._fed_to_end = True

    def _note(self, levels: LiveLevels) -> None:
        """Keep the meters' readings for the screen: strips after their faders, and the mix's two sides."""
        at = 0
        found: dict[str, float] = {}
        reductions: dict[str, float] = {}
        for index, strip in enumerate(self._graph.strips):
            peaks = levels.strip_peaks[at : at + strip.channels]
            at += strip.channels
            loudest = max(float(peak) * max(gains) for peak, gains in zip(peaks, strip.gains, strict=True))
            found[strip.name] = max(gain_to_db(loudest), FLOOR_DB)
            reductions[strip.name] = float(levels.strip_reduction_db[index])
        reductions["in 1"] = float(levels.bus_reduction_db[-1])
        for side in range(2):
            found[f"in {side + 1}"] = max(gain_to_db(float(levels.peak[side])), FLOOR_DB)
        with self._lock:
            for name, level in found.items():
                self._levels[name] = max(level, self._levels.get(name, level))
            self._reductions = reductions
            self.newest = levels

    def take_levels(self) -> dict[str, float]:
        """Return the highest level of every strip and side since this was last asked [dBFS]."""
        with self._lock:
            levels, self._levels = self._levels, {}
            return levels

    def reductions_db(self) -> dict[str, float]:
        """Return what every strip's compressor takes off now [dB], 0 or less; the bus's is that of "in 1"."""
        with self._lock:
            return dict(self._reductions)

    def loudness_text(self) -> str | None:
        """Return loudness and true peak in words; None before anything was heard."""
        levels = self.newest
        if levels is None:
            return None
        momentary, short_term = _lufs(levels.momentary_lufs), _lufs(levels.short_term_lufs)
        peak_dbtp = gain_to_db(max(*levels.true_peak.tolist(), 1e-6))
        return f"{momentary} LUFS, short-term {short_term} · true peak {peak_dbtp:.1f} dBTP"

    @property
    def rung_out(self) -> bool:
        """Whether the song has stopped and nothing of it sounds any more."""
        state = self.stream.state()
        idle = not self.playing and self.stream.obeyed and not state.playing
        return idle and state.silent_frames >= state.latency_frames + state.tail_frames

    def close(self, *, fade: bool = True) -> None:
        """Fade out and end the stream; harmless when called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            if fade:
                self.stream.monitor(0.0)
                self.stream.wait(_FADE_OUT_S)
        finally:
            self.stream.close()
            self._feed.close()

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _lufs(level: float) -> str:
    return f"{level:.1f}" if level > SILENCE_LUFS else "−∞"
