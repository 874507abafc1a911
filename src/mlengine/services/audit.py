"""Reading and clearing what was predicted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlengine.core.page import Page
from mlengine.core.prediction import AuditRow
from mlengine.stores.audit import AuditStore
from mlengine.stores.events import EventStore


@dataclass(frozen=True)
class AuditService:
    store: AuditStore
    events: EventStore

    def recent(
        self,
        *,
        limit: int,
        symbol: str | None = None,
        version: str | None = None,
        cursor: str | None = None,
    ) -> Page[AuditRow]:
        """Predictions, newest first; raises InvalidRequest for a cursor that is not ours."""
        return self.store.recent(limit=limit, symbol=symbol, version=version, cursor=cursor)

    def clear(self, *, actor: str, now: datetime) -> int:
        """Delete every prediction and vector, never runs or events; says who did it."""
        count = self.store.clear()
        self.events.append(
            "audit_cleared", at=now, version=None, actor=actor, details={"predictions": count}
        )
        return count
