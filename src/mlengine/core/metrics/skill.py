"""Metrics of every objective: does the score tell what rises from what falls?"""

from functools import partial

import numpy as np

from mlengine.core.arrays import Flags, Floats
from mlengine.core.evaluation import MetricEstimate
from mlengine.core.metrics.actuals import Baseline
from mlengine.core.metrics.bootstrap_estimator import BaselineRows, BootstrapEstimator
from mlengine.core.metrics.correlations import (
    correlation_by_date,
    weighted_correlation_within_symbols,
    weighted_information_ratio,
    weighted_mean,
)
from mlengine.core.metrics.losses import hit_rate
from mlengine.core.metrics.ranking import auc, weighted_auc, weighted_auc_by_symbol
from mlengine.core.metrics.scored_rows import FEWEST_VALUES, ScoredRows

_ONE_SIDED = "all rows moved the same way"
_NO_SYMBOL = f"no symbol has {FEWEST_VALUES} rows that differ in score and outcome"
_FEW_SYMBOLS = f"no date has {FEWEST_VALUES} symbols"
_CONSTANT = "the scores of every date are equal"
_STILL = "no row moved"


def auc_metrics(estimator: BootstrapEstimator) -> dict[str, MetricEstimate]:
    """`auc` of all rows at once, and the mean of each symbol's own."""
    scored = estimator.scored
    last_up = (scored.last_returns > 0.0).astype(np.float64)
    return {
        "auc": estimator.estimate(
            partial(weighted_auc, scored),
            0.5,
            "coin_flip",
            undefined=_ONE_SIDED,
            last_return_sign=auc(scored.target_up, last_up),
        ),
        "auc_by_symbol": estimator.estimate(
            partial(weighted_auc_by_symbol, scored), 0.5, "coin_flip", undefined=_NO_SYMBOL
        ),
    }


def ic_metrics(estimator: BootstrapEstimator) -> dict[str, MetricEstimate]:
    """Correlations by date with their stability, and over time within a symbol."""
    scored = estimator.scored
    over_time = partial(weighted_correlation_within_symbols, scored)
    return {
        **_by_date(estimator, "ic", "icir", correlation_by_date(scored, ranked=False)),
        **_by_date(estimator, "rank_ic", "rank_icir", correlation_by_date(scored, ranked=True)),
        "ic_time": estimator.estimate(over_time, 0.0, "no_skill", undefined=_NO_SYMBOL),
    }


def _by_date(
    estimator: BootstrapEstimator, mean: str, ratio: str, series: Floats
) -> dict[str, MetricEstimate]:
    """A daily series' mean, and its mean over its deviation."""
    undefined = _CONSTANT if np.any(_has_enough(estimator.scored)) else _FEW_SYMBOLS
    return {
        name: estimator.estimate(partial(of, series), 0.0, "no_skill", undefined=undefined)
        for name, of in ((mean, weighted_mean), (ratio, weighted_information_ratio))
    }


def hit_rate_metrics(
    estimator: BootstrapEstimator, baseline: Baseline, *, relative: bool
) -> dict[str, MetricEstimate]:
    """`hit_rate`: the share of rows that moved whose sign was said right.

    `relative` moves are ahead of or behind the other symbols, where half is what chance gives.
    """
    scored = estimator.scored
    moved = scored.targets != 0.0
    up = scored.target_up
    right = ((up > 0.0) == scored.predicted_up).astype(np.float64)
    if relative:
        coin = BaselineRows(np.full(len(up), 0.5), "coin_flip", larger_is_better=True)
        return {
            "hit_rate": estimator.estimate_mean(right, coin, among=moved, undefined=_STILL),
        }
    says_up = baseline.up_rate >= 0.5
    majority = ((up > 0.0) == says_up).astype(np.float64)
    return {
        "hit_rate": estimator.estimate_mean(
            right,
            BaselineRows(majority, "majority_class", larger_is_better=True),
            among=moved,
            undefined=_STILL,
            last_return_sign=hit_rate(up[moved], scored.last_returns[moved] > 0.0),
        )
    }


def most_dates_have_enough_symbols(scored: ScoredRows) -> bool:
    """Whether half of the dates have the ten symbols that a correlation by date needs."""
    return bool(_has_enough(scored).mean() >= 0.5)


def _has_enough(scored: ScoredRows) -> Flags:
    """Each date."""
    return np.bincount(scored.date_index, minlength=scored.date_count) >= FEWEST_VALUES
