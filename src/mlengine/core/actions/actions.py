"""Corporate actions: what they do to earlier prices, by what was known of them at a moment."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from math import isnan, nan

from mlengine.core.timestamps import EPOCH

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
class ActionRevision:
    """A revision of an action: what was known of it from `known_at` on.

    The fields are those of StatedAction; NaN as `value` says that its source took it back.
    """

    symbol: str
    ex_date: date
    kind: str
    value: float
    known_at: datetime
    earlier_symbol: str = ""


def actions_at(revisions: Iterable[ActionRevision], moment: datetime) -> list[ActionRevision]:
    """The actions as they were known at `moment`, by date: the newest revision of each."""
    newest = {
        (each.ex_date, each.kind): each
        for each in sorted(revisions, key=lambda each: each.known_at)
        if each.known_at <= moment
    }
    return [newest[key] for key in sorted(newest) if not isnan(newest[key].value)]


def revise(
    recorded: Iterable[ActionRevision],
    stated: Iterable[StatedAction],
    *,
    timezone: tzinfo,
    seen_at: datetime,
    served_until: datetime | None,
) -> list[ActionRevision]:
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
                ActionRevision(
                    each.symbol, each.ex_date, each.kind, each.value, known_at, each.earlier_symbol
                )
            )
    gone_at = min(seen_at, served_until or seen_at)
    gone = (each for each in newest.values() if not isnan(each.value))
    return revisions + [replace(each, value=nan, known_at=gone_at) for each in gone]


def _content(action: StatedAction | ActionRevision) -> tuple[float, str]:
    return action.value, action.earlier_symbol


def next_midnight(moment: datetime, timezone: tzinfo) -> datetime:
    """When the next day begins: until then a source of actions is not asked again."""
    tomorrow = moment.astimezone(timezone).date() + _DAY
    return datetime.combine(tomorrow, time(), timezone).astimezone(UTC)
