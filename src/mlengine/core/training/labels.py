"""Labels: what a symbol's close did over the next `horizon_bars`, and when that was known."""

import polars as pl

from mlengine.core.training.params import FEWEST_SYMBOLS


def label_rows(bars: pl.DataFrame, *, horizon_bars: int, delay_bars: int = 0) -> pl.DataFrame:
    """One row a bar whose label is known, sorted by (symbol, timestamp).

    forward_return = close[t+d+h] / close[t+d] - 1 with d = `delay_bars`, h = `horizon_bars`, and
    with the sign of the change where close[t+d] is negative; a row is left out where it is zero.
    Bars count as they are, across session breaks and halts. `label_starts` and `label_ends` are
    the timestamps of the bars t+d and t+d+h. The last d+h bars of a symbol have no row.

    >>> close = pl.DataFrame({"symbol": "A", "timestamp": [1, 2, 3], "close": [8.0, 10.0, 5.0]})
    >>> rows = label_rows(close, horizon_bars=1)
    >>> rows.rows()
    [('A', 1, 0.25, 1, 2), ('A', 2, -0.5, 2, 3)]
    >>> rows.select(label_expr("direction")).to_series().to_list()
    [1.0, 0.0]
    """
    ordered = bars.sort("symbol", "timestamp")
    starts, ends = -delay_bars, -(delay_bars + horizon_bars)
    close, timestamp = pl.col("close"), pl.col("timestamp")
    first = close.shift(starts)
    labelled = ordered.select(
        "symbol",
        "timestamp",
        ((close.shift(ends) / first - 1.0) * first.sign()).over("symbol").alias("forward_return"),
        timestamp.shift(starts).over("symbol").alias("label_starts"),
        timestamp.shift(ends).over("symbol").alias("label_ends"),
    )
    return labelled.filter(
        pl.col("label_ends").is_not_null() & pl.col("forward_return").is_finite()
    )


def label_expr(objective: str) -> pl.Expr:
    """The label of a row: 1.0 or 0.0 for `direction` (exact zeros are down), else the return."""
    forward_return = pl.col("forward_return")
    if objective == "direction":
        return (forward_return > 0.0).cast(pl.Float64)
    return forward_return


def cross_sectional_zscore(rows: pl.DataFrame) -> pl.DataFrame:
    """`label` becomes its z-score among the symbols of its date (Qlib's CSZScoreNorm, ddof = 1).

    Dates with fewer than 10 symbols, or with one label for all, are left out. Each label so rests
    on the closes of all of them: `label_ends` becomes the latest of the date.
    """
    label, date = pl.col("label"), "timestamp"
    spread = label.std(ddof=1)
    # The deviation of equal numbers is not always exactly zero.
    differ = label.max() > label.min()
    usable = (pl.len() >= FEWEST_SYMBOLS) & differ & (spread > 0.0)
    return rows.filter(usable.over(date)).with_columns(
        ((label - label.mean()) / spread).over(date).alias("label"),
        pl.col("label_ends").max().over(date),
    )
