"""Correlations of score and move: within each date over symbols, within each symbol over time."""

import math

import numpy as np

from mlengine.core.arrays import Floats, Ints
from mlengine.core.metrics.block_bootstrap import weighted_sums
from mlengine.core.metrics.ranking import nanmean_by_column
from mlengine.core.metrics.scored_rows import FEWEST_VALUES, ScoredRows

# Of a sum of squares, what is left by rounding where all values are equal.
_ROUNDING = 1e-12


def correlation(x: Floats, y: Floats) -> float:
    """Pearson's, over all rows at once; NaN when one side is constant."""
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / scale if scale > 0.0 else math.nan


def correlation_by_date(scored: ScoredRows, *, ranked: bool) -> Floats:
    """The correlation over the symbols of each date; NaN on dates with fewer than ten rows.

    Pearson, or with `ranked` Spearman. NaN too where all scores or all moves of a date are equal.
    """
    scores, targets, date = scored.scores, scored.targets, scored.date_index
    if ranked:
        scores, targets = _ranks_within(date, scores), _ranks_within(date, targets)
    rows = np.bincount(date, minlength=scored.date_count)
    x, y = _centred(scored, scores, rows), _centred(scored, targets, rows)
    series = _correlation(
        scored.sum_by_date(x * y), scored.sum_by_date(x * x), scored.sum_by_date(y * y)
    )
    return np.where(rows >= FEWEST_VALUES, series, math.nan)


def weighted_mean(series: Floats, weights: Floats) -> Floats:
    """The mean over dates of a daily series under each row of weights, without its NaNs."""
    defined = np.isfinite(series).astype(np.float64)
    return _over(weighted_sums(weights, np.nan_to_num(series)), weighted_sums(weights, defined))


def weighted_information_ratio(series: Floats, weights: Floats) -> Floats:
    """Mean over standard deviation (n - 1) of a daily series, not annualised."""
    defined = np.isfinite(series).astype(np.float64)
    values = np.nan_to_num(series)
    counts, squares = weighted_sums(weights, defined), weighted_sums(weights, np.square(values))
    mean = _over(weighted_sums(weights, values), counts)
    left = _above_rounding(squares - counts * np.square(mean), squares)
    return _over(mean, np.sqrt(_over(left, counts - 1.0)))


def weighted_correlation_within_symbols(scored: ScoredRows, weights: Floats) -> Floats:
    """Pearson's correlation over time within a symbol, averaged over symbols.

    Over those with at least ten rows and neither side constant.
    """
    present = scored.date_by_symbol_table(np.ones(len(scored.scores)))
    long = present.sum(axis=0) >= FEWEST_VALUES
    present = present[:, long]
    x, y = (
        _less_its_mean(scored.date_by_symbol_table(values)[:, long], present)
        for values in (scored.scores, scored.targets)
    )
    n, sx, sy, sxx, syy, sxy = (
        weighted_sums(weights, t) for t in (present, x, y, x * x, y * y, x * y)
    )
    mean_x, mean_y = _over(sx, n), _over(sy, n)
    each = _correlation(
        sxy - sx * mean_y,
        _above_rounding(sxx - sx * mean_x, sxx),
        _above_rounding(syy - sy * mean_y, syy),
    )
    return nanmean_by_column(each.T)


def _centred(scored: ScoredRows, values: Floats, rows: Ints) -> Floats:
    """Less the mean of the row's date: exactly 0 where all values of a date are equal."""
    anchors = np.zeros(scored.date_count)
    anchors[scored.date_index] = values
    values = values - anchors[scored.date_index]
    return np.asarray(values - (scored.sum_by_date(values) / rows)[scored.date_index])


def _less_its_mean(table: Floats, present: Floats) -> Floats:
    """Less each column's mean, so that sums of squares keep their digits; 0 where absent."""
    anchors = table[present.argmax(axis=0), np.arange(table.shape[1])]
    table = np.where(present > 0.0, table - anchors, 0.0)
    return np.where(present > 0.0, table - table.sum(axis=0) / present.sum(axis=0), 0.0)


def _correlation(xy: Floats, xx: Floats, yy: Floats) -> Floats:
    """From centred sums; NaN where one side is constant."""
    return _over(xy, np.sqrt(xx) * np.sqrt(yy))


def _above_rounding(left: Floats, whole: Floats) -> Floats:
    return np.where(left > _ROUNDING * whole, left, 0.0)


def _over(value: Floats, by: Floats) -> Floats:
    """`value / by`, NaN where `by` isn't above zero."""
    out = np.full(np.shape(value), math.nan)
    np.divide(value, by, out=out, where=by > 0.0)
    return out


def _ranks_within(group: Ints, values: Floats) -> Floats:
    """Ranks from 1 within each group, ties at their average."""
    order = np.lexsort((values, group))
    g, v = group[order], values[order]
    new_group = np.r_[True, g[1:] != g[:-1]]
    new_tie = new_group | np.r_[True, v[1:] != v[:-1]]
    firsts = np.flatnonzero(new_tie)
    lasts = np.r_[firsts[1:], len(g)] - 1
    group_first = np.flatnonzero(new_group)[np.cumsum(new_group) - 1]
    ranked = np.empty(len(g))
    ranked[order] = ((firsts + lasts) / 2.0)[np.cumsum(new_tie) - 1] - group_first + 1.0
    return ranked
