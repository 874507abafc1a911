"""Rows to learn from: features, labels and when each label was known."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats, Indices, Moments
from mlengine.core.features import FeatureSet, compute
from mlengine.core.training.labels import cross_sectional_zscore, label_expr, label_rows

_KEYS = ["symbol", "timestamp"]
_ROW = "row number"


@dataclass(frozen=True)
class Dataset:
    """`frame` is sorted by (timestamp, symbol).

    Columns: symbol, timestamp, label_starts, label_ends, label, forward_return, last_return (of
    the row's own bar) and one Float64 column a feature, null where it is undefined.
    """

    frame: pl.DataFrame
    feature_names: tuple[str, ...]

    def features(self, rows: Indices) -> pl.DataFrame:
        """The features of some rows, ascending; rows without a gap are not copied."""
        features = self.frame.select(self.feature_names)
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            return features.slice(int(rows[0]), len(rows))
        return features[rows]

    def matrix(self, rows: Indices | None = None) -> Floats:
        """Features of all rows, or of some, as (rows, features) float64, nulls as NaN."""
        features = self.frame.select(self.feature_names) if rows is None else self.features(rows)
        filled = features.with_columns(pl.all().fill_null(float("nan")))
        return np.ascontiguousarray(filled.to_numpy(), dtype=np.float64)

    def column(self, name: str) -> Floats:
        """A Float64 column, nulls as NaN."""
        return self.frame[name].fill_null(float("nan")).to_numpy()

    def times(self, name: str) -> Moments:
        """A column of moments as int64 microseconds of the epoch."""
        return self.frame[name].dt.epoch("us").to_numpy()


def build(
    bars: pl.DataFrame,
    feature_set: FeatureSet,
    *,
    horizon_bars: int,
    delay_bars: int = 0,
    objective: str,
    label_transform: str = "raw",
    members: pl.DataFrame | None = None,
    across_holes: pl.DataFrame | None = None,
) -> Dataset:
    """Join the features of `bars` with their labels.

    A row without a label, or without a full feature window (all features null), is left out;
    a single undefined feature stays null. `label_transform` is `raw`, or `cs_zscore` for the
    z-score among the symbols of the date. `members` (symbol, from, to: dates, both included, a null
    `to` is open) leaves only rows whose date is within; features and labels use every bar all the
    same.
    `across_holes` (symbol, timestamp) are rows whose label leads over a hole: they are left out.
    """
    names = feature_set.names
    computed = compute(bars, feature_set)
    rows = last_returns(bars).join(
        label_rows(bars, horizon_bars=horizon_bars, delay_bars=delay_bars), on=_KEYS
    )
    if across_holes is not None:
        rows = rows.join(across_holes, on=_KEYS, how="anti", maintain_order="left")
    rows = rows if members is None else only_members(rows, members)
    rows = (
        rows.join(_complete(computed, names), on=_KEYS)
        .with_columns(label_expr(objective).alias("label"))
        .sort("timestamp", "symbol")
    )
    rows = cross_sectional_zscore(rows) if label_transform == "cs_zscore" else rows
    # Column by column: the features of all rows are never held twice.
    features = [computed.drop_in_place(name).gather(rows[_ROW]) for name in names]
    return Dataset(rows.drop(_ROW).with_columns(features), names)


def _complete(features: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    """The keys and numbers of the rows with a full feature window."""
    complete = pl.any_horizontal(pl.col(names).is_not_null())
    rows = features.select(*_KEYS, complete.alias("complete")).with_row_index(_ROW)
    return rows.filter("complete").drop("complete")


def only_members(rows: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """The rows whose symbol is a member on the date (UTC) of their timestamp."""
    date = pl.col("timestamp").dt.date()
    not_ended = pl.col("to").is_null() | (date <= pl.col("to"))
    memberships = rows.select(_KEYS).join(members, on="symbol")
    valid = memberships.filter((date >= pl.col("from")) & not_ended).select(_KEYS)
    return rows.join(valid, on=_KEYS, how="semi", maintain_order="left")


def last_returns(bars: pl.DataFrame) -> pl.DataFrame:
    """`last_return` of each bar: what its close made of the one before; null for the first."""
    close = pl.col("close")
    return bars.sort("symbol", "timestamp").select(
        "symbol", "timestamp", (close / close.shift(1) - 1.0).over("symbol").alias("last_return")
    )
