"""Retry-After in every form in which services write it: never sooner than it says."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_TIME = "[0-9]{2}:[0-9]{2}:[0-9]{2}"
# The three forms of HTTP, and ISO 8601.
_DATE = re.compile(
    rf"[0-9]{{1,2}}[ -][a-z]{{3}}[ -][0-9]{{2,4}} {_TIME}(?: (?:[a-z]{{1,5}}|[+-][0-9]{{4}}))?"
    rf"|[a-z]{{3}} +[0-9]{{1,2}} {_TIME} [0-9]{{4}}"
    rf"|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[t ]{_TIME}(?:\.[0-9]+)?(?:z|[+-][0-9]{{2}}:?[0-9]{{2}})?",
    re.ASCII | re.IGNORECASE,
)
_SECONDS = re.compile(
    r"\+?([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(?:s|sec|secs|seconds?)?", re.ASCII | re.IGNORECASE
)
# A century: more than any process lives, and less than a date can be of.
_LONGEST_SECONDS = 3_155_760_000.0


def wait_seconds(values: Sequence[str], headers: Mapping[str, str], now: datetime) -> float | None:
    """For how long a service wants to be left alone, by the `values` of all its Retry-After.

    The longest of several. A date is counted from the service's own `Date` or from `now`,
    whichever makes it later. Zero for what is past, None where nothing can be read.
    """
    since = [moment for text in (headers.get("Date", ""),) if (moment := _moment(text))]
    waits: list[float] = []
    for value in values:
        for text in _DATE.findall(value):
            until = _moment(text)
            waits += [(until - start).total_seconds() for start in (now, *since) if until]
        waits += _numbers(_DATE.sub("", value))
    return min(max(0.0, *waits), _LONGEST_SECONDS) if waits else None


def _numbers(value: str) -> Iterator[float]:
    for part in re.split("[,;]", value):
        match = _SECONDS.fullmatch(part.strip())
        if match:
            yield float(match[1])


def _moment(text: str) -> datetime | None:
    """What a date says, in UTC where it names no zone."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text.strip().upper() if parse is datetime.fromisoformat else text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError, IndexError):
            continue
    return None
