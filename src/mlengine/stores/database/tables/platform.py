"""The platform itself, and what happened to it."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from mlengine.core.line_names import MODEL_LINE
from mlengine.stores.database.tables.columns import Sequence, UtcDateTime, metadata

# One row.
platform = Table(
    "platform",
    metadata,
    Column("id", Text, primary_key=True),
    Column("registry_id", Text),  # null until a host says so
)

events = Table(
    "events",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("version", Text),
    Column("actor", Text),
    Column("details", Text, nullable=False),
    Column("generation", BigInteger),
    Column("model", Text, nullable=False, server_default=MODEL_LINE),
    Index("ix_events_kind", "kind", "seq"),
    Index("uq_events_generation", "model", "generation", unique=True),
    sqlite_autoincrement=True,
)
