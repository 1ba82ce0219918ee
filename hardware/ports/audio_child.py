"""The audio process as its parent holds it: started, watched, told things, ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import hardware.errors
from hardware.errors import AudioError, AudioUnavailableError

if TYPE_CHECKING:
    from hardware.audio_process.rings import Geometry, Rings

__all__ = ["POLL_S", "AudioChild", "command", "environment", "last_line", "own_session", "room_for", "told"]

POLL_S = 0.01
_STALL_S = 3.0
_ASLEEP_S = 1.0
"""Who has not looked for so long knows nothing of the other's pace either."""

_END_S = 3.0


def room_for(geometry: Geometry) -> Path:
    """Return a new file for rings of this geometry.

    Raises
    ------
    AudioError
        There is no room for it.
    """
    from hardware.audio_process.rings import create

    try:
        return create(geometry)
    except OSError as error:
        raise AudioError(
            f"No room for {geometry.total_bytes / 1e6:.0f} MB of audio buffers: {error.strerror}.",
            hint="Free memory or space in the temporary folder.",
        ) from error


class AudioChild:
    """One audio process, which shares ``rings`` with us. ``request`` is what it is started with.

    ``first`` is written to its standard input at once.
    """

    def __init__(self, rings: Rings, request: dict[str, Any], first: bytes = b"") -> None:
        self._rings = rings
        self._closed = False
        self._looked_ns = self._woke_ns = 0
        self._log_folder = Path(tempfile.mkdtemp(prefix="halfnormal-audio-"))
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                command(request),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment(),
                **own_session(),
            )
        if first:
            with contextlib.suppress(OSError):  # a child that is gone already is told of by `failure`
                self.send(first)

    @property
    def pid(self) -> int:
        """Process id of the audio process."""
        return self._child.pid

    @property
    def _log(self) -> Path:
        return self._log_folder / "audio.log"

    def send(self, message: bytes) -> None:
        """Write to its standard input.

        Raises
        ------
        OSError
            It is gone.
        """
        pipe: IO[bytes] | None = self._child.stdin
        if pipe:
            pipe.write(message)
            pipe.flush()

    def wait_until_running(self, timeout_s: float) -> tuple[str, str]:
        """Wait until the device is open; return its name and its host API.

        Raises
        ------
        AudioError
            It did not open, or not within ``timeout_s`` [s].
        """
        from hardware.audio_process.rings import State, Word

        deadline = time.monotonic() + timeout_s
        while self._rings.words[Word.STATE] == State.STARTING:
            self.check()
            if time.monotonic() > deadline:
                raise AudioError(
                    f"The audio device did not open within {timeout_s:.0f} s.",
                    hint="A driver or a stalled JACK server is in the way; restart it and try again.",
                )
            time.sleep(POLL_S)
        self.check()
        opened = json.loads(self._rings.text)
        return opened["device"], opened["host_api"]

    def check(self) -> None:
        """Raise what went wrong with it, if something did.

        Raises
        ------
        AudioError
        """
        if failure := self.failure():
            raise failure

    def failure(self) -> AudioError | None:
        """Return what went wrong with it."""
        from hardware.audio_process.rings import State, Word

        words = self._rings.words
        if words[Word.STATE] == State.FAILED:
            return told(json.loads(self._rings.text))
        status = self._child.poll()
        if status is not None:
            if words[Word.STATE] == State.FAILED:
                return told(json.loads(self._rings.text))
            how = f"by signal {-status}" if status < 0 else f"with status {status}"
            log = self._log.read_text("utf-8", "replace") if self._log.exists() else ""
            return AudioError(
                f"The audio process ended unexpectedly ({how}).", hint=last_line(log) or "Start the pass again."
            )
        now_ns = time.monotonic_ns()
        if now_ns - self._looked_ns > _ASLEEP_S * 1e9:
            self._woke_ns = now_ns  # we stood still ourselves: the machine slept, and so did the audio process
        self._looked_ns = now_ns
        beat_s = (now_ns - max(words[Word.HEARTBEAT_NS], self._woke_ns)) / 1e9
        if words[Word.HEARTBEAT_NS] and words[Word.STATE] == State.RUNNING and beat_s > _STALL_S:
            return AudioError(
                f"The audio process has not moved for {beat_s:.0f} s.",
                hint="The machine is overloaded or the process was stopped; start the pass again.",
            )
        return None

    def close(self) -> None:
        """End the process; harmless when called twice."""
        if self._closed:
            return
        self._closed = True
        pipe: IO[bytes] | None = self._child.stdin
        if pipe:
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        shutil.rmtree(self._log_folder, ignore_errors=True)


def told(answer: dict[str, str]) -> AudioError:
    """Return the error that the audio process described."""
    kind = getattr(hardware.errors, answer["error"], AudioError)
    if not (isinstance(kind, type) and issubclass(kind, AudioError)):
        kind = AudioUnavailableError
    return kind(answer["message"], hint=answer["hint"])


def command(request: dict[str, Any]) -> list[str]:
    """Return what starts the audio process."""
    return [sys.executable, "-P", "-m", "hardware.audio_process", json.dumps(request)]


def environment() -> dict[str, str]:
    """Our environment, with the folder that holds these packages first on the path."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def own_session() -> dict[str, Any]:
    """Arguments that keep a terminal's Ctrl-C from the child."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def last_line(text: str) -> str:
    """Return what somebody said last, in words."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return f"It said last: {lines[-1].strip()}" if lines else ""
