"""Bar intervals, what services call them, and the moments at which a bar is final."""

import re
from datetime import datetime, timedelta
from functools import lru_cache

INTERVALS: dict[str, timedelta] = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
}

_MINUTE, _HOUR, _DAY, _WEEK = (INTERVALS[each] for each in ("1m", "1h", "1d", "1w"))
_UNITS: dict[str, timedelta] = {
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), _MINUTE),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "hourly"), _HOUR),
    **dict.fromkeys(("d", "day", "days", "daily"), _DAY),
    **dict.fromkeys(("w", "wk", "week", "weeks", "weekly"), _WEEK),
}
_WRITTEN = re.compile("(?:P|PT)?([0-9]{0,6})[ _-]?([A-Za-z]+)", re.ASCII)
_NUMBER = re.compile("[0-9]{1,7}", re.ASCII)
# Where minutes are written so, a capital is a month.
_MONTH = re.compile("P?[0-9]*M", re.ASCII)


def interval_end(timestamp: datetime, interval: str) -> datetime:
    """When the bar that starts at `timestamp` is final, and so known, whatever the sessions are."""
    return timestamp + INTERVALS[interval]


@lru_cache(maxsize=1_024)
def is_same_interval(stated: str, interval: str) -> bool:
    """Whether a service that calls an interval so means `interval`; a number is of s or minutes.

    >>> [is_same_interval(each, "1d") for each in ("1D", "daily", "1Day", "24h", "1440", "86400")]
    [True, True, True, True, True, True]
    >>> is_same_interval("1M", "1m"), is_same_interval("PT1M", "1m"), is_same_interval("1h", "1d")
    (False, True, False)
    """
    text, expected = stated.strip(), INTERVALS.get(interval)
    if text == interval or expected is None:
        return text == interval
    if _NUMBER.fullmatch(text):
        return expected in (timedelta(seconds=int(text)), timedelta(minutes=int(text)))
    written = _WRITTEN.fullmatch(text)
    if written is None or _MONTH.fullmatch(text):
        return False
    unit = _UNITS.get(written[2].casefold())
    return unit is not None and int(written[1] or 1) * unit == expected
