"""What monitoring has taken in."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from mlengine.stores.database.tables.columns import UtcDateTime, metadata

# One row: who brings monitoring up to date, and what the last update has taken in.
monitoring_updates = Table(
    "monitoring_updates",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text),
    Column("lease_until", UtcDateTime),
    Column("prediction_seq", BigInteger, nullable=False),
    Column("bar_segment_id", BigInteger, nullable=False),
    Column("next_look", UtcDateTime),
)

# Up to which prediction each step has taken in the audit.
monitoring_positions = Table(
    "monitoring_positions",
    metadata,
    Column("step", Text, primary_key=True),
    Column("prediction_seq", BigInteger, nullable=False),
)

# Live rows of a version by date, counted on the grid of its training; dates are days since 1970.
drift_tallies = Table(
    "drift_tallies",
    metadata,
    Column("version", Text, primary_key=True),
    Column("date", Integer, primary_key=True, autoincrement=False),
    Column("rows", Integer, nullable=False),
    Column("distinct_rows", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

# How far the predictions of a version were counted, and what its drift alarm knows.
drift_progress = Table(
    "drift_progress",
    metadata,
    Column("version", Text, primary_key=True),
    Column("prediction_seq", BigInteger, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("alarm", Text, nullable=False),
)

# The symbols whose newest live prediction was made from a stale bar.
stale_feeds = Table(
    "stale_feeds",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("interval", Text, primary_key=True),
    Column("since", UtcDateTime, nullable=False),
)
