"""A column of moments of any type, as local times with what each says of its zone."""

from dataclasses import replace

import polars as pl

from mlengine.stores.market_data.tables.cells.epochs import epoch_moments
from mlengine.stores.market_data.tables.cells.written import written_moments
from mlengine.stores.market_data.tables.settings import TableSettings
from mlengine.stores.market_data.tables.table import CellRefused


def read_moments(column: pl.Series, settings: TableSettings) -> tuple[pl.DataFrame, TableSettings]:
    """Columns `local`, `zone` (null: none stated) and `bare` (a date alone), null where unread.

    Beside them the settings with what the column decides. Raises CellRefused where it leaves open
    what its cells mean.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        local = column.dt.replace_time_zone(None)
        # The hour that comes twice is told by the offset, and a zone by any other than zero.
        offsets = (local - utc).dt.total_minutes()
        return _typed(local, bare=False, zones=_offset_texts(offsets)), settings
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return _typed(column, bare=dtype == pl.Date), settings
    if dtype == pl.String and settings.epochs is None:
        are_numbers = settings.date_format is None and _are_digits(column)
        settings = replace(settings, epochs=are_numbers)
    if dtype == pl.String and not settings.epochs:
        moments, day_first = written_moments(
            column, settings.date_format, day_first=settings.day_first
        )
        return moments, replace(settings, day_first=day_first)
    if not (dtype.is_numeric() or dtype == pl.String):
        value = column[0] if len(column) else None
        raise CellRefused(f"a column of type {dtype} states no moments", 0, value)
    return epoch_moments(_numbers(column), settings.unit), settings


def _typed(column: pl.Series, *, bare: bool, zones: pl.Series | None = None) -> pl.DataFrame:
    moments = pl.DataFrame({"local": column.cast(pl.Datetime("us"))})
    zone = pl.lit(None, pl.String) if zones is None else zones
    return moments.with_columns(zone.alias("zone"), pl.lit(bare).alias("bare"))


def _offset_texts(minutes: pl.Series) -> pl.Series:
    """`+05:30` of 330."""
    texts = {
        offset: f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
        for offset in minutes.drop_nulls().unique().to_list()
    }
    return minutes.replace_strict(texts, default=None, return_dtype=pl.String)


def _numbers(column: pl.Series) -> pl.Series:
    """Whole numbers where all are."""
    numbers = column.str.strip_chars() if column.dtype == pl.String else column
    if numbers.dtype.is_integer():
        return numbers.cast(pl.Int64, strict=False)
    whole = numbers.cast(pl.Int64, strict=False)
    has_parts = column.dtype == pl.String and whole.null_count() > numbers.null_count()
    return numbers.cast(pl.Float64, strict=False) if has_parts else whole


def _are_digits(texts: pl.Series) -> bool:
    """Whether the first cells that say something are numbers."""
    first = texts.drop_nulls().head(64).str.strip_chars()
    numbers = first.str.contains(r"^-?[0-9]+(\.[0-9]+)?$")
    return 2 * int(numbers.sum()) > len(first)


def clock_texts(texts: pl.Series) -> pl.Series:
    """Times of the day such as 930, 093000 and 093000000 with a fixed number of digits."""
    clocks = texts.str.strip_chars()
    digits = clocks.str.contains("^[0-9]+$")
    if not digits.any():
        return clocks
    longest = max(clocks.filter(digits).str.len_chars().unique().to_list())
    width = 4 if longest <= 4 else 6 if longest <= 6 else 9
    return clocks.str.zfill(width).str.slice(0, 6).zip_with(digits, clocks)
