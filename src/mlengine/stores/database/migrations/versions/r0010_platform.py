"""Which platform this database is of: one row, a random name."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    platform = op.create_table("platform", sa.Column("id", sa.Text, primary_key=True))
    op.bulk_insert(platform, [{"id": secrets.token_hex(6)}])
