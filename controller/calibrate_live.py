"""Playing a calibration through an open stream, section by section, with an eye on the returns all the while.

It begins at −60 dBFS and rises only while the returns are sane. An overload or a return that grows by itself stops
it at once, in silence; a loop that vanishes is noted, and the rest goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from controller.calibrate_runs import ClippedStep, Runs
from controller.calibrate_sections import Programme, Section
from controller.calibrate_takes import Alive, Ledger, Take, rms_of
from controller.calibrate_wiring import Wiring
from controller.events import Emit, Finding, Progress
from dsp.levels import decibels, level_dbfs
from hardware.errors import AudioError, SilentInputError
from hardware.seams import AudioStream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Audio = NDArray[np.float32]

JOB = "calibrate"
RUNAWAY_DB = 4.0
"""A return that rises this much more than the stage did is taken for feedback."""
LOUDER_DB = 30.0
"""A return this much louder than what was sent at the first stage is no return: something amplifies or feeds back."""
SILENCE_ABOVE_NOISE_DB = 6.0


@dataclass
class Live:
    """A programme being played; ``ledger`` fills up with what comes back."""

    stream: AudioStream
    plan: Programme
    found: Wiring
    emit: Emit
    set_pans: Callable[[int], None]
    """Moves the desk's pans to the pattern of that number."""
    title: str = ""
    _delay: int = 0
    _pattern: int = 0
    _clipped: dict[tuple[int, ...], set[int]] = field(default_factory=dict)
    _before: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.plan)
        self.runs = Runs(self.stream, self.plan.rate_hz)

    @property
    def _noise(self) -> NDArray[np.float64]:
        return self.ledger.noise if self.ledger.noise is not None else np.zeros(self.stream.inputs)

    def play(self) -> None:
        """Play every section.

        Raises
        ------
        AudioError
            A return overloads, rises more than its stage, or grows by itself: which, and in which section when.
        SilentInputError
            Nothing at all came back.
        AudioDropoutError
            Xruns left too little of a section, try after try.
        """
        total = sum(section.sounding for section in self.plan.sections)
        done, level = 0, None
        for section in self.plan.sections:
            left = (total - done) / self.plan.rate_hz
            self.emit(Progress(JOB, done / total, left, detail=section.name))
            if section.pattern != self._pattern:
                self.set_pans(section.pattern)
                self._pattern = section.pattern
            take = self._take(section)
            if section.stage or section.key == "comb":
                self._check_rise(take, None if level is None else (section.level_dbfs or 0.0) - level)
                level = section.level_dbfs
            self._look(take)
            done += section.sounding
        self.emit(Progress(JOB, 1.0, 0.0))
        if self.runs.repairs:
            self.emit(Finding(JOB, repaired(self.runs.repairs), severity="warning"))

    def _take(self, section: Section) -> Take:
        stopped: set[int] = set()
        if section.kind in ("tone", "smpte", "ccif") and section.level_dbfs is not None:
            stopped = self._clipped.setdefault(section.active, set())
        signal = self.plan.signal(section)
        while True:
            # A tone at −60 dBFS is within reach of every loop, also of one that stopped rising.
            silent = stopped if section.rung or (section.level_dbfs or 0.0) > -50.0 else set()
            for output in silent:
                signal[:, output - 1] = 0.0
            try:
                late = 0 if section.kind in ("comb", "silence") else self._delay
                audio, span = self.runs.record(section, signal, late=late, noise=self._noise)
                return Take(section, audio, stopped=frozenset(silent), span=span)
            except ClippedStep as step:
                clipped = {
                    loop.output
                    for loop in self.found.loops
                    if loop.output in section.active and self._input_of(loop.output, loop.expected) in step.inputs
                } - stopped
                stopped |= clipped or set(section.active)
                if stopped >= set(section.active):
                    return Take(
                        section, np.zeros((section.length, self.stream.inputs), np.float32), stopped=frozenset(stopped)
                    )

    def _input_of(self, output: int, otherwise: int) -> int:
        known = self.ledger.known
        return known[output].input if output in known else otherwise

    def _check_rise(self, take: Take, rise_db: float | None) -> None:
        section, level = take.section, take.section.level_dbfs or 0.0
        noise = self._noise
        heard = np.sqrt(np.maximum(rms_of(take.steady) ** 2 - noise**2, 0.0))
        if rise_db is None:
            sent_dbfs = level + 10.0 * math.log10(len(section.active))
            loudest = int(heard.argmax())
            back_dbfs = decibels(float(heard[loudest]) * math.sqrt(2.0))
            if back_dbfs > sent_dbfs + LOUDER_DB:
                raise AudioError(
                    f"Return {loudest + 1} is {back_dbfs - sent_dbfs:.0f} dB louder than all that was sent in "
                    f"{section.name}; it was stopped.",
                    hint="Something feeds back or amplifies: look at the gains in front of that input.",
                )
        elif self._before is not None:
            rise = heard / np.maximum(np.maximum(self._before, noise), 1e-9)
            worst = int(rise.argmax())
            rose_db = decibels(float(rise[worst]))
            if rose_db > rise_db + RUNAWAY_DB:
                raise AudioError(
                    f"Return {worst + 1} rose {rose_db:.1f} dB when the test signal rose {rise_db:.0f} dB, in "
                    f"{section.name}; it was stopped.",
                    hint="Something feeds back: look for a return routed to its own input.",
                )
        self._before = heard

    def _look(self, take: Take) -> None:
        """Keep a take, say what vanished in it, and end it all when there is nothing to measure."""
        for event in self.ledger.add(take):
            self.emit(Finding(f"loop {event.output}", event.what, "Look at its cable and plugs.", "warning"))
        section = take.section
        if section.kind == "comb" and not section.pattern and self.ledger.known:
            self._delay = math.ceil(max(0.0, *(loop.delay for loop in self.ledger.known.values())))
        if section.key == "comb" and not self.ledger.known:
            self._refuse_silence(take.steady)

    def _refuse_silence(self, heard: Audio) -> None:
        noise = self._noise
        floor_dbfs = max(decibels(float(level) * math.sqrt(2.0)) for level in noise)
        if level_dbfs(heard) <= floor_dbfs + SILENCE_ABOVE_NOISE_DB and not self.ledger.vanished:
            raise SilentInputError(
                f"Nothing came back on any return of {self.title} (noise {floor_dbfs:.0f} dBFS).",
                hint="Check that the desk is on, its mix output is patched to the interface, and the rig's [[return]].",
            )


def heard_so_far(known: Mapping[int, Alive]) -> str:
    """Say in one line what had been found when a calibration was stopped."""
    if not known:
        return "nothing had been found yet"
    delays = sorted(loop.delay for loop in known.values())
    turned = sorted(output for output, loop in known.items() if loop.gain < 0.0)
    inverted = f", inverted: {', '.join(map(str, turned))}" if turned else ""
    return (
        f"{len(known)} loops had been heard until then, {delays[0]:.2f} to {delays[-1]:.2f} samples late{inverted}; "
        "nothing was stored"
    )


def repaired(names: Sequence[str]) -> str:
    """Say in one line what xruns touched, and that it was played again; a name for every time."""
    times = "once" if len(names) == 1 else f"{len(names)} times"
    return f"xruns disturbed it {times}; what they touched was played again: {', '.join(dict.fromkeys(names))}"
