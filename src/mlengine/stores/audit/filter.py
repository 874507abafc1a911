"""Which rows of the audit are meant."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select

from mlengine.stores.database.tables import predictions


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """Every condition that is given must hold; `since` is included, `until` is not."""

    symbol: str | None = None
    version: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ok: bool | None = None

    def apply(self, query: Select[Any]) -> Select[Any]:
        """`query`, which reads the predictions, for these rows only."""
        row = predictions.c
        if self.symbol is not None:
            query = query.where(row.symbol == self.symbol)
        if self.version is not None:
            query = query.where(row.model_version == self.version)
        if self.since is not None:
            query = query.where(row.at >= self.since)
        if self.until is not None:
            query = query.where(row.at < self.until)
        if self.ok is not None:
            query = query.where(row.ok.is_(self.ok))
        return query


EVERYTHING = AuditFilter()
