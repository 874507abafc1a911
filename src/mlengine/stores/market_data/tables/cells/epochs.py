"""Columns of numbers that stand for moments: epochs of any unit, and dates such as 20261127."""

import polars as pl

from mlengine.core.bars.epochs import digit_dates, epoch_timestamps
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.tables.table import CellRefused

# A date has eight digits; with hours it has twelve, with seconds fourteen.
_FIRST_WITH_HOURS = 10**8
# From one unit to the next it is a thousandfold.
_OTHER_UNIT = 100


def epoch_moments(numbers: pl.Series, unit: str | None) -> pl.DataFrame:
    """Columns `local`, `zone` and `bare`, as `written_moments` has them.

    Raises CellRefused where neither `unit` nor the column says in which unit they are.
    """
    dates = digit_dates(numbers) if unit is None else None
    try:
        moments = epoch_timestamps(numbers, unit=unit) if dates is None else dates
    except UpstreamInvalid as error:
        row = _odd_row(numbers)
        raise CellRefused(f"{error.reason} (bars.toml can state unit)", row, numbers[row]) from None
    stated = pl.lit("Z" if dates is None else None, pl.String)
    bare = pl.lit(value=False) if dates is None else numbers < _FIRST_WITH_HOURS
    return pl.DataFrame({"local": moments.dt.replace_time_zone(None)}).with_columns(
        stated.alias("zone"), bare.alias("bare")
    )


def _odd_row(numbers: pl.Series) -> int:
    """The first that is of another size than the one before, else the first."""
    sizes = numbers.cast(pl.Float64).abs()
    first = sizes.drop_nulls().head(1).to_list()[0]
    odd = (sizes > first * _OTHER_UNIT) | (sizes * _OTHER_UNIT < first)
    return (odd if odd.any() else numbers.is_not_null()).arg_max() or 0
