"""Which version served when: the event behind each generation of `ACTIVE`."""

from __future__ import annotations

from mlengine.stores.active import Active, ActiveFile
from mlengine.stores.events import EventStore


def record_activation(
    events: EventStore, active: Active, *, kind: str = "activated", before: str | None
) -> None:
    """Write the event of an activation; each generation has one at most."""
    events.append(
        kind,
        at=active.activated_at,
        version=active.version,
        actor=active.actor,
        details={"reason": active.reason, "previous_version": before},
        generation=active.generation,
    )


def reconcile(file: ActiveFile, events: EventStore) -> bool:
    """Write the event of an activation whose process died before it could."""
    active = file.read()
    if active is None or active.generation in events.generations():
        return False
    record_activation(events, active, before=active.previous_version)
    return True
