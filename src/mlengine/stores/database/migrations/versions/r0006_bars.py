"""Bars as they were seen, with all their revisions."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "bar_series",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("interval", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("asked_from", "fetched_at", "expires_at", "served_until")
        ),
        sa.Column("recordings", sa.Integer, nullable=False),
        sa.Column("report", sa.Text),
        sa.UniqueConstraint("symbol", "interval", name="uq_bar_series_symbol"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "bar_segments",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("series_id", number, sa.ForeignKey("bar_series.id"), nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("first_start", "last_start")),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_bar_segments_series", "bar_segments", ["series_id", "last_start"])
