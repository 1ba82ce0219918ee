"""Timecode: addresses of film and video frames, and MIDI time code.

Drop-frame counting is SMPTE ST 12-1's: frames 0 and 1 of every minute have no number, but for minutes 0, 10, 20 …, so
that 30 numbers a second keep time with 29.97 pictures. MIDI time code: MIDI 1.0, "MIDI Time Code" (RP 004/008).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from hardware.errors import HardwareError

_TEXT = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})[:;](\d{2})")
_DROPPED = 2


@dataclass(frozen=True)
class FrameRate:
    """How frames are counted: ``numbers`` a second in the address, ``pictures`` a second in truth; MTC's ``code``."""

    name: str
    numbers: int
    pictures: Fraction
    drop: bool
    code: int


RATES = {
    rate.name: rate
    for rate in (
        FrameRate("24", 24, Fraction(24), False, 0),
        FrameRate("25", 25, Fraction(25), False, 1),
        FrameRate("29.97df", 30, Fraction(30_000, 1_001), True, 2),
        FrameRate("30", 30, Fraction(30), False, 3),
    )
}
"""The four counts that MIDI time code knows."""


@dataclass(frozen=True)
class Timecode:
    """One frame's address, 00:00:00:00 to 23:59:59 and the last frame.

    Raises
    ------
    HardwareError
        There is no such frame: out of range, or one of those that drop-frame counting leaves out.
    """

    hours: int
    minutes: int
    seconds: int
    frames: int
    rate: FrameRate

    def __post_init__(self) -> None:
        inside = 0 <= self.hours < 24 and 0 <= self.minutes < 60 and 0 <= self.seconds < 60
        if not inside or not 0 <= self.frames < self.rate.numbers:
            raise HardwareError(f"{self} is no timecode at {self.rate.name} frames a second.")
        if self.rate.drop and self.seconds == 0 and self.frames < _DROPPED and self.minutes % 10:
            raise HardwareError(f"{self} is left out in drop-frame counting.", hint="Use the frame ;02 of that minute.")

    def __str__(self) -> str:
        last = ";" if self.rate.drop else ":"
        return f"{self.hours:02d}:{self.minutes:02d}:{self.seconds:02d}{last}{self.frames:02d}"

    @classmethod
    def parse(cls, text: str, rate: FrameRate) -> Timecode:
        """Read ``hh:mm:ss:ff`` (or ``;ff``).

        Raises
        ------
        HardwareError
            It is none.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise HardwareError(f"{text!r} is no timecode.", hint="Write it as 01:00:00:00.")
        hours, minutes, seconds, frames = map(int, found.groups())
        return cls(hours, minutes, seconds, frames, rate)

    @classmethod
    def of_count(cls, count: int, rate: FrameRate) -> Timecode:
        """Return the address of the frame that ``count`` frames lie before; after 24 hours it begins anew."""
        if rate.drop:
            a_minute = 60 * rate.numbers - _DROPPED
            ten_minutes = 10 * a_minute + _DROPPED
            count %= 144 * ten_minutes
            tens, rest = divmod(count, ten_minutes)
            # The first minute of ten is whole; the nine others are short of two numbers each.
            minutes_short = 0 if rest < a_minute + _DROPPED else 1 + (rest - a_minute - _DROPPED) // a_minute
            count += _DROPPED * (9 * tens + minutes_short)
        count %= 24 * 3600 * rate.numbers
        seconds, frames = divmod(count, rate.numbers)
        return cls(seconds // 3600, seconds // 60 % 60, seconds % 60, frames, rate)

    @classmethod
    def at(cls, seconds: float, rate: FrameRate) -> Timecode:
        """Return the address of the frame shown ``seconds`` [s] after 00:00:00:00."""
        return cls.of_count(int(Fraction(seconds).limit_denominator(1_000_000) * rate.pictures), rate)

    @property
    def count(self) -> int:
        """How many frames lie before it."""
        minutes = 60 * self.hours + self.minutes
        count = (60 * minutes + self.seconds) * self.rate.numbers + self.frames
        return count - _DROPPED * (minutes - minutes // 10) if self.rate.drop else count

    @property
    def at_s(self) -> float:
        """When it begins, after 00:00:00:00 [s]."""
        return float(self.count / self.rate.pictures)

    def later(self, frames: int) -> Timecode:
        """Return the address of the frame so many frames later; earlier where negative."""
        return self.of_count(self.count + frames, self.rate)


def full_frame(at: Timecode) -> bytes:
    """Return MTC's full message, for a place that was gone to: F0 7F 7F 01 01 hr mn sc fr F7."""
    hours = at.rate.code << 5 | at.hours
    return bytes([0xF0, 0x7F, 0x7F, 0x01, 0x01, hours, at.minutes, at.seconds, at.frames, 0xF7])


def quarter_frames(at: Timecode) -> tuple[bytes, ...]:
    """Return the eight quarter-frame messages that say ``at``, whose frame begins with the first of them."""
    hours = at.rate.code << 5 | at.hours
    nibbles = (nibble for value in (at.frames, at.seconds, at.minutes, hours) for nibble in (value & 15, value >> 4))
    return tuple(bytes([0xF1, piece << 4 | nibble]) for piece, nibble in enumerate(nibbles))


def running(start: Timecode, *, from_s: float = 0.0) -> Iterator[tuple[float, bytes]]:
    """Yield every quarter frame from ``start`` on without end: when it is due after ``from_s`` [s], and its bytes.

    Four a frame, eight to an address; the first of the eight falls on the beginning of an even frame, as the receiver
    takes it (it adds two frames to what it has put together).
    """
    frame = 1.0 / float(start.rate.pictures)
    skipped = start.count % 2
    address = start.later(skipped)
    done = skipped
    while True:
        for piece, message in enumerate(quarter_frames(address)):
            yield from_s + (done + piece / 4) * frame, message
        address = address.later(2)
        done += 2
