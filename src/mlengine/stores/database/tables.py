"""The tables, as the newest migration leaves them (a test compares the two).

Moments are whole microseconds since 1970 in UTC: exact, ordered, the same on SQLite and
PostgreSQL. SQLite keeps float64 to the last bit, except that it drops the sign of a zero.
"""

from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

from mlengine.core.timestamps import EPOCH
from mlengine.errors import DamagedRow

REVISION = "0011"
MICROSECOND = timedelta(microseconds=1)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970; a naive one is refused."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        try:
            return None if value is None else EPOCH + timedelta(microseconds=value)
        except (TypeError, OverflowError):
            raise DamagedRow from None


def to_microseconds(moment: datetime | None) -> int | None:
    """The stored form of a moment; TypeError when it is naive."""
    return None if moment is None else (moment - EPOCH) // MICROSECOND


metadata = MetaData()
_Sequence = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers INTEGER keys only

bar_windows = Table(
    "bar_windows",
    metadata,
    Column("bars_hash", Text, primary_key=True),
    Column("symbol", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

feature_vectors = Table(
    "feature_vectors",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("bars_hash", Text, ForeignKey("bar_windows.bars_hash"), nullable=False),
    Column("feature_set_hash", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("bar_timestamp", UtcDateTime, nullable=False),
    Column("vector_hash", Text, nullable=False),
    Column("feature_set_name", Text, nullable=False),
    Column("feature_set_version", Integer, nullable=False),
    Column("window_bars", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    UniqueConstraint(
        "bars_hash",
        "feature_set_hash",
        "symbol",
        "interval",
        "bar_timestamp",
        "vector_hash",
        name="uq_feature_vectors_content",
    ),
    Index("ix_feature_vectors_bar", "feature_set_hash", "bar_timestamp", "symbol"),
    Index("ix_feature_vectors_symbol", "interval", "symbol", "bar_timestamp"),
    sqlite_autoincrement=True,
)

predictions = Table(
    "predictions",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
    Column("prediction_id", Text, nullable=False, unique=True),
    Column("request_id", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("route", Text, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("as_of", UtcDateTime, nullable=False),
    Column("model_version", Text),
    Column("vector_id", _Sequence, ForeignKey("feature_vectors.id")),
    Column("objective", Text),
    Column("horizon_bars", Integer),
    Column("probability_up", Double),
    Column("expected_return", Double),
    Column("prediction", Text),
    Column("confidence", Double),
    Column("model_fingerprint", Text),
    Column("trained_through", UtcDateTime),
    Column("in_sample", Boolean),
    Column("known_symbol", Boolean),
    Column("base_rate", Double),
    Column("stale", Boolean),
    Column("degraded", Boolean),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("bars_ms", Double),
    Column("features_ms", Double),
    Column("model_ms", Double),
    Column("total_ms", Double, nullable=False),
    Column("expected_score", Double),
    Column("reasons", Text),  # by spaces; empty where there was none, null where nobody looked
    Column("usable", Boolean),
    Column("point_in_time", Text),
    Column("bars_age_seconds", Double),
    Column("trace_id", Text),  # null where it is the request_id
    Index("ix_predictions_at", "at"),
    Index("ix_predictions_symbol", "symbol", "seq"),
    Index("ix_predictions_version", "model_version", "seq"),
    Index("ix_predictions_vector", "vector_id", "model_version", "seq"),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
    Column("run_id", Text, nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("request_id", Text),
    Column("queued_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("lease_until", UtcDateTime),
    Column("progress", Text),
    Column("version", Text),
    Column("error", Text),
    Column("kind", Text, nullable=False, server_default="train"),
    Column("sequence", Integer, nullable=False, server_default="1"),
    Column("log", Text),
    Column("result", Text),
    Column("idempotency_key", Text),
    Column("body_hash", Text),
    Column("publishing", Boolean, nullable=False, server_default=false()),
    Column("traceparent", Text),
    sqlite_autoincrement=True,
)
Index("uq_runs_idempotency", runs.c.idempotency_key, unique=True)
_live = text("state IN ('queued', 'running')")
Index("uq_runs_live", runs.c.model, unique=True, sqlite_where=_live, postgresql_where=_live)

schedules = Table(
    "schedules",
    metadata,
    Column("model", Text, primary_key=True),
    Column("expression", Text, nullable=False),
    Column("last_tick", UtcDateTime, nullable=False),
)

platform = Table("platform", metadata, Column("id", Text, primary_key=True))  # one row

events = Table(
    "events",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("version", Text),
    Column("actor", Text),
    Column("details", Text, nullable=False),
    Column("generation", BigInteger, unique=True),
    Index("ix_events_kind", "kind", "seq"),
    sqlite_autoincrement=True,
)

# The recorded bars of one symbol and interval: since when, how often, and how many were revised.
bar_series = Table(
    "bar_series",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("asked_from", UtcDateTime, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("served_until", UtcDateTime, nullable=False),
    Column("recordings", Integer, nullable=False),
    Column("report", Text),
    Column("revised_bars", Integer, nullable=False, server_default="0"),
    UniqueConstraint("symbol", "interval", name="uq_bar_series_symbol"),
    sqlite_autoincrement=True,
)

# Rows of a series. Moments are microseconds here: they go to arrays, and not to a door.
bar_segments = Table(
    "bar_segments",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("series_id", _Sequence, ForeignKey("bar_series.id"), nullable=False),
    Column("first_start", BigInteger, nullable=False),
    Column("last_start", BigInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index("ix_bar_segments_series", "series_id", "last_start"),
    sqlite_autoincrement=True,
)

# When the source of a symbol's actions was last asked for them.
action_series = Table(
    "action_series",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("asked_at", UtcDateTime, nullable=False),
)

corporate_actions = Table(
    "corporate_actions",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("symbol", Text, nullable=False),
    Column("ex_date", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Double),  # of the newest row; null for an action that was taken back
    Column("earlier_symbol", Text, nullable=False),
    Column("known_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Index("ix_corporate_actions_symbol", "symbol", "id"),
    sqlite_autoincrement=True,
)
