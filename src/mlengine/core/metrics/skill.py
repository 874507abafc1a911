"""Metrics of every objective: does the score tell what rises from what falls?"""

from __future__ import annotations

from functools import partial

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.evaluation import Measure
from mlengine.core.metrics.cases import FEWEST_VALUES, Cases
from mlengine.core.metrics.correlations import (
    daily,
    weighted_information_ratio,
    weighted_mean,
    weighted_over_time,
)
from mlengine.core.metrics.losses import hit_rate
from mlengine.core.metrics.measuring import Sampled
from mlengine.core.metrics.outcomes import Baseline
from mlengine.core.metrics.ranking import auc, weighted_auc, weighted_auc_by_symbol

_ONE_SIDED = "all rows moved the same way"
_NO_SYMBOL = f"no symbol has {FEWEST_VALUES} rows that differ in score and outcome"
_FEW_SYMBOLS = f"no date has {FEWEST_VALUES} symbols"
_CONSTANT = "the scores of every date are equal"
_STILL = "no row moved"


def order(sampled: Sampled) -> dict[str, Measure]:
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


def information(sampled: Sampled) -> dict[str, Measure]:
    """Correlations by date with their stability, and over time within a symbol."""
    cases = sampled.cases
    measured: dict[str, Measure] = {}
    for name, series in (
        ("ic", daily(cases, ranked=False)),
        ("rank_ic", daily(cases, ranked=True)),
    ):
        undefined = _CONSTANT if has_enough_symbols(cases) else _FEW_SYMBOLS
        for prefix, of in ((name, weighted_mean), (f"{name}r", weighted_information_ratio)):
            key = prefix.replace("icr", "icir")
            measured[key] = sampled.statistic(
                partial(of, series), 0.0, "no_skill", undefined=undefined
            )
    over_time = partial(weighted_over_time, cases)
    measured["ic_time"] = sampled.statistic(over_time, 0.0, "no_skill", undefined=_NO_SYMBOL)
    return measured


def signs(sampled: Sampled, baseline: Baseline, *, relative: bool) -> dict[str, Measure]:
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


def has_enough_symbols(cases: Cases) -> bool:
    """Whether any date has the ten symbols that a correlation by date needs."""
    rows: Floats = cases.by_date(np.ones(len(cases.scores)))
    return bool(np.any(rows >= FEWEST_VALUES))
