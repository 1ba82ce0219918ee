"""Ask devices where they stand, and compare that with where they shall stand. Nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hardware.device_line import DeviceLine, refusal_text
from hardware.errors import BadReplyError, RefusedError, ReplyTimeoutError
from hardware.known import Known, utc_now
from hardware.questions import SILENT_QUESTIONS, Question, ask_all, questions_for
from hardware.recall_plan import same_value
from hardware.rig import split_address
from hardware.seams import BytePort, Clock
from hardware.talks import Talk, run_together, wires_of
from hardware.wire.messages import Change, Refusal, query
from profiles.profile import Profile, Value


@dataclass(frozen=True)
class ReadOutcome:
    """What the devices say of themselves: ``values`` by address, one sentence for each device that stopped.

    ``timed_out``: those of the failed devices that did not answer.
    """

    values: dict[str, Known]
    failed_devices: dict[str, str]
    timed_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Mismatch:
    """A control that stands elsewhere than wanted; ``found`` is None when its device did not answer."""

    address: str
    wanted: Value
    found: Value | None


@dataclass(frozen=True)
class VerifyOutcome:
    """How a rig compares with a target: what was read, what differs, what no device can be asked about."""

    values: dict[str, Known]
    mismatches: tuple[Mismatch, ...]
    unreadable: tuple[str, ...]
    failed_devices: dict[str, str]
    timed_out: frozenset[str] = frozenset()

    @property
    def ok(self) -> bool:
        """Whether every readable control stands where it is wanted."""
        return not self.mismatches and not self.failed_devices


def take_readback(
    profiles: Mapping[str, Profile],
    ports: Mapping[str, BytePort],
    clock: Clock,
    *,
    addresses: Iterable[str] | None = None,
    on_value: Callable[[str, Known], None] = lambda address, known: None,
    cancelled: Callable[[], bool] = lambda: False,
    timestamp: Callable[[], str] = utc_now,
) -> ReadOutcome:
    """Ask the devices where their readable controls stand; without ``addresses``, all of them. Nothing moves.

    Devices are asked side by side; one that does not answer stops alone and is named. One that leaves a control out and
    tells the others (another firmware, a control that its model lacks) is asked for all of them, and named after that.
    """
    wanted = set(addresses) if addresses is not None else None
    values: dict[str, Known] = {}
    failures: dict[str, str] = {}
    lines: list[tuple[DeviceLine, Talk]] = []

    wires = wires_of(ports)

    def talk(line: DeviceLine, controls: Sequence[str]) -> Talk:
        untold: dict[str, str] = {}
        silent = told = 0

        def on_answer(control: str, change: Change) -> None:
            nonlocal silent, told
            silent = 0
            told += 1
            address = f"{line.name}/{control}"
            values[address] = Known(change.value, "read-back", timestamp())
            on_value(address, values[address])

        def on_refusal(question: Question | None, refusal: Refusal) -> None:
            if question is None:
                raise RefusedError(f"refused to tell where it stands ({refusal_text(refusal)})")
            untold.update(dict.fromkeys(question.controls, f"refused to tell ({refusal_text(refusal)})"))

        def on_missing(question: Question, error: Exception) -> None:
            nonlocal silent
            silent += 1
            if silent >= SILENT_QUESTIONS or not told:
                raise error
            untold.update(dict.fromkeys(question.controls, str(error)))

        queries = ((control, query(line.profile, control), 0) for control in controls)
        line.culprit = controls[0]
        try:
            yield from line.begin()
            yield from ask_all(
                line,
                questions_for(line.profile, queries),
                on_answer=on_answer,
                on_refusal=on_refusal,
                on_missing=on_missing,
            )
        except (ReplyTimeoutError, BadReplyError) as error:
            raise type(error)(f"{error}, asked for {line.name}/{line.culprit}") from error
        for control, why in untold.items():
            others = f", and {len(untold) - 1} more of {len(controls)}" if len(untold) > 1 else ""
            kind = RefusedError if why.startswith("refused") else ReplyTimeoutError
            raise kind(f"{why}, asked for {line.name}/{control}{others}; what it did tell is known")

    for name, profile in profiles.items():
        controls = [
            control.name
            for control in profile.controls.values()
            if control.readable and not control.by_hand and (wanted is None or f"{name}/{control.name}" in wanted)
        ]
        if not controls:
            continue
        if name not in ports:
            failures[name] = f"{name} has no open port; it was not asked."
            continue
        line = DeviceLine(name, profile, ports[name], clock, timestamp=timestamp, wire=wires[name])
        line.clear_old_input()
        if line.failure is None:
            lines.append((line, talk(line, controls)))
        else:
            failures[name] = f"{name} {line.failure}."
    run_together(lines, clock, cancelled=cancelled)
    for line, _ in lines:
        if line.failure is not None:
            failures[line.name] = f"{line.name} {line.failure.rstrip('.')}."
    return ReadOutcome(values, failures, frozenset(line.name for line, _ in lines if line.timed_out))


def verify_recall(
    profiles: Mapping[str, Profile],
    target: Mapping[str, Value],
    ports: Mapping[str, BytePort],
    clock: Clock,
    *,
    on_value: Callable[[str, Known], None] = lambda address, known: None,
    cancelled: Callable[[], bool] = lambda: False,
    timestamp: Callable[[], str] = utc_now,
) -> VerifyOutcome:
    """Read every readable control of a target again and compare. Nothing moves.

    Raises
    ------
    ValueRangeError
        A wanted value lies outside what its control can be told.
    """
    readable: list[str] = []
    unreadable: list[str] = []
    for address in target:
        device, name = split_address(address)
        control = profiles[device].controls[name]
        (readable if control.readable and not control.by_hand else unreadable).append(address)
    read = take_readback(
        profiles, ports, clock, addresses=readable, on_value=on_value, cancelled=cancelled, timestamp=timestamp
    )
    mismatches: list[Mismatch] = []
    for address in readable:
        device, name = split_address(address)
        control = profiles[device].controls[name]
        wanted = control.achieved(target[address])
        known = read.values.get(address)
        if known is None or not same_value(control, known.value, wanted):
            mismatches.append(Mismatch(address, wanted, known.value if known else None))
    return VerifyOutcome(read.values, tuple(mismatches), tuple(unreadable), read.failed_devices, read.timed_out)
