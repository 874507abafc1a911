"""What monitoring has taken in."""

from sqlalchemy import BigInteger, Column, Table, Text

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
