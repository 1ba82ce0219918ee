"""A knob of the served desk is turned, and monitor and learn hear it over rtmidi and JACK."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_parts import ROOT, Served

from controller.learn import listen
from controller.listening import open_ear, tokens
from hardware.learning import Learner
from profiles.library import load_profile

pytestmark = pytest.mark.real

MOST_S = 30.0
"""Nothing here takes so long; a test that waits for it fails."""


@pytest.fixture(scope="module")
def desk_room(jack: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The real model of the desk, served with a home of its own."""
    folder = tmp_path_factory.mktemp("listening")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALFNORMAL_HOME", str(folder / "home"))
        room = Served(folder, command=("-m", "controller", "room", "serve"))
        try:
            room.ready = room.line()
            yield room
        finally:
            room.close()


def test_learn_hears_a_fader_as_the_desks_manual_writes_it(desk_room: Served) -> None:
    """Section 3 of the manual: NRPN 16/4 for channel 5, eight bits from the top; off is step 0, +10 dB step 255."""
    learner = Learner()
    moves = [-60.0, -40.0, -20.0, -10.0, 0.0, 10.0]
    with open_ear("midi:HalfnormalRoom desk") as ear:
        for level_db in ["off", *moves, *reversed(moves)]:
            assert desk_room.ask(f"turn desk/ch05/fader {level_db}")["ok"]
        for token in tokens(ear, seconds=MOST_S, enough=lambda: _times(learner) == 13):
            learner.feed(token.data, token.at_s)
    [proposal] = learner.proposals()
    assert (proposal.kind, proposal.channel, proposal.low, proposal.high) == ("nrpn", 1, 0, 255)
    # 60 and 62 hex are the controllers' numbers in the manual: MSB 10 hex, LSB n - 1 = 4.
    assert proposal.control["nrpn"] == {"msb": 0x10, "lsb": 4, "data": "left8"}
    assert load_profile("room-desk-24").control("ch05/fader").high == 10.0


def _times(learner: Learner) -> int:
    return sum(proposal.times for proposal in learner.proposals())


def test_listening_for_a_time_ends_by_itself(desk_room: Served) -> None:
    with open_ear("midi:HalfnormalRoom comp") as ear:
        assert listen(ear, seconds=0.2).proposals() == ()


def test_monitor_shows_a_turned_fader_live_and_ctrl_c_is_its_normal_end(desk_room: Served, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "controller", "monitor", "--device", "desk", "--rig", "room"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HALFNORMAL_HOME": str(tmp_path)},
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "listening to desk" in process.stderr.readline()
        assert desk_room.ask("turn desk/ch05/mute true")["ok"]
        line = process.stdout.readline()
        assert "90 04 7F" in line  # section 4 of the manual: channel 5 muted
        assert "desk/ch05/mute = in" in line
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=MOST_S)
        assert (process.returncode, err) == (0, "")
        assert "1 message in" in out
    finally:
        process.kill()
        process.wait()
