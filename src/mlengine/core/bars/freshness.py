"""For how long bars that were just fetched are as good as new."""

from __future__ import annotations

from datetime import datetime, timedelta

from mlengine.core.bars.intervals import INTERVALS, final_at

# A bar that is late by so much is asked for again after a twentieth of it.
_SHARE_OF_DELAY = 20


def good_until(
    last_bar: datetime | None,
    *,
    interval: str,
    asked_at: datetime,
    keen_seconds: float,
    calm_seconds: float,
) -> datetime:
    """Until when an answer of `asked_at`, whose newest final bar starts at `last_bar`, may serve.

    Never across a moment at which a further bar may be final, which is any whole number of
    intervals after `last_bar` was. Up to then for `calm_seconds`, for served bars can be revised;
    but while a bar is due (a whole interval has passed since the last one was final) for a
    twentieth of the time since it was due, at least `keen_seconds` and at most `calm_seconds`:
    what is late by seconds is seen within seconds, and a weekend costs no question every five.
    `keen_seconds` of 0 keeps nothing. A bar that was called final before its interval was over,
    and an answer without bars, are good for `keen_seconds`.
    """
    keen = timedelta(seconds=keen_seconds)
    calm = max(keen, timedelta(seconds=calm_seconds))
    since = None if last_bar is None else asked_at - final_at(last_bar, interval)
    if not keen or since is None or since < timedelta():
        return asked_at + keen
    intervals, phase = divmod(since, INTERVALS[interval])
    wait = calm if not intervals else max(keen, min(calm, phase / _SHARE_OF_DELAY))
    return min(asked_at + wait, asked_at + INTERVALS[interval] - phase)
