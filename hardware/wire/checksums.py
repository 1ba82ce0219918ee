"""Checksums of the makers' protocols, by the names the profile language gives them."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import xor

from profiles.template import Checksum


def checksum(algorithm: Checksum, data: bytes) -> bytes:
    """Compute a checksum as it stands in a message.

    ``twos7``: two's complement of the sum, 7 bits (Roland's (128 − sum mod 128) mod 128, Yamaha's bulk dumps).
    ``sum7``: the sum's low 7 bits (Lexicon). ``sum8``: its low 8 bits (Sony 9-pin). ``lrc``: two's complement, 8 bits.
    ``xor``: all bytes exclusive-ored (BSS). ``hexsum``: the sum's low 8 bits as two hexadecimal characters.
    """
    return _ALGORITHMS[algorithm](data)


_ALGORITHMS: dict[Checksum, Callable[[bytes], bytes]] = {
    "twos7": lambda data: bytes([-sum(data) & 0x7F]),
    "sum7": lambda data: bytes([sum(data) & 0x7F]),
    "sum8": lambda data: bytes([sum(data) & 0xFF]),
    "lrc": lambda data: bytes([-sum(data) & 0xFF]),
    "xor": lambda data: bytes([reduce(xor, data, 0)]),
    "hexsum": lambda data: f"{sum(data) & 0xFF:02X}".encode("ascii"),
}
