"""Recall: bring a rig from what is known of it to a target. The plan, the run, and reading back."""

from __future__ import annotations

from hardware.device_line import value_text
from hardware.recall_estimate import estimate_seconds
from hardware.recall_plan import HAND_TRAVEL, in_walking_order, plan_recall, same_value
from hardware.recall_read import Mismatch, ReadOutcome, VerifyOutcome, take_readback, verify_recall
from hardware.recall_run import FINE, RecallOutcome, StepDone, StepResult, run_recall
from hardware.recall_steps import STAGES, HandStep, RecallLimits, RecallPlan, Stage, Step

__all__ = [
    "FINE",
    "HAND_TRAVEL",
    "STAGES",
    "HandStep",
    "Mismatch",
    "ReadOutcome",
    "RecallLimits",
    "RecallOutcome",
    "RecallPlan",
    "Stage",
    "Step",
    "StepDone",
    "StepResult",
    "VerifyOutcome",
    "estimate_seconds",
    "in_walking_order",
    "plan_recall",
    "run_recall",
    "same_value",
    "take_readback",
    "value_text",
    "verify_recall",
]
