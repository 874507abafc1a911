"""Metrics of a score against what happened, each beside a baseline from the training part only.

All functions take float64 arrays of one length without NaN, and give NaN where a metric is not
defined (an AUC of one class, a correlation of a constant); an Evaluation has null there instead,
with the reason.
"""

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.evaluation import Bootstrap, Evaluation
from mlengine.core.metrics import block_bootstrap
from mlengine.core.metrics.actuals import Actuals, Baseline, baseline
from mlengine.core.metrics.bootstrap_estimator import BootstrapEstimator
from mlengine.core.metrics.calibration import calibration
from mlengine.core.metrics.classification import classification_metrics
from mlengine.core.metrics.correlations import correlation
from mlengine.core.metrics.losses import brier, hit_rate, log_loss, mae, mse
from mlengine.core.metrics.ranking import auc, ranks
from mlengine.core.metrics.regression import regression_metrics
from mlengine.core.metrics.scored_rows import build_scored_rows
from mlengine.core.metrics.session_dates import bars_a_date, label_span_dates, session_dates
from mlengine.core.metrics.sign_rule import sign_rule
from mlengine.core.metrics.skill import (
    auc_metrics,
    hit_rate_metrics,
    ic_metrics,
    most_dates_have_enough_symbols,
)
from mlengine.core.metrics.verdict import primary_metric, verdict

__all__ = [
    "Actuals",
    "Baseline",
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
    actuals: Actuals,
    scores: Floats,
    baseline: Baseline,
    horizon_bars: int,
    cost_bps: float,
    seed: int,
    transform: str = "raw",
    recipes: int = 1,
) -> Evaluation:
    """Everything that is said of `scores`, with 95 % intervals and a verdict.

    `transform` says what the labels of a `return` model are: `raw` returns, or `cs_zscore`, how
    far each symbol was ahead of the others on its date. `recipes` were judged on some of the same
    dates, this one included: each makes the verdict stricter.
    """
    scored = build_scored_rows(objective, actuals=actuals, scores=scores, transform=transform)
    settings = bootstrap_of(actuals, seed=seed)
    draws = block_bootstrap.draw_blocks(np.unique(actuals.timestamps), settings)
    estimator, relative = BootstrapEstimator(scored, draws), transform == "cs_zscore"
    directed = objective == "direction"
    estimates = {
        **auc_metrics(estimator),
        **(classification_metrics(estimator, baseline) if directed else {}),
        **({} if directed else regression_metrics(estimator, baseline, relative=relative)),
        **ic_metrics(estimator),
        **hit_rate_metrics(estimator, baseline, relative=relative),
    }
    metric, null = primary_metric(objective, by_date=most_dates_have_enough_symbols(scored))
    return Evaluation(
        rows=len(scores),
        dates=len(np.unique(session_dates(actuals.timestamps))),
        symbols=scored.symbol_count,
        metrics=estimates,
        calibration=calibration(scored, draws) if directed else None,
        sign_rule=sign_rule(scored, draws, horizon_bars=horizon_bars, cost_bps=cost_bps),
        bootstrap=settings,
        verdict=verdict(metric, null, estimates[metric], blocks=draws.blocks, recipes=recipes),
    )


def bootstrap_of(actuals: Actuals, *, seed: int) -> Bootstrap:
    """How the session dates of `actuals` are drawn, by how far their labels reach."""
    timestamps = actuals.timestamps
    return block_bootstrap.block_bootstrap_config(
        len(np.unique(session_dates(timestamps))),
        label_span_dates=label_span_dates(timestamps, actuals.label_ends),
        seed=seed,
        bars_a_date=bars_a_date(timestamps, actuals.symbols),
    )
