"""Whether candles are as many as their market had, for libraries that lose some without a word."""

from datetime import timedelta

import numpy as np
import polars as pl

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.calendars.hours import WITHOUT_HOLIDAYS
from mlengine.core.calendars.inference import infer_calendar
from mlengine.core.timestamps import rfc3339
from mlengine.errors import UpstreamInvalid

_LARGEST_LOSS = 0.1
_MIN_CANDLES = 10
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def require_complete(candles: pl.DataFrame, *, symbol: str, interval: str) -> None:
    """Raise UpstreamInvalid where more than a tenth is missing between the first and the last.

    Counted are the hours with candles where a market never closes at night, else the days: in a
    minute without trade there is none. Holidays are less than a tenth of the weekdays.
    """
    times = candles["timestamp"].drop_nulls().unique().sort()
    if times.len() < _MIN_CANDLES:
        return
    starts = times.to_physical().to_numpy()
    calendar = infer_calendar(starts, INTERVALS[interval])
    width = max(INTERVALS[interval], _DAY if calendar.name in WITHOUT_HOLIDAYS else _HOUR)
    if width > INTERVALS[interval]:
        microseconds = width // timedelta(microseconds=1)
        starts = np.unique(starts // microseconds * microseconds)
    expected = len(starts) + int(calendar.bars_missing(starts, width).sum())
    if len(starts) < (1 - _LARGEST_LOSS) * expected:
        unit = {_HOUR: "hours", _DAY: "days"}.get(width, "candles")
        raise UpstreamInvalid(
            f"{symbol} has candles of {len(starts)} of the {expected} {unit} from "
            f"{rfc3339(times[0])} to {rfc3339(times[-1])}, the others did not come"
        )
