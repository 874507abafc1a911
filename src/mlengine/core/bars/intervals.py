"""Bar intervals, and the moments at which a bar is final."""

from datetime import datetime, timedelta

INTERVALS: dict[str, timedelta] = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
}


def interval_end(timestamp: datetime, interval: str) -> datetime:
    """When the bar that starts at `timestamp` is final, and so known, whatever the sessions are."""
    return timestamp + INTERVALS[interval]
