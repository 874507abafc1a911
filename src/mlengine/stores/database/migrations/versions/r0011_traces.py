"""The trace that a prediction or a run was asked for in."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("predictions", sa.Column("trace_id", sa.Text))
    op.add_column("runs", sa.Column("traceparent", sa.Text))
