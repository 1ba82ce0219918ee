"""Which output reaches which input, and what that says against the wiring, in plain words.

Two captures with other phases must tell the same: a cell counts only where both do. What differs between the wiring and
what was found is named once, by its likeliest cause: an exchange of two cables before two cables moved, a short before
two splits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.errors import ShapeError
from dsp.measure.loop import LoopMatrix

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
FaultKind = Literal["dead", "shorted", "split", "summed", "swapped", "moved", "inverted", "stray"]
KINDS: tuple[FaultKind, ...] = ("dead", "shorted", "split", "summed", "swapped", "moved", "inverted", "stray")

AGREE_SD = 5.0
MOST_LISTED = 6


@dataclass(frozen=True)
class PatchFault:
    """One thing that is not as wired. Outputs and inputs count from 0; ``what`` and ``hint`` say them from 1."""

    kind: FaultKind
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    what: str
    hint: str


@dataclass(frozen=True)
class PatchMap:
    """What reaches what; arrays are [output, input], from 0. Absent cells hold NaN, polarity 0."""

    present: Bools
    """Found in every capture."""
    polarity: NDArray[np.int8]
    gain_db: Floats
    gain_sd: Floats
    latency_samples: Floats
    latency_sd: Floats
    unsure: tuple[tuple[int, int, str], ...]
    """Output, input and what the two captures tell differently there; empty where they agree within five spreads."""
    faults: tuple[PatchFault, ...]

    @property
    def confirmed(self) -> bool:
        """Whether both captures told the same of every cell."""
        return not self.unsure


def read_patch(first: LoopMatrix, second: LoopMatrix | None, expected: Mapping[int, Collection[int]]) -> PatchMap:
    """Return the patch and its faults.

    Parameters
    ----------
    first, second
        Two measurements with combs of other phases (another seed); None where there was only one.
    expected
        Per output the inputs it shall reach, both from 0: the rig's wiring. Several outputs at one input, or several
        inputs of one output, are no fault where they are expected. An output that is not named shall reach nothing.

    Raises
    ------
    ShapeError
        The two measurements are of different rigs, or the wiring names what was not measured.
    """
    outputs, inputs = first.present.shape
    if second is not None and second.present.shape != first.present.shape:
        raise ShapeError(
            f"The two measurements have shapes {first.present.shape} and {second.present.shape}.",
            hint="Measure the same outputs and inputs twice.",
        )
    wired = np.zeros((outputs, inputs), dtype=bool)
    for output, goals in expected.items():
        for goal in goals:
            if not (0 <= output < outputs and 0 <= goal < inputs):
                raise ShapeError(
                    f"The wiring has output {output + 1} at input {goal + 1}; measured were {outputs} outputs into "
                    f"{inputs} inputs.",
                    hint="Open more channels of the interface, or correct the rig file.",
                )
            wired[output, goal] = True
    unsure = () if second is None else tuple(_differences(first, second))
    both = [first] if second is None else [first, second]
    present = np.logical_and.reduce([m.present for m in both])
    polarity = np.where(present & (first.polarity == both[-1].polarity), first.polarity, 0).astype(np.int8)
    gain_db, gain_sd = _combined([m.gain_db for m in both], [m.gain_sd for m in both], present)
    latency, latency_sd = _combined([m.latency_samples for m in both], [m.latency_sd for m in both], present)
    return PatchMap(
        present=present,
        polarity=polarity,
        gain_db=gain_db,
        gain_sd=gain_sd,
        latency_samples=latency,
        latency_sd=latency_sd,
        unsure=unsure,
        faults=(*_misplaced(present, wired), *_inverted(present, polarity)),
    )


def _differences(first: LoopMatrix, second: LoopMatrix) -> Iterator[tuple[int, int, str]]:
    """Tell where two measurements disagree by more than five spreads."""
    for output, goal in np.argwhere(first.present | second.present).tolist():
        where = f"output {output + 1} at input {goal + 1}"
        if first.present[output, goal] != second.present[output, goal]:
            yield output, goal, f"{where} was heard in only one of two measurements"
        elif first.polarity[output, goal] != second.polarity[output, goal]:
            yield output, goal, f"{where} came back with either polarity"
        else:
            for name, unit, a, b, a_sd, b_sd in (
                ("gain", "dB", first.gain_db, second.gain_db, first.gain_sd, second.gain_sd),
                (
                    "latency",
                    "samples",
                    first.latency_samples,
                    second.latency_samples,
                    first.latency_sd,
                    second.latency_sd,
                ),
            ):
                change = float(b[output, goal] - a[output, goal])
                if abs(change) > AGREE_SD * float(np.hypot(a_sd[output, goal], b_sd[output, goal])):
                    yield output, goal, f"{where}: its {name} changed by {change:+.2g} {unit} between two measurements"


def _combined(values: list[Floats], sds: list[Floats], present: Bools) -> tuple[Floats, Floats]:
    """Return the weighted mean and its spread where ``present``, else NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.stack([sd**-2.0 for sd in sds])
        total = weights.sum(axis=0)
        mean = np.sum(weights * np.stack(values), axis=0) / total
        return np.where(present, mean, np.nan), np.where(present, total**-0.5, np.nan)


def _misplaced(present: Bools, wired: Bools) -> Iterator[PatchFault]:
    """Name what is not where it is wired, each cell once."""
    extra, missing = present & ~wired, wired & ~present
    named = np.zeros(present.shape[0], dtype=bool)
    for i, j in combinations(range(present.shape[1]), 2):
        both = wired[:, i] | wired[:, j]
        crossed = np.array_equal(present[both][:, [i, j]], wired[both][:, [j, i]])
        if crossed and not np.array_equal(wired[both, i], wired[both, j]) and np.count_nonzero(both) > 2:
            named |= both
            yield _returns_swapped(np.flatnonzero(both).tolist(), i, j)
    # of many outputs that add up in an input no two can be said to have changed places
    alone = ~np.any(wired & (np.count_nonzero(wired, axis=0) > 1), axis=1)
    suspects = np.flatnonzero(wired.any(axis=1) & (extra | missing).any(axis=1) & alone & ~named).tolist()
    for a, b in combinations(suspects, 2):
        if named[a] or named[b] or np.array_equal(wired[a], wired[b]):
            continue
        if np.array_equal(present[a], wired[b]) and np.array_equal(present[b], wired[a]):
            named[[a, b]] = True
            yield _fault("swapped", (a, b), present[a] | present[b])
        elif np.array_equal(present[a], wired[a] | wired[b]) and np.array_equal(present[b], present[a]):
            named[[a, b]] = True
            yield _fault("shorted", (a, b), present[a])
    for output in range(present.shape[0]):
        if named[output]:
            continue
        here, gone = extra[output], missing[output]
        if not wired[output].any():
            if here.any():
                yield _fault("stray", (output,), here)
        elif not present[output].any():
            yield _fault("dead", (output,), gone)
        elif here.any() and not (present[output] & wired[output]).any():
            # an input that has its own signal as well now holds a sum; one that lost it was taken over
            shared = here & (present & wired).any(axis=0)
            yield _fault("summed" if shared.any() else "moved", (output,), here, others=_sources(present, here, output))
        else:
            if gone.any():
                yield _fault("dead", (output,), gone)
            if here.any():
                yield _fault("split", (output,), here, others=_sources(present, here, output))


def _inverted(present: Bools, polarity: NDArray[np.int8]) -> Iterator[PatchFault]:
    upside_down = present & (polarity < 0)
    for output in np.flatnonzero(upside_down.any(axis=1)).tolist():
        yield _fault("inverted", (output,), upside_down[output])


def _sources(present: Bools, inputs: Bools, output: int) -> tuple[int, ...]:
    """Return what else is heard at these inputs."""
    others = present[:, inputs].any(axis=1)
    return tuple(o for o in np.flatnonzero(others).tolist() if o != output)


_TEXTS: dict[FaultKind, tuple[str, str]] = {
    "dead": (
        "Nothing of {outputs} arrives at {inputs}.",
        "Check the cable, mutes and inserts on the way, and phantom or mute switches at the input.",
    ),
    "shorted": (
        "{outputs} are joined: both arrive at {inputs}.",
        "Look for two plugs in one patchbay pair, a Y-cable, or a short between the two lines.",
    ),
    "split": (
        "{outputs} arrives at {inputs} as well{beside}.",
        "Look for a mult, a half-normalled patch point that still feeds on, or a second routing of the strip.",
    ),
    "summed": (
        "{outputs} arrives at {inputs}, where it adds to {others}, and not where it is wired.",
        "Look for a Y-cable or a wrong bus assignment, and patch it to its own input.",
    ),
    "swapped": (
        "{outputs} are exchanged: each arrives at the other's input ({inputs}).",
        "Exchange the two cables, or the two lines in the rig file.",
    ),
    "moved": (
        "{outputs} arrives at {inputs} and not where it is wired.",
        "Move the cable, or correct the line in the rig file.",
    ),
    "inverted": (
        "{outputs} arrives inverted at {inputs}.",
        "Look for a polarity switch that is in, or a cable with pins 2 and 3 exchanged.",
    ),
    "stray": (
        "{outputs} is wired to nothing, and yet arrives at {inputs}.",
        "Unplug it, or enter it in the rig file.",
    ),
}


def _returns_swapped(outputs: list[int], i: int, j: int) -> PatchFault:
    what = f"Inputs {i + 1} and {j + 1} are exchanged: whatever is wired to either arrives at the other."
    return PatchFault(
        "swapped", tuple(outputs), (i, j), what, "Exchange the two return cables, or their lines in the rig."
    )


def _fault(kind: FaultKind, outputs: tuple[int, ...], inputs: Bools, others: tuple[int, ...] = ()) -> PatchFault:
    heard = tuple(np.flatnonzero(inputs).tolist())
    what, hint = _TEXTS[kind]
    beside = f", beside {_listed('output', others)}" if others else ""
    text = what.format(
        outputs=_listed("output", outputs),
        inputs=_listed("input", heard),
        others=_listed("output", others),
        beside=beside,
    )
    return PatchFault(kind, outputs, heard, text[0].upper() + text[1:], hint)


def _listed(noun: str, numbers: tuple[int, ...]) -> str:
    """Return "output 3", "outputs 3 and 4", "inputs 1, 2 and 5": from 1."""
    if len(numbers) > MOST_LISTED:
        return f"{len(numbers)} {noun}s"
    shown = [str(number + 1) for number in numbers]
    if len(shown) < 2:
        return f"{noun} {''.join(shown)}"
    return f"{noun}s {', '.join(shown[:-1])} and {shown[-1]}"
