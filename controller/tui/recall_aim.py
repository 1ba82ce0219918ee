"""What the recall screen brings the rig to, the mix or a snapshot, and what is consented to for one sending."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from controller.allocation import Allocation
from controller.errors import StorageError
from controller.planned import PlannedRecall
from controller.recall import Run, RunOrigin, plan_mix, plan_snapshot
from controller.snapshots import Snapshot, SnapshotError, load
from controller.studio import Studio
from profiles.profile import Value


@dataclass
class RecallAim:
    """What a recall aims at: ``snapshot``, or the mix where that is None.

    ``consent`` holds the dangerous controls that may be sent next time, each with the value that was consented to.
    """

    snapshot: Snapshot | None = None
    consent: dict[str, Value] = field(default_factory=dict)

    def take(self, snapshot: Snapshot | None) -> None:
        """Aim at a snapshot, or at the mix; consent to what was aimed at before ends."""
        self.snapshot = snapshot
        self.consent.clear()

    def allowed(self, target: Mapping[str, Value]) -> frozenset[str]:
        """Return the dangerous controls of ``target`` that may be sent: to the value consented to, and no other."""
        return frozenset(a for a, value in self.consent.items() if a in target and target[a] == value)

    def origin(self, of_mix: RunOrigin) -> RunOrigin:
        """Return what a run is of: the snapshot; or ``of_mix``, where it goes to the mix."""
        return of_mix if self.snapshot is None else RunOrigin(of_mix.project, snapshot=self.snapshot.path)

    def planned(self, studio: Studio, allocation: Allocation | None) -> PlannedRecall | None:
        """Plan the way there; None where it is the mix's, and nobody can tell where that runs.

        Raises
        ------
        HardwareError, ProfileError
            As :func:`controller.recall.plan_target`.
        """

        def plan(consent: Collection[str]) -> PlannedRecall | None:
            if self.snapshot is not None:
                return plan_snapshot(studio, self.snapshot, consent=consent)
            return plan_mix(studio, allocation, consent=consent) if allocation is not None else None

        bare = plan(())
        allowed = self.allowed(bare.target) if bare is not None else frozenset()
        return plan(allowed) if allowed else bare


def snapshot_of(run: Run, origin: RunOrigin) -> Snapshot | None:
    """Read the snapshot that a run is to; None where it is to a mix, or where it cannot be read any more."""
    if not run.snapshot or origin.snapshot is None:
        return None
    try:
        return load(origin.snapshot)
    except (SnapshotError, StorageError):
        return None
