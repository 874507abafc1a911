"""Session dates: the unit in which dependence is counted, however many time stamps a day has.

Markets of one panel may stamp their daily bars at other hours, and intraday bars have many stamps
a date. Their moves belong together all the same: a date is one observation, and its rows come and
go as one.
"""

import numpy as np

from mlengine.core.arrays import Floats, Indices, Moments

DAY_MICROSECONDS = 86_400_000_000
# A halted symbol's label may end a year later: so many of the rows don't count for the span.
_SPANS_LEFT_OUT = 0.01


def session_dates(timestamps: Moments) -> Moments:
    """The UTC dates of some moments (microseconds of the epoch), as days of the epoch."""
    return timestamps // DAY_MICROSECONDS


def label_span_dates(timestamps: Moments, label_ends: Moments) -> int:
    """How many session dates of the panel after its own a row's label ends: the longest span.

    At least 1. The longest hundredth of the spans is left out, and with it rare halts. Labels that
    end after the last date are judged by the others; where all do, the span is that of the panel.

    >>> days = np.arange(6) * DAY_MICROSECONDS
    >>> label_span_dates(days[:4], days[2:])
    2
    """
    dates, ends = session_dates(timestamps), session_dates(label_ends)
    distinct = np.unique(dates)
    within = ends <= distinct[-1]
    if not within.any():
        return len(distinct)
    spans = np.searchsorted(distinct, ends[within]) - np.searchsorted(distinct, dates[within])
    return max(1, int(np.quantile(spans, 1.0 - _SPANS_LEFT_OUT, method="higher")))


def steps_to_label_end(timestamps: Moments, label_ends: Moments) -> int:
    """Session dates from a forecast to the first one whose outcome has no part in its own.

    Where a date has several time stamps, labels of neighbouring dates overlap by some hours more.
    """
    distinct = np.unique(timestamps)
    several = len(np.unique(session_dates(distinct))) < len(distinct)
    return label_span_dates(timestamps, label_ends) + several


def bars_a_date(timestamps: Moments, symbols: Indices) -> float:
    """How many bars a symbol has on a session date, by the mean of those on which it has some."""
    pairs = np.unique(np.stack([session_dates(timestamps), symbols]), axis=1)
    return float(len(timestamps) / pairs.shape[1])


def mean_by_session(timestamps: Moments, values: Floats) -> Floats:
    """The mean of `values` over the rows of each session date, in the order of time."""
    _, date = np.unique(session_dates(timestamps), return_inverse=True)
    return np.bincount(date, weights=values) / np.bincount(date)
