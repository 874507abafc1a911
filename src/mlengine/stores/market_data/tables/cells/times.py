"""A column of times of any type, as local times with what each says of its zone."""

import re
from dataclasses import replace

import polars as pl

from mlengine.core.bars.epochs import only_possible
from mlengine.stores.market_data.tables.cells.epochs import epoch_times
from mlengine.stores.market_data.tables.cells.written import written_times
from mlengine.stores.market_data.tables.settings import TableSettings
from mlengine.stores.market_data.tables.table import CellRefused, LocalTimes

_SAMPLE_ROWS = 16
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


def read_times(column: pl.Series, settings: TableSettings) -> tuple[LocalTimes, TableSettings]:
    """The times of a column, null out of 1900 to 2099; and the settings with what it decides.

    Raises CellRefused where the column leaves open what its cells mean.
    """
    times, settings = _read_any(column, settings)
    return replace(times, local=only_possible(times.local)), settings


def _read_any(column: pl.Series, settings: TableSettings) -> tuple[LocalTimes, TableSettings]:
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        local = column.dt.replace_time_zone(None)
        if dtype.time_zone == "UTC":
            return LocalTimes(local.cast(pl.Datetime("us")), common_zone="UTC"), settings
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        # The hour that comes twice is told by the offset, and a zone by any other than zero.
        offsets = (local - utc).dt.total_seconds()
        return LocalTimes(local.cast(pl.Datetime("us")), _offset_texts(offsets)), settings
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return LocalTimes(column.cast(pl.Datetime("us")), bare=dtype == pl.Date), settings
    if dtype == pl.String and settings.times_are_epochs is None:
        are_numbers = settings.date_format is None and _are_digits(column)
        settings = replace(settings, times_are_epochs=are_numbers)
    if dtype == pl.String and not settings.times_are_epochs:
        times, day_first = written_times(column, settings.date_format, day_first=settings.day_first)
        return times, replace(settings, day_first=day_first)
    if not (dtype.is_numeric() or dtype == pl.String):
        value = column[0] if len(column) else None
        raise CellRefused(f"a column of type {dtype} states no times", 0, value)
    return epoch_times(_numbers(column), settings.unit), settings


def _offset_texts(seconds: pl.Series) -> pl.Series:
    """`+05:30:00` of 19800."""
    texts = {offset: _offset_text(offset) for offset in seconds.drop_nulls().unique().to_list()}
    return seconds.replace_strict(texts, default=None, return_dtype=pl.String)


def _offset_text(seconds: int) -> str:
    minutes, rest = divmod(abs(seconds), 60)
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


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
    first = texts.drop_nulls().head(_SAMPLE_ROWS).to_list()
    return 2 * sum(bool(_NUMBER.fullmatch(text.strip())) for text in first) > len(first)
