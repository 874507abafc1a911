"""How many bars of a series were revised since they were first recorded."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    revised = sa.Column("revised_bars", sa.Integer, nullable=False, server_default="0")
    op.add_column("bar_series", revised)
