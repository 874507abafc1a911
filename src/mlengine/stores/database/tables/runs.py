"""Trainings, their folds, and the schedule that begins them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    false,
    text,
)

from mlengine.stores.database.tables.columns import Sequence, UtcDateTime, metadata

runs = Table(
    "runs",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
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

# The folds of trainings that other workers help with, as long as the training takes.
training_folds = Table(
    "training_folds",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("fold", Integer, primary_key=True),
    Column("holder", Text),
    Column("lease_until", UtcDateTime),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("result", LargeBinary),
)

# One row where events ask for trainings: the newest that was dealt with.
retrainings = Table(
    "retrainings",
    metadata,
    Column("model", Text, primary_key=True),
    Column("event_seq", BigInteger, nullable=False),
    Column("requested_at", UtcDateTime),
)

schedules = Table(
    "schedules",
    metadata,
    Column("model", Text, primary_key=True),
    Column("expression", Text, nullable=False),
    Column("last_tick", UtcDateTime, nullable=False),
)
