"""Which registry the platform's versions are in: null until the first host says so."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("platform", sa.Column("registry_id", sa.Text))
