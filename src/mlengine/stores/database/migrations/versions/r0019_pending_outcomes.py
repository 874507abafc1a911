"""An index of the outcomes that are pending."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    pending = sa.text("look_at IS NOT NULL")
    op.create_index(
        "ix_outcomes_pending",
        "outcomes",
        ["model_version", "symbol", "due_at"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
