"""Saying what is wrong with the loops that were measured, in plain words, and marking them."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence

import msgspec

from controller.calibrate_reading import Reading
from controller.calibrate_takes import Vanished
from controller.calibrate_wiring import Wiring
from controller.loops import LoopFacts, Problem
from dsp.measure.patch import PatchFault, read_patch
from hardware.rig_file import RigTolerance

EARLY_OR_LATE_SAMPLES = 64.0
WHOLE_LOOP_DB = 6.0
STRIP_FAULTS = frozenset({"shorted", "split", "summed"})
"""What only the patch shows of a console strip; the rest is told by pans and by the loops' own figures."""


def judge(
    found: Wiring, reading: Reading, vanished: Sequence[Vanished], tolerance: RigTolerance
) -> tuple[list[LoopFacts], list[Problem]]:
    """Return the loops, marked, and every problem with where, what and a hint."""
    alive = [loop for loop in reading.loops if loop.present]
    gain = statistics.median(loop.gain_db for loop in alive) if alive else 0.0
    latency = statistics.median(loop.latency_samples for loop in alive) if alive else 0.0
    feeds: dict[str, list[int]] = {}
    for loop in reading.loops:
        if loop.strip_found:
            feeds.setdefault(loop.strip_found, []).append(loop.output)
    gone = {event.output: event for event in vanished}
    turned = _all_turned(reading)
    faults = _patch_faults(found, reading, gone, turned)
    judged: list[LoopFacts] = []
    problems = [
        Problem(f"inputs {' and '.join(str(i + 1) for i in fault.inputs)}", _spoken(fault.what), fault.hint)
        for fault in {id(one): one for several in faults.values() for one in several if _of_returns(one)}.values()
    ]
    for loop, wired in zip(reading.loops, found.loops, strict=True):
        wrong: list[Problem] = []
        if loop.output in gone:
            hint = "Look at its cable and plugs, then calibrate again; what was measured before is kept."
            wrong.append(Problem(wired.where, gone[loop.output].what, hint))
        else:
            wrong += _path(loop, wired.where, faults.get(loop.output, []), feeds, panned=wired.strip is not None)
        wrong += _figures(loop, wired.where, gain, latency, tolerance, panned=wired.strip is not None, sound=not wrong)
        problems += [problem for problem in wrong if problem.where == wired.where]
        why = "; ".join(problem.what for problem in wrong)
        strip = None if loop.output in turned else loop.strip_found  # exchanged returns tell the pans the wrong way
        judged.append(msgspec.structs.replace(loop, ok=not wrong, why=why, strip_found=strip))
    if alive and abs(gain) > WHOLE_LOOP_DB:
        problems.append(
            Problem(
                "all loops",
                f"the whole loop has a gain of {gain:+.1f} dB",
                "Check the interface's output and input reference levels against the rig's dbu_at_0dbfs.",
            )
        )
    return judged, problems


def _patch_faults(
    found: Wiring, reading: Reading, gone: Collection[int], turned: set[int]
) -> dict[int, list[PatchFault]]:
    """Return the patch's faults by the outputs they are told at; of a strip only some kinds, of a lost loop none."""
    expected = {loop.output - 1: [loop.expected - 1] for loop in found.loops}
    panned = {loop.output for loop in found.panned}
    told_by_pans = {loop.output for loop in reading.loops if loop.strip_found} - turned
    by_output: dict[int, list[PatchFault]] = {}
    for fault in read_patch(reading.matrix, reading.again, expected).faults:
        if fault.kind == "inverted":
            continue  # told by the loop's own figures
        outputs = [number + 1 for number in fault.outputs]
        for output in outputs if not set(outputs) & set(gone) else []:
            if output not in told_by_pans and (
                output not in panned or fault.kind in STRIP_FAULTS or _of_returns(fault)
            ):
                by_output.setdefault(output, []).append(fault)
    return by_output


def _all_turned(reading: Reading) -> set[int]:
    """Return the outputs that come back on another input than expected, where all do: the returns are exchanged."""
    turned = {loop.output for loop in reading.loops if loop.input is not None and loop.input != loop.expected_input}
    return turned if len(turned) > 2 and len(turned) == sum(loop.present for loop in reading.loops) else set()


def _of_returns(fault: PatchFault) -> bool:
    """Whether a fault lies with two inputs, and so with every output that comes back there: it is told once."""
    return fault.kind == "swapped" and len(fault.outputs) > 2


def _spoken(what: str) -> str:
    """Write a sentence as a part of one, as problems are written."""
    return f"{what[:1].lower()}{what[1:].rstrip('.')}"


def _path(
    loop: LoopFacts, where: str, faults: Sequence[PatchFault], feeds: Mapping[str, list[int]], *, panned: bool
) -> list[Problem]:
    """Say where the output goes, where that is not what the rig says."""
    if faults:
        return [
            Problem("the returns" if _of_returns(fault) else where, _spoken(fault.what), fault.hint) for fault in faults
        ]
    if not loop.present:
        hint = "Check the cable, the channel's mute and insert, and the strip itself."
        if not panned:
            hint = "Check the cables there and back, and that the device is on."
        return [Problem(where, f"nothing of output {loop.output} comes back: {loop.address} is dead", hint)]
    if loop.strip_found is not None and loop.strip_found != loop.address:
        return [Problem(where, _strip_said(loop, feeds), _strip_hint(loop))]
    if loop.input != loop.expected_input:
        hint = "Check the pan of the strip and the cables of the mix return."
        if not panned:
            hint = "Check the cable of the return, or change the rig's [[return]]."
        return [Problem(where, f"it comes back on input {loop.input}, not on {loop.expected_input}", hint)]
    return []


def _strip_said(loop: LoopFacts, feeds: Mapping[str, list[int]]) -> str:
    """Say which strip an output feeds instead of its own: another, two, or one that another output feeds as well."""
    strip = loop.strip_found or ""
    others = [output for output in feeds.get(strip, []) if output != loop.output]
    if " and " in strip:
        pair = sorted([loop.output, *others[:1]])
        joined = f"outputs {pair[0]} and {pair[1]} are joined: both feed {strip}" if others else ""
        return joined or f"output {loop.output} feeds {strip}: its line is split"
    if others and strip:
        return f"output {loop.output} feeds {strip}, as output {others[0]} does, and not {loop.address}"
    other = feeds.get(loop.address)
    swap = f" and output {other[0]} feeds {loop.address}: the cables are swapped" if other else ""
    return f"output {loop.output} feeds {strip}, not {loop.address}{swap}"


def _strip_hint(loop: LoopFacts) -> str:
    if " and " in (loop.strip_found or ""):
        return "Look for a mult, a Y-cable, a half-normalled patch point that still feeds on, or two lines that touch."
    return f"Repatch output {loop.output} to {loop.address}, or change the rig's [[wire]]."


def _figures(
    loop: LoopFacts,
    where: str,
    gain_db: float,
    latency: float,
    tolerance: RigTolerance,
    *,
    panned: bool,
    sound: bool,
) -> list[Problem]:
    """Say what a loop's own figures show: polarity, and of one that is wired right gain and arrival re the others."""
    wrong: list[Problem] = []
    if not loop.present:
        return wrong
    if loop.polarity < 0:
        wrong.append(
            Problem(
                where,
                f"{loop.address} comes back with inverted polarity",
                "Look for a polarity switch that is in, or a cable with pins 2 and 3 exchanged.",
            )
        )
    if sound and abs(loop.gain_db - gain_db) > tolerance.gain_db:
        sign = "below" if loop.gain_db < gain_db else "above"
        wrong.append(
            Problem(
                where,
                f"{loop.address} is {abs(loop.gain_db - gain_db):.2f} dB {sign} the other loops"
                + (", faders at 0 dB" if panned else ""),
                "Its fader or channel gain is off: check the trim pot, then the fader's own calibration."
                if panned
                else "Check the reference level and the trims of that output and input.",
            )
        )
    if sound and abs(loop.latency_samples - latency) > max(tolerance.latency_samples, EARLY_OR_LATE_SAMPLES):
        wrong.append(
            Problem(
                where,
                f"it arrives {loop.latency_samples - latency:+.2f} samples from the other loops",
                "Look for a converter or an insert with a latency of its own in this channel.",
            )
        )
    return wrong
