"""Tables of bars as texts, and what a folder of them is read as."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from mlengine.core.bars.bars import VALUES
from mlengine.stores.market_data.files import FilesMarketData

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
DAYS = [date(2024, 12, 27) + i * DAY for i in range(20)]
MIDNIGHTS = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in DAYS]
HOURS = [datetime(2024, 12, 27, 9, tzinfo=UTC) + i * HOUR for i in range(20)]
ROWS = [(98.5 + i, 101.25 + i, 97.75 + i, 100.5 + i, 1000.0 + 7 * i) for i in range(20)]
EVER = {"start": datetime(1970, 1, 1, tzinfo=UTC), "end": datetime(2100, 1, 1, tzinfo=UTC)}


def read(folder: Path, symbol: str = "AAA", interval: str = "1d") -> pl.DataFrame:
    return FilesMarketData(folder).candles(symbol, interval, **EVER)


def rows(candles: pl.DataFrame) -> list[tuple[float, ...]]:
    return candles.select(VALUES).rows()


def lines(cells: Sequence[Sequence[object]], header: str = "", separator: str = ",") -> str:
    body = "".join(separator.join(map(str, row)) + "\n" for row in cells)
    return (header + "\n" if header else "") + body


def reordered(order: str) -> list[tuple[float, ...]]:
    """Each row's values in the order of these initials."""
    return [tuple(row["ohlcv".index(initial)] for initial in order) for row in ROWS]


def dated(order: str = "ohlcv", form: str = "%Y-%m-%d") -> list[tuple[object, ...]]:
    return [(f"{day:{form}}", *row) for day, row in zip(DAYS, reordered(order), strict=True)]


def epochs(scale: int) -> list[int]:
    return [int(at.timestamp()) * scale for at in MIDNIGHTS]
