"""The order of bars: by symbol, and of each symbol by time."""

import polars as pl


def is_ordered(bars: pl.DataFrame) -> bool:
    """Whether each bar is a later one, or one of a later symbol: then no two are of one time."""
    symbol, at = pl.col("symbol"), pl.col("timestamp")
    later = (symbol == symbol.shift(1)) & (at > at.shift(1))
    return bool(bars.select((later | (symbol > symbol.shift(1))).all()).item())


def in_order(bars: pl.DataFrame) -> pl.DataFrame:
    """The bars sorted; themselves where they are, for to sort copies all."""
    return bars if is_ordered(bars) else bars.sort("symbol", "timestamp")
