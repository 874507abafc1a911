"""Rows as LightGBM holds them: every feature turned into at most 255 bins, a byte a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import lightgbm as lgb
import polars as pl

from mlengine.core.arrays import Floats, Indices
from mlengine.core.boosting.row_blocks import BlockDataset, RowBlock
from mlengine.errors import TrainingFailed

Params = Mapping[str, int | float | str | bool]


@dataclass(frozen=True)
class LabelledRows:
    """`features` (rows, names) float64, NaN or null where undefined, `labels` (rows,).

    A frame is read in place, column by column, where an array would be one more copy of it. Blocks
    are read one by one and let go of: for rows that memory does not hold.
    """

    features: Floats | pl.DataFrame | tuple[RowBlock, ...]
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


@dataclass(frozen=True)
class SharedEdges:
    """Bin edges for any number of fits, whose rows are read for each of them.

    The same trees as those of `SharedBins`, without all rows in memory beside the part of them.
    """

    names: tuple[str, ...]
    edges: lgb.Dataset
    take: Callable[[Indices], LabelledRows]
    params: Params = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        params: Params,
        *,
        names: tuple[str, ...],
        edges: Indices,
        take: Callable[[Indices], LabelledRows],
    ) -> SharedEdges:
        """Edges that the rows `edges` alone decide, of rows that `take` gives; TrainingFailed."""
        with translated_lightgbm_errors():
            return cls(names, _dataset(params, names, take(edges)), take, params)

    def subset(self, train: Indices, early_stop: Indices) -> BinnedRows:
        """As `SharedBins.subset`."""
        with translated_lightgbm_errors():
            parts = [
                _valid(self.params, self.edges, self.take(rows)) for rows in (train, early_stop)
            ]
        return BinnedRows(self.names, *parts)


@contextmanager
def translated_lightgbm_errors() -> Iterator[None]:
    """What LightGBM refuses fails the training."""
    try:
        yield
    except lgb.basic.LightGBMError as refusal:
        raise TrainingFailed("LightGBM refused the parameters or the training rows") from refusal


def _dataset(params: Params, names: tuple[str, ...], rows: LabelledRows) -> lgb.Dataset:
    return _construct(params, names, rows, None)


def _valid(params: Params, edges: lgb.Dataset, rows: LabelledRows) -> lgb.Dataset:
    return _construct(params, edges.get_feature_name(), rows, edges)


def _construct(
    params: Params, names: Sequence[str], rows: LabelledRows, edges: lgb.Dataset | None
) -> lgb.Dataset:
    # LightGBM adds to the parameters that it is given.
    own = dict(params)
    if isinstance(rows.features, tuple):
        made = BlockDataset(None, reference=edges, params=own)
        return made.construct_from(rows.features, rows.labels, names)
    return lgb.Dataset(
        rows.features, rows.labels, reference=edges, feature_name=list(names), params=own
    ).construct()
