"""Rows to learn from: features, labels and when each label was known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats, Indices, Moments
from mlengine.core.boosting.row_blocks import RowBlock
from mlengine.core.features import FeatureSet, compute
from mlengine.core.features.pieces import symbol_pieces
from mlengine.core.training.labels import cross_sectional_zscore, label_expr, label_rows
from mlengine.core.training.spilled import FeatureSpill, SpilledFeatures

_KEYS = ["symbol", "timestamp"]
_ROW = "row number"
_BLOCK_ROWS = 65_536


@dataclass(frozen=True)
class Dataset:
    """`frame` is sorted by (timestamp, symbol).

    Columns: symbol, timestamp, label_starts, label_ends, label, forward_return, last_return (of
    the row's own bar) and, where they are not `spilled`, one Float64 column a feature, null where
    it is undefined.
    """

    frame: pl.DataFrame
    feature_names: tuple[str, ...]
    spilled: SpilledFeatures | None = None

    def to_bin(self, rows: Indices) -> pl.DataFrame | tuple[RowBlock, ...]:
        """The features of some rows, ascending; rows without a gap are not copied."""
        return tuple(self.spilled.blocks(rows)) if self.spilled else self.features(rows)

    def features(self, rows: Indices) -> pl.DataFrame:
        """The features of some rows, ascending, in memory; rows without a gap are not copied."""
        if self.spilled:
            found = [pl.DataFrame(each, self.feature_names) for each in self.blocks(rows)]
            return pl.concat(found).fill_nan(None) if found else self._no_features
        features = self.frame.select(self.feature_names)
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            return features.slice(int(rows[0]), len(rows))
        return features[rows]

    def matrix(self, rows: Indices | None = None) -> Floats:
        """Features of all rows, or of some, as (rows, features) float64, nulls as NaN."""
        return _matrix(self.features(np.arange(self.frame.height) if rows is None else rows))

    def blocks(self, rows: Indices) -> Iterator[Floats]:
        """The `matrix` of some rows, ascending, in blocks one after the other."""
        if self.spilled:
            yield from (block.read() for block in self.spilled.blocks(rows))
            return
        for first in range(0, len(rows), _BLOCK_ROWS):
            yield _matrix(self.features(rows[first : first + _BLOCK_ROWS]))

    def feature(self, name: str, rows: Indices) -> Floats:
        """One feature of some rows, ascending, nulls as NaN."""
        if self.spilled:
            return self.spilled.column(name, rows)
        return self.frame[name].gather(rows).fill_null(float("nan")).to_numpy()

    def plan(self) -> pl.LazyFrame:
        """All columns of `frame` and all features."""
        if self.spilled is None:
            return self.frame.lazy()
        return pl.concat([self.frame.lazy(), self.spilled.plan()], how="horizontal")

    def column(self, name: str) -> Floats:
        """A Float64 column of `frame`, nulls as NaN."""
        return self.frame[name].fill_null(float("nan")).to_numpy()

    def times(self, name: str) -> Moments:
        """A column of moments as int64 microseconds of the epoch."""
        return self.frame[name].dt.epoch("us").to_numpy()

    @property
    def _no_features(self) -> pl.DataFrame:
        return pl.DataFrame(schema=dict.fromkeys(self.feature_names, pl.Float64))


def _matrix(features: pl.DataFrame) -> Floats:
    filled = features.with_columns(pl.all().fill_null(float("nan")))
    return np.ascontiguousarray(filled.to_numpy(), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class RowRules:
    """Which bars have a row, and with which label: see `build`."""

    horizon_bars: int
    delay_bars: int = 0
    objective: str
    label_transform: str = "raw"
    members: pl.DataFrame | None = None
    across_holes: pl.DataFrame | None = None

    def labelled(self, bars: pl.DataFrame) -> pl.DataFrame:
        """The rows of some whole symbols, without their features and labels."""
        rows = last_returns(bars).join(
            label_rows(bars, horizon_bars=self.horizon_bars, delay_bars=self.delay_bars), on=_KEYS
        )
        if self.across_holes is not None:
            rows = rows.join(self.across_holes, on=_KEYS, how="anti", maintain_order="left")
        return rows if self.members is None else only_members(rows, self.members)

    def ordered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of all symbols with their labels, in the order of a dataset."""
        rows = rows.with_columns(label_expr(self.objective).alias("label"))
        rows = rows.sort("timestamp", "symbol")
        return cross_sectional_zscore(rows) if self.label_transform == "cs_zscore" else rows


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
    spill: FeatureSpill | None = None,
) -> Dataset:
    """Join the features of `bars` with their labels.

    A row without a label, or without a full feature window (all features null), is left out;
    a single undefined feature stays null. `label_transform` is `raw`, or `cs_zscore` for the
    z-score among the symbols of the date. `members` (symbol, from, to: dates, both included, a null
    `to` is open) leaves only rows whose date is within; features and labels use every bar all the
    same.
    `across_holes` (symbol, timestamp) are rows whose label leads over a hole: they are left out.
    With `spill` the features go there, computed for a few whole symbols at a time: the same bits.
    """
    rules = RowRules(
        horizon_bars=horizon_bars,
        delay_bars=delay_bars,
        objective=objective,
        label_transform=label_transform,
        members=members,
        across_holes=across_holes,
    )
    if spill is not None:
        return _build_spilled(bars, feature_set, rules, spill)
    computed = compute(bars, feature_set)
    rows = rules.ordered(_complete(rules.labelled(bars), computed, feature_set.names))
    # Column by column: the features of all rows are never held twice.
    names = feature_set.names
    features = [computed.drop_in_place(name).gather(rows[_ROW]) for name in names]
    return Dataset(rows.drop(_ROW).with_columns(features), names)


def _build_spilled(
    bars: pl.DataFrame, feature_set: FeatureSet, rules: RowRules, spill: FeatureSpill
) -> Dataset:
    names, parts, appended = feature_set.names, list[pl.DataFrame](), 0
    for piece in symbol_pieces(bars, rows=spill.piece_rows):
        computed = compute(piece, feature_set)
        rows = _complete(rules.labelled(piece), computed, names)
        spill.append(rows["timestamp"], computed.select(names)[rows[_ROW]])
        numbers = pl.int_range(appended, appended + rows.height, dtype=pl.UInt32, eager=True)
        parts.append(rows.with_columns(numbers.alias(_ROW)))
        appended += rows.height
    rows = pl.concat(parts)
    parts.clear()
    rows = rules.ordered(rows)
    order = rows[_ROW].cast(pl.Int64).to_numpy()
    return Dataset(rows.drop(_ROW), names, spill.finish(order))


def _complete(rows: pl.DataFrame, computed: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    """Those with a full feature window, and the number of each among the computed features."""
    complete = pl.any_horizontal(pl.col(names).is_not_null())
    numbered = computed.select(*_KEYS, complete.alias("complete")).with_row_index(_ROW)
    return rows.join(numbered.filter("complete").drop("complete"), on=_KEYS)


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
