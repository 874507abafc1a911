"""Events that ask for trainings, and the feeds that are stale."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "retrainings",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("event_seq", sa.BigInteger, nullable=False),
        sa.Column("requested_at", sa.BigInteger),
    )
    op.create_table(
        "stale_feeds",
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("interval", sa.Text, primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
