"""The universe scored at every bar: what is to be scored, in slices, and what was said."""

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mlengine.stores.database.tables.columns import Sequence, UtcDateTime, metadata

# A bar of some symbols of a line, which is final, with the versions that speak of it.
signal_bars = Table(
    "signal_bars",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("model", Text, nullable=False),
    Column("final_at", UtcDateTime, nullable=False),
    Column("bar_timestamp", UtcDateTime, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("give_up_at", UtcDateTime, nullable=False),
    Column("champion", Text, nullable=False),
    Column("previous", Text),
    Column("symbols", Integer, nullable=False),
    Column("planned_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    UniqueConstraint("model", "final_at", "bar_timestamp", name="uq_signal_bars_bar"),
    sqlite_autoincrement=True,
)

# `symbols` is a JSON list of those without a signal; `look_at` is null once there is none left.
signal_slices = Table(
    "signal_slices",
    metadata,
    Column("bar_id", Sequence, ForeignKey("signal_bars.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("symbols", Text, nullable=False),
    Column("look_at", UtcDateTime),
    Column("holder", Text),
    Column("lease_until", UtcDateTime),
)
_open = text("look_at IS NOT NULL")
Index(
    "ix_signal_slices_open",
    signal_slices.c.look_at,
    sqlite_where=_open,
    postgresql_where=_open,
)

signals = Table(
    "signals",
    metadata,
    Column("model_version", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("bar_timestamp", UtcDateTime, primary_key=True),
    Column("model", Text, nullable=False),
    Column("is_champion", Boolean, nullable=False),
    Column("prediction_id", Text, nullable=False),
    Column("answered_at", UtcDateTime, nullable=False),
    Column("score", Double),
    Column("prediction", Text),
    Column("in_sample", Boolean),
    Column("usable", Boolean),
    Column("reasons", Text),  # by spaces
    Column("error", Text),
    Index("ix_signals_bar", "model", "bar_timestamp", "symbol"),
)

# Panels that are too long for an answer: written by a worker, in parts.
signal_exports = Table(
    "signal_exports",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("holder", Text),
    Column("lease_until", UtcDateTime),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("rows", Integer),
    Column("bytes", Sequence),
    Column("error", Text),
)

signal_export_parts = Table(
    "signal_export_parts",
    metadata,
    Column("export_id", Text, ForeignKey("signal_exports.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)
