"""The callback's thread comes before others where it may, and nothing happens where it may not."""

from __future__ import annotations

import os
import threading

import pytest

from hardware.live.priority import prefer

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="threads are preferred on Linux only")


@pytest.fixture
def thread():
    """Yield the native id of a thread that waits."""
    end = threading.Event()
    waiting = threading.Thread(target=end.wait)
    waiting.start()
    yield waiting.native_id
    end.set()
    waiting.join()


def refuse(*args: object) -> None:
    raise PermissionError


def test_the_thread_runs_in_real_time_where_it_may_and_no_other_does(thread) -> None:
    before = os.sched_getscheduler(0)
    real_time = prefer(thread)
    assert (os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR) == real_time
    assert os.sched_getscheduler(0) == before


def test_without_real_time_it_asks_for_a_better_niceness(thread, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(os, "setpriority", lambda *args: asked.append(args))
    assert not prefer(thread)
    assert asked == [(os.PRIO_PROCESS, thread, -11)]


def test_a_thread_that_may_neither_stays_as_it_is(thread, monkeypatch) -> None:
    before = os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(os, "setpriority", refuse)
    assert not prefer(thread)
    assert (os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)) == before


def test_a_thread_that_a_server_put_into_real_time_is_left_alone(thread, monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: os.SCHED_FIFO)
    monkeypatch.setattr(os, "sched_setscheduler", pytest.fail)
    assert prefer(thread)


def test_a_thread_that_is_not_there_is_nobody() -> None:
    assert not prefer(1 << 30)  # above every id that Linux gives (PID_MAX_LIMIT)
