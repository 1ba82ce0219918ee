"""Where a print comes from: hashes of the mix, stems, calibration and snapshot that made it, and the version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from controller import effect_files, files
from controller.loops import StoredCalibration
from controller.mix import Mix
from controller.project import Project
from controller.snapshots import known_now
from controller.snapshots import store as store_known
from controller.studio import Studio
from controller.version import VERSION
from hardware.known import utc_now


def store_snapshot(project: Project, studio: Studio) -> Path:
    """Put what is known of every control of the rig on file as the project's next snapshot; return its file."""
    stored = store_known(known_now(studio, name="of a print"), project.snapshots)
    assert stored.path is not None  # noqa: S101 - it is on file
    return stored.path


def rig_facts(studio: Studio, stored: StoredCalibration, snapshot: Path) -> dict[str, Any]:
    """Return the hardware side of a print's provenance."""
    return {
        "rig": studio.rig.name,
        "calibration": {
            "file": files.relative(stored.path),
            "hash": stored.content_hash,
            "made_at": stored.calibration.made_at,
        },
        "snapshot": {"file": snapshot.name, "hash": files.content_hash(snapshot)},
    }


def project_facts(project: Project, mix: Mix, file: Path) -> dict[str, Any]:
    """Return what every print's provenance says: the mix, the stems, the audio's own hash, version, date."""
    return {
        "program": f"halfnormal {VERSION}",
        "made_at": utc_now(),
        "hash": files.content_hash(file),
        "mix": {
            "name": mix.name,
            "file": mix.path.name if mix.path else None,
            "hash": files.content_hash(mix.path) if mix.path else None,
        },
        "stems": [
            {"strip": strip.name, "file": strip.stem, "hash": files.content_hash(project.stem(strip.stem).path)}
            for strip in mix.strips
        ],
        **effect_files.facts(mix, project.root),
    }


def store(file: Path, facts: dict[str, Any]) -> Path:
    """Write ``facts`` beside the print, under its name with ``.json``."""
    beside = file.with_suffix(".json")
    files.write_new(beside, msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n")
    return beside


def load(file: Path) -> dict[str, Any] | None:
    """Return the provenance beside a print, or None where there is none that can be read."""
    beside = file.with_suffix(".json")
    try:
        facts = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None
