"""Which rows of the audit are meant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select

from mlengine.stores.tables import predictions


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Every condition that is given must hold; `since` is included, `until` is not."""

    symbol: str | None = None
    version: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ok: bool | None = None

    def of(self, query: Select[Any]) -> Select[Any]:
        """`query`, which reads the predictions, for these rows only."""
        return query.where(*self._conditions())

    def _conditions(self) -> list[ColumnElement[bool]]:
        row = predictions.c
        given = (
            (self.symbol, row.symbol == self.symbol),
            (self.version, row.model_version == self.version),
            (self.since, row.at >= self.since),
            (self.until, row.at < self.until),
            (self.ok, row.ok.is_(self.ok)),
        )
        return [condition for value, condition in given if value is not None]
