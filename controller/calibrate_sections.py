"""A calibration as data: the sections that sound, one after the other, and the signal of each.

The same programme is played live or written to a file, and one analysis reads what comes back. Everything in it
follows from the rig's loops, the options and the program's version alone; ``ident`` is the digest of those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from controller import probing
from controller.calibrate_wiring import Wiring
from controller.errors import UsageError
from controller.figures import PARTS, Part
from controller.version import VERSION
from hardware.rig import Rig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsp.measure.probe import Comb

    Audio = NDArray[np.float32]

Kind = Literal["silence", "comb", "tone", "smpte", "ccif", "clock"]

FIRST_DBFS = -60.0
STEP_DB = 10.0
SHARED_COMB_DBFS, DIRECT_COMB_DBFS = -40.0, -20.0
"""RMS level per output of the combs: where outputs sum into one return, and where each has its own."""
SHARED_TONE_DBFS, DIRECT_TONE_DBFS = -12.0, -1.0
"""Level of the loudest tone where the user names none: through a desk, and through a plain loop (AES17: −1 dBFS)."""
STAIRS_DBFS = (-60.0, -50.0, -40.0, -30.0, -20.0, -12.0, -6.0, -3.0, -1.0, 0.0)
COARSE_STAIRS_DBFS = (-60.0, -40.0, -20.0, -6.0)
TONE_HZ = 997.0
MEASURE_PERIODS = 4
RESPONSE_PERIOD_FRAMES = 32_768
RESPONSE_PERIODS, RESPONSE_TURNS = 2, 4
QUIET_S, NOISE_S, CLOCK_S, STAIR_S = 0.7, 2.0, 3.0, 0.08
TAIL_FRAMES = 1024
"""What sounds on behind every section, so that a loop that is late by less is read in full."""
TONE_SETTLE_S, STAIR_SETTLE_S = 0.12, 0.04
ROUNDS_S = 34.0
"""What all rounds of tones together may take [s]; few rounds take longer tones, never beyond ``LONGEST_TONE_S``."""
SHORTEST_TONE_S, LONGEST_TONE_S = 0.25, 1.0


@dataclass(frozen=True)
class Section:
    """One stretch of the programme: what sounds on which outputs, and what of it is read.

    ``settle_frames`` of the signal pass before the ``frames`` that are read. ``into_frames`` tells how much of the
    measurement of this ``name`` was played in earlier sections. Outputs count from 1; ``level_dbfs`` is the level of
    each of them (AES17), None for silence. ``rung`` numbers the steps of a staircase from 0.
    """

    key: str
    part: Part
    name: str
    kind: Kind
    active: tuple[int, ...]
    level_dbfs: float | None
    settle_frames: int
    frames: int
    into_frames: int = 0
    turn: int = 0
    pattern: int = 0
    rung: int | None = None
    stage: bool = False

    @property
    def length(self) -> int:
        """Frames until the last that is read."""
        return self.settle_frames + self.frames

    @property
    def sounding(self) -> int:
        """Frames that sound, or are silent on purpose."""
        return self.length + TAIL_FRAMES


@dataclass(frozen=True)
class Programme:
    """All sections of one calibration, in order."""

    rate_hz: int
    outputs: int
    inputs: int
    active: tuple[int, ...]
    parts: tuple[Part, ...]
    tone_dbfs: float
    comb_dbfs: float
    sections: tuple[Section, ...]
    ident: str

    @property
    def seconds(self) -> float:
        """Length of all that sounds or is listened to [s]."""
        return sum(section.sounding for section in self.sections) / self.rate_hz

    def seconds_by_part(self) -> dict[Part, float]:
        """Tell how long each part takes [s]; what several parts share counts for the first of them."""
        shares: dict[Part, float] = {}
        for section in self.sections:
            shares[section.part] = shares.get(section.part, 0.0) + section.sounding / self.rate_hz
        return shares

    @cached_property
    def _combs(self) -> dict[tuple[int, int, float], Comb]:
        """Combs made so far, by turn, period and level."""
        return {}

    def comb(self, section: Section) -> Comb:
        """Return the comb that ``section`` plays."""
        level = section.level_dbfs
        assert level is not None  # noqa: S101 - combs sound
        key = section.turn, period_of(section), level
        if key not in self._combs:
            self._combs[key] = self._quiet_comb(section.turn, period_of(section)).at_level(level)
        return self._combs[key]

    def _quiet_comb(self, turn: int, period: int) -> Comb:
        from dsp.measure.probe import comb, combs

        level, active = FIRST_DBFS - 1.0, [number - 1 for number in self.active]
        if (turn, period, level) not in self._combs:
            if period == probing.PERIOD_FRAMES:
                made = {turn: comb(self.outputs, rate_hz=self.rate_hz, level_dbfs=level, seed=1 + turn, active=active)}
            else:
                turned = combs(
                    self.outputs,
                    rate_hz=self.rate_hz,
                    level_dbfs=level,
                    seed=1,
                    period_frames=period,
                    active=active,
                    turns=response_turns(len(active)),
                )
                made = dict(enumerate(turned))
            self._combs.update({(number, period, level): one for number, one in made.items()})
        return self._combs[turn, period, level]

    def signal(self, section: Section) -> Audio:
        """Render a section, shape (sounding, outputs), full scale 1.0."""
        import numpy as np

        audio = np.zeros((section.sounding, self.outputs), np.float32)
        if section.kind == "comb":
            period = self.comb(section).period
            audio[:] = period[np.arange(section.sounding) % len(period)]
        elif section.kind != "silence":
            tone = _tone(section, self.rate_hz)
            audio[:, [number - 1 for number in section.active]] = tone[:, None]
        return audio


def response_turns(outputs: int) -> int:
    """Return how many combs of rotating owners a response takes: there is no more than one turn an owner."""
    return min(RESPONSE_TURNS, outputs + 1)


def period_of(section: Section) -> int:
    """Return the period of a comb section [frames]: what it settles for."""
    return section.settle_frames


def _tone(section: Section, rate_hz: int) -> NDArray[np.float64]:
    """Render a tone section, (sounding,), faded in over half of the settling so that couplings are not knocked."""
    from dsp.measure import clock, signals

    level = section.level_dbfs or 0.0
    if section.kind == "tone":
        tone = signals.sine(TONE_HZ, level_dbfs=level, frames=section.sounding, rate_hz=rate_hz)
    elif section.kind == "smpte":
        tone = signals.smpte(level_dbfs=level, frames=section.sounding, rate_hz=rate_hz)
    elif section.kind == "ccif":
        tone = signals.ccif(level_dbfs=level, frames=section.sounding, rate_hz=rate_hz)
    else:
        tone = clock.clock_probe(rate_hz, seconds=section.sounding / rate_hz, level_dbfs=level)
    fade_in(tone, section.settle_frames // 2)
    return tone


def fade_in(audio: NDArray[np.floating], frames: int) -> None:
    """Let ``audio`` rise over its first ``frames`` by half a cosine, in place."""
    import numpy as np

    rising = 0.5 - 0.5 * np.cos(np.pi * np.arange(frames) / max(frames, 1))
    audio[:frames] *= rising.reshape(-1, *[1] * (audio.ndim - 1))


def programme(
    rig: Rig, found: Wiring, *, only: Collection[str] = (), tone_dbfs: float | None = None, patterns: bool = True
) -> Programme:
    """Lay out the calibration of a rig's loops.

    ``only`` limits it to some of ``PARTS``; ``tone_dbfs`` is the level of the loudest tone [dBFS]; ``patterns`` says
    whether the desk's pans can be moved on the way.

    Raises
    ------
    UsageError
        ``only`` names no part, or the level is above full scale or below the first sound.
    """
    unknown = sorted(set(only) - set(PARTS))
    if unknown:
        raise UsageError(f"There is no part {unknown[0]!r} of a calibration.", hint=f"Choose from {', '.join(PARTS)}.")
    parts = tuple(part for part in PARTS if not only or part in only)
    shared = found.most_on_one_input > 1 or bool(found.panned)
    tone = tone_dbfs if tone_dbfs is not None else SHARED_TONE_DBFS if shared else DIRECT_TONE_DBFS
    if not FIRST_DBFS < tone <= 0.0:
        raise UsageError(
            f"The tones of a calibration cannot be played at {tone:g} dBFS.",
            hint=f"Choose a level above {FIRST_DBFS:g} and up to 0 dBFS.",
        )
    comb = min(SHARED_COMB_DBFS if shared else DIRECT_COMB_DBFS, tone - 6.0)
    sections = list(_sections(rig.audio.rate_hz, found, parts, tone, comb, patterns))
    sections = _continued(sections)
    cables = [(loop.output, loop.address, loop.expected) for loop in found.loops]
    said = (VERSION, rig.name, rig.audio.rate_hz, rig.audio.outputs, cables, parts, tone, comb, patterns)
    ident = hashlib.sha256(repr(said).encode()).hexdigest()[:12]
    return Programme(
        rig.audio.rate_hz, rig.audio.outputs, rig.audio.inputs, found.outputs, parts, tone, comb, tuple(sections), ident
    )


def _sections(
    rate_hz: int, found: Wiring, parts: Sequence[Part], tone_dbfs: float, comb_dbfs: float, patterns: bool
) -> Iterator[Section]:
    everything, first = found.outputs, parts[0]

    def frames(seconds: float) -> int:
        return round(seconds * rate_hz)

    def combed(key: str, part: Part, name: str, period: int, periods: int, level: float = comb_dbfs) -> Section:
        return Section(key, part, name, "comb", everything, level, period, periods * period)

    quiet, quiet_s = ("noise", NOISE_S) if "noise" in parts else (first, QUIET_S)
    yield Section("silence", quiet, "the silence", "silence", (), None, frames(0.1), frames(quiet_s))  # type: ignore[arg-type]
    period = probing.PERIOD_FRAMES
    level = FIRST_DBFS
    while level < comb_dbfs:
        yield replace(combed(f"stage{level:g}", first, f"the stage at {level:g} dBFS", period, 1, level), stage=True)
        level += STEP_DB
    yield combed("comb", first, "the search for the loops", period, MEASURE_PERIODS)
    if "patch" in parts and patterns:
        for number in range(1, len(found.patterns)):
            pan = combed(f"pan{number}", "patch", "the pans that tell the strips apart", period, 1)
            yield replace(pan, pattern=number)
    if "patch" in parts:
        yield replace(combed("again", "patch", "the second look at the patch", period, 1), turn=1)
    fine: tuple[Part, ...] = ("response", "crosstalk", "latency")
    finer = next((part for part in fine if part in parts), None)
    for turn in range(0 if finer is None else response_turns(len(everything)) if finer != "latency" else 1):
        assert finer is not None  # noqa: S101 - the range is empty otherwise
        measured = combed(
            f"response{turn}", finer, f"the {finer} measurement", RESPONSE_PERIOD_FRAMES, RESPONSE_PERIODS
        )
        yield replace(measured, turn=turn)
    rounds = [tuple(loop.output for loop in one) for one in found.rounds()]
    if "clock" in parts:
        level, settle = min(tone_dbfs, comb_dbfs + 10.0), frames(TONE_SETTLE_S)
        yield Section("clock", "clock", "the clock measurement", "clock", rounds[0], level, settle, frames(CLOCK_S))
    yield from _rounds(rate_hz, rounds, parts, tone_dbfs)


def _rounds(
    rate_hz: int, rounds: Sequence[tuple[int, ...]], parts: Sequence[Part], tone_dbfs: float
) -> Iterator[Section]:
    """Yield the tones: for each round a staircase from −60 dBFS upward, then what distortion needs, at its top."""
    if "levels" not in parts and "distortion" not in parts:
        return
    part: Part = "levels" if "levels" in parts else "distortion"
    steps = STAIRS_DBFS if part == "levels" else COARSE_STAIRS_DBFS
    stairs = [*(step for step in steps if step < tone_dbfs), tone_dbfs]
    settle, stair_settle = round(TONE_SETTLE_S * rate_hz), round(STAIR_SETTLE_S * rate_hz)
    stair_s = len(stairs) * (STAIR_S + STAIR_SETTLE_S)
    tone_s = min(max((ROUNDS_S / len(rounds) - stair_s) / 4.0 - TONE_SETTLE_S, SHORTEST_TONE_S), LONGEST_TONE_S)
    for number, outputs in enumerate(rounds, start=1):
        whose = f"{'loop' if len(outputs) == 1 else 'loops'} {_listed(outputs)}"
        for rung, level in enumerate(stairs):
            yield Section(
                f"stair{number}:{level:g}", part, f"the level staircase of {whose}", "tone", outputs, level,
                stair_settle, round(STAIR_S * rate_hz), rung=rung,
            )  # fmt: skip
        if "distortion" not in parts:
            continue
        kinds: tuple[tuple[str, Kind, float], ...] = (
            ("thd", "tone", tone_dbfs),
            ("smpte", "smpte", tone_dbfs),
            ("ccif", "ccif", tone_dbfs),
            ("dynamic", "tone", FIRST_DBFS),
        )
        for key, kind, level in kinds:
            yield Section(
                f"{key}{number}", "distortion", f"the distortion measurement of {whose}", kind, outputs, level,
                settle, round(tone_s * rate_hz),
            )  # fmt: skip


def _listed(outputs: Sequence[int]) -> str:
    """Write 1, 2, 3, 7 as ``1–3, 7``."""
    runs: list[list[int]] = []
    for number in outputs:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _continued(sections: Sequence[Section]) -> list[Section]:
    """Tell each section how much of the measurement of its name went before it."""
    counted = list(sections[:1])
    for before, section in pairwise(sections):
        into = counted[-1].into_frames + before.sounding if before.name == section.name else 0
        counted.append(replace(section, into_frames=into))
    return counted
