"""Counts of each date's rows that add up: what any window of dates looks like, by sums alone.

Every feature has a grid of forty bins of equal mass among the rows of training. A row is known by
its bin, so that neither a heavy tail nor an infinite value upsets a sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlengine.core.arrays import Floats, Indices, Ints
from mlengine.core.monitoring.drift.grid import GRID_BINS, FeatureGrid

Counts = npt.NDArray[np.float32] | Floats  # whole numbers; many of them in half the memory
_HASH_STEP = np.uint64(0x9E3779B97F4A7C15)


class Panel(Protocol):
    """Features of distinct bars, NaN for null, column by column.

    Of each row its `dates` and `symbols`, any whole numbers that order dates and tell symbols
    apart.
    """

    @property
    def dates(self) -> Ints:
        """(rows,)"""

    @property
    def symbols(self) -> Ints:
        """(rows,)"""

    @property
    def features(self) -> int:
        """How many columns there are."""

    def column(self, feature: int) -> Floats:
        """(rows,), contiguous; the caller changes nothing in it."""

    def every(self, step: int) -> Floats:
        """Every so-manieth row, from the first: (rows, features), C-contiguous."""


@dataclass(frozen=True)
class PanelRows:
    """A `Panel` whose `values` (rows, features) are in memory."""

    values: Floats
    dates: Ints
    symbols: Ints

    @property
    def features(self) -> int:
        return int(self.values.shape[1])

    def column(self, feature: int) -> Floats:
        return np.ascontiguousarray(self.values[:, feature])

    def every(self, step: int) -> Floats:
        return np.ascontiguousarray(self.values[::step])


@dataclass(frozen=True)
class DateTallies:
    """Of each date, ascending, or of each sum of dates; the first axis is theirs.

    `bins` (dates, features, 40) counts rows by bin, `rows` (dates,) all of them, `distinct`
    (dates,) those that differ from each other and from all of the date before. `repeats` (dates,
    features) counts those that have the value of the same symbol a date before, exactly, `outside`
    those beyond the least and greatest value of training. `spreads` is the variance of the bin
    numbers, as shares of 40, across the symbols of a date, `spread_dates` on how many dates it is
    defined, which takes two symbols; both (dates, features).
    """

    dates: Ints
    rows: Floats
    distinct: Floats
    bins: Counts
    repeats: Floats
    outside: Floats
    spreads: Floats
    spread_dates: Floats

    @classmethod
    def of_counts(
        cls,
        dates: Ints,
        rows: Floats,
        distinct: Floats,
        bins: Counts,
        repeats: Floats,
        outside: Floats,
    ) -> DateTallies:
        """From what was counted; the spreads follow from the bins."""
        spreads, spread_dates = _spreads(bins)
        return cls(dates, rows, distinct, bins, repeats, outside, spreads, spread_dates)

    def sums(self, first: Indices, last: Indices) -> DateTallies:
        """Of the dates at [first, last), which are positions; one sum for each pair."""
        dates = self.dates[first] if len(self.dates) else first
        return self._each(lambda name: _sums(getattr(self, name), first, last), dates)

    def total(self) -> DateTallies:
        """One sum of all dates."""
        return self.sums(np.array([0]), np.array([len(self.dates)]))

    def running(self) -> RunningSums:
        """For many sums of the same dates."""
        return RunningSums(self._each(lambda name: _running(getattr(self, name)), self.dates))

    def less(self, other: DateTallies) -> DateTallies:
        """What is left without `other`, which are sums of dates of this one."""
        return self._each(lambda name: getattr(self, name) - getattr(other, name), other.dates)

    def at(self, dates: slice) -> DateTallies:
        """Those of some positions among the dates."""
        return self._each(lambda name: getattr(self, name)[dates], self.dates[dates])

    def columns(self, features: slice) -> DateTallies:
        """The same dates with some of the features."""
        whole = ("rows", "distinct")
        return self._each(
            lambda name: getattr(self, name) if name in whole else getattr(self, name)[:, features],
            self.dates,
        )

    def _each(self, of: Callable[[str], Counts], dates: Ints) -> DateTallies:
        names = ("rows", "distinct", "bins", "repeats", "outside", "spreads", "spread_dates")
        return DateTallies(dates, *(of(name) for name in names))  # type: ignore[arg-type]


@dataclass(frozen=True)
class RunningSums:
    """Sums of dates as differences of sums from the first date on; `upto` has one place more."""

    upto: DateTallies

    @property
    def dates(self) -> int:
        """How many there are."""
        return len(self.upto.dates)

    def sums(self, first: Indices, last: Indices) -> DateTallies:
        """As those of `DateTallies`, but for the rounding of spreads."""
        dates = self.upto.dates[first] if len(self.upto.dates) else first
        return self.upto._each(lambda name: _between(getattr(self.upto, name), first, last), dates)


def tally(rows: Panel, grid: FeatureGrid, *, telling: int | None = None) -> DateTallies:
    """Count the rows of each date; raises nothing, whatever the values, and however few.

    Rows differ where one of the first `telling` columns does, by default of all.

    Columns are taken one by one: values in Fortran's order are not copied.
    """
    dates, date = np.unique(rows.dates, return_inverse=True)
    count, features = len(dates), rows.features
    pairs = _pairs(rows)
    bins = np.empty((count, features, GRID_BINS), dtype=np.float32)
    repeats, outside = (np.zeros((count, features)) for _ in range(2))
    hashes, defined = np.zeros(len(date), dtype=np.uint64), np.zeros(len(date), dtype=np.bool_)
    for index in range(features):
        column = rows.column(index)
        finite = np.isfinite(column)
        if telling is None or index < telling:
            defined |= finite
            hashes = (hashes ^ np.where(finite, column, 0.0).view(np.uint64)) * _HASH_STEP
        when, values = date[finite], column[finite]
        place = when * GRID_BINS + grid.bins_of(index, values)
        counts = np.bincount(place, minlength=count * GRID_BINS)
        bins[:, index] = counts.reshape(count, GRID_BINS)
        repeats[:, index] = np.bincount(date[_repeating(column, *pairs)], minlength=count)
        beyond = when[grid.is_outside(index, values)]
        outside[:, index] = np.bincount(beyond, minlength=count)
    every = np.bincount(date, minlength=count).astype(np.float64)
    distinct = _distinct(date[defined], hashes[defined], count)
    return DateTallies.of_counts(dates, every, distinct, bins, repeats, outside)


def _pairs(rows: Panel) -> tuple[Indices, Indices]:
    """The places of rows and of those of the same symbol a date before."""
    order = np.lexsort((rows.dates, rows.symbols))
    same = rows.symbols[order[1:]] == rows.symbols[order[:-1]]
    return order[1:][same], order[:-1][same]


def _repeating(column: Floats, later: Indices, earlier: Indices) -> Indices:
    """The places of values that are those of the date before, exactly."""
    values = column[later]
    return np.asarray(later[(values == column[earlier]) & np.isfinite(values)])


def _distinct(date: Ints, hashes: npt.NDArray[np.uint64], dates: int) -> Floats:
    """(dates,): different hashes of a date that are none of the date before."""
    order = np.lexsort((date, hashes))
    when, which = date[order], hashes[order]
    new = np.ones(len(when), dtype=np.bool_)
    new[1:] = (which[1:] != which[:-1]) | (when[1:] - when[:-1] > 1)
    return np.bincount(when[new], minlength=dates).astype(np.float64)


def _spreads(counts: Counts) -> tuple[Floats, Floats]:
    """(dates, features) variances of the bin of each row within its date, and where defined."""
    place = np.arange(GRID_BINS)
    count = counts.sum(axis=-1, dtype=np.float64)
    # Whole numbers, exact also in 32 bits.
    first, second = (counts @ power.astype(counts.dtype) for power in (place, place * place))
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = second.astype(np.float64) - np.square(first, dtype=np.float64) / count
        variance = squares / (count - 1.0) / GRID_BINS**2
    defined = count >= 2.0
    return np.where(defined, np.maximum(variance, 0.0), 0.0), defined.astype(np.float64)


def _running(of_dates: Counts) -> Counts:
    """Counts stay exact in 32 bits up to 16 million rows."""
    exact = of_dates.dtype == np.float32 and float(of_dates.sum(dtype=np.float64)) < 2.0**24
    sums = np.zeros((len(of_dates) + 1, *of_dates.shape[1:]), np.float32 if exact else np.float64)
    np.cumsum(of_dates, axis=0, out=sums[1:])
    return sums


def _between(upto: Counts, first: Indices, last: Indices) -> Counts:
    return np.asarray(upto[last] - upto[first])


def _sums(of_dates: Counts, first: Indices, last: Indices) -> Floats:
    """By sums between the positions that are asked for, which are few, and then from the left."""
    cuts, at = np.unique(np.concatenate([[0], first, last]), return_inverse=True)
    between = np.add.reduceat(of_dates, cuts[cuts < len(of_dates)], axis=0, dtype=np.float64)
    before = np.zeros((len(cuts), *of_dates.shape[1:]))
    before[1:] = np.cumsum(between, axis=0)[: len(cuts) - 1]
    ends = at[1 + len(first) :]
    return np.asarray(before[ends] - before[at[1 : 1 + len(first)]])
