"""Outcomes of predictions, one of each version, symbol and bar, and what is made of them."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mlengine.stores.database.tables.columns import Sequence, UtcDateTime, metadata

outcomes = Table(
    "outcomes",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("model_version", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("bar_timestamp", UtcDateTime, nullable=False),
    Column("prediction_id", Text, nullable=False),
    Column("vector_id", BigInteger),  # of the audit, which may be cleared
    Column("asked_at", UtcDateTime, nullable=False),
    Column("score", Double, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("overdue_at", UtcDateTime, nullable=False),
    Column("look_at", UtcDateTime),  # null once it is decided
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("label", Double),
    Column("forward_return", Double),
    Column("last_return", Double),
    Column("label_ends", UtcDateTime),
    Column("decided_at", UtcDateTime),
    Column("other_version", Text),
    Column("other_score", Double),
    UniqueConstraint("model_version", "symbol", "bar_timestamp", name="uq_outcomes_bar"),
    Index("ix_outcomes_look", "look_at"),
    Index("ix_outcomes_version", "model_version", "bar_timestamp"),
    sqlite_autoincrement=True,
)

_pending = text("look_at IS NOT NULL")
Index(
    "ix_outcomes_pending",
    *(outcomes.c.model_version, outcomes.c.symbol, outcomes.c.due_at),
    sqlite_where=_pending,
    postgresql_where=_pending,
)

# How often outcomes of a version were decided: what was computed before is computed again.
outcome_revisions = Table(
    "outcome_revisions",
    metadata,
    Column("model_version", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

performance_reports = Table(
    "performance_reports",
    metadata,
    Column("model_version", Text, primary_key=True),
    Column("window_dates", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("computed_at", UtcDateTime, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("document", Text, nullable=False),
)

# Days are counted from 1970, in UTC.
skill_states = Table(
    "skill_states",
    metadata,
    Column("model_version", Text, primary_key=True),
    Column("through_day", Integer, nullable=False),
    Column("document", Text, nullable=False),
)
