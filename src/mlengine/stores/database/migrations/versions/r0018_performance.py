"""How often outcomes of a version were decided, its figures, and the evidence about its skill."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "outcome_revisions",
        sa.Column("model_version", sa.Text, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "performance_reports",
        sa.Column("model_version", sa.Text, primary_key=True),
        sa.Column("window_dates", sa.Integer, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("computed_at", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "skill_states",
        sa.Column("model_version", sa.Text, primary_key=True),
        sa.Column("through_day", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
