"""When a cron expression fires: five fields (minute hour day month weekday), in UTC."""

import re
from datetime import UTC, datetime, timedelta

from croniter import CroniterError, croniter

EXPECTED = "a cron expression of five fields in UTC, such as 30 2 * * 1-5"
# croniter knows more (seconds, years, @daily, H, R); names of days and months have three letters.
_FIELD = r"(?:[0-9*/,#?L-]|[A-Za-z]{3})+"
_FIVE_FIELDS = re.compile(f"{_FIELD}(?: {_FIELD}){{4}}")
_LEAP_YEARS = datetime(2024, 1, 1, tzinfo=UTC)


def parse_cron(text: str) -> str:
    """The expression with single spaces; raises ValueError for none, or one that never fires."""
    expression = " ".join(text.split())
    if not _FIVE_FIELDS.fullmatch(expression):
        raise ValueError(expression)
    newest_tick(expression, at=_LEAP_YEARS)
    return expression


def newest_tick(expression: str, *, at: datetime) -> datetime:
    """The last moment up to and including `at` at which `expression` fires."""
    tick: datetime = _schedule(expression, at + timedelta(microseconds=1)).get_prev(datetime)
    return tick


def next_ticks(expression: str, *, after: datetime, count: int) -> tuple[datetime, ...]:
    """The first `count` moments after `after`, in order."""
    ticks = _schedule(expression, after)
    return tuple(ticks.get_next(datetime) for _ in range(count))


def _schedule(expression: str, start: datetime) -> croniter:
    """Raises ValueError, which croniter's own errors are."""
    try:
        return croniter(expression, start.astimezone(UTC), max_years_between_matches=30)
    except (CroniterError, KeyError, AttributeError) as error:
        raise ValueError(expression) from error
