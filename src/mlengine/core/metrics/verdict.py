"""One word on a model, from one metric that was chosen before anything was trained."""

from collections.abc import Mapping

from mlengine.core.evaluation import MetricEstimate, Verdict


def primary_metric(objective: str, *, by_date: bool) -> tuple[str, float]:
    """The metric that is asked, and its null.

    AUC against 0.5 for `direction`; for `return` rank IC against 0 where dates have enough symbols
    for correlations `by_date`, else `ic_time`.
    """
    if objective == "direction":
        return "auc", 0.5
    return ("rank_ic" if by_date else "ic_time"), 0.0


def verdict(name: str, null: float, estimates: Mapping[str, MetricEstimate]) -> Verdict:
    """`edge` where the interval lies above the null, `worse` where below, else `no_edge`.

    A metric without an interval shows no edge.
    """
    measure = estimates[name]
    word = "no_edge"
    if measure.low is not None and measure.low > null:
        word = "edge"
    elif measure.high is not None and measure.high < null:
        word = "worse"
    return Verdict(word, name, measure.value, null, measure.low, measure.high)
