"""Real parts for tests: a JACK server of their own, and rooms served beside it in processes of their own."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RATE_HZ = 48_000
PERIOD_FRAMES = 256
WAIT_S = 60.0


def missing(what: str) -> None:
    """Skip where a real part is missing, except in CI, where every part must be there."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@dataclass
class JackServer:
    name: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it as its slots in shared memory want it: asked, not killed."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for left in Path("/dev/shm").glob(f"jack*{self.name}*"):
            left.unlink(missing_ok=True)


@functools.cache
def sweep_dead_servers(run: Path) -> None:
    """Free the slots that killed servers keep in shared memory (there are eight), when no server lives.

    Once in a run of the tests, whose folder this is: the first worker sweeps while the others wait. And before this
    process knows JACK: it would hold on to the registry that is swept away.
    """
    import fcntl

    with (run / "jack-swept").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if os.fstat(turn.fileno()).st_size == 0:
            _sweep()
            turn.write("once\n")


def _sweep() -> None:
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if comm.read_text().strip() in {"jackd", "jackdbus"}:
                return
    for left in Path("/dev/shm").glob("jack[-_]*"):
        with contextlib.suppress(OSError):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def start_jack(folder: Path, label: str) -> JackServer:
    if shutil.which("jackd") is None:
        missing("jackd is not installed (Debian: jackd2)")
    sweep_dead_servers(folder.parents[1] if "PYTEST_XDIST_WORKER" in os.environ else folder.parent)
    name = f"hn{os.getpid()}{label}"
    environment = {**os.environ, "JACK_NO_AUDIO_RESERVATION": "1", "JACK_DEFAULT_SERVER": name}
    server = ["jackd", "--no-realtime", "-S", "-n", name, "-d", "dummy"]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*server, "-r", str(RATE_HZ), "-p", str(PERIOD_FRAMES), "-C", "32", "-P", "32"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            restore_signals=False,  # a client that vanishes is then an error to jackd, and not SIGPIPE
        )
    if not answers_within(process, name, 20.0):
        log_text = (folder / f"{name}.log").read_text()
        JackServer(name, process).stop()
        missing(f"jackd does not start here: {log_text}")
    return JackServer(name, process)


def answers_within(process: subprocess.Popen[bytes], name: str, seconds: float) -> bool:
    """Whether the server takes clients before that many seconds have passed."""
    import jack

    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            jack.Client("probe", no_start_server=True, servername=name).close()
        except jack.JackError:
            time.sleep(0.05)
        else:
            return True
    return False


def point_at(patch: pytest.MonkeyPatch, name: str) -> None:
    """Make this process and its children talk to the server ``name``."""
    patch.setenv("JACK_DEFAULT_SERVER", name)
    patch.setenv("JACK_NO_START_SERVER", "1")
    patch.setenv("JACK_NO_AUDIO_RESERVATION", "1")
    patch.setenv("HALFNORMAL_MIDI_API", "jack")


class Served:
    """A room in its own process, by what it says."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "HalfnormalRoom",
        arguments: tuple[str, ...] = (),
        command: tuple[str, ...] = (),
    ) -> None:
        """Serve the plain room, or whatever ``command`` serves."""
        self.name = name
        self.serial_folder = folder / "serial"
        self._log = (folder / "room.log").open("w+b")
        plain = (str(Path(__file__).with_name("plain_room.py")), name, str(self.serial_folder), *arguments)
        self.process = subprocess.Popen(
            [sys.executable, *(command or plain)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        self._rest = b""
        self.ready: dict[str, Any] = {}

    def line(self) -> dict[str, Any]:
        """The next line of JSON."""
        assert self.process.stdout
        deadline = time.monotonic() + WAIT_S
        while b"\n" not in self._rest:
            readable, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            if not data:
                self._log.seek(0)
                raise AssertionError(f"the room said nothing more: {self._log.read().decode()}")
            self._rest += data
        first, self._rest = self._rest.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(first)
        return answer

    def ask(self, text: str) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()
        return self.line()

    def close(self) -> int:
        """Close its standard input and wait for it to end."""
        assert self.process.stdin
        assert self.process.stdout
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
            self._log.close()
