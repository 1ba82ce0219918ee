"""Asking something in a child process: what crashes, hangs or prints there spoils one answer and not the program."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

Ask = Callable[[str, float], Mapping[str, Any]]


def ask_child(code: str, timeout_s: float) -> Mapping[str, Any]:
    """Run ``code`` in a fresh Python and return the JSON object it prints last; ``error`` in it when it could not."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {timeout_s:.0f} s"}
    try:
        answer = json.loads(done.stdout.decode("utf-8", "replace").strip().splitlines()[-1])
    except (IndexError, ValueError):
        if done.returncode < 0:
            return {"error": f"the child process was ended by {_signal(-done.returncode)}"}
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return {"error": said[-1] if said else f"the child process ended with status {done.returncode}"}
    return answer if isinstance(answer, dict) else {"error": "the child process gave no answer"}


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
