"""Serial ports that cannot be opened say why, and pace is the line's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hardware.errors import PortNotFoundError, TransportError
from hardware.ports import serial
from hardware.ports.serial import SerialPort, open_serial
from hardware.seams import VirtualClock


def test_a_missing_port_lists_those_that_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(serial, "list_serial_ports", lambda: ["/dev/ttyUSB0", "/dev/ttyUSB1"])
    with pytest.raises(PortNotFoundError, match="There are: /dev/ttyUSB0, /dev/ttyUSB1"):
        open_serial(tmp_path / "ttyNone")


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows a serial port is not a path")
def test_an_ordinary_file_is_not_a_serial_port(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(TransportError, match="does not open as a serial port"):
        open_serial(path)
    assert path.read_text() == "hello"


def test_commands_leave_no_faster_than_the_line_carries_them() -> None:
    clock = VirtualClock()
    left: list[tuple[float, bytes]] = []

    class Line:
        is_open = True

        def write(self, data: bytes) -> None:
            left.append((clock.monotonic(), data))

    port = SerialPort(Line(), "line", bytes_per_s=960.0, terminator=b"", clock=clock)
    for command in (b"1*2$", b"3*4$", b"W"):
        port.send(command)
    assert left == [(0.0, b"1*2$"), (pytest.approx(4 / 960), b"3*4$"), (pytest.approx(8 / 960), b"W")]


@pytest.mark.parametrize(
    ("settings", "bytes_per_s"),
    [
        ({"baud": 9600}, 960.0),
        ({"baud": 38_400, "parity": "odd"}, 38_400 / 11),
        ({"baud": 9600, "stopbits": 2}, 9600 / 11),
    ],
)
def test_every_bit_of_a_frame_counts(monkeypatch: pytest.MonkeyPatch, settings: dict, bytes_per_s: float) -> None:
    import serial as pyserial

    monkeypatch.setattr(pyserial, "Serial", lambda *arguments, **options: object())
    assert open_serial("line", **settings).bytes_per_s == pytest.approx(bytes_per_s)
