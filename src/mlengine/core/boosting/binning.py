"""Rows as LightGBM holds them: every feature turned into at most 255 bins, a byte a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import lightgbm as lgb
import polars as pl

from mlengine.core.arrays import Floats, Indices
from mlengine.errors import TrainingFailed

Params = Mapping[str, int | float | str | bool]


@dataclass(frozen=True)
class LabelledRows:
    """`features` (rows, names) float64, NaN or null where undefined, `labels` (rows,).

    A frame is read in place, column by column, where an array would be one more copy of it.
    """

    features: Floats | pl.DataFrame
    labels: Floats


@dataclass(frozen=True)
class BinnedRows:
    """Rows to fit on, and rows that end the fit; the labelled rows behind them may go."""

    names: tuple[str, ...]
    train: lgb.Dataset
    early_stop: lgb.Dataset | None

    @classmethod
    def of(
        cls,
        params: Params,
        *,
        names: tuple[str, ...],
        train: LabelledRows,
        early_stop: LabelledRows | None,
    ) -> BinnedRows:
        """In bins whose edges `train` alone decides; raises TrainingFailed."""
        with translated_lightgbm_errors():
            edges = _dataset(params, names, train)
            return cls(names, edges, _valid(params, edges, early_stop) if early_stop else None)


@dataclass(frozen=True)
class SharedBins:
    """Rows binned once, for any number of fits on parts of them."""

    names: tuple[str, ...]
    rows: lgb.Dataset

    @classmethod
    def of(
        cls, params: Params, *, names: tuple[str, ...], edges: LabelledRows, rows: LabelledRows
    ) -> SharedBins:
        """Bin `rows` by edges that `edges` alone decides; raises TrainingFailed."""
        with translated_lightgbm_errors():
            return cls(names, _valid(params, _dataset(params, names, edges), rows))

    def subset(self, train: Indices, early_stop: Indices) -> BinnedRows:
        """Rows by their numbers, ascending; as if binned from scratch by the same edges."""
        return BinnedRows(
            self.names, self.rows.subset(train.tolist()), self.rows.subset(early_stop.tolist())
        )


@contextmanager
def translated_lightgbm_errors() -> Iterator[None]:
    """What LightGBM refuses fails the training."""
    try:
        yield
    except lgb.basic.LightGBMError as refusal:
        raise TrainingFailed("LightGBM refused the parameters or the training rows") from refusal


def _dataset(params: Params, names: tuple[str, ...], rows: LabelledRows) -> lgb.Dataset:
    # LightGBM adds to the parameters that it is given.
    return lgb.Dataset(
        rows.features, rows.labels, feature_name=list(names), params=dict(params)
    ).construct()


def _valid(params: Params, edges: lgb.Dataset, rows: LabelledRows) -> lgb.Dataset:
    return edges.create_valid(rows.features, rows.labels, params=dict(params)).construct()
