"""What a bare date in `as_of` means: the end of that session in a symbol's market."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.timestamps import rfc3339
from mlengine.errors import InvalidRequest
from mlengine.services.bars.service import BarService

_DAY = timedelta(days=1)
# The day of no zone ends later, after it has ended in UTC.
_LONGEST_LAG = timedelta(hours=12)


def session_end(bars: BarService, symbol: str, session: date, *, now: datetime) -> datetime:
    """The moment at which the session of that date is over for `symbol`: see `session_ends`."""
    return session_ends(bars, [symbol], session, now=now)[symbol]


def session_ends(
    bars: BarService, symbols: Sequence[str], session: date, *, now: datetime
) -> dict[str, datetime]:
    """The moment at which the session of that date is over for each symbol.

    With a named calendar the close, in a stated timezone the end of the local day; otherwise the
    end of the day in UTC, or when the session's own daily bar was known, where that is later. At
    the latest `now`, once the day is over in UTC. Raises InvalidRequest for one that lies ahead.
    """
    over_in_utc = _midnight_after(session, UTC)
    stated = _stated_ends(bars, symbols, session)
    unstated = [symbol for symbol, end in stated.items() if end is None]
    last_bars = _last_bars(bars, unstated, over_in_utc, now=now)
    ends = {
        symbol: end or _known_at(last_bars.get(symbol), over_in_utc)
        for symbol, end in stated.items()
    }
    for end in set(ends.values()):
        if end > now and over_in_utc > now:
            raise InvalidRequest({"as_of": [f"is in the future: {rfc3339(end)}"]})
    return {symbol: min(end, now) for symbol, end in ends.items()}


def _stated_ends(
    bars: BarService, symbols: Sequence[str], session: date
) -> dict[str, datetime | None]:
    """By symbol; None where neither a calendar nor a timezone says it."""
    by_place: dict[tuple[Calendar | None, ZoneInfo | None], datetime | None] = {}
    ends: dict[str, datetime | None] = {}
    for symbol in symbols:
        market = bars.markets.market(symbol)
        place = market.calendar, market.timezone
        if place not in by_place:
            by_place[place] = _stated_end(*place, session)
        ends[symbol] = by_place[place]
    return ends


def _stated_end(
    calendar: Calendar | None, timezone: ZoneInfo | None, session: date
) -> datetime | None:
    close = calendar.session_close(session) if calendar and calendar.is_exchange else None
    return close or (_midnight_after(session, timezone) if timezone else None)


def _last_bars(
    bars: BarService, symbols: Sequence[str], over_in_utc: datetime, *, now: datetime
) -> Mapping[str, BarArrays]:
    """The newest bar of each symbol that has one, where bars are of days and the day is over."""
    if not symbols or INTERVALS[bars.interval] != _DAY or over_in_utc > now:
        return {}
    return bars.last_bars(symbols, as_of=min(over_in_utc + _LONGEST_LAG, now), now=now)


def _known_at(last_bar: BarArrays | None, over_in_utc: datetime) -> datetime:
    """When the daily bar of the session was known, but not before the day was over."""
    if last_bar is None or last_bar.last_timestamp != over_in_utc - _DAY:
        return over_in_utc
    return max(over_in_utc, last_bar.last_known_at)


def _midnight_after(session: date, zone: ZoneInfo | timezone) -> datetime:
    return datetime.combine(session + _DAY, time(), zone).astimezone(UTC)
