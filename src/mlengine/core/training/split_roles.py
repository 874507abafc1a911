"""What part each row had in a training: one line for every row and fold that it took part in."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from mlengine.core.training.dataset import Dataset
from mlengine.core.training.row_plan import RowPlan, SplitRows

CANDIDATE_FOLD = 0
_KEYS = ("symbol", "timestamp")
_LABELS = ("label", "forward_return", "label_ends")


def split_role_table(dataset: Dataset, plan: RowPlan) -> pl.LazyFrame:
    """symbol, timestamp, features, label, forward_return, label_ends, fold, role; nothing copied.

    Folds count from 1; fold 0 is the candidate, whose rows to judge on are `holdout` and not
    `test`. Other roles: `fit`, `stop`, `purged`. A row that has no part in a fold has no line.
    """
    columns = [*_KEYS, *dataset.feature_names, *_LABELS]
    rows = dataset.plan().select(columns)
    return pl.concat(
        rows.with_columns(pl.lit(fold, pl.Int32).alias("fold"), roles).filter(
            pl.col("role").is_not_null()
        )
        for fold, roles in _folds(plan, dataset.frame.height)
    )


def _folds(plan: RowPlan, rows: int) -> Iterator[tuple[int, pl.Series]]:
    yield CANDIDATE_FOLD, _roles(plan.candidate, rows, tested_as="holdout")
    for fold, split in enumerate(plan.folds, start=1):
        yield fold, _roles(split, rows, tested_as="test")


def _roles(split: SplitRows, rows: int, *, tested_as: str) -> pl.Series:
    roles = np.full(rows, None, dtype=object)
    roles[split.fit] = "fit"
    roles[split.early_stop] = "stop"
    roles[split.test] = tested_as
    roles[split.purged_train] = roles[split.purged_early_stop] = "purged"
    return pl.Series("role", roles.tolist(), dtype=pl.String)
