"""Counts of each date's rows that add up: what any window of dates looks like, by sums alone.

Every feature has a grid of forty bins of equal mass among the rows of training. A row is known by
its bin, so that neither a heavy tail nor an infinite value upsets a sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlengine.core.arrays import Flags, Floats, Indices, Ints

GRID_BINS = 40
Counts = npt.NDArray[np.float32] | Floats  # whole numbers; many of them in half the memory


@dataclass(frozen=True)
class PanelRows:
    """Features of distinct bars: `values` (rows, features), NaN for null; of each row its `dates`
    and `symbols`, any whole numbers that order dates and tell symbols apart.
    """

    values: Floats
    dates: Ints
    symbols: Ints


@dataclass(frozen=True)
class DateTallies:
    """Of each date, ascending, or of each sum of dates; the first axis is theirs.

    `bins` (dates, features, 40) counts rows by bin, `rows` (dates,) all of them, `repeats` (dates,
    features) those that have the value of the same symbol a date before, exactly. `spreads` is the
    variance of the bin numbers, as shares of 40, across the symbols of a date, `spread_dates` on
    how many dates it is defined, which takes two symbols; both (dates, features).
    """

    dates: Ints
    rows: Floats
    bins: Counts
    repeats: Floats
    spreads: Floats
    spread_dates: Floats

    def sums(self, first: Indices, last: Indices) -> DateTallies:
        """Of the dates at [first, last), which are positions; one sum for each pair."""
        dates = self.dates[first] if len(self.dates) else first
        return self._each(lambda name: _sums(getattr(self, name), first, last), dates)

    def less(self, other: DateTallies) -> DateTallies:
        """What is left without `other`, which are sums of dates of this one."""
        return self._each(lambda name: getattr(self, name) - getattr(other, name), other.dates)

    def _each(self, of: Callable[[str], Floats], dates: Ints) -> DateTallies:
        names = ("rows", "bins", "repeats", "spreads", "spread_dates")
        return DateTallies(dates, *(of(name) for name in names))


def grid_edges(rows: Floats) -> Floats:
    """Inner edges (features, 39) of bins of equal mass among the finite values of (rows, features).

    A feature without any has edges of zero. Equal edges are kept: a bin between them stays empty.
    """
    shares = np.arange(1, GRID_BINS) / GRID_BINS
    edges = np.zeros((rows.shape[1], GRID_BINS - 1))
    for index, column in enumerate(np.ascontiguousarray(rows.T)):
        finite = np.sort(column[np.isfinite(column)])
        if len(finite):
            edges[index] = finite[(shares * len(finite)).astype(np.int64)]
    return edges


def tally(rows: PanelRows, edges: Floats) -> DateTallies:
    """Count the rows of each date; raises nothing, whatever the values, and however few."""
    dates, date = np.unique(rows.dates, return_inverse=True)
    count, features = len(dates), rows.values.shape[1]
    repeated = _repeats(rows)
    bins = np.empty((count, features, GRID_BINS), dtype=np.float32)
    repeats, spreads, spread_dates = (np.zeros((count, features)) for _ in range(3))
    for index, column in enumerate(np.ascontiguousarray(rows.values.T)):
        finite = np.isfinite(column)
        when, bin_ = date[finite], np.searchsorted(edges[index], column[finite], side="left")
        counts = np.bincount(when * GRID_BINS + bin_, minlength=count * GRID_BINS)
        bins[:, index] = counts.reshape(count, GRID_BINS)
        repeats[:, index] = np.bincount(date[repeated[:, index]], minlength=count)
        spreads[:, index], spread_dates[:, index] = _spreads(bins[:, index])
    every = np.bincount(date, minlength=count).astype(np.float64)
    return DateTallies(dates, every, bins, repeats, spreads, spread_dates)


def _repeats(rows: PanelRows) -> Flags:
    """(rows, features) whether a value is that of the date before, of the same symbol."""
    order = np.lexsort((rows.dates, rows.symbols))
    values, symbols = rows.values[order], rows.symbols[order]
    found: Flags = np.zeros(values.shape, dtype=np.bool_)
    same = symbols[1:] == symbols[:-1]
    alike = (values[1:] == values[:-1]) & np.isfinite(values[1:])
    found[order[1:]] = alike & same[:, None]
    return found


def _spreads(counts: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """(dates,) variances of the bin of each row within its date, and where there are any."""
    place = (np.arange(GRID_BINS) + 0.5) / GRID_BINS
    bins = counts.astype(np.float64)
    count = bins.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = bins @ place / count
        variance = (bins @ np.square(place) - count * mean * mean) / (count - 1.0)
    defined = count >= 2.0
    return np.where(defined, variance, 0.0), defined.astype(np.float64)


def _sums(of_dates: Counts, first: Indices, last: Indices) -> Floats:
    """By sums between the positions that are asked for, which are few, and then from the left."""
    cuts, at = np.unique(np.concatenate([[0], first, last]), return_inverse=True)
    between = np.add.reduceat(of_dates, cuts[cuts < len(of_dates)], axis=0, dtype=np.float64)
    before = np.zeros((len(cuts), *of_dates.shape[1:]))
    before[1:] = np.cumsum(between, axis=0)[: len(cuts) - 1]
    ends = at[1 + len(first) :]
    return np.asarray(before[ends] - before[at[1 : 1 + len(first)]])
