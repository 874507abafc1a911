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


def final_at(timestamp: datetime, interval: str) -> datetime:
    """The moment at which the bar that starts at `timestamp` is final, and so known."""
    return timestamp + INTERVALS[interval]
