"""How long requests took, by minute and by hour."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "request_latencies",
        sa.Column("start", sa.BigInteger, primary_key=True),
        sa.Column("seconds", sa.Integer, primary_key=True),
        sa.Column("writer", sa.Text, primary_key=True),
        sa.Column("sketches", sa.Text, nullable=False),
    )
