"""The folds of trainings that other workers help with."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "training_folds",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("fold", sa.Integer, primary_key=True),
        sa.Column("holder", sa.Text),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("result", sa.LargeBinary),
    )
