"""The universe scored at every bar, in slices, and the panels that workers write."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_OPEN = sa.text("look_at IS NOT NULL")


def upgrade() -> None:
    _create_bars()
    op.create_table(
        "signal_slices",
        sa.Column("bar_id", _NUMBER, sa.ForeignKey("signal_bars.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("symbols", sa.Text, nullable=False),
        sa.Column("look_at", sa.BigInteger),
        sa.Column("holder", sa.Text),
        sa.Column("lease_until", sa.BigInteger),
    )
    op.create_index(
        "ix_signal_slices_open",
        "signal_slices",
        ["look_at"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    _create_signals()
    _create_exports()


def _create_bars() -> None:
    op.create_table(
        "signal_bars",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("final_at", sa.BigInteger, nullable=False),
        sa.Column("bar_timestamp", sa.BigInteger, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("give_up_at", sa.BigInteger, nullable=False),
        sa.Column("champion", sa.Text, nullable=False),
        sa.Column("previous", sa.Text),
        sa.Column("symbols", sa.Integer, nullable=False),
        sa.Column("planned_at", sa.BigInteger, nullable=False),
        sa.Column("completed_at", sa.BigInteger),
        sa.UniqueConstraint("model", "final_at", "bar_timestamp", name="uq_signal_bars_bar"),
        sqlite_autoincrement=True,
    )


def _create_signals() -> None:
    op.create_table(
        "signals",
        sa.Column("model_version", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("bar_timestamp", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("is_champion", sa.Boolean, nullable=False),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("answered_at", sa.BigInteger, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("prediction", sa.Text),
        sa.Column("in_sample", sa.Boolean),
        sa.Column("usable", sa.Boolean),
        sa.Column("reasons", sa.Text),
        sa.Column("error", sa.Text),
    )
    op.create_index("ix_signals_bar", "signals", ["model", "bar_timestamp", "symbol"])


def _create_exports() -> None:
    op.create_table(
        "signal_exports",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("holder", sa.Text),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("rows", sa.Integer),
        sa.Column("bytes", _NUMBER),
        sa.Column("error", sa.Text),
    )
    op.create_table(
        "signal_export_parts",
        sa.Column("export_id", sa.Text, sa.ForeignKey("signal_exports.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
