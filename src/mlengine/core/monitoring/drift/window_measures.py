"""How far a window of dates lies from a reference, in four ways for every feature."""

from __future__ import annotations

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.drift.grid import GRID_BINS
from mlengine.core.monitoring.drift.tallies import DateTallies

# What is measured of each feature, in the order of the last axis.
MEASURES = ("distribution", "nulls", "repeats", "spread")
_PSI_BINS = 10
_SMALLEST_SHARE = 1e-4


def window_measures(windows: DateTallies, reference: DateTallies) -> Floats:
    """(windows, features, 4): the distances of each window from its reference, or from the one.

    `distribution` is the Kolmogorov-Smirnov statistic over the grid, of defined values; `nulls`,
    `repeats` and `spread` are absolute differences of shares of rows and of mean variances across
    symbols. What is undefined on a side differs by 0, as it can't be measured.
    """
    ours, theirs = _shares(windows), _shares(reference)
    return np.stack(
        [
            ks_on_grid(windows, reference),
            *(_difference(mine, other) for mine, other in zip(ours, theirs, strict=True)),
        ],
        axis=2,
    )


def ks_on_grid(windows: DateTallies, reference: DateTallies) -> Floats:
    """(windows, features): the largest gap of the distribution functions at the grid's edges."""
    ours, theirs = (np.cumsum(_bin_shares(each), axis=2) for each in (windows, reference))
    return np.asarray(np.nan_to_num(np.abs(ours - theirs)).max(axis=2))


def psi_on_grid(windows: DateTallies, reference: DateTallies) -> Floats:
    """(windows, features): the population stability index over ten bins and one of nulls.

    Shares are at least 1e-4. 0 without rows.
    """
    ours, theirs = (
        np.maximum(_ten_and_nulls(each), _SMALLEST_SHARE) for each in (windows, reference)
    )
    return np.asarray(np.nan_to_num(np.sum((ours - theirs) * np.log(ours / theirs), axis=2)))


def _ten_and_nulls(tallies: DateTallies) -> Floats:
    shape = (*tallies.bins.shape[:2], _PSI_BINS, GRID_BINS // _PSI_BINS)
    counts = tallies.bins.reshape(shape).sum(axis=3)
    nulls = tallies.rows[:, None] - counts.sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.concatenate([counts, nulls[:, :, None]], axis=2) / tallies.rows[:, None, None]


def _bin_shares(tallies: DateTallies) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(tallies.bins / tallies.bins.sum(axis=2, keepdims=True))


def _shares(tallies: DateTallies) -> tuple[Floats, Floats, Floats]:
    """Null share, share of repeated values among defined ones, and mean variance over symbols."""
    defined = tallies.bins.sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        nulls = 1.0 - defined / tallies.rows[:, None]
        return nulls, tallies.repeats / defined, tallies.spreads / tallies.spread_dates


def _difference(ours: Floats, theirs: Floats) -> Floats:
    return np.nan_to_num(np.abs(ours - theirs), posinf=0.0)
