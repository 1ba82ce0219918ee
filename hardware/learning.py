"""Learning a device by listening: what the messages of moved controls propose as a profile.

Pure: bytes and their times come in, proposals come out; nothing is ever sent.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from hardware.learning_pairs import Companions, Pair
from hardware.learning_shapes import MessageKind, Proposal, justified, read_codes, scale_keys
from hardware.learning_sysex import Sent, sysex_controls
from hardware.wire.framing import MidiFraming
from profiles.writing import TomlValue

_MOST_CODES = 20_000
"""Codes kept of one control: some minutes of turning without a pause."""
_MOST_SOURCES = 1024
_LONGEST_CONTROL = 64
"""A longer system exclusive is a dump and no control's message [bytes]."""
_DATA_MSB, _DATA_LSB, _INCREMENT, _DECREMENT = 6, 38, 96, 97
_DATA = (_DATA_MSB, _DATA_LSB, _INCREMENT, _DECREMENT)
_SELECTORS = {98: ("nrpn", "lsb"), 99: ("nrpn", "msb"), 100: ("rpn", "lsb"), 101: ("rpn", "msb")}
_CHANNEL_MODE = 120

Source = tuple[MessageKind, int, tuple[int, ...]]
"""Where codes come from: kind, channel from 1 (0: system exclusive), numbers."""


@dataclass
class _Track:
    """What was heard from one source: codes in order, and for parameter numbers whether each had an LSB."""

    codes: deque[int] = field(default_factory=lambda: deque(maxlen=_MOST_CODES))
    times: int = 0
    with_lsb: bool = False
    released_by_note_off: bool = False
    levels: set[int] = field(default_factory=set)

    def add(self, code: int) -> None:
        self.codes.append(code)
        self.times += 1


@dataclass
class _Selection:
    """The parameter number that a channel's data entry is about, as far as it was told."""

    kind: str = ""
    msb: int | None = None
    lsb: int | None = None
    open_msb: bool = False


class Learner:
    """Sorts what is heard while controls are moved, one after the other or together, and proposes what they are.

    Real-time messages (clock, active sensing), time code, pressure, dumps and jitter make no control; `ignored` says
    what was passed over. Memory is bounded whatever comes in.
    """

    def __init__(self) -> None:
        self._framing = MidiFraming()
        self._tracks: dict[Source, _Track] = {}
        self._companions: dict[int, Companions] = {}
        self._selections: dict[int, _Selection] = {}
        self._nulls: set[tuple[str, int]] = set()
        self._sysex: dict[tuple[int, bytes], deque[Sent]] = {}
        self._passed: Counter[str] = Counter()
        self._channels: Counter[int] = Counter()

    @property
    def channel(self) -> int:
        """The MIDI channel from 1 that most messages came on; 1 when none came."""
        return self._channels.most_common(1)[0][0] if self._channels else 1

    def feed(self, message: bytes, at_s: float) -> tuple[str, ...]:
        """Take bytes that arrived at ``at_s`` [s]; return in words what was heard for the first time."""
        self._passed["real-time messages"] += sum(byte >= 0xF8 for byte in message)
        new: list[str] = []
        for whole in self._framing.feed(message):
            said = self._take(whole, at_s)
            if said:
                new.append(said)
        return tuple(new)

    def proposals(self) -> tuple[Proposal, ...]:
        """Propose the controls heard so far, in the order they were first heard."""
        return tuple(item for item in self._results() if isinstance(item, Proposal))

    def ignored(self) -> tuple[str, ...]:
        """Say what was heard and makes no control, and why."""
        passed = [f"{number} {what}" for what, number in self._passed.items() if number]
        return (*(item for item in self._results() if isinstance(item, str)), *passed)

    def _take(self, message: bytes, at_s: float) -> str:
        status, channel = message[0] & 0xF0, (message[0] & 0x0F) + 1
        if message[0] < 0x80 or (message[0] < 0xF0 and len(message) != (2 if status in (0xC0, 0xD0) else 3)):
            return self._pass("bytes that make no message")
        if message[0] >= 0xF0:
            return self._system(message, at_s)
        self._channels[channel] += 1
        match status:
            case 0x80 | 0x90:
                return self._note(message, channel)
            case 0xB0:
                return self._control_change(message[1], message[2], channel, at_s)
            case 0xC0:
                return self._add(("program", channel, ()), message[1])
            case 0xE0:
                return self._add(("pitch_bend", channel, ()), message[2] << 7 | message[1])
        return self._pass("pressure messages: meters, or keys")

    def _system(self, message: bytes, at_s: float) -> str:
        if message[0] != 0xF0:
            return self._pass("system messages: time code, song position")
        if message[-1] != 0xF7 or len(message) < 4:
            return self._pass("broken system exclusives")
        if message[1] in (0x7E, 0x7F):
            return self._pass("universal system exclusives: identity, time code, machine control")
        if len(message) > _LONGEST_CONTROL:
            return self._pass(f"system exclusives of more than {_LONGEST_CONTROL} bytes: dumps")
        key = (len(message), message[1:4] if message[1] == 0 else message[1:2])
        if key not in self._sysex and len(self._sysex) >= _MOST_SOURCES:
            return self._pass("messages of more kinds than can be kept")
        heard = self._sysex.setdefault(key, deque(maxlen=_MOST_CODES))
        heard.append(Sent(message, at_s))
        return f"system exclusive {message.hex(' ').upper()}" if len(heard) == 1 else ""

    def _note(self, message: bytes, channel: int) -> str:
        on = message[0] & 0xF0 == 0x90 and message[2] > 0
        said = self._add(("note", channel, (message[1],)), 127 if on else 0)
        track = self._tracks.get(("note", channel, (message[1],)))
        if track is not None:
            track.released_by_note_off |= message[0] & 0xF0 == 0x80
            if on:
                track.levels.add(message[2])
        return said

    def _control_change(self, number: int, value: int, channel: int, at_s: float) -> str:
        if number >= _CHANNEL_MODE:
            return self._pass("channel-mode messages")
        selection = self._selections.setdefault(channel, _Selection())
        if number in _SELECTORS:
            return self._select(selection, number, value, channel)
        if selection.kind and None not in (selection.msb, selection.lsb):
            if number in (_DATA_MSB, _DATA_LSB):
                return self._data_entry(selection, number, value, channel)
            if number in (_INCREMENT, _DECREMENT):
                return self._pass("data increments and decrements, which tell no position")
        self._companions.setdefault(channel, Companions()).add(number, value, at_s)
        return self._add(("cc", channel, (number,)), value)

    def _select(self, selection: _Selection, number: int, value: int, channel: int) -> str:
        kind, part = _SELECTORS[number]
        if selection.kind != kind:
            selection.kind, selection.msb, selection.lsb = kind, None, None
        setattr(selection, part, value)
        selection.open_msb = False
        if selection.msb == selection.lsb == 127:
            self._nulls.add((kind, channel))
            selection.kind = ""
        return ""

    def _data_entry(self, selection: _Selection, number: int, value: int, channel: int) -> str:
        kind: MessageKind = "nrpn" if selection.kind == "nrpn" else "rpn"
        source: Source = (kind, channel, (selection.msb or 0, selection.lsb or 0))
        if number == _DATA_MSB:
            selection.open_msb = True
            return self._add(source, value << 7)
        track = self._tracks.get(source)
        if track is not None and track.codes:
            last = track.codes.pop() if selection.open_msb else track.codes[-1]
            track.times -= selection.open_msb
            value |= last & ~0x7F
        selection.open_msb = False
        said = self._add(source, value)
        if source in self._tracks:
            self._tracks[source].with_lsb = True
        return said

    def _add(self, source: Source, code: int) -> str:
        new = source not in self._tracks
        if new and len(self._tracks) >= _MOST_SOURCES:
            return self._pass("messages of more kinds than can be kept")
        self._tracks.setdefault(source, _Track()).add(code)
        return _words(source) if new else ""

    def _pass(self, what: str) -> str:
        self._passed[what] += 1
        return ""

    def _results(self) -> Iterator[Proposal | str]:
        """Give a proposal for each control heard, and a sentence for what was heard and is none."""
        pairs: dict[tuple[int, int], Pair] = {}
        for channel, companions in self._companions.items():
            for pair in companions.pairs():
                pairs[channel, pair.msb] = pairs[channel, pair.lsb] = pair
        told: set[tuple[int, int]] = set()
        for source, track in self._tracks.items():
            kind, channel, numbers = source
            pair_found = pairs.get((channel, numbers[0])) if kind == "cc" else None
            if pair_found is None:
                yield self._single(source, track)
            elif (channel, pair_found.msb) not in told:
                told.add((channel, pair_found.msb))
                yield self._paired(channel, pair_found)
        number = 0
        for heard in self._sysex.values():
            controls, faults = sysex_controls(list(heard))
            for control in controls:
                number += 1
                yield self._proposal(
                    ("sysex", 0, (number,)),
                    list(control.codes),
                    control.full,
                    {"form": [{"send": [control.template]}]},
                    message=f"system exclusive {control.template}",
                    evidence=(control.where,),
                    times=len(control.codes),
                )
            yield from faults

    def _single(self, source: Source, track: _Track) -> Proposal | str:
        kind, channel, numbers = source
        codes, full, evidence = list(track.codes), 127, list[str]()
        at = {} if channel == self.channel else {"channel": channel}
        keys: dict[str, TomlValue]
        match kind:
            case "note":
                off = "note-off" if track.released_by_note_off else "velocity-0"
                keys = {"note": {"number": numbers[0], "off": off, **at}}
                if track.levels - {127}:
                    evidence.append(f"pressed with velocity {', '.join(map(str, sorted(track.levels)[:4]))}")
            case "pitch_bend":
                data, full, codes = justified(codes)
                keys = {"pitch_bend": {"data": data, **at}}
            case "program":
                status = "C{c}" if not at else f"C{channel - 1:X}"
                keys = {"form": [{"send": [f"{status} {{v}}"]}]}
            case "nrpn" | "rpn":
                data, full, codes = justified(codes) if track.with_lsb else ("left7", 127, [c >> 7 for c in codes])
                more = {**({} if track.with_lsb else {"lsb_data": False}), **at}
                more |= {"null": True} if (kind, channel) in self._nulls else {}
                keys = {kind: {"msb": numbers[0], "lsb": numbers[1], "data": data, **more}}
                evidence.append("data MSB and LSB" if track.with_lsb else "no data LSB is sent")
            case _:
                keys = {"cc": {"number": numbers[0], **at}}
                if numbers[0] in _DATA and any(k in ("nrpn", "rpn") and c == channel for k, c, _ in self._tracks):
                    keys["listen"] = False
                    evidence.append("not listened to, because parameter numbers use it too")
        return self._proposal(source, codes, full, keys, evidence=tuple(evidence), times=track.times)

    def _paired(self, channel: int, pair: Pair) -> Proposal | str:
        data, full, codes = justified(pair.values)
        other = channel != self.channel
        keys: dict[str, TomlValue]
        if pair.lsb_first:
            status = f"B{channel - 1:X}" if other else "B{c}"
            halves = ((pair.lsb, "lo"), (pair.msb, "hi"))
            keys = {"form": [{"send": [f"{status} {at:02X} {{v:{data}.{part}}}" for at, part in halves]}]}
        else:
            keys = {
                "cc": {"number": pair.msb, "lsb": pair.lsb, "data": data, **({"channel": channel} if other else {})}
            }
        order = "LSB first" if pair.lsb_first else "MSB first"
        return self._proposal(
            ("cc14", channel, (pair.msb, pair.lsb)),
            codes,
            full,
            keys,
            evidence=(f"CC {pair.msb} and {pair.lsb} always come together ({pair.times} times, {order})",),
            times=pair.times,
        )

    def _proposal(
        self,
        source: Source,
        codes: list[int],
        full: int,
        keys: dict[str, TomlValue],
        *,
        evidence: tuple[str, ...],
        times: int,
        message: str = "",
    ) -> Proposal | str:
        kind, channel, numbers = source
        said = message or _words(source)
        if kind == "note":
            codes = [0, 127]  # a button has two sides, whichever was heard
        read = read_codes(codes, full)
        if read.fault:
            return f"{said}: {read.fault}"
        own = kind if not numbers else f"{'cc' if kind == 'cc14' else kind}{'_'.join(map(str, numbers))}"
        reasons = (*evidence, *(() if kind == "note" else read.evidence))
        scale = scale_keys(read.shape, codes)
        remark = f"Heard {times} times: {'; '.join(reasons)}" if reasons else f"Heard {times} times"
        return Proposal(
            name=own if channel in (0, self.channel) else f"ch{channel}/{own}",
            kind=kind,
            message=said,
            channel=channel or None,
            times=times,
            low=min(codes),
            high=max(codes),
            steps=len(set(codes)),
            shape=read.shape,
            evidence=reasons,
            control={
                "label": said.replace("{", "(").replace("}", ")"),
                **scale,
                **keys,
                "confidence": "I",
                "remark": remark,
            },
        )


def _words(source: Source) -> str:
    kind, channel, numbers = source
    named = {
        "cc": "CC", "cc14": "CC", "nrpn": "NRPN", "rpn": "RPN", "note": "note", "pitch_bend": "pitch bend",
        "program": "program change", "sysex": "system exclusive",
    }[kind]  # fmt: skip
    return f"{named} {'/'.join(map(str, numbers))}".rstrip() + f" on channel {channel}"
