"""Corporate actions: what they do to earlier prices, by what was known of them at a moment."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from math import isnan, nan
from typing import Final

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.timestamps import EPOCH

SPLIT, DIVIDEND, SYMBOL_CHANGE = "split", "dividend", "symbol_change"
KINDS = (SPLIT, DIVIDEND, SYMBOL_CHANGE)
# What is adjusted for, by the setting MARKET_DATA_ADJUST.
ADJUSTMENTS: Final = {"none": (), "splits": (SPLIT,), "all": (SPLIT, DIVIDEND)}

_CLOSE, _VOLUME = 3, 4
_DAY = timedelta(days=1)


@dataclass(frozen=True, order=True)
class StatedAction:
    """A split, a cash dividend or a change of the symbol, as its source states it.

    Bars of sessions from `ex_date` on are traded after it, as `symbol`. `value` is how many new
    shares one old share becomes (4.0; 0.1 for a reverse split of ten to one), or the cash paid per
    share, in the currency of the prices. Before a change of the symbol it was `earlier_symbol`,
    and `value` is 1.
    """

    symbol: str
    ex_date: date
    kind: str
    value: float
    earlier_symbol: str = ""
    announced: date | None = None


@dataclass(frozen=True, order=True)
class CorporateAction:
    """A revision of an action: what was known of it from `known_at` on.

    The fields are those of StatedAction; NaN as `value` says that its source took it back.
    """

    symbol: str
    ex_date: date
    kind: str
    value: float
    known_at: datetime
    earlier_symbol: str = ""


def actions_at(revisions: Iterable[CorporateAction], moment: datetime) -> list[CorporateAction]:
    """The actions as they were known at `moment`, by date: the newest revision of each."""
    newest = {
        (each.ex_date, each.kind): each
        for each in sorted(revisions, key=lambda each: each.known_at)
        if each.known_at <= moment
    }
    return [newest[key] for key in sorted(newest) if not isnan(newest[key].value)]


def revise(
    recorded: Iterable[CorporateAction],
    stated: Iterable[StatedAction],
    *,
    timezone: tzinfo,
    seen_at: datetime,
    served_until: datetime | None,
) -> list[CorporateAction]:
    """What the actions that a source states now add to those that were `recorded` of a symbol.

    Each is known from the date of its announcement on, without one from its ex-date; but not before
    `served_until`, until when answers were given without it, and at `seen_at` in any case. None
    says that nobody looked before. An action that the source states no more is taken back.
    """
    newest = {(each.ex_date, each.kind): each for each in recorded}
    revisions = []
    for each in stated:
        before = newest.pop((each.ex_date, each.kind), None)
        if before is None or _content(before) != _content(each):
            midnight = datetime.combine(each.announced or each.ex_date, time(), timezone)
            known_at = min(seen_at, max(midnight.astimezone(UTC), served_until or EPOCH))
            revisions.append(
                CorporateAction(
                    each.symbol, each.ex_date, each.kind, each.value, known_at, each.earlier_symbol
                )
            )
    gone_at = min(seen_at, served_until or seen_at)
    gone = (each for each in newest.values() if not isnan(each.value))
    return revisions + [replace(each, value=nan, known_at=gone_at) for each in gone]


def _content(action: StatedAction | CorporateAction) -> tuple[float, str]:
    return action.value, action.earlier_symbol


def adjust(
    bars: BarArrays,
    revisions: Iterable[CorporateAction],
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
    >>> split = CorporateAction("A", date(1970, 1, 3), SPLIT, 2.0, known)
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
    actions: Iterable[CorporateAction],
    *,
    kinds: Collection[str],
    interval: str,
    timezone: tzinfo,
) -> Iterator[tuple[int, CorporateAction]]:
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


def next_midnight(moment: datetime, timezone: tzinfo) -> datetime:
    """When the next day begins: until then a source of actions is not asked again."""
    tomorrow = moment.astimezone(timezone).date() + _DAY
    return datetime.combine(tomorrow, time(), timezone).astimezone(UTC)


def ex_midnight(ex_date: date, *, interval: str, timezone: tzinfo) -> datetime:
    """When that date begins: of days and weeks in UTC, as their bars have session dates."""
    zone = UTC if INTERVALS[interval] >= _DAY else timezone
    return datetime.combine(ex_date, time(), zone).astimezone(UTC)


def _scaled(values: Floats, factors: Floats, shares: Floats) -> Floats:
    scaled = values * factors
    scaled[_VOLUME] = values[_VOLUME] * shares
    return scaled
