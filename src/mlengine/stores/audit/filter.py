"""Which rows of the audit are meant."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select

from mlengine.core.line_names import MODEL_LINE, key_prefix, version_key
from mlengine.stores.database.archive.selection import Selection
from mlengine.stores.database.tables import predictions, to_microseconds
from mlengine.stores.database.version_keys import is_of_line


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """Every condition that is given must hold; `since` is included, `until` is not.

    `version` is of the line `model`, which is `main` unless it is given.
    """

    model: str | None = None
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
            key = version_key(self.model or MODEL_LINE, self.version)
            query = query.where(row.model_version == key)
        elif self.model is not None:
            query = query.where(of_line(self.model))
        if self.since is not None:
            query = query.where(row.at >= self.since)
        if self.until is not None:
            query = query.where(row.at < self.until)
        if self.ok is not None:
            query = query.where(row.ok.is_(self.ok))
        return query

    def selection(self, **conditions: Any) -> Selection:
        """The archived predictions that it means; `conditions` are further ones of a Selection."""
        among: dict[str, list[object]] = {}
        if self.symbol is not None:
            among["symbol"] = [self.symbol]
        if self.version is not None:
            among["model_version"] = [version_key(self.model or MODEL_LINE, self.version)]
        if self.ok is not None:
            among["ok"] = [self.ok]
        last = None if self.until is None else (to_microseconds(self.until) or 0) - 1
        prefix = None if self.model is None or self.version else key_prefix(self.model)
        among |= conditions.pop("among", {})
        spans = {"at": (to_microseconds(self.since), last), **conditions.pop("spans", {})}
        return Selection(among=among, spans=spans, prefix=prefix, **conditions)


def of_line(line: str) -> ColumnElement[bool]:
    """The predictions of a model line, those that came to no version among them."""
    key = predictions.c.model_version
    ours = is_of_line(key, line)
    return ours | key.is_(None) if line == MODEL_LINE else ours


EVERYTHING = AuditFilter()
