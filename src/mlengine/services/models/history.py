"""Which version was trained and which served when: the events behind both."""

from __future__ import annotations

import logging
from datetime import datetime

from mlengine.core.timestamps import rfc3339
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import ArtifactCorrupt, AuditUnavailable, ModelNotFound
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.active import Active, ActiveFile
from mlengine.stores.registry.registry import Registry

log = logging.getLogger(__name__)


def record_training(events: EventStore, manifest: Manifest, *, actor: str, now: datetime) -> None:
    """Write that a version was published, and what the gate made of it."""
    events.append(
        "trained", at=now, version=manifest.version, actor=actor, details=_details(manifest)
    )


def record_untold(registry: Registry, events: EventStore) -> None:
    """Write the event of each version whose training was killed before it could.

    Else neither its look at the holdout nor its test would count. Raises AuditUnavailable.
    """
    told = {details["run_id"] for details in events.trainings()}
    for version in registry.versions():
        try:
            manifest = registry.manifest(version)
        except (ArtifactCorrupt, ModelNotFound):
            continue
        if manifest.run_id not in told:
            record_training(events, manifest, actor=manifest.actor, now=manifest.created_at)


def record_activation(events: EventStore, active: Active, *, before: str | None) -> None:
    """Write the event of an activation; each generation has one at most.

    What `ACTIVE` says holds already, so an event that can't be written now fails nobody: the
    next start, or the next activation, writes it.
    """
    try:
        _write(events, active, before)
    except AuditUnavailable as error:
        log.warning(
            "activation not recorded yet",
            extra={"generation": active.generation, "reason": str(error)},
        )


def reconcile(file: ActiveFile, events: EventStore) -> bool:
    """Write the event of an activation whose process could not; raises AuditUnavailable."""
    active = file.read_or_none()
    if active is None or active.generation in events.generations():
        return False
    _write(events, active, active.previous_version)
    return True


def _write(events: EventStore, active: Active, before: str | None) -> None:
    events.append(
        active.kind,
        at=active.activated_at,
        version=active.version,
        actor=active.actor,
        details={"reason": active.reason, "previous_version": before},
        generation=active.generation,
    )


def _details(manifest: Manifest) -> dict[str, object]:
    """What the history keeps of a training: by this the gate counts its tests, also of versions
    that are pruned, and the next training how often its holdout was looked at.
    """
    gate, test, holdout = manifest.gate, manifest.gate.test, manifest.split.holdout
    return {
        "run_id": manifest.run_id,
        "holdout": [rfc3339(holdout.start), rfc3339(holdout.end)],
        "promoted": gate.promote,
        "reason": gate.reason,
        "fingerprint": manifest.fingerprint,
        "policy": gate.policy,
        "losses": dict(gate.losses),
        "champion": gate.champion,
        "champion_generation": gate.champion_generation,
        "tested": test is not None,
        "mean_difference": test and test.mean_difference,
        "statistic": test and test.statistic,
        "p_value": test and test.p_value,
        "level": test and test.level,
        "decisions": test and test.decisions,
        "dates": test and test.dates,
    }
