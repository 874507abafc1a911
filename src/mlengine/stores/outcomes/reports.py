"""Figures of live performance, computed once for all who ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import ColumnElement, Engine, delete, insert, select

from mlengine.core.line_names import MODEL_LINE, version_key
from mlengine.core.outcomes.report import PerformanceReport
from mlengine.core.serialization import from_plain, to_plain
from mlengine.errors import DamagedRow
from mlengine.stores.database.engine import parse_column, reading, writing
from mlengine.stores.database.tables import performance_reports

_ROW = performance_reports.c


@dataclass(frozen=True)
class StoredReport:
    """`revision` counts the decisions that were known, `seconds` is what it took to compute."""

    revision: int
    computed_at: datetime
    seconds: float
    document: str

    def report(self) -> PerformanceReport:
        """Raises DamagedRow."""
        try:
            return from_plain(PerformanceReport, parse_column(self.document))
        except ValueError:
            raise DamagedRow from None

    def is_worth_renewing(self, revision: int, now: datetime, *, share: float) -> bool:
        """Whether there are newer outcomes, and computing takes at most that `share` of time."""
        pause = timedelta(seconds=self.seconds / share)
        return revision != self.revision and now - self.computed_at >= pause


@dataclass(frozen=True)
class ReportStore:
    """The table `performance_reports` for a line; every method raises DatabaseUnavailable."""

    engine: Engine
    line: str = MODEL_LINE

    def read(self, version: str, window: int) -> StoredReport | None:
        """None where none was computed."""
        columns = (_ROW.revision, _ROW.computed_at, _ROW.seconds, _ROW.document)
        mine = self._is_mine(version, window)
        query = select(*columns).where(mine)
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else StoredReport(*row)

    def write(
        self,
        version: str,
        window: int,
        report: PerformanceReport,
        *,
        revision: int,
        seconds: float,
    ) -> None:
        """In place of the one before."""
        key = {"model_version": version_key(self.line, version), "window_dates": window}
        values = {
            "revision": revision,
            "computed_at": report.computed_at,
            "seconds": seconds,
            "document": orjson.dumps(to_plain(report)).decode(),
        }
        with writing(self.engine) as connection:
            mine = self._is_mine(version, window)
            connection.execute(delete(performance_reports).where(mine))
            connection.execute(insert(performance_reports).values({**key, **values}))

    def _is_mine(self, version: str, window: int) -> ColumnElement[bool]:
        key = version_key(self.line, version)
        return (_ROW.model_version == key) & (_ROW.window_dates == window)
