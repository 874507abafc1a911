"""Metrics of every objective: does the score tell what rises from what falls?"""

from __future__ import annotations

from functools import partial

import numpy as np

from mlengine.core.arrays import Flags, Floats
from mlengine.core.evaluation import Measure
from mlengine.core.metrics.correlations import (
    daily,
    weighted_information_ratio,
    weighted_mean,
    weighted_over_time,
)
from mlengine.core.metrics.estimates import Estimator
from mlengine.core.metrics.outcomes import Baseline
from mlengine.core.metrics.point_losses import hit_rate
from mlengine.core.metrics.ranking import auc, weighted_auc, weighted_auc_by_symbol
from mlengine.core.metrics.samples import FEWEST_VALUES, Samples

_ONE_SIDED = "all rows moved the same way"
_NO_SYMBOL = f"no symbol has {FEWEST_VALUES} rows that differ in score and outcome"
_FEW_SYMBOLS = f"no date has {FEWEST_VALUES} symbols"
_CONSTANT = "the scores of every date are equal"
_STILL = "no row moved"


def order(sampled: Estimator) -> dict[str, Measure]:
    """`auc` of all rows at once, and the mean of each symbol's own."""
    cases = sampled.cases
    last_up = (cases.last_returns > 0.0).astype(np.float64)
    return {
        "auc": sampled.statistic(
            partial(weighted_auc, cases),
            0.5,
            "coin_flip",
            undefined=_ONE_SIDED,
            last_return_sign=auc(cases.ups, last_up),
        ),
        "auc_by_symbol": sampled.statistic(
            partial(weighted_auc_by_symbol, cases), 0.5, "coin_flip", undefined=_NO_SYMBOL
        ),
    }


def information(sampled: Estimator) -> dict[str, Measure]:
    """Correlations by date with their stability, and over time within a symbol."""
    cases = sampled.cases
    over_time = partial(weighted_over_time, cases)
    return {
        **_by_date(sampled, "ic", "icir", daily(cases, ranked=False)),
        **_by_date(sampled, "rank_ic", "rank_icir", daily(cases, ranked=True)),
        "ic_time": sampled.statistic(over_time, 0.0, "no_skill", undefined=_NO_SYMBOL),
    }


def _by_date(sampled: Estimator, mean: str, ratio: str, series: Floats) -> dict[str, Measure]:
    """A daily series' mean, and its mean over its deviation."""
    undefined = _CONSTANT if np.any(_has_enough(sampled.cases)) else _FEW_SYMBOLS
    return {
        name: sampled.statistic(partial(of, series), 0.0, "no_skill", undefined=undefined)
        for name, of in ((mean, weighted_mean), (ratio, weighted_information_ratio))
    }


def signs(sampled: Estimator, baseline: Baseline, *, relative: bool) -> dict[str, Measure]:
    """`hit_rate`: the share of rows that moved whose sign was said right.

    `relative` moves are ahead of or behind the other symbols, where half is what chance gives.
    """
    cases = sampled.cases
    moved = cases.moves != 0.0
    ups = cases.ups
    right = ((ups > 0.0) == cases.said_up).astype(np.float64)
    if relative:
        return {"hit_rate": sampled.mean(right, 0.5, "coin_flip", among=moved, undefined=_STILL)}
    majority = np.full(int(moved.sum()), baseline.up_rate >= 0.5)
    return {
        "hit_rate": sampled.mean(
            right,
            hit_rate(ups[moved], majority),
            "majority_class",
            among=moved,
            undefined=_STILL,
            last_return_sign=hit_rate(ups[moved], cases.last_returns[moved] > 0.0),
        )
    }


def mostly_enough_symbols(cases: Samples) -> bool:
    """Whether half of the dates have the ten symbols that a correlation by date needs."""
    return bool(_has_enough(cases).mean() >= 0.5)


def _has_enough(cases: Samples) -> Flags:
    """Each date."""
    return np.bincount(cases.date, minlength=cases.dates) >= FEWEST_VALUES
