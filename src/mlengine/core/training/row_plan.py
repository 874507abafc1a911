"""Which rows a training fits, stops and tests on, decided before anything is fitted."""

from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Indices
from mlengine.core.training import splits
from mlengine.core.training.dataset import Dataset
from mlengine.core.training.fold_work import FitRows
from mlengine.core.training.spec import TrainSpec
from mlengine.core.training.splits import RowTimes, Split


@dataclass(frozen=True)
class SplitRows(FitRows):
    """Rows to test on beside those of a fit; `purged_*` belong to none of them.

    The labels of `purged_train` reach into `test`, those of `purged_early_stop` into `early_stop`.
    """

    test: Indices
    purged_train: Indices
    purged_early_stop: Indices

    @property
    def fit_and_early_stop(self) -> Indices:
        """All rows that shape the model; the training rows of the manifest."""
        return np.concatenate([self.fit, self.early_stop])


@dataclass(frozen=True)
class RowPlan:
    """Every row number of a training, decided before anything is fitted.

    `refit` are the newest rows, as many dates as a training sees, whether or not one is asked for.
    """

    folds: tuple[SplitRows, ...]
    candidate: SplitRows
    refit: Indices


def plan_rows(dataset: Dataset, spec: TrainSpec) -> RowPlan:
    """Cut holdout, folds and early-stopping rows; raises TrainingFailed on too little history."""
    times = RowTimes(dataset.times("timestamp"), dataset.times("label_ends"))
    share, embargo, window = spec.test_size, spec.embargo_bars, spec.train_window
    # The folds test the dates before the holdout, also those before its rolling window.
    before = splits.holdout_split(times, test_share=share, embargo_bars=embargo).train
    folds = splits.walk_forward(
        times, before, folds=spec.folds, embargo_bars=embargo, window_dates=window
    )
    holdout = splits.holdout_split(
        times, test_share=share, embargo_bars=embargo, window_dates=window
    )
    return RowPlan(
        folds=tuple(_split_rows(times, fold) for fold in folds),
        candidate=_split_rows(times, holdout),
        refit=splits.newest_rows(times, window_dates=window),
    )


def _split_rows(times: RowTimes, split: Split) -> SplitRows:
    tail = splits.early_stopping_split(times, split.train)
    return SplitRows(tail.train, tail.test, split.test, split.purged, tail.purged)


def rows_used_by_folds(plan: RowPlan) -> Indices:
    """The leading rows of the dataset, up to the last one that a fold is fitted or stopped on."""
    return np.arange(1 + max(int(rows.early_stop[-1]) for rows in plan.folds))
