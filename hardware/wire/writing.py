"""Templates into bytes: what is known is put in once, what stays open at every message.

MIDI data bytes and 14-bit pairs: MIDI 1.0 Detailed Specification. Justified short values, two's complement over groups
of 7 bits, nibbles: as the makers' MIDI documents that the profiles cite define them.
"""

from __future__ import annotations

from collections.abc import Mapping

from hardware.wire.checksums import checksum
from profiles.encoding import Encoding
from profiles.errors import ProfileError
from profiles.template import Check, Field, Sum, Template

_Hole = tuple[int, Sum, Encoding, float, float]
"""A field whose number is still open: its first byte, the number, and the limits of its encoding."""


class Writer:
    """One template with everything known put in, ready to be written for each value of what is open."""

    def __init__(self, template: Template, variables: Mapping[str, int]) -> None:
        self._template = template
        self._pieces: list[bytes | tuple[Sum, Encoding] | Check] = []
        self._fixed = bytearray()
        self._holes: list[_Hole] = []
        self._checks: list[tuple[int, Check]] = []
        self._growing = False  # a field of text has no fixed place: the message is put together piece by piece
        for part in template.parts:
            if isinstance(part, bytes):
                self._add(part)
            elif isinstance(part, Check):
                self._checks.append((len(self._fixed), part))
                self._pieces.append(part)
                self._fixed += bytes(part.size)
            elif isinstance(part, Field) and not part.encoding.captures:
                self._add_field(part, variables)
            else:
                raise ProfileError(f"{template.source!r} has a wildcard and cannot be sent.")

    def _add(self, data: bytes) -> None:
        self._fixed += data
        self._pieces.append(data)

    def _add_field(self, part: Field, variables: Mapping[str, int]) -> None:
        number = part.expression.stamp(variables)
        if not number.terms:
            written = self._put(part.encoding, number.constant)
            self._add(bytes([written[0] | part.high]) if part.high else written)
            return
        self._growing = self._growing or part.encoding.size == 0
        self._holes.append((len(self._fixed), number, part.encoding, *part.encoding.limits))
        self._pieces.append((number, part.encoding))
        self._fixed += bytes([part.high]) if part.high else bytes(part.encoding.size)

    def _put(self, encoding: Encoding, number: int) -> bytes:
        try:
            return put(encoding, number)
        except ValueError as error:
            raise ProfileError(
                f"{self._template.source!r}: {number} does not fit its field.",
                hint="Correct the profile: its raw range is wider than its message.",
            ) from error

    def write(self, variables: Mapping[str, int]) -> bytes:
        """Write the message.

        Raises
        ------
        ProfileError
            A number does not fit its field, or a variable is not given.
        """
        if self._growing:
            return self._grown(variables)
        if not self._holes and not self._checks:
            return bytes(self._fixed)
        message = bytearray(self._fixed)
        for at, expression, encoding, least, most in self._holes:
            number = expression.constant
            for name, factor in expression.terms:
                if name not in variables:
                    raise ProfileError(f"{self._template.source!r} needs {name}, which is not given.")
                number += factor * variables[name]
            if encoding.family == "bits" and least <= number <= most:
                for group in encoding.groups:
                    message[at + group.byte] |= (number >> group.low & (1 << group.width) - 1) << group.shift
            else:
                message[at : at + encoding.size] = self._put(encoding, number)
        for at, check in self._checks:
            message[at : at + check.size] = checksum(check.algorithm, bytes(message[check.start : at]))
        return bytes(message)

    def _grown(self, variables: Mapping[str, int]) -> bytes:
        message = bytearray()
        for piece in self._pieces:
            if isinstance(piece, bytes):
                message += piece
            elif isinstance(piece, Check):
                message += checksum(piece.algorithm, bytes(message[piece.start :]))
            else:
                number, encoding = piece
                message += self._put(encoding, self._number(number, variables))
        return bytes(message)

    def _number(self, number: Sum, variables: Mapping[str, int]) -> int:
        total = number.constant
        for name, factor in number.terms:
            if name not in variables:
                raise ProfileError(f"{self._template.source!r} needs {name}, which is not given.")
            total += factor * variables[name]
        return total


def put(encoding: Encoding, number: int) -> bytes:
    """Write one number.

    Raises
    ------
    ValueError
        It does not fit.
    """
    least, most = encoding.limits
    if not least <= number <= most:
        raise ValueError(number)
    if encoding.family == "bcd":
        return bytes([number // 10 << 4 | number % 10])
    if encoding.family == "digits":
        return _digits(encoding, number)
    field = bytearray(encoding.size)
    for group in encoding.groups:
        field[group.byte] |= (number >> group.low & (1 << group.width) - 1) << group.shift
    return bytes(field)


def _digits(encoding: Encoding, number: int) -> bytes:
    sign = "-" if number < 0 else "+" if encoding.sign == "+" else ""
    size = abs(number)
    if encoding.base != "d":
        text = format(size, encoding.base)
    elif encoding.decimals:
        whole, part = divmod(size, 10**encoding.decimals)
        text = f"{whole}.{part:0{encoding.decimals}d}"
    else:
        text = str(size)
    if encoding.pad == "0":
        # In the fixed places of a byte message the sign takes one of them.
        text = text.rjust(encoding.width - (len(sign) if encoding.size else 0), "0")
        return f"{sign}{text}".encode("ascii")
    return f"{sign}{text}".rjust(encoding.width).encode("ascii")
