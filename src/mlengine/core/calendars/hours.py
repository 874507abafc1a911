"""The names of calendars, the hours of exchanges, and the days that `holidays` does not know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time

OPEN_ENDED = date.max


@dataclass(frozen=True)
class Hours:
    """Local times, up to and including the day `until`; `half_day` is the early close."""

    opens: time
    closes: time
    half_day: time | None = None
    lunch: tuple[time, time] | None = None
    until: date = OPEN_ENDED


@dataclass(frozen=True)
class Exchange:
    """What makes a calendar: the closures of `holidays` by its own code, and the hours.

    `since` is the first year whose sessions are checked. `closures` are dates that the package
    opens, `sessions` dates that it closes; `yearly_closures` and `yearly_half_days` are a month
    and a day; `special_closes` are the closes of single days.
    """

    timezone: str
    hours: tuple[Hours, ...]
    since: int
    holidays_of: str | None = None
    closures: tuple[date, ...] = ()
    sessions: tuple[date, ...] = ()
    yearly_closures: tuple[tuple[int, int], ...] = ()
    yearly_half_days: tuple[tuple[int, int], ...] = ()
    half_days: tuple[date, ...] = ()
    last_session_is_half: bool = False
    special_closes: tuple[tuple[date, time], ...] = ()


_NEW_YORK = Exchange(
    "America/New_York",
    (
        Hours(time(9, 30), time(16), half_day=time(14), until=date(1992, 12, 31)),
        Hours(time(9, 30), time(16), half_day=time(13)),
    ),
    since=1990,
)
_CHRISTMAS_EVE, _NEW_YEARS_EVE = (12, 24), (12, 31)


def _euronext(timezone: str, hours: Hours) -> Exchange:
    """Euronext is closed when the payments system TARGET is, whose code is XECB."""
    half_days = (_CHRISTMAS_EVE, _NEW_YEARS_EVE)
    return Exchange(timezone, (hours,), 2003, holidays_of="XECB", yearly_half_days=half_days)


_CONTINENT = Hours(time(9), time(17, 30), half_day=time(14, 5))
_SHANGHAI = Exchange(
    "Asia/Shanghai",
    (Hours(time(9, 30), time(15), lunch=(time(11, 30), time(13))),),
    since=2007,
)
# Elections, a moved Bakri Id and the consecration in Ayodhya; Saturdays and a Sunday of the budget.
_INDIA = Exchange(
    "Asia/Kolkata",
    (Hours(time(9, 15), time(15, 30)),),
    since=2016,
    closures=(
        date(2019, 4, 29),
        date(2019, 10, 21),
        date(2023, 6, 29),
        date(2024, 1, 22),
        date(2024, 5, 20),
        date(2024, 11, 20),
        date(2026, 1, 15),
    ),
    sessions=(
        date(2020, 2, 1),
        date(2023, 6, 28),
        date(2024, 1, 20),
        date(2025, 2, 1),
        date(2026, 2, 1),
    ),
)
# Pupils' entrance examination: everything begins and ends an hour later.
_KOREAN_EXAMINATIONS = (
    date(2016, 11, 17),
    date(2017, 11, 23),
    date(2018, 11, 15),
    date(2019, 11, 14),
    date(2020, 12, 3),
    date(2021, 11, 18),
    date(2022, 11, 17),
    date(2023, 11, 16),
    date(2024, 11, 14),
    date(2025, 11, 13),
    date(2026, 11, 19),
)

EXCHANGES: dict[str, Exchange] = {
    "XAMS": _euronext("Europe/Amsterdam", _CONTINENT),
    "XASX": Exchange(
        "Australia/Sydney",
        (Hours(time(10), time(16), half_day=time(14, 10)),),
        since=2000,
        half_days=(date(2023, 12, 22), date(2023, 12, 29)),
    ),
    "XBOM": _INDIA,
    "XBRU": _euronext("Europe/Brussels", _CONTINENT),
    "XETR": Exchange(
        "Europe/Berlin",
        (Hours(time(9), time(17, 30), half_day=time(14)),),
        since=2016,
        last_session_is_half=True,
    ),
    "XHKG": Exchange(
        "Asia/Hong_Kong",
        (Hours(time(9, 30), time(16), half_day=time(12), lunch=(time(12), time(13))),),
        since=2014,
    ),
    "XKRX": Exchange(
        "Asia/Seoul",
        (
            Hours(time(9), time(15), until=date(2016, 7, 31)),
            Hours(time(9), time(15, 30)),
        ),
        since=2001,
        special_closes=tuple((day, time(16, 30)) for day in _KOREAN_EXAMINATIONS),
    ),
    "XLIS": _euronext("Europe/Lisbon", Hours(time(8), time(16, 30), half_day=time(13, 5))),
    "XLON": Exchange(
        "Europe/London", (Hours(time(8), time(16, 30), half_day=time(12, 30)),), since=2000
    ),
    "XMIL": Exchange(
        "Europe/Rome",
        (Hours(time(9), time(17, 30)),),
        since=2016,
        holidays_of="XECB",
        yearly_closures=((8, 15), _CHRISTMAS_EVE, _NEW_YEARS_EVE),
    ),
    "XNAS": _NEW_YORK,
    "XNSE": _INDIA,
    "XNYS": _NEW_YORK,
    "XNZE": Exchange(
        "Pacific/Auckland", (Hours(time(10), time(16, 45), half_day=time(12, 45)),), since=2000
    ),
    "XPAR": _euronext("Europe/Paris", _CONTINENT),
    "XSHE": _SHANGHAI,
    "XSHG": _SHANGHAI,
    "XSWX": Exchange("Europe/Zurich", (Hours(time(9), time(17, 30)),), since=2000),
    # Closed for a whole day by a failure of its hardware.
    "XTKS": Exchange(
        "Asia/Tokyo",
        (
            Hours(time(9), time(15), lunch=(time(11), time(12, 30)), until=date(2011, 11, 20)),
            Hours(time(9), time(15), lunch=(time(11, 30), time(12, 30)), until=date(2024, 11, 4)),
            Hours(time(9), time(15, 30), lunch=(time(11, 30), time(12, 30))),
        ),
        since=2000,
        holidays_of="XJPX",
        closures=(date(2020, 10, 1),),
    ),
    "XTSE": Exchange(
        "America/Toronto", (Hours(time(9, 30), time(16), half_day=time(13)),), since=2002
    ),
    "XWAR": Exchange("Europe/Warsaw", (Hours(time(9), time(17)),), since=2011),
}

ALWAYS, FOREIGN_EXCHANGE, WEEKDAYS = "24/7", "24/5", "weekdays"
# The week of Riyadh, and of Tel Aviv to 2025.
SUNDAY_TO_THURSDAY = "sunday-thursday"
# They know days of the week, and no holidays.
WITHOUT_HOLIDAYS = frozenset({WEEKDAYS, SUNDAY_TO_THURSDAY})
CALENDAR_NAMES = (ALWAYS, FOREIGN_EXCHANGE, WEEKDAYS, SUNDAY_TO_THURSDAY, *sorted(EXCHANGES))
