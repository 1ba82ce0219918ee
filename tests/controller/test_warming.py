"""All kernels are compiled side by side, and one that fails is named without holding up the others."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from controller import compiling, warming
from controller.events import Event, Finding, Progress, Started
from controller.tui.jobs import Job, Jobs
from dsp.kernels import compiled


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four modules of kernels, of which one is kept."""
    monkeypatch.setattr(compiled, "modules", lambda: ["gate", "reverb", "strip", "delay"])
    monkeypatch.setattr(compiled, "warm", lambda name: name == "strip")


def worker(body: str) -> list[str]:
    """A worker that answers each ``name`` as ``body`` says."""
    return [sys.executable, "-c", f"import json, os, sys\nfor line in sys.stdin:\n    name = line.strip()\n{body}"]


def answering(trouble: str = "''") -> str:
    body = f"print('a driver says hello')\nprint(json.dumps(dict(seconds=1.5, trouble={trouble})), flush=True)"
    return textwrap.indent(body, "    ")


def test_everything_that_is_not_kept_is_compiled(modules):
    told: list[Event] = []
    warmed = warming.warm(told.append, worker(answering()))
    assert warmed.kept == ("strip",)
    assert warmed.taken == {warming.ROOM: 1.5, "gate": 1.5, "reverb": 1.5, "delay": 1.5}
    assert warmed.troubles == {}
    started, *steps = told
    assert isinstance(started, Started)
    assert "strip is compiled" in started.detail
    assert [step.done for step in steps if isinstance(step, Progress)] == [0.25, 0.5, 0.75, 1.0]
    assert "1 of 4" in steps[0].detail
    assert "1.5 s" in steps[0].detail


def test_what_cannot_be_compiled_is_named(modules):
    warmed = warming.warm(lambda event: None, worker(answering("'no such type' if name == 'gate' else ''")))
    assert warmed.troubles == {"gate": "no such type"}
    assert len(warmed.taken) == 4


def test_a_process_that_dies_costs_one_module(modules):
    warmed = warming.warm(lambda event: None, worker(f"    if name == 'gate': os._exit(3)\n{answering()}"))
    assert list(warmed.troubles) == ["gate"]
    assert "status 3" in warmed.troubles["gate"]
    assert len(warmed.taken) == 4


def test_a_process_that_hangs_is_ended(modules, monkeypatch):
    monkeypatch.setattr(warming, "_TIMEOUT_S", 0.5)
    body = f"    import time\n    time.sleep(60 if name == 'gate' else 0)\n{answering()}"
    warmed = warming.warm(lambda event: None, worker(body))
    assert "gate" in warmed.troubles
    assert "delay" not in warmed.troubles


def test_a_command_that_has_to_compile_says_so(monkeypatch):
    told: list[Event] = []
    monkeypatch.setattr(compiled, "on_compile", None)
    compiling.tell_compiling(told.append)
    compiled._tell(compiled.Compiling("reverb"))
    compiled._tell(compiled.Compiling("reverb", 2.0))
    compiled._tell(compiled.Compiling("gate", 2.0, "/nowhere: read-only"))
    started, finding = told
    assert isinstance(started, Started)
    assert "reverb" in started.detail
    assert isinstance(finding, Finding)
    assert "/nowhere: read-only" in finding.what
    assert "NUMBA_CACHE_DIR" in finding.hint


def test_a_job_of_the_console_says_so_too(monkeypatch):
    monkeypatch.setattr(compiled, "on_compile", None)
    said: list[Any] = []
    app: Any = SimpleNamespace(post_message=said.append)
    Jobs(app)._run(Job("print", lambda result: None), lambda emit, accept: compiled._tell(compiled.Compiling("gate")))
    told, ended = said
    assert "gate" in told.event.detail
    assert ended.error is None


def test_the_real_worker_compiles_what_is_not_there(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiled, "modules", lambda: ["no_such_module"])
    monkeypatch.setattr(compiled, "warm", lambda name: False)
    monkeypatch.setattr(warming, "ROOM", "no_such_room")
    warmed = warming.warm(lambda event: None)
    assert set(warmed.troubles) == {"no_such_module", "no_such_room"}
    assert "no kernels 'no_such_module'" in warmed.troubles["no_such_module"]
    json.dumps(warmed.troubles)
