"""How long requests took."""

from sqlalchemy import Column, Integer, Table, Text

from mlengine.stores.database.tables.columns import UtcDateTime, metadata

# A row a minute and web worker, or a row an hour of all: `sketches` is JSON, by route and stage.
request_latencies = Table(
    "request_latencies",
    metadata,
    Column("start", UtcDateTime, primary_key=True),
    Column("seconds", Integer, primary_key=True),
    Column("writer", Text, primary_key=True),
    Column("sketches", Text, nullable=False),
)
