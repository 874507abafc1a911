"""What is told to others: the outbox, who gets its messages as webhooks, and each delivery."""

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mlengine.stores.database.tables.columns import Sequence, UtcDateTime, metadata

# A message in the order of the commits; `body` is what is signed, sent and streamed.
outbox = Table(
    "outbox",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("type", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)

# `types` by blanks, each between two; empty for all. `previous_secret` signs too until it is over.
hooks = Table(
    "hooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("types", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("secret", Text, nullable=False),
    Column("previous_secret", Text),
    Column("previous_until", UtcDateTime),
    Column("disabled_at", UtcDateTime),
    Column("disabled_reason", Text),
)

# `state` is pending, delivered or failed. Whoever delivers it holds the lease.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("hook_id", Text, ForeignKey("hooks.id"), nullable=False),
    Column("message_seq", Sequence, ForeignKey("outbox.seq"), nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("last_at", UtcDateTime),
    Column("last_status", Integer),
    Column("last_reason", Text),
    UniqueConstraint("hook_id", "message_seq", name="uq_deliveries_message"),
    sqlite_autoincrement=True,
)
_pending = text("state = 'pending'")
Index(
    "ix_deliveries_pending",
    deliveries.c.hook_id,
    deliveries.c.next_at,
    sqlite_where=_pending,
    postgresql_where=_pending,
)
