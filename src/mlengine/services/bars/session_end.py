"""What a bare date in `as_of` means: the end of that session in a symbol's market."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.timestamps import rfc3339
from mlengine.errors import InvalidRequest, MlengineError
from mlengine.services.bars.service import BarService

_DAY = timedelta(days=1)
# The day of no zone ends later, after it has ended in UTC.
_LONGEST_LAG = timedelta(hours=12)


def session_end(bars: BarService, symbol: str, session: date, *, now: datetime) -> datetime:
    """The moment at which the session of that date is over for `symbol`.

    With a named calendar the close, in a stated timezone the end of the local day; otherwise the
    end of the day in UTC, or when the session's own daily bar was known, where that is later. At
    the latest `now`, once the day is over in UTC. Raises InvalidRequest for one that lies ahead.
    """
    over_in_utc = _midnight_after(session, UTC)
    end = _stated_end(bars, symbol, session) or max(
        over_in_utc, _known_at(bars, symbol, over_in_utc, now=now)
    )
    if end > now and over_in_utc > now:
        raise InvalidRequest({"as_of": [f"is in the future: {rfc3339(end)}"]})
    return min(end, now)


def _stated_end(bars: BarService, symbol: str, session: date) -> datetime | None:
    market = bars.markets.market(symbol)
    if market.calendar and market.calendar.is_exchange:
        close = market.calendar.session_close(session)
        if close:
            return close
    return _midnight_after(session, market.timezone) if market.timezone else None


def _known_at(bars: BarService, symbol: str, over_in_utc: datetime, *, now: datetime) -> datetime:
    """When the daily bar of the session was known, if it is of this interval and can be had."""
    if INTERVALS[bars.interval] != _DAY or over_in_utc > now:
        return over_in_utc
    latest = min(over_in_utc + _LONGEST_LAG, now)
    try:
        arrays = bars.history(symbol, bars=1, as_of=latest, now=now).arrays
    except MlengineError:  # the request itself fails of it, and says so
        return over_in_utc
    if not arrays.rows or arrays.last_timestamp != over_in_utc - _DAY:
        return over_in_utc
    return arrays.last_known_at


def _midnight_after(session: date, zone: ZoneInfo | timezone) -> datetime:
    return datetime.combine(session + _DAY, time(), zone).astimezone(UTC)
