"""Recorded bars and corporate actions."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from mlengine.stores.database.tables.columns import Sequence, UtcDateTime, metadata

# The recorded bars of one symbol and interval: since when, how often, and how many were revised.
bar_series = Table(
    "bar_series",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
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
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("series_id", Sequence, ForeignKey("bar_series.id"), nullable=False),
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
    Column("id", Sequence, primary_key=True, autoincrement=True),
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
