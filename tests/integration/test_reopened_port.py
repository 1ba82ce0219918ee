"""A MIDI port that goes and comes back under another index is found again by its name, over real JACK MIDI."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.studio import Studio
from hardware.errors import DisconnectedError, PortNotFoundError
from hardware.ports.midi import list_midi_ports
from hardware.seams import BytePort, SystemClock

pytestmark = pytest.mark.real

CC = bytes([0xB0, 7, 100])
RIG = """\
schema = 1
name = "returning"
[audio]
port = "ReturnRoom"
[[device]]
name = "comp"
profile = "room-comp"
port = "midi:ReturnRoom comp:in"
receive = "ReturnRoom comp reply"
"""


def place() -> int:
    """Where the port stands in the system's list."""
    return [port.name for port in list_midi_ports() if port.direction == "out"].index("ReturnRoom comp:in")


def echo(port: BytePort) -> bytes:
    """What the plain room sends back within ten seconds."""
    clock = SystemClock()
    deadline = clock.monotonic() + 10.0
    port.send(CC)
    heard = b""
    while not heard and clock.monotonic() < deadline:
        heard = b"".join(token.data for token in port.receive(0.5))
    return heard


def vanishes(port: BytePort) -> bool:
    clock = SystemClock()
    deadline = clock.monotonic() + 5.0
    try:
        while clock.monotonic() < deadline:
            port.send(CC)
            port.receive(0.05)
    except DisconnectedError:
        return True
    return False


def test_a_port_that_is_back_under_another_index_is_found_by_its_name(
    jack, serve_room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    rig = tmp_path / "returning.toml"
    rig.write_text(RIG, encoding="utf-8")
    room = serve_room(name="ReturnRoom")
    with Studio.open(rig) as studio:
        assert echo(studio.ports()["comp"]) == CC
        before = place()
        assert room.close() == 0
        assert vanishes(studio.ports()["comp"])
        with pytest.raises(PortNotFoundError, match=r"ReturnRoom comp:in"):
            studio.reopen("comp")
        serve_room(name="EarlierRoom")
        serve_room(name="ReturnRoom")
        assert place() != before, "else this shows nothing"
        assert echo(studio.reopen("comp")) == CC
        assert studio.unreachable == {}
