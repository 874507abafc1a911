"""One word on a model, from one metric that was chosen before anything was trained."""

from mlengine.core.evaluation import MetricEstimate, Verdict
from mlengine.core.metrics.block_bootstrap import LEVEL, widening


def primary_metric(objective: str, *, by_date: bool) -> tuple[str, float]:
    """The metric that is asked, and its null.

    AUC against 0.5 for `direction`; for `return` rank IC against 0 where dates have enough symbols
    for correlations `by_date`, else `ic_time`.
    """
    if objective == "direction":
        return "auc", 0.5
    return ("rank_ic" if by_date else "ic_time"), 0.0


def verdict_level(recipes: int) -> float:
    """The level of the interval that judges the last of so many `recipes` on the same dates.

    5 % over the square of their number are left to the n-th, as to tests of the promotion gate:
    so that some edge is claimed of recipes without skill in at most 4.1 % of cases, however many
    are tried (1 + 1/4 + 1/9 + ... is pi^2 / 6, and an edge is one of two sides).

    >>> [round(verdict_level(recipes), 4) for recipes in (1, 2, 4)]
    [0.95, 0.9875, 0.9969]
    """
    return 1.0 - (1.0 - LEVEL) / recipes**2


def verdict(
    name: str, null: float, estimate: MetricEstimate, *, blocks: int, recipes: int = 1
) -> Verdict:
    """`edge` where the interval lies above the null, `worse` where below, else `no_edge`.

    The interval is that of the metric, of so many `blocks` of dates, at the level that `recipes`
    leave. A metric without one shows no edge.
    """
    level = verdict_level(recipes)
    low, high = _at_level(estimate, blocks, level)
    word = "no_edge"
    if low is not None and low > null:
        word = "edge"
    elif high is not None and high < null:
        word = "worse"
    return Verdict(word, name, estimate.value, null, low, high, level, recipes)


def _at_level(
    estimate: MetricEstimate, blocks: int, level: float
) -> tuple[float | None, float | None]:
    value, low, high = estimate.value, estimate.low, estimate.high
    if level == LEVEL or value is None or low is None or high is None:
        return low, high
    wider = widening(blocks, level=level) / widening(blocks)
    return value - wider * (value - low), value + wider * (high - value)
