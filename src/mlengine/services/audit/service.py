"""Reading, exporting and clearing what was predicted."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlengine.core.pagination import Page
from mlengine.core.predictions.prediction import AuditRow
from mlengine.errors import PredictionNotFound
from mlengine.stores.audit.export import AuditExporter
from mlengine.stores.audit.filter import EVERYTHING, AuditFilter
from mlengine.stores.audit.spool.store import SpooledAuditStore


@dataclass(frozen=True)
class AuditService:
    store: SpooledAuditStore

    def recent(
        self, audit_filter: AuditFilter = EVERYTHING, *, limit: int, cursor: str | None = None
    ) -> Page[AuditRow]:
        """Predictions, newest first; raises InvalidRequest for a cursor that is not ours."""
        return self.store.recent(audit_filter, limit=limit, cursor=cursor)

    @property
    def spooled(self) -> bool:
        """Whether predictions wait beside the tables, so that no reading shows them."""
        return not self.store.spool.is_empty

    def get(self, prediction_id: str) -> AuditRow:
        """One prediction; raises PredictionNotFound."""
        row = self.store.get(prediction_id)
        if row is None:
            raise PredictionNotFound(prediction_id, spooled=self.spooled)
        return row

    def export(self, path: Path, audit_filter: AuditFilter) -> int:
        """Write the selected predictions to a Parquet file, oldest first; returns how many.

        Raises DatabaseUnavailable, and CannotWrite when the file can't be written.
        """
        self.store.drain()
        return AuditExporter(self.store.engine).write(path, audit_filter)

    def clear(self, *, actor: str, now: datetime) -> int:
        """Delete every prediction and vector, never runs or events; says who did it."""
        return self.store.clear(actor=actor, at=now)
