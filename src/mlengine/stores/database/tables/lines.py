"""The model lines beside `main`."""

from sqlalchemy import Column, Integer, Table, Text

from mlengine.stores.database.tables.columns import UtcDateTime, metadata

lines = Table(
    "lines",
    metadata,
    Column("name", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("definition", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("file_sha256", Text),
)
