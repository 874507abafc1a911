"""Runs of several kinds with their log and their idempotency key; schedules and their last tick."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("runs", sa.Column("kind", sa.Text, nullable=False, server_default="train"))
    op.add_column("runs", sa.Column("sequence", sa.Integer, nullable=False, server_default="1"))
    for name in ("log", "result", "idempotency_key", "body_hash"):
        op.add_column("runs", sa.Column(name, sa.Text))
    op.create_index("uq_runs_idempotency", "runs", ["idempotency_key"], unique=True)
    op.create_table(
        "schedules",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("expression", sa.Text, nullable=False),
        sa.Column("last_tick", sa.BigInteger, nullable=False),
    )
