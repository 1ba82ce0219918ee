"""What the recall screen says of a snapshot, of what is left out, and of what is dangerous; and how it asks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType

from controller.events import Accept, Finding, Question
from controller.planned import PlannedRecall
from controller.recall import Run, RunOrigin
from controller.snapshots import Snapshot
from controller.tui.dialogs import PlanDialog
from controller.tui.palette import INK, RED
from controller.tui.pane import moment
from controller.tui.recall_aim import RecallAim
from controller.tui.recall_items import SILENT, Item
from controller.tui.rows_view import Row
from controller.tui.snapshot_rows import title_of
from controller.value_text import say
from profiles.profile import Profile


class ConsentDialog(PlanDialog):
    """Asks whether one dangerous control may be sent the next time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Consent", id="consent.give"),
        Binding("n,escape", "answer(False)", "Leave it out", id="consent.refuse"),
    ]
    ANSWERS = (("go", "Consent (y)"), ("stop", "Leave it out (n)"))

    def __init__(self, item: Item, profile: Profile) -> None:
        remark = item.control.remark or "no more than that it is dangerous."
        lines = (
            f"{item.address} → {say(item.wanted, item.control.unit)} ({item.control.label})",
            "",
            f"Its profile, {profile.id}, says: {remark}",
            "",
            "Consent is for this control, this value and the next sending only. Nothing is sent yet: w shows the plan.",
        )
        super().__init__(Question("Dangerous: may it be sent?", lines))


def aim_text(aim: RecallAim, planned: PlannedRecall | None, mix: str) -> str:
    """Say that it goes to a snapshot and what is to be known of it, and how to go back; empty for the mix."""
    snapshot = aim.snapshot
    if snapshot is None:
        return ""
    name = f" “{snapshot.name}”" if snapshot.name not in ("", title_of(snapshot)) else ""
    left_out = planned.left_out if planned is not None else ()
    lost = f" · {len(left_out)} left out (below)" if left_out else ""
    lines = [f"to {title_of(snapshot)}{name} of {moment(snapshot.at)}{lost} · m goes back to {mix or 'the mix'}"]
    lines += [f"· {_where(finding, snapshot)}: {finding.what}" for finding in (planned.remarks if planned else ())]
    return "\n".join(lines)


def empty_text(snapshot: Snapshot, *, known: bool) -> str:
    """Say why nothing is listed on the way to a snapshot; ``known``: it has controls of this rig."""
    there = f"Everything stands where {title_of(snapshot)} has it.\nf shows all controls"
    nothing = f"The {title_of(snapshot)} knows no control of this rig"
    return f"{there if known else nothing}, m goes back to the mix."


def stopped_text(run: Run) -> str:
    """Say which devices stopped a run that was left unfinished, and how it goes on."""
    lines = [f"✕ {sentence}" for sentence in run.failed_devices.values()]
    what = f"recall {run.number} of {run.what}, begun {moment(run.started)}"
    when = "once what stopped it is put right" if lines else "which was cut short"
    return "\n".join([*lines, f"→ r resumes {what}, {when}; what has landed is not sent again."])


def left_out_rows(planned: PlannedRecall | None) -> list[Row]:
    """List what is wanted and cannot be, with the reason; none where nothing is left out."""
    found = planned.left_out if planned is not None else ()
    if not found:
        return []
    rows = [Row("left out", (f"left out · {len(found)}",), heading=True)]
    for index, finding in enumerate(found):
        words = f"{finding.what.removeprefix('left out: ')}. {finding.hint}".rstrip()
        rows.append(Row(f"left out {index}", ((SILENT, RED), finding.where, "", (words, INK), "", "", "")))
    return rows


def telling(accept: Accept, planned: PlannedRecall, origin: RunOrigin, consent: Collection[str]) -> Accept:
    """Return an ``accept`` whose question says which snapshot it goes to, what of it is not, and what is dangerous."""

    def ask(question: Question) -> bool:
        title = question.title
        if origin.snapshot is not None:
            stem = origin.snapshot.stem
            title += f" to snapshot {int(stem) if stem.isdecimal() else stem}"
        sent = {step.address for step in planned.plan.steps}
        lines = [f"dangerous, sent with your consent: {address}" for address in sorted(sent & set(consent))]
        lines += [f"{finding.where}: {finding.what}" for finding in (*planned.remarks, *planned.left_out)]
        return accept(replace(question, title=title, lines=(*question.lines, *lines)))

    return ask


def _where(finding: Finding, snapshot: Snapshot) -> str:
    return title_of(snapshot) if finding.where == snapshot.label else finding.where
