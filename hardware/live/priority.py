"""The priority of the thread that PortAudio calls back in, where its host does not see to that itself.

A JACK server that runs in real time, CoreAudio and WASAPI do. ALSA does not, nor does a JACK server that may not.
"""

from __future__ import annotations

import contextlib
import os

__all__ = ["in_real_time", "prefer"]

_REAL_TIME = 5
"""Above all that is not in real time, below servers and drivers: what jackd (jack2, ``-P 10``) gives its clients."""

_NICE = -11
"""Where real time is refused: what PulseAudio asks rtkit for."""


def in_real_time(thread: int) -> bool:
    """Tell whether the thread with that native id runs in real time; on Linux only. Raises OSError for none."""
    return os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK != os.SCHED_OTHER


def prefer(thread: int) -> bool:
    """Let the thread with that native id run before others, in real time or else at a better niceness.

    Return whether it runs in real time. Whoever may not ask for it stays as they are; so does a thread that has been
    seen to already, and any system but Linux.
    """
    if not hasattr(os, "sched_setscheduler"):
        return False
    with contextlib.suppress(OSError):
        if in_real_time(thread):
            return True
        os.sched_setscheduler(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_REAL_TIME))
        return True
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, _NICE)
    return False
