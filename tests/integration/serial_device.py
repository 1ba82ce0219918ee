"""The far end of a serial line that a test writes itself."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

Answer = Callable[[bytes], bytes | None]
"""What the device answers to the bytes it got; None pulls its plug."""


class Device:
    """A device on a pseudo-terminal, at ``path``; ``heard`` is everything it was told."""

    def __init__(self, answer: Answer) -> None:
        import tty

        self.heard = b""
        self._answer = answer
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        self.path = os.ttyname(self._near)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._far, 1024):
                self.heard += data
                said = self._answer(data)
                if said is None:
                    break
                os.write(self._far, said)
        os.close(self._far)

    def close(self) -> None:
        os.close(self._near)
        self._thread.join(5)
