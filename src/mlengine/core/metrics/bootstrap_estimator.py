"""A metric of the rows as they are, and the interval of the same metric over the draws."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Flags, Floats, finite_or_none
from mlengine.core.evaluation import MetricEstimate
from mlengine.core.metrics.block_bootstrap import FEWEST_BLOCKS, BlockDraws, weighted_sums
from mlengine.core.metrics.scored_rows import ScoredRows

_TOO_SHORT = f"too few dates for an interval: fewer than {FEWEST_BLOCKS} blocks"
_MOSTLY_UNDEFINED = "no interval: it is not defined on many of the draws"


@dataclass(frozen=True)
class BaselineRows:
    """What each row of a metric is for its baseline; `kind` names the baseline.

    `larger_is_better` says so of the metric: an improvement over the baseline is above zero.
    """

    rows: Floats
    kind: str
    larger_is_better: bool = False

    def gains(self, rows: Floats) -> Floats:
        """By how much each of `rows`, of the model, is better."""
        return rows - self.rows if self.larger_is_better else self.rows - rows


@dataclass(frozen=True)
class BootstrapEstimator:
    """`draws` are those of `block_bootstrap.draw_blocks` for the time stamps of `scored`."""

    scored: ScoredRows
    draws: BlockDraws

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
        low, high, reason = self._interval(value, of(self.draws.weights), undefined)
        return MetricEstimate(
            finite_or_none(value),
            finite_or_none(baseline),
            kind,
            _finite(others),
            low,
            high,
            reason,
        )

    def estimate_mean(
        self,
        rows: Floats,
        baseline: BaselineRows,
        *,
        among: Flags | None = None,
        undefined: str = "no rows",
        **others: float,
    ) -> MetricEstimate:
        """The mean of `rows`, or of those `among` them, and its paired gain on the baseline's."""
        value, draws = self._mean(rows, among)
        low, high, reason = self._interval(value, draws, undefined)
        gain, gain_draws = self._mean(baseline.gains(rows), among)
        gain_low, gain_high, _ = self._interval(gain, gain_draws, undefined)
        return MetricEstimate(
            finite_or_none(value),
            finite_or_none(_mean_of(baseline.rows, among)),
            baseline.kind,
            _finite(others),
            low,
            high,
            reason,
            improvement=finite_or_none(gain),
            improvement_low=gain_low,
            improvement_high=gain_high,
        )

    def _mean(self, rows: Floats, among: Flags | None) -> tuple[float, Floats]:
        counted = np.ones(len(rows)) if among is None else among.astype(np.float64)
        weights = self.draws.weights
        totals = weighted_sums(weights, self.scored.sum_by_date(rows * counted))
        counts = weighted_sums(weights, self.scored.sum_by_date(counted))
        draws = np.divide(totals, counts, out=np.full(len(totals), math.nan), where=counts > 0.0)
        return _mean_of(rows, among), draws

    def _interval(
        self, value: float, draws: Floats, undefined: str
    ) -> tuple[float | None, float | None, str | None]:
        """Low, high, and why there is no value or no interval."""
        if not math.isfinite(value):
            return None, None, undefined
        low, high = self.draws.interval(value, draws)
        return low, high, no_confidence_interval_reason(draws, low)


def _mean_of(rows: Floats, among: Flags | None) -> float:
    selected = rows if among is None else rows[among]
    return float(selected.mean()) if len(selected) else math.nan


def _finite(others: dict[str, float]) -> dict[str, float | None]:
    return {name: finite_or_none(other) for name, other in others.items()}


def no_confidence_interval_reason(draws: Floats, low: float | None) -> str | None:
    """Why there is no interval, if there is none."""
    if low is not None:
        return None
    return _MOSTLY_UNDEFINED if len(draws) else _TOO_SHORT
