"""Splits by time across all symbols at once: never by row, never across a label's own end.

At each boundary the training side loses every row whose label ends after the first feature bar
beyond it, by that row's own timestamps: a halted symbol's label ends later than its neighbours'.
An embargo of n bars moves that limit n dates back. A window of n dates lets the training side
begin n dates before the boundary (rolling), 0 lets it begin with the first (expanding).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlengine.core.arrays import Flags, Indices, Moments
from mlengine.errors import TrainingFailed


@dataclass(frozen=True)
class RowTimes:
    """`timestamps` and `label_ends` of all rows, int64 microseconds, in row order."""

    timestamps: Moments
    label_ends: Moments

    @cached_property
    def rows(self) -> Indices:
        return np.arange(len(self.timestamps), dtype=np.int64)

    def distinct_timestamps(self, rows: Indices) -> Moments:
        """The distinct timestamps of `rows`, ascending."""
        return np.unique(self.timestamps[rows])


@dataclass(frozen=True)
class Split:
    """Row numbers, ascending; `purged` rows before the boundary belong to neither side."""

    train: Indices
    test: Indices
    purged: Indices


def holdout_split(
    times: RowTimes, *, test_share: float, embargo_bars: int = 0, window_dates: int = 0
) -> Split:
    """The newest `test_share` of the dates against all before; raises TrainingFailed."""
    dates = times.distinct_timestamps(times.rows)
    test_dates = max(1, int(len(dates) * test_share + 0.5))
    first = len(dates) - test_dates
    return _cut(times, times.rows, dates, first, len(dates), embargo_bars, window_dates)


def walk_forward(
    times: RowTimes, rows: Indices, *, folds: int, embargo_bars: int = 0, window_dates: int = 0
) -> tuple[Split, ...]:
    """`folds` successive test blocks of equally many dates, each against the rows before it.

    The dates of `rows` are cut into folds + 1 blocks; the oldest one also takes the remainder
    and is never tested. Raises TrainingFailed when there are too few dates.

    >>> times = RowTimes(timestamps=np.arange(9), label_ends=np.arange(9) + 2)
    >>> for split in walk_forward(times, times.rows, folds=2):
    ...     print(split.train, split.purged, split.test)
    [0 1] [2] [3 4 5]
    [0 1 2 3 4] [5] [6 7 8]
    """
    dates = times.distinct_timestamps(rows)
    block = len(dates) // (folds + 1)
    starts = [len(dates) - block * (folds - fold) for fold in range(folds)]
    return tuple(
        _cut(times, rows, dates, at, at + block, embargo_bars, window_dates) for at in starts
    )


def early_stopping_split(times: RowTimes, rows: Indices, *, share: float = 0.15) -> Split:
    """The newest `share` of the dates of `rows`, for early stopping, against all before."""
    dates = times.distinct_timestamps(rows)
    tail = max(1, int(len(dates) * share + 0.5))
    return _cut(times, rows, dates, len(dates) - tail, len(dates), 0, 0)


def newest_rows(times: RowTimes, *, window_dates: int) -> Indices:
    """The rows of the newest `window_dates` dates, all rows for 0."""
    dates = times.distinct_timestamps(times.rows)
    oldest = dates[-min(window_dates or len(dates), len(dates))]
    return np.flatnonzero(times.timestamps >= oldest)


def _cut(
    times: RowTimes,
    rows: Indices,
    dates: Moments,
    first: int,
    beyond: int,
    embargo_bars: int,
    window_dates: int,
) -> Split:
    """Test on dates[first:beyond], train on rows whose labels end by dates[first - embargo]."""
    if first - embargo_bars < 1 or beyond <= first:
        raise TrainingFailed(_TOO_FEW.format(dates=len(dates), embargo=embargo_bars))
    timestamps = times.timestamps[rows]
    oldest = dates[max(0, first - window_dates)] if window_dates else dates[0]
    tested = (timestamps >= dates[first]) & (timestamps <= dates[beyond - 1])
    before = _chosen(rows, (timestamps >= oldest) & (timestamps < dates[first]))
    label_ended = times.label_ends[before] <= dates[first - embargo_bars]
    if not label_ended.any():
        raise TrainingFailed(_TOO_FEW.format(dates=len(dates), embargo=embargo_bars))
    return Split(_chosen(before, label_ended), _chosen(rows, tested), _chosen(before, ~label_ended))


def _chosen(rows: Indices, which: Flags) -> Indices:
    """Some of `rows`; those that stand together are no copy of their numbers."""
    at = np.flatnonzero(which)
    together = len(at) and at[-1] - at[0] + 1 == len(at)
    return rows[at[0] : at[-1] + 1] if together else rows[at]


_TOO_FEW = (
    "too little history: {dates} dates with labels leave no training rows before a test part "
    "after purge and an embargo of {embargo} bars; ask for more bars, fewer folds, "
    "a longer window or less embargo"
)
