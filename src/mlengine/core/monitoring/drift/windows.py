"""Which windows of dates are calibrated, and which of them a question is answered by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# A third apart, so that a window that is asked for loses a quarter of its dates at most.
WINDOW_DATES = (5, 7, 9, 12, 15, 20, 25, 32, 42, 55, 70, 90, 120)
# What else is computed: nothing, or the scores that Evidently gives.
MODES = ("grid", "evidently")
_MOST_BARS, _MOST_DAYS, _MOST_DATES = 100_000, 3_660, 504
_WINDOW = re.compile(r"(?P<number>[0-9]{1,6})(?P<days>d?)")
WINDOW_RULE = f"a number of bars up to {_MOST_BARS}, or days such as 7d up to {_MOST_DAYS}d"


def dates_of_rows(rows: Sequence[int], *, at_least: int) -> int:
    """How many of the newest dates have `at_least` rows; all where they have fewer.

    `rows` are those of each date, the newest first.

    >>> dates_of_rows([4, 4, 4], at_least=5)
    2
    """
    seen = 0
    for dates, count in enumerate(rows, start=1):
        seen += count
        if seen >= at_least:
            return dates
    return len(rows)


def calibrated_dates(dates: int) -> int | None:
    """The longest calibrated window within so many dates.

    None for fewer than the shortest, or for more than a third past the longest: a verdict about
    the newest part is none about the window.

    >>> [calibrated_dates(dates) for dates in (4, 5, 41, 120, 500)]
    [None, 5, 32, 120, None]
    """
    if dates > WINDOW_DATES[-1] * 4 // 3:
        return None
    return max((window for window in WINDOW_DATES if window <= dates), default=None)


@dataclass(frozen=True)
class DriftWindow:
    """What a question is about: the newest dates with so many distinct bars, or the last days."""

    bars: int | None = None
    days: int | None = None

    @classmethod
    def parse(cls, text: str) -> DriftWindow:
        """From `500` or `7d`; raises ValueError for anything else, or beyond the bounds.

        >>> DriftWindow.parse("7d")
        DriftWindow(bars=None, days=7)
        """
        found = _WINDOW.fullmatch(text)
        if found and found["days"] and 1 <= int(found["number"]) <= _MOST_DAYS:
            return cls(days=int(found["number"]))
        if found and not found["days"] and 1 <= int(found["number"]) <= _MOST_BARS:
            return cls(bars=int(found["number"]))
        raise ValueError(WINDOW_RULE)

    def dates_of(self, rows_by_date: Sequence[tuple[int, int]], *, today: int) -> int:
        """How many of the newest dates it is; of each the date and its rows, the newest first.

        Days end with `today`. Of a longer window it is the newest two years.
        """
        if self.days is not None:
            dates = sum(date > today - self.days for date, _ in rows_by_date)
        else:
            dates = dates_of_rows([rows for _, rows in rows_by_date], at_least=self.bars or 1)
        return min(dates, _MOST_DATES)


DEFAULT_WINDOW = DriftWindow(bars=250)
