"""Outcomes of predictions, and up to which prediction the steps of monitoring have come."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "monitoring_positions",
        sa.Column("step", sa.Text, primary_key=True),
        sa.Column("prediction_seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "outcomes",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("bar_timestamp", sa.BigInteger, nullable=False),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("vector_id", sa.BigInteger),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("overdue_at", sa.BigInteger, nullable=False),
        sa.Column("look_at", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("label", sa.Double),
        sa.Column("forward_return", sa.Double),
        sa.Column("last_return", sa.Double),
        sa.Column("label_ends", sa.BigInteger),
        sa.Column("decided_at", sa.BigInteger),
        sa.Column("other_version", sa.Text),
        sa.Column("other_score", sa.Double),
        sa.UniqueConstraint("model_version", "symbol", "bar_timestamp", name="uq_outcomes_bar"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outcomes_look", "outcomes", ["look_at"])
    op.create_index("ix_outcomes_version", "outcomes", ["model_version", "bar_timestamp"])
