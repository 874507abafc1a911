"""Order: AUC, over all rows and within each symbol, and ranks."""

import math

import numpy as np

from mlengine.core.arrays import Floats, Indices
from mlengine.core.metrics.scored_rows import FEWEST_VALUES, ScoredRows

# Cells of a table of (rows, draws) that is held at once: 32 MB of float64.
_CELLS = 4_000_000


def auc(up: Floats, scores: Floats) -> float:
    """The chance that an up row scores above a down row, ties half (Mann-Whitney).

    NaN where there are no ups or no downs.

    >>> auc(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    positive = up > 0.0
    n_up, n_down = int(positive.sum()), int((~positive).sum())
    if not n_up or not n_down:
        return math.nan
    rank_sum = float(ranks(scores)[positive].sum())
    return (rank_sum - n_up * (n_up + 1) / 2) / (n_up * n_down)


def ranks(values: Floats) -> Floats:
    """Ranks from 1, ties at their average."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((2 * last - counts + 1) / 2.0)[group]


def weighted_auc(scored: ScoredRows, weights: Floats, *, symbol: int | None = None) -> Floats:
    """AUC under each row of date weights, of all rows or of one symbol's; NaN if undefined."""
    mine = slice(None) if symbol is None else scored.symbol_index == symbol
    up, scores, date = scored.targets[mine] > 0.0, scored.scores[mine], scored.date_index[mine]
    order = np.argsort(scores[~up], kind="stable")
    downs, down_date = scores[~up][order], date[~up][order]
    below = np.searchsorted(downs, scores[up], side="left")
    not_above = np.searchsorted(downs, scores[up], side="right")
    step = max(1, _CELLS // max(1, len(scores)))
    parts = [
        _ordered_share(weights[at : at + step].T, date[up], down_date, below, not_above)
        for at in range(0, len(weights), step)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def weighted_auc_by_symbol(scored: ScoredRows, weights: Floats) -> Floats:
    """The mean of the symbols' own AUCs, of those with at least ten rows and both outcomes."""
    rows = np.bincount(scored.symbol_index, minlength=scored.symbol_count)
    long = np.flatnonzero(rows >= FEWEST_VALUES).tolist()
    each = [weighted_auc(scored, weights, symbol=symbol) for symbol in long]
    return nanmean_by_column(np.array(each).reshape(len(each), len(weights)))


def nanmean_by_column(table: Floats) -> Floats:
    """The mean of each column without its NaNs; NaN where nothing is left."""
    defined = np.isfinite(table)
    counts = defined.sum(axis=0)
    totals = np.where(defined, table, 0.0).sum(axis=0)
    means = np.full(len(counts), math.nan)
    np.divide(totals, counts, out=means, where=counts > 0)
    return means


def _ordered_share(
    weights: Floats, up_date: Indices, down_date: Indices, below: Indices, not_above: Indices
) -> Floats:
    """Of all weighted (up, down) pairs, those in order; `weights` is (dates, draws)."""
    downs = np.zeros((len(down_date) + 1, weights.shape[1]))
    np.cumsum(weights[down_date], axis=0, out=downs[1:])
    up = weights[up_date]
    won = np.einsum("ij,ij->j", up, downs[below] + downs[not_above]) / 2.0
    pairs = up.sum(axis=0) * downs[-1]
    share = np.full(len(pairs), math.nan)
    np.divide(won, pairs, out=share, where=pairs > 0.0)
    return share
