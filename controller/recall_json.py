"""What the recall commands print with ``--json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.hands import hand_json
from controller.planned import PlannedRecall, plan_target
from controller.studio import Studio
from controller.value_text import number
from hardware.known import Known
from hardware.recall import RecallOutcome, VerifyOutcome
from profiles.profile import Value


def as_json(
    planned: PlannedRecall, outcome: RecallOutcome | None = None, *, state: Mapping[str, Known] | None = None
) -> dict[str, Any]:
    """Return what ``recall … --json`` prints of a plan, or of a plan and how it went.

    Each control stands once, with where it ends up; ``steps`` is what is sent, in order. ``state`` is what is known of
    the rig now, for what hands have set meanwhile.
    """
    plan = planned.plan
    results = outcome.results if outcome is not None else {}
    controls = []
    for step in (step for step in plan.steps if step.final):
        result = results.get(step.address)
        known = result.known if result is not None else step.from_
        controls.append(
            {
                "address": step.address,
                **number("from", step.from_.value if step.from_ is not None else None),
                **number("to", step.to),
                "known": known.how if known is not None else None,
                "state": result.state if result is not None else "planned",
                "message": result.message if result is not None else "",
                "settled": result.settled if result is not None else False,
            }
        )
    steps = [
        {
            "address": step.address,
            "stage": step.stage,
            **number("to", step.to),
            "raw": step.raw,
            "bytes_hex": [message.hex(" ").upper() for message in step.messages],
        }
        for step in plan.steps
    ]
    return {
        "controls": controls,
        "by_hand": [hand_json(step, (state or {}).get(step.address, step.from_)) for step in plan.by_hand],
        "unchanged": plan.unchanged,
        "seconds_estimated": round(plan.seconds_estimated, 4),
        "bytes": plan.bytes_total,
        "steps": steps,
        "notes": list(plan.notes),
        "withheld": list(plan.withheld),
        **remarks_json(planned),
        "failed_devices": dict(outcome.failed_devices) if outcome is not None else {},
    }


def remarks_json(planned: PlannedRecall) -> dict[str, list[dict[str, str]]]:
    """Return what of the target is no part of the recall, and what else there is to know of it."""
    told = {"left_out": planned.left_out, "remarks": planned.remarks}
    return {
        key: [{"where": finding.where, "what": finding.what, "hint": finding.hint} for finding in findings]
        for key, findings in told.items()
    }


def verify_json(studio: Studio, target: Mapping[str, Value], outcome: VerifyOutcome) -> dict[str, Any]:
    """Return what ``recall verify --json`` prints: of every control where it is wanted, where it stands, how known.

    ``by_hand``, ``seconds_estimated`` and ``bytes`` are those of the recall that would put right what differs.
    """
    differing = {mismatch.address for mismatch in outcome.mismatches}
    controls = []
    for address, wanted in target.items():
        known = studio.state.get(address)
        read = address in outcome.values
        state = ("elsewhere" if address in differing else "confirmed") if read else "not-read"
        if address in outcome.unreadable:
            state = "unreadable"
        controls.append(
            {
                "address": address,
                **number("from", known.value if known is not None else None),
                **number("to", studio.control(address).achieved(wanted)),
                "known": known.how if known is not None else None,
                "state": state,
            }
        )
    left = as_json(plan_target(studio, target))
    return {
        **{key: left[key] for key in ("by_hand", "seconds_estimated", "bytes")},
        "controls": controls,
        "mismatches": sum(control["state"] == "elsewhere" for control in controls),
        "failed_devices": dict(outcome.failed_devices),
    }
