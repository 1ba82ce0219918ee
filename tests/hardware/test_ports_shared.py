"""One port under several devices: opened once, heard by all, closed with the last."""

from __future__ import annotations

import pytest

from hardware.errors import DisconnectedError, PortNotFoundError
from hardware.ports.shared import SharedPort
from hardware.seams import Token


class Wire:
    """A port whose news are put in by the test."""

    def __init__(self) -> None:
        self.name = "wire"
        self.sent: list[bytes] = []
        self.news: list[bytes] = []
        self.waits: list[float] = []
        self.gone = False
        self.closed = False

    def send(self, data: bytes) -> None:
        self._check()
        self.sent.append(data)

    def receive(self, timeout_s: float) -> list[Token]:
        self._check()
        self.waits.append(timeout_s)
        tokens, self.news = [Token(1.5, data) for data in self.news], []
        return tokens

    def _check(self) -> None:
        if self.gone or self.closed:
            raise DisconnectedError("gone")

    def close(self) -> None:
        self.closed = True


class Socket:
    """What opens the port: every opening makes a new one."""

    def __init__(self) -> None:
        self.opened: list[Wire] = []
        self.empty = False

    def __call__(self) -> Wire:
        if self.empty:
            raise PortNotFoundError("nothing there")
        self.opened.append(Wire())
        return self.opened[-1]


@pytest.fixture
def socket() -> Socket:
    return Socket()


def test_all_devices_send_on_the_one_port_and_hear_everything(socket: Socket) -> None:
    shared = SharedPort(socket)
    bam, bim = shared.tap("bam"), shared.tap("bim")
    bam.send(b"\xb0\x07\x01")
    bim.send(b"\xb1\x07\x02")
    (wire,) = socket.opened
    assert wire.sent == [b"\xb0\x07\x01", b"\xb1\x07\x02"]
    assert (bam.name, bim.name) == ("bam", "bim")
    assert bam.wire is bim.wire
    wire.news = [b"\xb0\x07\x03", b"\xb1\x07\x04"]
    heard = [Token(1.5, b"\xb0\x07\x03"), Token(1.5, b"\xb1\x07\x04")]
    assert bam.receive(0.2) == heard
    wire.news = [b"\xf8"]
    assert bim.receive(0.2) == [*heard, Token(1.5, b"\xf8")]
    assert wire.waits == [0.2, 0.0], "whoever has something to read does not wait"
    assert bam.receive(0.0) == [Token(1.5, b"\xf8")]
    assert bim.receive(0.0) == []


def test_the_last_tap_closes_the_port(socket: Socket) -> None:
    shared = SharedPort(socket)
    bam, bim = shared.tap("bam"), shared.tap("bim")
    bam.close()
    bam.close()
    assert not socket.opened[0].closed
    for use in (lambda: bam.send(b"\xf8"), lambda: bam.receive(0.0)):
        with pytest.raises(DisconnectedError, match='"bam" is closed'):
            use()
    bim.send(b"\xf8")
    bim.close()
    assert socket.opened[0].closed
    assert shared.devices == ()


def test_what_came_before_the_port_vanished_is_still_read(socket: Socket) -> None:
    shared = SharedPort(socket)
    bam, bim = shared.tap("bam"), shared.tap("bim")
    socket.opened[0].news = [b"\xfe"]
    bam.receive(0.0)
    socket.opened[0].gone = True
    assert bim.receive(0.0) == [Token(1.5, b"\xfe")]
    for tap in (bam, bim):
        with pytest.raises(DisconnectedError):
            tap.receive(0.0)


def test_a_port_opened_again_serves_every_tap(socket: Socket) -> None:
    shared = SharedPort(socket)
    bam, bim = shared.tap("bam"), shared.tap("bim")
    socket.opened[0].news = [b"\xfe"]
    bam.receive(0.0)
    shared.reopen()
    old, new = socket.opened
    assert old.closed
    assert bim.receive(0.0) == [], "old news of the old port"
    bam.send(b"\x01")
    bim.send(b"\x02")
    assert new.sent == [b"\x01", b"\x02"]


def test_a_port_that_does_not_come_back_leaves_closed_taps(socket: Socket) -> None:
    shared = SharedPort(socket)
    tap = shared.tap("bam")
    socket.empty = True
    with pytest.raises(PortNotFoundError):
        shared.reopen()
    with pytest.raises(DisconnectedError):
        tap.send(b"\x01")
    socket.empty = False
    shared.reopen()
    tap.send(b"\x01")
    assert socket.opened[-1].sent == [b"\x01"]


def test_a_tap_that_nobody_reads_does_not_grow_without_end(socket: Socket) -> None:
    shared = SharedPort(socket)
    read, unread = shared.tap("read"), shared.tap("unread")
    for number in range(20_000):
        socket.opened[0].news = [number.to_bytes(2)]
        read.receive(0.0)
    left = unread.receive(0.0)
    assert len(left) == 8192
    assert left[-1].data == (19_999).to_bytes(2), "the newest stay"
