"""The newest bars that were predicted for the present; needs neither Polars nor NumPy."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CTE, BigInteger, Engine, func, select, type_coerce

from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import DamagedRow
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import MICROSECOND, feature_vectors, predictions


@dataclass(frozen=True)
class LiveBarReader:
    """Every method raises DatabaseUnavailable."""

    engine: Engine

    def last_prediction_at(self) -> datetime | None:
        """When a prediction was last answered."""
        table = predictions.c
        query = select(table.at).where(table.ok).order_by(table.seq.desc()).limit(1)
        with reading(self.engine) as connection:
            last: datetime | None = connection.scalar(query)
        return last

    def last_live_bars(self, interval: str) -> dict[str, datetime]:
        """The newest bar of each symbol that was predicted less than a bar after its `as_of`.

        What was asked about the past says nothing about the feed.
        """
        vector, prediction = feature_vectors.c, predictions.c
        lag = type_coerce(prediction.at, BigInteger) - type_coerce(prediction.as_of, BigInteger)
        # In the order of an index, and with a limit, which PostgreSQL makes no join of: without
        # statistics it would join the whole table.
        live = (
            select(prediction.seq)
            .where(prediction.vector_id == vector.id, lag < INTERVALS[interval] // MICROSECOND)
            .order_by(prediction.model_version, prediction.seq)
            .limit(1)
            .scalar_subquery()
            .is_not(None)
        )
        symbols = _symbols(interval)
        newest = (
            select(vector.bar_timestamp)
            .where(vector.interval == interval, vector.symbol == symbols.c.symbol, live)
            .order_by(vector.bar_timestamp.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = select(symbols.c.symbol, newest.label("bar")).where(symbols.c.symbol.is_not(None))
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(symbols.c.symbol)).all()
        if not all(isinstance(row.symbol, str) for row in rows):
            raise DamagedRow
        return {row.symbol: row.bar for row in rows if row.bar is not None}


def _symbols(interval: str) -> CTE:
    """Each symbol with a vector, and a null: one step in the index a symbol, not a vector."""
    one = feature_vectors.alias("one").c
    symbols = (
        select(func.min(one.symbol).label("symbol"))
        .where(one.interval == interval)
        .cte("symbols", recursive=True)
    )
    other = feature_vectors.alias("other").c
    after = (
        select(func.min(other.symbol))
        .where(other.interval == interval, other.symbol > symbols.c.symbol)
        .scalar_subquery()
    )
    return symbols.union_all(select(after).where(symbols.c.symbol.is_not(None)))
