"""What of a strip's or bus's own filters and compressor can move during the song, by address, like an insert's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from dsp.bus import BusSettings
from dsp.dynamics import Compressor
from dsp.filters import Band
from dsp.graph_moves import Ride, Teller
from dsp.graph_settings import GraphStrip, ParameterMove
from dsp.processor import Declared, number, several
from dsp.song_line import SongLine
from dsp.strip import StripSettings

__all__ = ["SOUND_KNOT_FRAMES", "Sound", "own_sound", "sound_teller"]

SOUND_KNOT_FRAMES = 256
"""Frames of the song between two knots. Filters and compressor go straight in between, frequencies in octaves."""

Node = TypeVar("Node", bound=StripSettings | BusSettings)


@dataclass(frozen=True)
class Sound(Declared):
    """The numbers; ``hpf_hz`` −∞ is off. What a node does not have stands at its default and changes nothing."""

    trim_db: float = number(0.0, -60.0, 60.0, "dB")
    hpf_hz: float = number(-math.inf, -math.inf, 20_000.0, "Hz", scale="log")
    bands: tuple[Band, ...] = several(Band)
    threshold_db: float = number(0.0, -120.0, 24.0, "dB")
    ratio: float = number(1.0, 1.0, math.inf, ":1", scale="log")
    attack_ms: float = number(10.0, 0.0, 10_000.0, "ms", scale="log")
    release_ms: float = number(100.0, 0.0, 10_000.0, "ms", scale="log")
    knee_db: float = number(6.0, 0.0, 60.0, "dB")
    makeup_db: float = number(0.0, -60.0, 60.0, "dB")

    @classmethod
    def of(cls, node: StripSettings | BusSettings) -> Sound:
        """Return the numbers of a strip or bus as it stands."""
        found = cls(bands=node.bands)
        if node.compressor is not None:
            found = replace(found, **vars(node.compressor))
        if isinstance(node, StripSettings):
            found = replace(found, trim_db=node.trim_db, hpf_hz=-math.inf if node.hpf_hz is None else node.hpf_hz)
        return found

    def put(self, node: Node) -> Node:
        """Return a strip or bus with these numbers; a compressor that is out of circuit stays out."""
        changed: dict[str, Any] = {"bands": self.bands}
        if node.compressor is not None:
            changed["compressor"] = Compressor(
                self.threshold_db, self.ratio, self.attack_ms, self.release_ms, self.knee_db, self.makeup_db
            )
        if isinstance(node, StripSettings):
            changed |= {"trim_db": self.trim_db, "hpf_hz": None if self.hpf_hz == -math.inf else self.hpf_hz}
        made: Node = replace(node, **changed)
        return made


def own_sound(strip: GraphStrip) -> tuple[object, ...]:
    """Return all that a strip's own filters and compressor are made of."""
    return strip.trim_db, strip.polarity_inverted, strip.hpf_hz, strip.bands, strip.compressor, strip.moves


def sound_teller(
    node: Node,
    moves: tuple[ParameterMove, ...],
    at: int,
    frames: int,
    line: SongLine,
    rate_hz: float,
    tell: Callable[[Node, int], None],
) -> tuple[Node, Teller[Sound]]:
    """Return a node as it stands ``frames`` frames after input frame ``at``, and what tells where it goes then."""
    ride = Ride(Sound.of(node), moves, rate_hz, SOUND_KNOT_FRAMES)
    begin = ride.settings(line.at(at, 1)[1] + frames)
    return begin.put(node), Teller(ride, begin, lambda sound, over: tell(sound.put(node), over), line, at + frames)
