"""Whether a JACK server has ended: only the words of the library that rtmidi's wheel brings along tell it."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import sys
from pathlib import Path

# What libjack says when the server of an open client ends, and at no other time.
_GONE = ("Server is not running", "Cannot read socket", "JackSocketClientChannel read fail")
_ends = 0


def count() -> int:
    """Return how often a server has ended under an open client, as far as was heard."""
    return _ends


def _take_message(text: bytes | None) -> None:
    global _ends
    said = (text or b"").decode("utf-8", "replace")
    if any(gone in said for gone in _GONE):
        _ends += 1


_callback = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(_take_message)


def listen() -> None:
    """Keep what the JACK libraries of this process would print on the screen, and count the ends in it."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        maps = Path("/proc/self/maps").read_text("utf-8", "replace")
        harmless = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p)
        for path in {line[73:] for line in maps.splitlines() if "libjack" in line}:
            library = ctypes.CDLL(path)
            library.jack_set_error_function(_callback)
            library.jack_set_info_function(harmless)
            # JACK's threads may outlive the interpreter, so at its end nothing of ours may be called.
            atexit.register(library.jack_set_error_function, harmless)
