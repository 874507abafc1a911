"""A column that says of each row whether its bar is final."""

import polars as pl

from mlengine.stores.market_data.candles import FLAGS
from mlengine.stores.market_data.tables.table import CellRefused


def read_flags(column: pl.Series, name: str) -> pl.Series:
    """True or false however it is written, null where a cell says nothing, or the column's name.

    Raises CellRefused for anything else.
    """
    texts = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    flags = texts.replace_strict(FLAGS, default=None, return_dtype=pl.Boolean)
    said = ~texts.is_in(["", name.strip().lower()])
    unread = (flags.is_null() & said).fill_null(value=False)
    if unread.any():
        row = unread.arg_max() or 0
        words = "it is neither true nor false (bars.toml: columns.final = '' denies it)"
        raise CellRefused(words, row, column[row])
    return flags
