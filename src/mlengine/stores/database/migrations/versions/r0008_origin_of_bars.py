"""Where the bars of a prediction came from, and whether it was usable, as it was answered."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("predictions", sa.Column("usable", sa.Boolean))
    op.add_column("predictions", sa.Column("point_in_time", sa.Text))
    op.add_column("predictions", sa.Column("bars_age_seconds", sa.Double))
