"""Model lines beside `main`, and of which line each event is."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_COLUMNS = "seq, kind, at, version, actor, details, generation"


def upgrade() -> None:
    op.create_table(
        "lines",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("file_sha256", sa.Text),
    )
    if op.get_bind().dialect.name == "sqlite":
        _rewrite_events()
    else:
        op.add_column("events", _model())
        op.drop_constraint("events_generation_key", "events")
    op.create_index("uq_events_generation", "events", ["model", "generation"], unique=True)


def _rewrite_events() -> None:
    """SQLite can't drop a constraint: the rows go to a table without it."""
    op.drop_index("ix_events_kind", "events")
    op.rename_table("events", "events_before")
    op.create_table(
        "events",
        sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Text),
        sa.Column("actor", sa.Text),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger),
        _model(),
        sqlite_autoincrement=True,
    )
    op.execute(f"INSERT INTO events ({_COLUMNS}) SELECT {_COLUMNS} FROM events_before")  # noqa: S608
    op.drop_table("events_before")
    op.create_index("ix_events_kind", "events", ["kind", "seq"])


def _model() -> sa.Column[str]:
    return sa.Column("model", sa.Text, nullable=False, server_default="main")
