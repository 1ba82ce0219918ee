"""The controls of a recall as the screen lists them: where each is, where it shall be, how far it has come."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.style import Style

from controller.hand_scale import arrow, hand_value, is_switch, place_words, tolerance_text
from controller.planned import PlannedRecall
from controller.studio import Studio
from controller.tui.hand_view import drawn
from controller.tui.palette import ACCENT, BLUE, BRIGHT, FAINT, GREEN, INK, RED, YELLOW
from controller.tui.pane import moment
from controller.tui.rows_view import Cell, Column, Row
from hardware.known import Known
from hardware.recall import HandStep, in_walking_order, same_value
from hardware.rig import split_address
from profiles.profile import Control, Value

THERE, SENT, ELSEWHERE, SILENT = "●", "◐", "○", "✕"
LAMPS: Mapping[str, Style] = {THERE: GREEN, SENT: YELLOW, ELSEWHERE: ACCENT, SILENT: RED}
BY_US, BY_HAND = "sent by us", "by hand"
GROUPS = (BY_US, BY_HAND)

LIVE: Mapping[str, tuple[str, str]] = {
    "planned": (ELSEWHERE, "planned"),
    "sent": (SENT, "sent"),
    "acknowledged": (THERE, "acknowledged"),
    "read-back": (THERE, "read back"),
    "settled": (THERE, "settled"),
    "refused": (SILENT, "refused"),
    "mismatch": (SILENT, "stands elsewhere"),
    "unknown": (SILENT, "unknown"),
    "not-sent": (SILENT, "not sent"),
}
"""Lamp and words of each state that a control can be in on its way."""
WIDEST = max(len(words) for _, words in list(LIVE.values())[:5])
COLUMNS = (Column(), Column(), Column("right"), Column(), Column(), Column(), Column(grows=True, least=WIDEST))
"""Lamp, address, now, target, way, drawn position, state; the state of what is sent, undrawn, takes that room too."""
_WRONG_STATES = ("refused", "mismatch", "unknown", "not-sent")
Wrong = tuple[str, str]
"""The lamp of a control that something went wrong with, and in words what."""


@dataclass(frozen=True)
class Item:
    """One control of the recall. ``wrong`` says in words what went wrong with it last.

    ``withheld``: it is dangerous, and left out of the plan until somebody consents.
    """

    address: str
    control: Control
    known: Known | None
    wanted: Value
    stage: str
    lamp: str
    group: str
    wrong: str = ""
    withheld: bool = False

    @property
    def left(self) -> bool:
        """Whether something remains to be done about it."""
        return self.lamp in {ELSEWHERE, SILENT}

    @property
    def by_hand(self) -> bool:
        """Whether a hand sets it."""
        return self.group == BY_HAND

    @property
    def step(self) -> HandStep:
        """It as a step for a hand."""
        return HandStep(self.address, self.known, self.wanted, self.control)


def gather(
    studio: Studio, planned: PlannedRecall, wrong: Mapping[str, Wrong], *, consent: Collection[str] = ()
) -> tuple[Item, ...]:
    """List every control of a recall, strip by strip: what is sent, then what hands set, in the order of the plan.

    ``consent`` names the dangerous ones that the plan contains all the same.
    """
    stages = {step.address: step.stage for step in planned.plan.steps if step.final}
    withheld = set(planned.plan.withheld)
    items: dict[str, Item] = {}
    for address in _in_rig_order(studio, planned.target):
        control, known = studio.control(address), studio.state.get(address)
        hands = control.by_hand or studio.rig.devices[split_address(address)[0]].transport == "hand"
        goal = control.achieved(planned.target[address])
        lamp, words = wrong.get(address, (ELSEWHERE, ""))
        if address in withheld:
            words = "left out: c consents"
        elif address in consent:
            words = "goes with your consent"
        items[address] = Item(
            address=address,
            control=control,
            known=known,
            wanted=goal,
            stage="dangerous" if address in withheld else stages.get(address, ""),
            lamp=_lamp(control, known, goal, lamp),
            group=BY_HAND if hands else BY_US,
            wrong=words,
            withheld=address in withheld,
        )
    walking = [items[step.address] for step in in_walking_order(item.step for item in items.values())]
    return tuple(item for group in GROUPS for item in walking if item.group == group)


def _in_rig_order(studio: Studio, target: Iterable[str]) -> list[str]:
    """Put addresses in the rig's and the profiles' own order, as a plan does."""
    wanted = set(target)
    return [
        address
        for device, profile in studio.profiles.items()
        for name in profile.controls
        if (address := f"{device}/{name}") in wanted
    ]


def _lamp(control: Control, known: Known | None, wanted: Value, otherwise: str) -> str:
    there = known is not None and known.how != "assumed" and same_value(control, known.value, wanted)
    if not there:
        return otherwise
    return SENT if known is not None and known.how == "sent" else THERE


def item_row(item: Item, *, live: str = "", draw: bool = True) -> Row:
    """Write one control as a row; ``live`` is the state it is in while the recall runs."""
    lamp, state = LIVE[live] if live else (item.lamp, _state(item))
    told: Cell = (state, RED if lamp == SILENT else INK if live else FAINT)
    done = not item.left and not live
    return Row(
        item.address,
        (
            (lamp, LAMPS[lamp]),
            (item.address, FAINT if done else INK),
            (_now(item), FAINT if done else INK),
            (f"→ {hand_value(item.control, item.wanted)}", FAINT if done else BRIGHT),
            (_way(item), BLUE),
            *((drawn(item.step) if draw else "", told) if item.by_hand else (told, "")),
        ),
    )


def _now(item: Item) -> str:
    if item.known is None:
        return "?"
    text = hand_value(item.control, item.known.value)
    return f"{text}?" if item.known.how == "assumed" else text


def _way(item: Item) -> str:
    """Say which way a hand goes, to where on the scale, and how exactly; of what is sent, its stage."""
    if not item.by_hand:
        return item.stage
    if is_switch(item.control):
        return "press" if item.left else ""
    place = place_words(item.control, item.wanted).removeprefix("to ")
    return f"{arrow(item.step) or ' '} {place} {tolerance_text(item.control, item.wanted)}".rstrip()


def _state(item: Item) -> str:
    if item.wrong and item.left:
        return item.wrong
    return "unknown" if item.known is None else f"{item.known.how} {moment(item.known.at)}"


def what_went_wrong(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Wrong]:
    """Say in words, by address, what went wrong with each control of a run that was left unfinished."""
    return {
        address: (ELSEWHERE if state == "not-sent" else SILENT, _wrong_words(state, str(result.get("message", ""))))
        for address, result in results.items()
        if (state := str(result.get("state", ""))) in _WRONG_STATES
    }


def _wrong_words(state: str, message: str) -> str:
    if state == "mismatch" and message:
        return message
    return f"{LIVE[state][1]}: {message}" if message and state != "not-sent" else LIVE[state][1]
