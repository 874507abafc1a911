"""Columns of numbers that stand for moments: epochs of any unit, and dates such as 20261127."""

import polars as pl

from mlengine.core.bars.epochs import digit_dates, epoch_timestamps
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.tables.table import CellRefused, LocalTimes, constant

# A date has eight digits; with hours it has twelve, with seconds fourteen.
_FIRST_WITH_HOURS = 10**8
# From one unit to the next it is a thousandfold.
_OTHER_UNIT = 100


def epoch_times(numbers: pl.Series, unit: str | None) -> LocalTimes:
    """In UTC, and dates in no zone; raises CellRefused where nothing says in which unit."""
    dates = digit_dates(numbers) if unit is None else None
    try:
        moments = epoch_timestamps(numbers, unit=unit) if dates is None else dates
    except UpstreamInvalid as error:
        row = _odd_row(numbers)
        raise CellRefused(f"{error.reason} (bars.toml can state unit)", row, numbers[row]) from None
    local = moments.dt.replace_time_zone(None)
    if dates is None:
        return LocalTimes(local, constant("Z", pl.String(), len(local)))
    return LocalTimes(local, bare=(numbers < _FIRST_WITH_HOURS).fill_null(value=False))


def _odd_row(numbers: pl.Series) -> int:
    """The first that is of another size than the one before, else the first."""
    sizes = numbers.cast(pl.Float64).abs()
    first = sizes.drop_nulls().head(1).to_list()[0]
    odd = (sizes > first * _OTHER_UNIT) | (sizes * _OTHER_UNIT < first)
    return (odd if odd.any() else numbers.is_not_null()).arg_max() or 0
