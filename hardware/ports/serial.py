"""Serial ports through pyserial. Bytes go out at the line's own pace and come in as they come: the wire frames them."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hardware.errors import DisconnectedError, PortBusyError, PortNotFoundError, TransportError
from hardware.seams import Clock, SystemClock, Token

Parity = Literal["none", "even", "odd"]
_PARITY_LETTER = {"none": "N", "even": "E", "odd": "O"}
_WRITE_TIMEOUT_S = 5.0
_USB = re.compile(r"usb:([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})(?::(.+))?")


@dataclass(frozen=True)
class UsbAdapter:
    """A USB serial adapter, by what stays the same wherever it is plugged in; any serial number where it is empty."""

    vendor: int
    product: int
    serial_number: str = ""


def usb_adapter(place: str) -> UsbAdapter | None:
    """Read ``usb:VID:PID`` or ``usb:VID:PID:SERIALNUMBER`` (hexadecimal); None for a path.

    Raises
    ------
    PortNotFoundError
        It begins with ``usb:`` and is not written so.
    """
    if not place.startswith("usb:"):
        return None
    found = _USB.fullmatch(place)
    if found is None:
        raise PortNotFoundError(
            f'"{place}" names no USB serial adapter.',
            hint='Write serial:usb:VID:PID or serial:usb:VID:PID:SERIALNUMBER, as in "serial:usb:0403:6001:A50285BI".',
        )
    return UsbAdapter(int(found[1], 16), int(found[2], 16), found[3] or "")


def find_usb_serial(adapter: UsbAdapter) -> str:
    """Find the path that opens ``adapter`` now.

    Raises
    ------
    PortNotFoundError
        None is plugged in, or more than one; the message lists the USB serial adapters there are.
    """
    from serial.tools import list_ports

    there = [port for port in list_ports.comports() if port.vid is not None]
    found = [
        port
        for port in there
        if (port.vid, port.pid) == (adapter.vendor, adapter.product)
        and adapter.serial_number in ("", port.serial_number or "")
    ]
    if len(found) == 1:
        return str(found[0].device)
    wanted = _usb_text(adapter.vendor, adapter.product, adapter.serial_number)
    if found:
        raise PortNotFoundError(
            f"{wanted} means more than one serial adapter: {_listed(found)}.",
            hint="Add the serial number in the rig file; where they have none, name each by its path.",
        )
    raise PortNotFoundError(
        f"No USB serial adapter {wanted} is plugged in. There are: {_listed(there) or 'none'}.",
        hint="Plug it in, or set the port in the rig file to one of these.",
    )


def _listed(ports: list[Any]) -> str:
    told = [f"{_usb_text(port.vid, port.pid, port.serial_number or '')} ({port.device})" for port in ports]
    return ", ".join(sorted(told))


def _usb_text(vendor: int, product: int, serial_number: str) -> str:
    return f"usb:{vendor:04X}:{product:04X}" + (f":{serial_number}" if serial_number else "")


def list_serial_ports() -> list[str]:
    """List the serial ports that the system shows, by the path that opens them."""
    from serial.tools import list_ports

    return sorted(port.device for port in list_ports.comports())


def open_serial(
    path: str | Path,
    *,
    baud: int = 9600,
    bytesize: int = 8,
    parity: Parity = "none",
    stopbits: float = 1,
    terminator: bytes = b"",
    clock: Clock | None = None,
) -> SerialPort:
    r"""Open a serial port for this program alone.

    Parameters
    ----------
    path
        ``/dev/ttyUSB0``, ``COM3``, a pseudo-terminal's path, or ``usb:VID:PID[:SERIALNUMBER]``, which finds an adapter
        under whatever path the system gave it this time.
    baud
        Bits per second on the wire.
    bytesize, parity, stopbits
        5 to 8 data bits; the parity bit; 1, 1.5 or 2 stop bits.
    terminator
        What ends a reply (``b"\r\n"``): `SerialPort.receive` then waits, within its timeout, for a whole one.
    clock
        Paces what is sent and stamps what arrives; the system's when None.

    Raises
    ------
    PortNotFoundError, PortBusyError, TransportError
    """
    import serial

    name = str(path)
    adapter = usb_adapter(name)
    device = find_usb_serial(adapter) if adapter is not None else name
    has_bits = not _is_pseudo_terminal(device)
    try:
        line = serial.Serial(
            device,
            baudrate=baud,
            bytesize=bytesize if has_bits else 8,
            parity=_PARITY_LETTER[parity if has_bits else "none"],
            stopbits=stopbits,
            timeout=0,
            write_timeout=_WRITE_TIMEOUT_S,
            exclusive=True,
        )
    except (serial.SerialException, OSError) as error:
        raise _open_failed(error, device) from error
    except ValueError as error:
        raise TransportError(
            f'"{name}" takes no such line settings: {error}.', hint="See the baud rate in the profile."
        ) from error
    except Exception as error:
        # pyserial lets termios' own error through, which is none of the above and does not exist on Windows.
        if type(error).__module__ != "termios":
            raise
        raise TransportError(
            f'"{name}" does not take {baud} baud, {bytesize} bits, {parity} parity, {stopbits:g} stop bits.',
            hint="Not every adapter can do parity or odd rates: take another, or see the profile's line settings.",
        ) from error
    bits = 1 + bytesize + (parity != "none") + stopbits
    return SerialPort(line, name, bytes_per_s=baud / bits, terminator=terminator, clock=clock or SystemClock())


class SerialPort:
    """One open serial port: implements `hardware.seams.BytePort`. Made by `open_serial`."""

    def __init__(self, line: Any, name: str, *, bytes_per_s: float, terminator: bytes, clock: Clock) -> None:
        self.name = name
        self.bytes_per_s = bytes_per_s
        self._line = line
        self._terminator = terminator
        self._clock = clock
        self._free_at = 0.0

    def send(self, data: bytes) -> None:
        """Send one command, not before the wire has carried the last one.

        Raises
        ------
        DisconnectedError
            The port vanished, or it is closed.
        TransportError
            The device holds the line (flow control) for longer than five seconds.
        """
        import serial

        self._check_open()
        now = self._clock.monotonic()
        if now < self._free_at:
            self._clock.sleep(self._free_at - now)
            now = self._clock.monotonic()
        self._free_at = max(now, self._free_at) + len(data) / self.bytes_per_s
        try:
            self._line.write(data)
        except serial.SerialTimeoutException as error:
            raise TransportError(
                f'"{self.name}" takes no data: it waited {_WRITE_TIMEOUT_S:.0f} s.',
                hint="Is the device on, and flow control off on both sides?",
            ) from error
        except (serial.SerialException, OSError) as error:
            raise self._vanished() from error

    def receive(self, timeout_s: float) -> list[Token]:
        """Everything that arrived since the last call, as one token; waits up to ``timeout_s`` [s].

        Raises
        ------
        DisconnectedError
            The port vanished, or it is closed.
        """
        import serial

        self._check_open()
        deadline = self._clock.monotonic() + timeout_s
        data = b""
        try:
            while True:
                self._line.timeout = max(0.0, deadline - self._clock.monotonic())
                first = self._line.read(1)
                if not first:
                    break
                data += first + self._line.read(self._line.in_waiting)
                if not self._terminator or data.endswith(self._terminator):
                    break
        except (serial.SerialException, OSError, TypeError) as error:
            # pyserial trips over its own closed descriptor (TypeError) when the port is closed from another thread.
            raise self._vanished() from error
        return [Token(self._clock.monotonic(), data)] if data else []

    def close(self) -> None:
        """Release the port; harmless when called twice."""
        self._line.close()

    def _check_open(self) -> None:
        if not self._line.is_open:
            raise DisconnectedError(f'Serial port "{self.name}" is closed.', hint="Open it again.")

    def _vanished(self) -> DisconnectedError:
        return DisconnectedError(
            f'Serial port "{self.name}" vanished.', hint="Check the cable or adapter, then resume the recall."
        )


def _is_pseudo_terminal(device: str) -> bool:
    """Whether it is one of Linux's, which carry bytes and refuse to be set to a parity or to less than eight bits."""
    try:
        return Path(device).resolve().is_relative_to("/dev/pts")
    except (OSError, RuntimeError):  # links that lead in a circle
        return False


def _open_failed(error: Exception, name: str) -> TransportError:
    number = getattr(error, "errno", None)
    text = str(error)
    if number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK) or "exclusively lock" in text:
        return PortBusyError(f'Serial port "{name}" is in use by another program.', hint="Close the other program.")
    if number in (errno.EACCES, errno.EPERM) and Path(name).exists():
        return TransportError(
            f'Serial port "{name}" may not be opened by this user.',
            hint="On Linux: `sudo usermod -aG dialout $USER`, then log in again.",
        )
    if number == errno.ENOENT or "FileNotFoundError" in text or not Path(name).exists():
        there = ", ".join(list_serial_ports()) or "none"
        return PortNotFoundError(
            f'No serial port "{name}". There are: {there}.',
            hint="Set the port in the rig file to one of these.",
        )
    return TransportError(f'"{name}" does not open as a serial port: {text}', hint="Is this the path of a serial port?")
