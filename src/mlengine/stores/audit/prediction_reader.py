"""The predictions in the audit, read row by row; needs neither Polars nor NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Engine, Row, Select, select

from mlengine.core.line_names import split_version_key
from mlengine.core.pagination import Page
from mlengine.core.predictions.prediction import AuditRow, FeatureSetRef, Latency
from mlengine.core.trace_context import is_trace_id
from mlengine.errors import DamagedRow
from mlengine.stores.audit.filter import EVERYTHING, AuditFilter
from mlengine.stores.database.archive.reading import archived_rows
from mlengine.stores.database.archive.selection import Selection
from mlengine.stores.database.engine import reading
from mlengine.stores.database.pages import read_page, require_declared_types
from mlengine.stores.database.tables import feature_vectors, predictions

_COMPOSITE = (
    *("latency_ms", "feature_set", "usable", "reasons", "trace_id"),
    *("model", "model_version"),
)
_PLAIN = tuple(field.name for field in fields(AuditRow) if field.name not in _COMPOSITE)


@dataclass(frozen=True)
class PredictionReader:
    """Every method raises DatabaseUnavailable."""

    engine: Engine

    def recent(
        self, audit_filter: AuditFilter = EVERYTHING, *, limit: int, cursor: str | None = None
    ) -> Page[AuditRow]:
        """At most `limit` rows, newest first; raises InvalidRequest on a bad cursor."""

        def archived(
            query: Select[Any], lowest: int | None, highest: int | None
        ) -> Sequence[Row[Any]]:
            spans = {"seq": (lowest, highest)}
            meant = audit_filter.selection(spans=spans, newest=limit + 1)
            return archived_rows(self.engine, query, meant)

        return read_page(
            self.engine,
            audit_filter.apply(row_query()),
            audit_row,
            seq=predictions.c.seq,
            limit=limit,
            cursor=cursor,
            elsewhere=archived,
        )

    def get(self, prediction_id: str) -> AuditRow | None:
        """The row of one prediction, None where there is none."""
        query = row_query().where(predictions.c.prediction_id == prediction_id)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        meant = Selection(among={"prediction_id": [prediction_id]})
        rows = rows or archived_rows(self.engine, query, meant)
        return audit_row(rows[0]) if rows else None


def row_query() -> Select[tuple[object, ...]]:
    """Predictions, each with what its vector says of the bars and the feature set."""
    vector = feature_vectors.c
    bars = (vector.interval, vector.bar_timestamp, vector.bars_hash)
    feature_set = (vector.feature_set_name, vector.feature_set_version, vector.feature_set_hash)
    query = select(predictions, *bars, *feature_set, vector.window_bars)
    return query.outerjoin(feature_vectors, predictions.c.vector_id == vector.id)


def audit_row(row: Row[tuple[object, ...]]) -> AuditRow:
    """A row of `row_query`; raises DamagedRow."""
    latency_ms = Latency(row.bars_ms, row.features_ms, row.model_ms, row.total_ms)
    if not isinstance(row.reasons, str | None) or not isinstance(row.model_version, str | None):
        raise DamagedRow
    model, version = split_version_key(row.model_version or "")
    return require_declared_types(
        AuditRow(
            **{name: getattr(row, name) for name in _PLAIN},
            latency_ms=require_declared_types(latency_ms),
            feature_set=_feature_set(row) if row.ok else None,
            usable=_usable(row.usable, row.reasons),
            reasons=None if row.reasons is None else tuple(row.reasons.split()),
            trace_id=_trace_id(row.trace_id, row.request_id),
            model=model,
            model_version=version or None,
        )
    )


def _feature_set(row: Row[tuple[object, ...]]) -> FeatureSetRef:
    return require_declared_types(
        FeatureSetRef(
            row.feature_set_name, row.feature_set_version, row.feature_set_hash, row.window_bars
        )
    )


def _trace_id(stored: str | None, request_id: object) -> str | None:
    """Stored only where it is not the id of the request; in older rows there may be none."""
    if stored is not None:
        return stored
    return request_id if isinstance(request_id, str) and is_trace_id(request_id) else None


def _usable(answered: bool | None, reasons: str | None) -> bool | None:
    """As it was answered; in rows from before there was such a column, what the reasons say."""
    return not reasons if answered is None and reasons is not None else answered
