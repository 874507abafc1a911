"""For how long bars that were just fetched are as good as new."""

from datetime import datetime, timedelta

from mlengine.core.bars.intervals import INTERVALS, interval_end

# A bar that is late by so much is fetched again after a twentieth of it.
_SHARE_OF_DELAY = 20


def cache_expiry(
    last_bar: datetime | None,
    *,
    interval: str,
    fetched_at: datetime,
    min_seconds: float,
    max_seconds: float,
) -> datetime:
    """Until when bars of `fetched_at`, of which the newest final one starts at `last_bar`, serve.

    Never across a moment at which a further bar may be final, which is any whole number of
    intervals after `last_bar` was. Up to then for `max_seconds`, for served bars can be revised;
    but while a bar is due (a whole interval has passed since the last one was final) for a
    twentieth of the time since it was due, at least `min_seconds` and at most `max_seconds`:
    what is late by seconds is seen within seconds, and a weekend costs no request every five.
    `min_seconds` of 0 caches nothing. A bar that was called final before its interval was over,
    and an answer without bars, are good for `min_seconds`.
    """
    shortest = timedelta(seconds=min_seconds)
    longest = max(shortest, timedelta(seconds=max_seconds))
    since = None if last_bar is None else fetched_at - interval_end(last_bar, interval)
    if not shortest or since is None or since < timedelta():
        return fetched_at + shortest
    intervals, phase = divmod(since, INTERVALS[interval])
    wait = longest if not intervals else max(shortest, min(longest, phase / _SHARE_OF_DELAY))
    return min(fetched_at + wait, fetched_at + INTERVALS[interval] - phase)
