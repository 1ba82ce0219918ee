"""The mix under the hands, playing: one live stream in a thread of its own, which every edit reaches at once."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from controller.errors import hint_of
from controller.events import Accept, Emit, Event
from controller.live import STEP_S, Live, open_live
from controller.live_feed import Loop, loop_between
from controller.mix import Mix
from controller.tui.session import KNOWN_ERRORS
from hardware.seams import SystemClock

if TYPE_CHECKING:
    from controller.tui.pane import Host

__all__ = ["Playing"]

SKIP_S = 5.0
_END_S = 10.0
_TITLE = "play"


class Playing:
    """Holds the live stream of a console: opened by the first play, closed by whatever else needs the rig.

    ``post`` takes events from any thread.
    """

    def __init__(self, host: Host, post: Callable[[Event], None]) -> None:
        self._host = host
        self._post = post
        self._live: Live | None = None
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._error: BaseException | None = None
        self._accepted = False
        self._told: Mix | None = None
        self._place = 0
        self._loop: Loop | None = None

    @property
    def sounding(self) -> bool:
        """Whether there is something to be seen: a stream is open, and plays or still rings."""
        return self._live is not None and not self._live.rung_out

    @property
    def playing(self) -> bool:
        """Whether the song plays."""
        return self._live is not None and self._live.playing

    @property
    def position_s(self) -> float:
        """The moment of the song that is heard, or from which it will play [s]."""
        if self._live is not None:
            return self._live.position_s
        return self._place / self._host.session.project.rate_hz

    @property
    def loop(self) -> Loop | None:
        """The loop, if there is one."""
        return self._loop

    def toggle(self) -> None:
        """Play from where it stopped, or stop; the first time the plan is shown and the stream opened."""
        if self._live is None:
            self._open()
        elif self._live.playing:
            self._live.stop()
        else:
            self._live.play()

    def _open(self) -> None:
        host = self._host
        if host.session.studio is None:
            host.say("There is no readable rig to play on.", "warning")
            return
        session, mix = host.session, host.session.mix

        def work(emit: Emit, accept: Accept) -> Live:
            return session.with_studio(
                lambda studio: open_live(
                    session.project,
                    mix,
                    studio,
                    emit=self._post,
                    accept=(lambda question: True) if self._accepted else accept,
                    clock=SystemClock(),
                )
            )

        def landed(live: Live) -> None:
            self._accepted = True
            self._live, self._told = live, mix
            self._end.clear()
            live.set_loop(self._loop)
            live.play(self._place)
            self._thread = threading.Thread(target=self._run, args=(live,), name=_TITLE, daemon=True)
            self._thread.start()
            self.follow(host.session.mix)

        host.run_job(_TITLE, work, landed)

    def _run(self, live: Live) -> None:
        try:
            while not self._end.is_set():
                live.step()
                live.stream.wait(STEP_S)
        except Exception as error:
            logging.getLogger(__name__).warning("playing ended early", exc_info=True)
            self._error = error
        finally:
            with contextlib.suppress(*KNOWN_ERRORS):
                live.close()

    def follow(self, mix: Mix) -> None:
        """Let what plays become this mix."""
        live = self._live
        if live is None or mix == self._told:
            return
        self._told = mix
        try:
            live.change(mix)
        except KNOWN_ERRORS as error:
            self._host.say(f"It plays on as before: {error}", "warning")

    def go(self, seconds: float) -> None:
        """Go on from this far away [s]."""
        rate_hz, length = self._host.session.project.rate_hz, self._host.session.project.frames
        frame = round((self.position_s + seconds) * rate_hz)
        frame = 0 if frame < 0 or frame >= length else frame
        if self.playing and self._live is not None:
            self._live.play(frame)
        else:
            self._place = frame
            if self._live is not None:
                self._live.cue(frame)

    def switch_loop(self) -> None:
        """Go round the whole song, or go on to its end."""
        project = self._host.session.project
        self._take_loop(None if self._loop else (0.0, project.frames / project.rate_hz))

    def mark(self, edge: int) -> None:
        """Let a loop begin (-1) or end (1) here."""
        project = self._host.session.project
        rate_hz = project.rate_hz
        old = (self._loop.begin / rate_hz, self._loop.end / rate_hz) if self._loop else (0.0, project.frames / rate_hz)
        here = self.position_s
        self._take_loop((here, old[1]) if edge < 0 else (old[0], here))

    def _take_loop(self, region: tuple[float, float] | None) -> None:
        rate_hz = self._host.session.project.rate_hz
        try:
            self._loop = None if region is None else loop_between(*region, rate_hz)
        except KNOWN_ERRORS as error:
            self._host.say(f"{error} {hint_of(error)}", "warning")
            return
        if self._live is not None:
            self._live.set_loop(self._loop)
        if region is None:
            self._host.say("On to the song's end.")
        else:
            self._host.say(f"Round and round from {region[0]:.2f} s to {region[1]:.2f} s.")

    def take_levels(self) -> dict[str, float]:
        """Return the highest level of every strip and side since this was last asked [dBFS]."""
        return self._live.take_levels() if self._live is not None else {}

    def reductions_db(self) -> dict[str, float]:
        """Return what every compressor takes off now [dB], 0 or less."""
        return self._live.reductions_db() if self._live is not None else {}

    def look(self) -> None:
        """Say what ended it, if something did; called with every picture."""
        error = self._error
        if error is not None:
            self.close()
            self._host.say(f"Playing ended: {error} {hint_of(error)}".strip(), "problem")

    def line(self) -> str:
        """Say in a line where it is and how loud."""
        live = self._live
        if live is None:
            return ""
        sign = "▶" if live.playing else "■"
        around = "⟳ " if self._loop else ""
        length_s = self._host.session.project.frames / self._host.session.project.rate_hz
        text = f"{sign} {around}{live.position_s:.1f} of {length_s:.1f} s"
        if (loudness := live.loudness_text()) is not None:
            text += f" · {loudness}"
        xruns = len(live.heard.xruns)
        return f"{text} · {xruns} xruns" if xruns else text

    def close(self) -> None:
        """Fade out and let go of the device; harmless when nothing plays."""
        live, thread = self._live, self._thread
        self._live = self._thread = self._told = self._error = None
        if live is None:
            return
        self._place = round(live.position_s * self._host.session.project.rate_hz)
        self._end.set()
        if thread is not None:
            thread.join(_END_S)
