"""Serial ports through pyserial. Bytes go out at the line's own pace and come in as they come: the wire frames them."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, Literal

from hardware.errors import DisconnectedError, PortBusyError, PortNotFoundError, TransportError
from hardware.seams import Clock, SystemClock, Token

Parity = Literal["none", "even", "odd"]
_PARITY_LETTER = {"none": "N", "even": "E", "odd": "O"}
_WRITE_TIMEOUT_S = 5.0


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
        ``/dev/ttyUSB0``, ``COM3``, or a pseudo-terminal's path.
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
    try:
        line = serial.Serial(
            name,
            baudrate=baud,
            bytesize=bytesize,
            parity=_PARITY_LETTER[parity],
            stopbits=stopbits,
            timeout=0,
            write_timeout=_WRITE_TIMEOUT_S,
            exclusive=True,
        )
    except (serial.SerialException, OSError) as error:
        raise _open_failed(error, name) from error
    except ValueError as error:
        raise TransportError(
            f'"{name}" takes no such line settings: {error}.', hint="See the baud rate in the profile."
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
