"""Feature vectors refer to windows of recorded bars; a copy of the others only is stored."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

_FOREIGN_KEY = "FOREIGN KEY(bars_hash) REFERENCES bar_windows (bars_hash)"


def upgrade() -> None:
    op.add_column("feature_vectors", sa.Column("bars_recorded_by", sa.BigInteger))
    if op.get_bind().dialect.name == "sqlite":
        _drop_foreign_key_of_sqlite()
    else:
        op.drop_constraint("feature_vectors_bars_hash_fkey", "feature_vectors")


def _drop_foreign_key_of_sqlite() -> None:
    """In the text of the schema: the table may be large, and others refer to it.

    So it is done by https://sqlite.org/lang_altertable.html#making_other_kinds_of_table_schema_changes.
    """
    bind = op.get_bind()
    version = bind.exec_driver_sql("PRAGMA schema_version").scalar_one()
    bind.exec_driver_sql("PRAGMA writable_schema=ON")
    for separator in (", \n\t", ", "):
        bind.exec_driver_sql(
            "UPDATE sqlite_master SET sql = replace(sql, ?, '') WHERE name = 'feature_vectors'",
            (f"{separator}{_FOREIGN_KEY}",),
        )
    bind.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    bind.exec_driver_sql("PRAGMA writable_schema=RESET")
