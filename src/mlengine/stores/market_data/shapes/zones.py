"""Local times of a service's answers, with the offset that their zone had then."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_TIMES = ("timestamp", "close_time")
_LENGTH_OF_DATE = 10


@lru_cache(maxsize=64)
def zone_named(name: str) -> ZoneInfo | None:
    """The zone of that name; None where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def with_offsets(
    rows: Sequence[Mapping[str, object]], zone: ZoneInfo
) -> Iterator[Mapping[str, object]]:
    """Each row with its times in `zone`, where they state no offset and are no bare dates.

    An hour that comes twice or never when clocks change becomes unreadable.
    """
    for row in rows:
        yield {**row, **{name: _with_offset(row[name], zone) for name in _TIMES if row.get(name)}}


def _with_offset(value: object, zone: ZoneInfo) -> object:
    text = value.strip() if isinstance(value, str) else ""
    if len(text) <= _LENGTH_OF_DATE:
        return value
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        return value
    if local.tzinfo is not None:
        return value
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    is_plain = first.utcoffset() == second.utcoffset()
    return first.isoformat() if is_plain else f"{local} in {zone.key}, which may be two moments"
