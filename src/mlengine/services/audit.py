"""Reading and clearing what was predicted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlengine.core.page import Page
from mlengine.core.prediction import AuditRow
from mlengine.stores.audit import AuditStore


@dataclass(frozen=True)
class AuditService:
    store: AuditStore

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
        return self.store.clear(actor=actor, at=now)
