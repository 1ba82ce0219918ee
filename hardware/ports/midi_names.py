"""Which MIDI port a name means, whatever numbers the system adds to names at every plugging in."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hardware.errors import PortNotFoundError

# ALSA's client and port ("… 20:0"), and ALSA's client as a2jmidid bridges it to JACK ("… [20] (playback): …").
_ALSA_NUMBERS = re.compile(r"\s\d+:\d+(?=\s|$)|\s\[\d+\](?=\s\()")
# Windows: the place in the list at the end (rtmidi makes names unique by it), and which socket's driver in front.
_LIST_PLACE = re.compile(r"\s\d+$")
_SOCKET = re.compile(r"^\d+- ")


class NoSuchPortError(PortNotFoundError):
    """Nothing of that name, as against more than one."""


def match_port(name: str, there: Sequence[str], direction: str, *, counted: bool = False) -> str:
    """Find the one port among ``there`` that ``name`` means, the surest way first: exact beats partial.

    Whole name; the name without the system's numbers; the client's name; a part of it, whatever the case. Where the
    system has ``counted`` its ports (Windows), last of all the name with another count.

    Raises
    ------
    NoSuchPortError
        None; the message lists what there is, called a MIDI ``direction``.
    PortNotFoundError
        More than one; the message lists them.
    """
    stable = {port: _stable(port, index if counted else None) for index, port in enumerate(there)}
    wanted = _stable(name, None)
    ways = [
        [port for port in there if port == name],
        [port for port in there if stable[port] == wanted],
        [port for port in there if stable[port].rpartition(":")[0] == wanted],
        [port for port in there if wanted.casefold() in stable[port].casefold()],
    ]
    if counted:
        core = _core(_LIST_PLACE.sub("", wanted))
        ways.append([port for port in there if _core(stable[port]) == core])
    for candidates in ways:
        found = list(dict.fromkeys(candidates))
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(f'"{port}"' for port in found)
            raise PortNotFoundError(
                f'"{name}" means more than one MIDI {direction}: {listed}.',
                hint="Write the whole name in the rig file.",
            )
    listed = ", ".join(f'"{port}"' for port in there) or "none"
    raise NoSuchPortError(
        f'No MIDI {direction} "{name}". There are: {listed}.', hint="Set the device's port in the rig to one of these."
    )


def _stable(name: str, place: int | None) -> str:
    """Take off a port's name what ALSA or the list's count (``place``) put there."""
    name = _ALSA_NUMBERS.sub("", name)
    return name if place is None else name.removesuffix(f" {place}")


def _core(name: str) -> str:
    return _SOCKET.sub("", name)
