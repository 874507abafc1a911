"""A metric of the rows as they are, and the interval of the same metric over the draws."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Flags, Floats, finite_or_none
from mlengine.core.evaluation import MetricEstimate
from mlengine.core.metrics.block_bootstrap import FEWEST_BLOCKS, confidence_interval, weighted_sums
from mlengine.core.metrics.scored_rows import ScoredRows

_TOO_SHORT = f"too few dates for an interval: fewer than {FEWEST_BLOCKS} blocks"
_MOSTLY_UNDEFINED = "no interval: it is not defined on many of the draws"


@dataclass(frozen=True)
class BootstrapEstimator:
    """`weights` is (draws, dates), from `block_bootstrap.draw_weights`."""

    scored: ScoredRows
    weights: Floats

    def estimate(
        self,
        of: Callable[[Floats], Floats],
        baseline: float,
        kind: str,
        *,
        undefined: str,
        **others: float,
    ) -> MetricEstimate:
        """`of` maps date weights (k, dates) to k values; `undefined` says why one may be NaN."""
        value = float(of(self.scored.unit_weights)[0])
        return _estimate(value, of(self.weights), baseline, kind, undefined, others)

    def estimate_mean(
        self,
        rows: Floats,
        baseline: float,
        kind: str,
        *,
        among: Flags | None = None,
        undefined: str = "no rows",
        **others: float,
    ) -> MetricEstimate:
        """The mean of `rows`, or of those `among` them."""
        counted = np.ones(len(rows)) if among is None else among.astype(np.float64)
        selected = rows if among is None else rows[among]
        value = float(selected.mean()) if len(selected) else math.nan
        totals = weighted_sums(self.weights, self.scored.sum_by_date(rows * counted))
        counts = weighted_sums(self.weights, self.scored.sum_by_date(counted))
        draws = np.divide(totals, counts, out=np.full(len(totals), math.nan), where=counts > 0.0)
        return _estimate(value, draws, baseline, kind, undefined, others)


def _estimate(
    value: float,
    draws: Floats,
    baseline: float,
    kind: str,
    undefined: str,
    others: dict[str, float],
) -> MetricEstimate:
    other_baselines = {name: finite_or_none(other) for name, other in others.items()}
    if not math.isfinite(value):
        return MetricEstimate(
            None, finite_or_none(baseline), kind, other_baselines, reason=undefined
        )
    low, high = confidence_interval(draws)
    return MetricEstimate(
        value,
        finite_or_none(baseline),
        kind,
        other_baselines,
        low,
        high,
        no_confidence_interval_reason(draws, low),
    )


def no_confidence_interval_reason(draws: Floats, low: float | None) -> str | None:
    """Why there is no interval, if there is none."""
    if low is not None:
        return None
    return _MOSTLY_UNDEFINED if len(draws) else _TOO_SHORT
