"""Rows to learn from: features, labels and when each label was known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats, Rows
from mlengine.core.features import FeatureSet, compute
from mlengine.core.labels import label_rows, target


@dataclass(frozen=True)
class Dataset:
    """`frame` is sorted by (timestamp, symbol).

    Columns: symbol, timestamp, label_starts, label_ends, label, forward_return, last_return (of
    the row's own bar) and one Float64 column a feature, null where it is undefined.
    """

    frame: pl.DataFrame
    feature_names: tuple[str, ...]

    def matrix(self) -> Floats:
        """Features as (rows, features) float64, nulls as NaN."""
        features = self.frame.select(pl.col(self.feature_names).fill_null(float("nan")))
        return np.ascontiguousarray(features.to_numpy(), dtype=np.float64)

    def column(self, name: str) -> Floats:
        """A Float64 column, nulls as NaN."""
        return self.frame[name].fill_null(float("nan")).to_numpy()

    def times(self, name: str) -> Rows:
        """A column of moments as int64 microseconds of the epoch."""
        return self.frame[name].dt.epoch("us").to_numpy()


def build(
    bars: pl.DataFrame,
    feature_set: FeatureSet,
    *,
    horizon_bars: int,
    delay_bars: int = 0,
    objective: str,
) -> Dataset:
    """Join the features of `bars` with their labels.

    A row without a label, or without a full feature window (all features null), is left out;
    a single undefined feature stays null.
    """
    names = feature_set.names
    complete = pl.any_horizontal(pl.col(names).is_not_null())
    frame = (
        compute(bars, feature_set)
        .filter(complete)
        .join(_last_returns(bars), on=["symbol", "timestamp"])
        .join(
            label_rows(bars, horizon_bars=horizon_bars, delay_bars=delay_bars),
            on=["symbol", "timestamp"],
        )
        .with_columns(target(objective).alias("label"))
        .sort("timestamp", "symbol")
    )
    return Dataset(frame, names)


def _last_returns(bars: pl.DataFrame) -> pl.DataFrame:
    close = pl.col("close")
    return bars.sort("symbol", "timestamp").select(
        "symbol", "timestamp", (close / close.shift(1) - 1.0).over("symbol").alias("last_return")
    )
