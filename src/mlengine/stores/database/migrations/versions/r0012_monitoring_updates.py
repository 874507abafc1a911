"""Who brings monitoring up to date, and how far the last update got."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "monitoring_updates",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("prediction_seq", sa.BigInteger, nullable=False),
        sa.Column("bar_segment_id", sa.BigInteger, nullable=False),
        sa.Column("next_look", sa.BigInteger),
    )
