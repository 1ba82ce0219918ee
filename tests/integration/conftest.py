"""A real JACK server for one test module, and the room served beside it in its own process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from real_parts import JackServer, Served, point_at, start_jack

# A plug-in of somebody else is no part of this program: who has one names it, and its tests are collected.
collect_ignore = [] if os.environ.get("HALFNORMAL_TEST_VST3") else ["test_real_plugin.py"]


@pytest.fixture(scope="module")
def jack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server's name; this process and its children talk to it."""
    server = start_jack(tmp_path_factory.mktemp("jack"), "m")
    with pytest.MonkeyPatch.context() as patch:
        point_at(patch, server.name)
        yield server.name
    server.stop()


@pytest.fixture
def own_jack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JackServer]:
    """A server for one test, which may stop it."""
    server = start_jack(tmp_path, "t")
    point_at(monkeypatch, server.name)
    yield server
    server.stop()


@pytest.fixture
def no_jack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point at a server that does not run."""
    point_at(monkeypatch, f"hn{os.getpid()}none")


@pytest.fixture
def serve_room(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start rooms; those still running are stopped at the end."""
    rooms: list[Served] = []

    def start(**options: Any) -> Served:
        room = Served(tmp_path, **options)
        rooms.append(room)
        room.ready = room.line()
        return room

    yield start
    for room in rooms:
        room.close()


@pytest.fixture(scope="module")
def room(jack: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One served room for a module."""
    served = Served(tmp_path_factory.mktemp("room"))
    served.ready = served.line()
    yield served
    served.close()
