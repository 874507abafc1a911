"""Predictions of a model whose output is a score among symbols and no return."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("predictions", sa.Column("expected_score", sa.Double))
