"""Metrics of a score against what happened, each beside a baseline from the training part only.

All functions take float64 arrays of one length without NaN, and give NaN where a metric is not
defined (an AUC of one class, a correlation of a constant); an Evaluation has null there instead,
with the reason.
"""

from __future__ import annotations

from mlengine.core.arrays import Floats
from mlengine.core.evaluation import Evaluation
from mlengine.core.metrics import bootstrap
from mlengine.core.metrics.calibration import calibration
from mlengine.core.metrics.correlations import correlation
from mlengine.core.metrics.direction import direction
from mlengine.core.metrics.estimates import Estimator
from mlengine.core.metrics.outcomes import Baseline, Outcomes, baseline
from mlengine.core.metrics.point_losses import brier, hit_rate, log_loss, mae, mse
from mlengine.core.metrics.ranking import auc, ranks
from mlengine.core.metrics.returns import returns
from mlengine.core.metrics.samples import cases
from mlengine.core.metrics.sign_rule import sign_rule
from mlengine.core.metrics.skill import information, mostly_enough_symbols, order, signs
from mlengine.core.metrics.verdict import primary, verdict

__all__ = [
    "Baseline",
    "Outcomes",
    "auc",
    "baseline",
    "brier",
    "correlation",
    "evaluate",
    "hit_rate",
    "log_loss",
    "mae",
    "mse",
    "ranks",
]


def evaluate(
    objective: str,
    *,
    outcomes: Outcomes,
    scores: Floats,
    baseline: Baseline,
    horizon_bars: int,
    cost_bps: float,
    seed: int,
    transform: str = "raw",
) -> Evaluation:
    """Everything that is said of `scores`, with 95 % intervals and a verdict.

    `transform` says what the labels of a `return` model are: `raw` returns, or `cs_zscore`, how
    far each symbol was ahead of the others on its date.
    """
    rows = cases(objective, outcomes=outcomes, scores=scores, transform=transform)
    drawn = bootstrap.settings(horizon_bars=horizon_bars, seed=seed)
    weights = bootstrap.draw(rows.dates, drawn)
    sampled, relative = Estimator(rows, weights), transform == "cs_zscore"
    directed = objective == "direction"
    measures = {
        **order(sampled),
        **(direction(sampled, baseline) if directed else {}),
        **({} if directed else returns(sampled, baseline, relative=relative)),
        **information(sampled),
        **signs(sampled, baseline, relative=relative),
    }
    asked, null = primary(objective, by_date=mostly_enough_symbols(rows))
    return Evaluation(
        rows=len(scores),
        dates=rows.dates,
        symbols=rows.symbols,
        metrics=measures,
        calibration=calibration(rows, weights) if directed else None,
        sign_rule=sign_rule(rows, weights, horizon_bars=horizon_bars, cost_bps=cost_bps),
        bootstrap=drawn,
        verdict=verdict(asked, null, measures),
    )
