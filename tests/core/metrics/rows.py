"""Outcomes for the tests of the metrics: a panel of dates by symbols, as rows."""

from __future__ import annotations

import numpy as np

from mlengine.core.metrics import Actuals
from mlengine.core.metrics.block_bootstrap import BlockDraws
from mlengine.core.metrics.scored_rows import ScoredRows, build_scored_rows

DAY = 86_400_000_000


def array(*values):
    return np.array(values, dtype=np.float64)


def actuals(forward, *, labels=None, last=None, horizon_bars=1):
    """Of a (dates, symbols) table, one a day; NaN where a symbol has no row."""
    forward = np.asarray(forward, dtype=np.float64)
    date, symbol = np.nonzero(np.isfinite(forward))
    returns = forward[date, symbol]
    return Actuals(
        forward_returns=returns,
        labels=returns if labels is None else np.asarray(labels, dtype=np.float64)[date, symbol],
        last_returns=returns if last is None else np.asarray(last, dtype=np.float64)[date, symbol],
        timestamps=date * DAY,
        label_ends=(date + horizon_bars) * DAY,
        symbols=symbol + 100,
    )


def at(rows, numbers):
    """Those of the rows with these numbers."""
    return Actuals(**{name: values[numbers] for name, values in vars(rows).items()})


def numbered(objective, forward, scores, *, transform="raw", labels=None) -> ScoredRows:
    """The rows of `forward` with the scores of a table of the same shape."""
    rows = actuals(forward, labels=labels)
    kept = np.asarray(scores, dtype=np.float64)[np.isfinite(np.asarray(forward, dtype=np.float64))]
    return build_scored_rows(objective, actuals=rows, scores=kept, transform=transform)


def correlated(rng, *, dates, symbols, correlation):
    """(dates, symbols) normal moves, independent over time."""
    common, own = rng.normal(size=(dates, 1)), rng.normal(size=(dates, symbols))
    return np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * own


def drawn(weights) -> BlockDraws:
    """These draws, of so many blocks that an interval is that of the percentiles."""
    return BlockDraws(np.asarray(weights, dtype=np.float64), 10**9)


def undrawn(dates) -> BlockDraws:
    return drawn(np.empty((0, dates)))
