"""Which bars the platform has answered for when it was asked about the present."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Engine, exists, select, type_coerce

from mlengine.core.bars.intervals import INTERVALS
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import MICROSECOND, feature_vectors, predictions


def last_live_bars(engine: Engine, interval: str) -> dict[str, datetime]:
    """The newest bar of each symbol that was predicted as of less than a bar before the request.

    What was asked about the past says nothing about the feed. Raises AuditUnavailable.
    """
    vector, prediction = feature_vectors.c, predictions.c
    lag = type_coerce(prediction.at, BigInteger) - type_coerce(prediction.as_of, BigInteger)
    live = exists().where(
        prediction.vector_id == vector.id, lag < INTERVALS[interval] // MICROSECOND
    )
    symbols = select(vector.symbol).where(vector.interval == interval).distinct().subquery()
    newest = (
        select(vector.bar_timestamp)
        .where(vector.interval == interval, vector.symbol == symbols.c.symbol, live)
        .order_by(vector.bar_timestamp.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(symbols.c.symbol, newest.label("bar")).order_by(symbols.c.symbol)
    with reading(engine) as connection:
        return {row.symbol: row.bar for row in connection.execute(query) if row.bar is not None}
