"""Serial ports that cannot be opened say why, and pace is the line's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pseudo-terminals of Linux")
def test_a_pseudo_terminal_stands_for_a_line_of_any_parity_at_its_pace(tmp_path: Path) -> None:
    """It cannot be set to a parity itself; a link to it is followed."""
    near, far = os.openpty()
    try:
        (tmp_path / "tape").symlink_to(os.ttyname(far))
        port = open_serial(tmp_path / "tape", baud=38_400, parity="odd")
        assert port.bytes_per_s == pytest.approx(38_400 / 11)
        port.send(bytes([0x20, 0x01, 0x21]))
        assert os.read(near, 16) == bytes([0x20, 0x01, 0x21])
        port.close()
    finally:
        os.close(near)
        os.close(far)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no termios")
def test_line_settings_that_an_adapter_cannot_do_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import termios

    import serial as pyserial

    def refuse(*arguments: object, **options: object) -> None:
        raise termios.error(22, "Invalid argument")

    monkeypatch.setattr(pyserial, "Serial", refuse)
    with pytest.raises(TransportError, match='"line" does not take 38400 baud, 7 bits, odd parity, 2 stop bits'):
        open_serial("line", baud=38_400, bytesize=7, parity="odd", stopbits=2)


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Plug USB adapters in, each (vid, pid, serial number, path); returns what is opened from then on."""
    import serial as pyserial
    from serial.tools import list_ports

    def plug(*adapters: tuple[int | None, int | None, str | None, str]) -> list[str]:
        opened: list[str] = []
        ports = [SimpleNamespace(vid=v, pid=p, serial_number=number, device=path) for v, p, number, path in adapters]
        monkeypatch.setattr(list_ports, "comports", lambda: ports)
        monkeypatch.setattr(pyserial, "Serial", lambda path, **settings: opened.append(path))
        return opened

    return plug


FTDI = (0x0403, 0x6001, "A50285BI")
PROLIFIC = (0x067B, 0x2303, None)


def test_an_adapter_plugged_in_again_is_found_under_its_new_path(plugged: Callable[..., list[str]]) -> None:
    opened = plugged((*FTDI, "/dev/ttyUSB0"), (None, None, None, "/dev/ttyS0"))
    open_serial("usb:0403:6001:A50285BI")
    assert opened == ["/dev/ttyUSB0"]
    opened = plugged((*PROLIFIC, "/dev/ttyUSB0"), (*FTDI, "/dev/ttyUSB3"))
    assert open_serial("usb:0403:6001").name == "usb:0403:6001"
    open_serial("usb:067b:2303")
    assert opened == ["/dev/ttyUSB3", "/dev/ttyUSB0"]


def test_two_adapters_of_one_make_are_told_apart_by_serial_number_only(plugged: Callable[..., list[str]]) -> None:
    opened = plugged((*FTDI, "/dev/ttyUSB0"), (0x0403, 0x6001, "FT9XYZ", "/dev/ttyUSB1"))
    candidates = r"usb:0403:6001:A50285BI \(/dev/ttyUSB0\), usb:0403:6001:FT9XYZ \(/dev/ttyUSB1\)"
    with pytest.raises(PortNotFoundError, match=f"more than one serial adapter: {candidates}"):
        open_serial("usb:0403:6001")
    open_serial("usb:0403:6001:FT9XYZ")
    assert opened == ["/dev/ttyUSB1"]


def test_an_adapter_that_is_not_there_lists_those_that_are(plugged: Callable[..., list[str]]) -> None:
    plugged((*PROLIFIC, "COM4"), (None, None, None, "COM1"))
    with pytest.raises(PortNotFoundError, match=r"usb:0403:6001 is plugged in. There are: usb:067B:2303 \(COM4\)\."):
        open_serial("usb:0403:6001")


@pytest.mark.parametrize("place", ["usb:", "usb:403:6001", "usb:0403", "usb:0403:600G", "usb:0403:6001:"])
def test_a_misspelt_adapter_says_how_it_is_written(place: str) -> None:
    with pytest.raises(PortNotFoundError) as caught:
        serial.usb_adapter(place)
    assert "serial:usb:0403:6001:A50285BI" in caught.value.hint
