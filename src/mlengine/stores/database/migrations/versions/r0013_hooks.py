"""The outbox, the webhooks that its messages go to, and each delivery."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_sequence = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_pending = sa.text("state = 'pending'")


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("seq", _sequence, primary_key=True, autoincrement=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "hooks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("types", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("previous_secret", sa.Text),
        sa.Column("previous_until", sa.BigInteger),
        sa.Column("disabled_at", sa.BigInteger),
        sa.Column("disabled_reason", sa.Text),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", _sequence, primary_key=True, autoincrement=True),
        sa.Column("hook_id", sa.Text, sa.ForeignKey("hooks.id"), nullable=False),
        sa.Column("message_seq", _sequence, sa.ForeignKey("outbox.seq"), nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="pending"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("last_at", sa.BigInteger),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_reason", sa.Text),
        sa.UniqueConstraint("hook_id", "message_seq", name="uq_deliveries_message"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_deliveries_pending",
        "deliveries",
        ["hook_id", "next_at"],
        sqlite_where=_pending,
        postgresql_where=_pending,
    )
