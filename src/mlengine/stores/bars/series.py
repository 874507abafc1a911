"""The table of series: of which symbols bars are recorded, since when, and how lately."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from mlengine.errors import DamagedRow
from mlengine.stores.database.engine import insert_or_ignore
from mlengine.stores.database.many_rows import SelectByKey, Writing, execute_many
from mlengine.stores.database.tables import bar_series


class SeriesMetadata(NamedTuple):
    """The recorded bars of one symbol: all that there were from `asked_from` on.

    The upstream answered last at `fetched_at`, its answer is good until `expires_at`, and answers
    were given from it until `served_until`. `recordings` counts the times at which rows were added.
    `report` is that on the candles, as JSON; None where there is nothing to report. A bar counts
    among the `revised_bars` each time that it is revised.
    """

    id: int
    symbol: str
    asked_from: datetime
    fetched_at: datetime
    expires_at: datetime
    served_until: datetime
    recordings: int
    report: str | None
    revised_bars: int


_OF_INTERVAL = select(*bar_series.c[SeriesMetadata._fields]).where(
    bar_series.c.interval == bindparam("interval")
)
READ_SERIES = SelectByKey(_OF_INTERVAL, bar_series.c.symbol)
CLAIM_SERIES = SelectByKey(
    _OF_INTERVAL.order_by(bar_series.c.symbol).with_for_update(), bar_series.c.symbol
)
_CHANGING = SeriesMetadata._fields[2:]
_NEW_VALUES = tuple(f"new_{name}" for name in _CHANGING)
_NEW_SERIES = (
    *("symbol", "interval", "asked_from", "fetched_at", "expires_at", "served_until"),
    "recordings",
)
_UPDATE_SERIES = (
    update(bar_series)
    .where(bar_series.c.id == bindparam("series"))
    .values({name: bindparam(new) for name, new in zip(_CHANGING, _NEW_VALUES, strict=True)})
)


def series_interval(interval: str, *, of_sample: bool) -> str:
    """The `interval` that a series is kept under: bars of the sample are nobody else's."""
    return f"{interval} sample" if of_sample else interval


def series_statements(connection: Connection) -> list[SelectByKey | Writing]:
    """What is executed here, to be compiled ahead."""
    new_series = insert_or_ignore(connection, bar_series), _NEW_SERIES
    return [READ_SERIES, CLAIM_SERIES, new_series, (_UPDATE_SERIES, (*_NEW_VALUES, "series"))]


def read_series(
    connection: Connection, symbols: Collection[str], interval: str, *, claim: bool = False
) -> dict[str, SeriesMetadata]:
    query = CLAIM_SERIES if claim else READ_SERIES
    series = map(SeriesMetadata._make, query.rows(connection, symbols, interval=interval))
    return {each.symbol: _checked(each) for each in series}


def claim_series(
    connection: Connection, asked_from: Mapping[str, datetime], interval: str, now: datetime
) -> dict[str, SeriesMetadata]:
    """The series of each symbol, new ones among them; nobody else may write any of them now."""
    series = read_series(connection, asked_from, interval, claim=True)
    missing = sorted(asked_from.keys() - series.keys())
    if not missing:
        return series
    rows = [(symbol, interval, asked_from[symbol], now, now, now, 0) for symbol in missing]
    execute_many(connection, insert_or_ignore(connection, bar_series), _NEW_SERIES, rows)
    return series | read_series(connection, missing, interval, claim=True)


def update_series(connection: Connection, series: Iterable[SeriesMetadata]) -> None:
    """Write what has changed in series that are there."""
    rows = [(*each[2:], each.id) for each in series]
    execute_many(connection, _UPDATE_SERIES, (*_NEW_VALUES, "series"), rows)


def read_recording_counts(connection: Connection, interval: str) -> dict[str, int]:
    """How often rows were added to each series of an interval, of those that have any."""
    query = select(bar_series.c.symbol, bar_series.c.recordings).where(
        bar_series.c.interval == interval, bar_series.c.recordings > 0
    )
    return {symbol: count for symbol, count in connection.execute(query)}  # noqa: C416


def read_revised_bars(connection: Connection, interval: str) -> dict[str, int]:
    """How many bars of each series of an interval were revised."""
    columns = bar_series.c["symbol", "revised_bars"]
    query = select(*columns).where(bar_series.c.interval == interval)
    return {row.symbol: _count(row.revised_bars) for row in connection.execute(query)}


def extend_served(
    connection: Connection, symbols: Collection[str], interval: str, until: datetime
) -> None:
    """Let `served_until` of the series be `until`, where it is before that."""
    query = update(bar_series).where(
        bar_series.c.symbol.in_(sorted(symbols)),
        bar_series.c.interval == interval,
        bar_series.c.served_until < until,
    )
    connection.execute(query.values(served_until=until))


def _checked(series: SeriesMetadata) -> SeriesMetadata:
    """The series; raises DamagedRow where a value is none that was written."""
    if type(series.recordings) is not int or type(series.revised_bars) is not int:
        raise DamagedRow
    if series.recordings < 0 or series.revised_bars < 0:
        raise DamagedRow
    if series.report is not None and not isinstance(series.report, str):
        raise DamagedRow
    return series


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise DamagedRow
    return value
