"""Predictions with their vectors and windows, runs, and events.

There is no way back: a downgrade would delete the audit.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LIVE = sa.text("state IN ('queued', 'running')")


def upgrade() -> None:
    _create_windows_and_vectors()
    _create_predictions()
    _create_runs()
    _create_events()


def _create_windows_and_vectors() -> None:
    op.create_table(
        "bar_windows",
        sa.Column("bars_hash", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    content = ("bars_hash", "feature_set_hash", "symbol", "interval", "bar_timestamp")
    op.create_table(
        "feature_vectors",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("bars_hash", sa.Text, sa.ForeignKey("bar_windows.bars_hash"), nullable=False),
        sa.Column("feature_set_hash", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("interval", sa.Text, nullable=False),
        sa.Column("bar_timestamp", sa.BigInteger, nullable=False),
        sa.Column("vector_hash", sa.Text, nullable=False),
        sa.Column("feature_set_name", sa.Text, nullable=False),
        sa.Column("feature_set_version", sa.Integer, nullable=False),
        sa.Column("window_bars", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint(*content, "vector_hash", name="uq_feature_vectors_content"),
        sqlite_autoincrement=True,
    )
    _index("ix_feature_vectors_bar", "feature_vectors", "feature_set_hash bar_timestamp symbol")
    _index("ix_feature_vectors_symbol", "feature_vectors", "interval symbol bar_timestamp")


def _create_predictions() -> None:
    op.create_table(
        "predictions",
        sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("prediction_id", sa.Text, nullable=False, unique=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("as_of", sa.BigInteger, nullable=False),
        sa.Column("model_version", sa.Text),
        sa.Column("vector_id", _NUMBER, sa.ForeignKey("feature_vectors.id")),
        sa.Column("objective", sa.Text),
        sa.Column("horizon_bars", sa.Integer),
        sa.Column("probability_up", sa.Double),
        sa.Column("expected_return", sa.Double),
        sa.Column("prediction", sa.Text),
        sa.Column("confidence", sa.Double),
        sa.Column("model_fingerprint", sa.Text),
        sa.Column("trained_through", sa.BigInteger),
        sa.Column("in_sample", sa.Boolean),
        sa.Column("known_symbol", sa.Boolean),
        sa.Column("base_rate", sa.Double),
        sa.Column("stale", sa.Boolean),
        sa.Column("degraded", sa.Boolean),
        sa.Column("error_code", sa.Text),
        sa.Column("error_detail", sa.Text),
        sa.Column("bars_ms", sa.Double),
        sa.Column("features_ms", sa.Double),
        sa.Column("model_ms", sa.Double),
        sa.Column("total_ms", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    _index("ix_predictions_at", "predictions", "at")
    _index("ix_predictions_symbol", "predictions", "symbol seq")
    _index("ix_predictions_version", "predictions", "model_version seq")
    _index("ix_predictions_vector", "predictions", "vector_id model_version seq")


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.Text, nullable=False, unique=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("queued_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("progress", sa.Text),
        sa.Column("version", sa.Text),
        sa.Column("error", sa.Text),
        sqlite_autoincrement=True,
    )
    # The insert of a queued run is the claim: this index lets one in for each model line.
    op.create_index(
        "uq_runs_live", "runs", ["model"], unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Text),
        sa.Column("actor", sa.Text),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, unique=True),
        sqlite_autoincrement=True,
    )
    _index("ix_events_kind", "events", "kind seq")


def _index(name: str, table: str, columns: str) -> None:
    op.create_index(name, table, columns.split())
