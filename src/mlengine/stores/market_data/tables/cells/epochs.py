"""Columns of numbers that stand for moments: epochs of any unit, and dates such as 20261127."""

from datetime import UTC, datetime, timedelta

import polars as pl

from mlengine.core.bars.epochs import digit_dates, epoch_timestamps
from mlengine.core.timestamps import EPOCH
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.tables.settings import EXCEL_DAYS
from mlengine.stores.market_data.tables.table import CellRefused, LocalTimes, constant

# A date has eight digits; with hours it has twelve, with seconds fourteen.
_FIRST_WITH_HOURS = 10**8
_DAY_SECONDS = 86_400
_EXCEL_EPOCH_US = (datetime(1899, 12, 30, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
# From one unit to the next it is a thousandfold.
_OTHER_UNIT = 100


def epoch_times(numbers: pl.Series, unit: str | None) -> LocalTimes:
    """In UTC, and dates in no zone; raises CellRefused where nothing says in which unit.

    Days of a spreadsheet are in no zone either.
    """
    if unit == EXCEL_DAYS:
        return _spreadsheet_times(numbers.cast(pl.Float64))
    dates = digit_dates(numbers) if unit is None else None
    try:
        moments = epoch_timestamps(numbers, unit=unit) if dates is None else dates
    except UpstreamInvalid as error:
        row, stated = _odd_row(numbers), f"unit = {EXCEL_DAYS!r}"
        setting = f"unit, such as {stated}" if _are_days(numbers) else "unit"
        words = f"{error.reason} (bars.toml can state {setting})"
        raise CellRefused(words, row, numbers[row]) from None
    local = moments.dt.replace_time_zone(None)
    if dates is None:
        return LocalTimes(local, constant("Z", pl.String(), len(local)))
    return LocalTimes(local, bare=(numbers < _FIRST_WITH_HOURS).fill_null(value=False))


def _spreadsheet_times(days: pl.Series) -> LocalTimes:
    """To the second, for a day and a third has no end as a number."""
    microseconds = (days * _DAY_SECONDS).round() * 1e6
    local = (microseconds + _EXCEL_EPOCH_US).cast(pl.Int64, strict=False).cast(pl.Datetime("us"))
    return LocalTimes(local, bare=(days == days.round()).fill_null(value=False))


def _are_days(numbers: pl.Series) -> bool:
    """Whether all could be days of a spreadsheet, from 1954 to 2119."""
    return bool(numbers.drop_nulls().is_between(20_000, 80_000).all())


def _odd_row(numbers: pl.Series) -> int:
    """The first that is of another size than the one before, else the first."""
    sizes = numbers.cast(pl.Float64).abs()
    first = sizes.drop_nulls().head(1).to_list()[0]
    odd = (sizes > first * _OTHER_UNIT) | (sizes * _OTHER_UNIT < first)
    return (odd if odd.any() else numbers.is_not_null()).arg_max() or 0
