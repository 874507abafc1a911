"""Which version served when: the event behind each generation of `ACTIVE`."""

from __future__ import annotations

import logging

from mlengine.errors import AuditUnavailable
from mlengine.stores.active import Active, ActiveFile
from mlengine.stores.events import EventStore

log = logging.getLogger(__name__)


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
    active = file.known()
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
