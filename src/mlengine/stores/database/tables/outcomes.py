"""Outcomes of predictions: one of each version, symbol and bar."""

from sqlalchemy import BigInteger, Column, Double, Index, Table, Text, UniqueConstraint

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
