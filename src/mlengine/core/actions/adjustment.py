"""Bars adjusted for corporate actions."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import numpy as np

from mlengine.core.actions.actions import ActionRevision, actions_at
from mlengine.core.actions.kinds import SPLIT
from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.timestamps import EPOCH

_CLOSE, _VOLUME = 3, 4
_DAY = timedelta(days=1)


def adjust(
    bars: BarArrays,
    revisions: Iterable[ActionRevision],
    *,
    kinds: Collection[str],
    at: datetime,
    interval: str = "1d",
    timezone: tzinfo = UTC,
) -> BarArrays:
    """Raw bars as they are comparable with the newest, by the actions of `kinds` known at `at`.

    Prices before an ex-date are divided by a split's ratio and multiplied by 1 - d / c for a
    dividend d after a close c (the convention of CRSP and Yahoo); volumes before it are multiplied
    by the ratio of splits alone. A bar is before it when it ends by midnight in `timezone`, so that
    a week with an ex-date in it counts by its close. An action counts once a bar of its ex-date or
    later is there, so that one that is only announced changes nothing; a dividend as high as the
    close before it, or one without a bar before it, is left out. The result has the same starts
    and `known_at`; it is `bars` itself where nothing applies.

    >>> rows = np.array([[100.0, 102.0, 50.0]] * 4 + [[10.0, 10.0, 10.0]])
    >>> days = np.array([0, 86_400_000_000, 172_800_000_000])
    >>> bars = BarArrays("A", days, rows, days)
    >>> known = datetime(1970, 1, 1, tzinfo=UTC)
    >>> split = ActionRevision("A", date(1970, 1, 3), SPLIT, 2.0, known)
    >>> adjust(bars, [split], kinds=[SPLIT], at=datetime(1970, 1, 4, tzinfo=UTC)).values[3].tolist()
    [50.0, 51.0, 50.0]
    """
    factors, shares = np.ones(bars.rows), np.ones(bars.rows)
    known = actions_at(revisions, at)
    for first, action in applied(bars, known, kinds=kinds, interval=interval, timezone=timezone):
        if action.kind == SPLIT:
            factors[:first] /= action.value
            shares[:first] *= action.value
        else:
            factors[:first] *= 1.0 - action.value / bars.values[_CLOSE, first - 1]
    if (factors == 1.0).all() and (shares == 1.0).all():
        return bars
    return replace(bars, values=_scaled(bars.values, factors, shares))


def applied(
    bars: BarArrays,
    actions: Iterable[ActionRevision],
    *,
    kinds: Collection[str],
    interval: str,
    timezone: tzinfo,
) -> Iterator[tuple[int, ActionRevision]]:
    """Those that `adjust` adjusts for, each with the number of bars before it."""
    for action in actions:
        first = bars_before(bars, action.ex_date, interval=interval, timezone=timezone)
        if action.kind not in kinds or not 0 < first < bars.rows:
            continue
        if action.kind == SPLIT or 0.0 < action.value < bars.values[_CLOSE, first - 1]:
            yield first, action


def bars_before(bars: BarArrays, ex_date: date, *, interval: str, timezone: tzinfo) -> int:
    """How many bars end by the midnight with which that date begins."""
    midnight = ex_midnight(ex_date, interval=interval, timezone=timezone)
    last_start = (midnight - INTERVALS[interval] - EPOCH) // timedelta(microseconds=1)
    return int(np.searchsorted(bars.starts, last_start, side="right"))


def ex_midnight(ex_date: date, *, interval: str, timezone: tzinfo) -> datetime:
    """When that date begins: of days and weeks in UTC, as their bars have session dates."""
    zone = UTC if INTERVALS[interval] >= _DAY else timezone
    return datetime.combine(ex_date, time(), zone).astimezone(UTC)


def _scaled(values: Floats, factors: Floats, shares: Floats) -> Floats:
    scaled = values * factors
    scaled[_VOLUME] = values[_VOLUME] * shares
    return scaled
