"""Moments in UTC, and how they are written."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The first and the last year of which there are bars.
POSSIBLE_YEARS = (1900, 2099)
DAY_MICROSECONDS = 86_400_000_000


def rfc3339(moment: datetime) -> str:
    """UTC with `Z`; fractions only when there are any."""
    text = moment.astimezone(UTC).isoformat()
    return text.removesuffix("+00:00") + "Z"


def parse_rfc3339(text: str) -> datetime:
    """The inverse of `rfc3339`; raises ValueError on anything else, also without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is in no year of UTC") from None


def range_refusal(since: datetime | None, until: datetime | None) -> str | None:
    """Why nothing lies from `since` to before `until`, if their order is wrong.

    Where they are one moment the range is empty, but no mistake.
    """
    if since is None or until is None or since <= until:
        return None
    return f"is after until: {rfc3339(since)} is after {rfc3339(until)}"


@lru_cache(maxsize=1_024)
def microseconds(moment: datetime) -> int:
    """Since 1970; cached, for most series of a batch are of the same moments."""
    return (moment - EPOCH) // timedelta(microseconds=1)


@lru_cache(maxsize=1_024)
def moment(microseconds: int) -> datetime:
    """The moment so long after 1970; cached as `microseconds` is."""
    return EPOCH + timedelta(microseconds=microseconds)
