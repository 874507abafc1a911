"""Counts of live rows by version and date, and how far each version's drift was looked at."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "drift_tallies",
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("date", sa.Integer, primary_key=True),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("distinct_rows", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "drift_progress",
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("prediction_seq", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("alarm", sa.Text, nullable=False),
    )
