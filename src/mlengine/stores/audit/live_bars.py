"""The newest bars that were predicted for the present; needs neither Polars nor NumPy."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CTE, BigInteger, Connection, Engine, func, select, type_coerce

from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import DamagedRow
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import MICROSECOND, feature_vectors, predictions

# Of the partitions of a server a query plans for each: most need no more than the newest.
_RECENT = timedelta(days=8)
# Bars that are older are no news of a feed that was asked recently.
_STALE = timedelta(days=30)


@dataclass(frozen=True)
class LiveBarReader:
    """Every method raises DatabaseUnavailable."""

    engine: Engine

    def last_prediction_at(self, *, now: datetime) -> datetime | None:
        """When a prediction was last answered."""
        at = predictions.c.at
        query = select(at).where(predictions.c.ok).order_by(at.desc()).limit(1)
        with reading(self.engine) as connection:
            last: datetime | None = connection.scalar(query.where(at >= now - _RECENT))
            if last is None:
                last = connection.scalar(query)
        return last

    def last_live_bars(self, interval: str, *, now: datetime) -> dict[str, datetime]:
        """The newest bar of each symbol that was predicted less than a bar after its `as_of`.

        What was asked about the past says nothing about the feed. Recent predictions are looked at
        first, the others where these don't tell of every symbol.
        """
        with reading(self.engine) as connection:
            found = _newest_bars(connection, interval, since=now - _RECENT)
            if None in found.values():
                earlier = _newest_bars(connection, interval, since=None)
                found = {symbol: bar or earlier.get(symbol) for symbol, bar in found.items()}
        return {symbol: bar for symbol, bar in found.items() if bar is not None}

    def newest_question(self, *, since: datetime) -> int:
        """The number of the newest prediction, answered or not; 0 where there was none since."""
        row = predictions.c
        query = select(row.seq).where(row.at >= since).order_by(row.at.desc(), row.seq.desc())
        with reading(self.engine) as connection:
            return connection.scalar(query.limit(1)) or 0

    def last_asked(self, interval: str, *, now: datetime) -> dict[str, datetime]:
        """When each symbol with a vector was last asked for about the present, answered or not.

        Without those that nobody asked for in eight days, or three bars where these are longer.
        """
        width, since = INTERVALS[interval], asked_from(interval, now=now)
        symbols, row = _symbols(interval), predictions.c
        lag = type_coerce(row.at, BigInteger) - type_coerce(row.as_of, BigInteger)
        # Rows are looked at from the newest on: `seq` bounds them in the order of an index, `at`
        # leaves out earlier partitions.
        first = select(row.seq).where(row.at >= since).order_by(row.at).limit(1).scalar_subquery()
        newest = (
            select(row.at)
            .where(row.symbol == symbols.c.symbol, row.at >= since, row.seq >= first)
            .where(lag < width // MICROSECOND)
            .order_by(row.seq.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = select(symbols.c.symbol, newest).where(symbols.c.symbol.is_not(None))
        with reading(self.engine) as connection:
            found = connection.execute(query).all()
        return {symbol: at for symbol, at in found if at is not None}


def asked_from(interval: str, *, now: datetime) -> datetime:
    """Who was not asked for since this moment is asked for no more."""
    return now - max(_RECENT, 3 * INTERVALS[interval])


def _newest_bars(
    connection: Connection, interval: str, *, since: datetime | None
) -> dict[str, datetime | None]:
    """By symbol with a vector; None where no live prediction was made since then."""
    vector, prediction = feature_vectors.c, predictions.c
    lag = type_coerce(prediction.at, BigInteger) - type_coerce(prediction.as_of, BigInteger)
    # In the order of an index, and with a limit, which PostgreSQL makes no join of: without
    # statistics it would join the whole table. By their moment earlier partitions are left out.
    live = (
        select(prediction.seq)
        .where(prediction.vector_id == vector.id, lag < INTERVALS[interval] // MICROSECOND)
        .where(prediction.at >= vector.bar_timestamp)
        .order_by(prediction.model_version, prediction.seq)
        .limit(1)
    )
    symbols = _symbols(interval)
    newest = select(vector.bar_timestamp).where(
        vector.interval == interval, vector.symbol == symbols.c.symbol
    )
    if since is not None:
        live = live.where(prediction.at >= since)
        newest = newest.where(vector.bar_timestamp >= since - _STALE)
    newest = newest.where(live.scalar_subquery().is_not(None))
    bar = newest.order_by(vector.bar_timestamp.desc()).limit(1).scalar_subquery()
    query = select(symbols.c.symbol, bar.label("bar")).where(symbols.c.symbol.is_not(None))
    rows = connection.execute(query.order_by(symbols.c.symbol)).all()
    if not all(isinstance(row.symbol, str) for row in rows):
        raise DamagedRow
    return {row.symbol: row.bar for row in rows}


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
