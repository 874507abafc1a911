"""Reading, exporting and clearing what was predicted."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from mlengine.core.pagination import Page
from mlengine.core.predictions.prediction import AuditRow
from mlengine.errors import PredictionNotFound
from mlengine.services.audit.archive import ArchiveService
from mlengine.stores.audit.export import AuditExporter
from mlengine.stores.audit.filter import EVERYTHING, AuditFilter
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.database.archive.files import ArchiveFile, archive_of


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

    def archive_days(self, *, before: date, actor: str, now: datetime) -> Iterator[ArchiveFile]:
        """Move days to files, one by one; see ArchiveService, which raises."""
        archive = archive_of(self.store.engine)
        if archive is not None:
            service = ArchiveService(self.store, archive)
            yield from service.archive_days(before=before, actor=actor, now=now)

    def clear(self, *, actor: str, now: datetime) -> int:
        """Delete every prediction and vector, never runs or events; says who did it."""
        return self.store.clear(actor=actor, at=now)
