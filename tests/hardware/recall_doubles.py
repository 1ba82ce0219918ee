"""Devices that answer by script or by rule, on a virtual clock and over a wire that takes its time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from hardware.errors import DisconnectedError
from hardware.seams import Token, VirtualClock

DIN_BYTES_PER_S = 3125.0  # 31 250 baud, 10 bits a byte


def midi(text: str) -> bytes:
    return bytes.fromhex(text)


class Dialogue:
    """A port that expects exactly these messages and answers each with what stands beside it."""

    def __init__(self, clock: VirtualClock, lines: Iterable[tuple[bytes, Sequence[bytes]]], *, name: str = "") -> None:
        self.name = name
        self._clock = clock
        self._lines = deque(lines)
        self._answers: deque[bytes] = deque()

    def send(self, data: bytes) -> None:
        assert self._lines, f"nothing more was expected, but {data.hex(' ')} was sent"
        expected, answers = self._lines.popleft()
        assert data == expected, f"expected {expected.hex(' ')} ({expected!r}), got {data.hex(' ')} ({data!r})"
        self._answers.extend(answers)

    def receive(self, timeout_s: float) -> list[Token]:
        if not self._answers:
            self._clock.sleep(timeout_s)
            return []
        tokens = [Token(self._clock.monotonic(), data) for data in self._answers]
        self._answers.clear()
        return tokens

    def close(self) -> None: ...

    def finished(self) -> bool:
        return not self._lines and not self._answers


class WiredDevice:
    """A device behind two wires of a given bandwidth; ``respond`` turns each message into answers.

    ``thinks_s``: how long it takes to begin an answer.
    """

    def __init__(
        self,
        clock: VirtualClock,
        respond: Callable[[bytes], Sequence[bytes]],
        *,
        bytes_per_s: float = DIN_BYTES_PER_S,
        name: str = "",
        thinks_s: float = 0.0,
    ) -> None:
        self.name = name
        self.thinks_s = thinks_s
        self.sent: list[tuple[float, bytes]] = []
        self.vanish_after: int | None = None
        self._clock = clock
        self._respond = respond
        self._bytes_per_s = bytes_per_s
        self._out_free = 0.0
        self._in_free = 0.0
        self._arriving: deque[Token] = deque()

    def send(self, data: bytes) -> None:
        if self.vanish_after is not None and len(self.sent) >= self.vanish_after:
            raise DisconnectedError(f"{self.name} is gone")
        now = self._clock.monotonic()
        self.sent.append((now, data))
        self._out_free = max(now, self._out_free) + len(data) / self._bytes_per_s
        for answer in self._respond(data):
            self._in_free = max(self._in_free, self._out_free + self.thinks_s) + len(answer) / self._bytes_per_s
            self._arriving.append(Token(self._in_free, answer))

    def receive(self, timeout_s: float) -> list[Token]:
        until = self._clock.monotonic() + timeout_s
        if self._arriving and self._arriving[0].at_s <= until:
            self._clock.sleep(self._arriving[0].at_s - self._clock.monotonic())
        else:
            self._clock.sleep(timeout_s)
        tokens: list[Token] = []
        while self._arriving and self._arriving[0].at_s <= self._clock.monotonic():
            tokens.append(self._arriving.popleft())
        return tokens

    def close(self) -> None: ...

    @property
    def messages(self) -> list[bytes]:
        return [data for _, data in self.sent]


class DeskDouble:
    """The Room Desk 24's side of the wire, from its manual: NRPN, notes and pan CCs in; answers to queries out."""

    def __init__(self) -> None:
        self.nrpn: dict[tuple[int, int], tuple[int, int]] = {}
        self.notes: dict[tuple[int, int], bool] = {}
        self.pans: dict[int, int] = {}
        self.refuses: set[tuple[int, int]] = set()
        self.sticks: dict[tuple[int, int], tuple[int, int]] = {}
        self.silent = False
        self._number = (0, 0)
        self._msb = 0

    def respond(self, data: bytes) -> list[bytes]:
        if self.silent:
            return []
        if data[0] == 0xF0:
            return self._query(data[5], data[6])
        if data[0] == 0xB0:
            return self._control_change(data[1], data[2])
        kind, channel = data[0] & 0xF0, data[0] & 0x0F
        key = {0: 0x41, 1: 0x42, 2: 0x43}[channel]
        if (key, data[1]) in self.refuses:
            return [self._nak(key, data[1])]
        self.notes[(channel, data[1])] = kind == 0x90
        return []

    def _control_change(self, number: int, value: int) -> list[bytes]:
        if number == 0x63:
            self._number = (value, self._number[1])
        elif number == 0x62:
            self._number = (self._number[0], value)
        elif number == 0x06:
            self._msb = value
        elif number == 0x26:
            if self._number in self.refuses:
                return [self._nak(*self._number)]
            self.nrpn[self._number] = self.sticks.get(self._number, (self._msb, value))
        elif 0x40 <= number <= 0x57:
            if (0x40, number - 0x40) in self.refuses:
                return [self._nak(0x40, number - 0x40)]
            self.pans[number - 0x40] = value
        return []

    def _query(self, high: int, low: int) -> list[bytes]:
        if high == 0x40:
            return [bytes((0xB0, 0x40 + low, self.pans.get(low, 64)))]
        if high in (0x41, 0x42, 0x43):
            channel = high - 0x41
            on = self.notes.get((channel, low), False)
            return [bytes(((0x90 if on else 0x80) | channel, low, 0x7F if on else 0))]
        default = (96, 0) if high == 0x11 else (64, 0) if 0x12 <= high <= 0x15 else (0, 0)
        coarse, fine = self.nrpn.get((high, low), default)
        pairs = ((0x63, high), (0x62, low), (0x06, coarse), (0x26, fine))
        return [bytes((0xB0, number, value)) for number, value in pairs]

    @staticmethod
    def _nak(high: int, low: int) -> bytes:
        return bytes((0xF0, 0x7D, 0x48, 0x4E, 0x7F, high, low, 0xF7))


class MatrixDouble:
    """An Extron SIS matrix, from the command table of its manuals: ties, their read-back, verbose mode 3."""

    def __init__(self) -> None:
        self.ties: dict[int, int] = {}
        self.error = ""
        self._tagged = False

    def respond(self, data: bytes) -> list[bytes]:
        if self.error:
            return [self.error.encode() + b"\r\n"]
        text = data.decode("ascii")
        if text == "\x1b3CV\r":
            self._tagged = True
            return [b"Vrb3\r\n"]
        assert text.endswith("$"), f"the matrix does not know {text!r}"
        first, star, second = text[:-1].partition("*")
        output = int(second if star else first)
        if star:
            self.ties[output] = int(first)
        tie = self.ties.get(output, 0)
        tagged = f"Out{output:02d} In{tie:02d} Aud" if star or self._tagged else f"{tie:02d}"
        return [tagged.encode() + b"\r\n"]
