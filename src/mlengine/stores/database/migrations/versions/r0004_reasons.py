"""Why a prediction should not be acted on, as it was answered."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("predictions", sa.Column("reasons", sa.Text))
