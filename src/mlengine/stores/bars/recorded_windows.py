"""Windows of recorded bars as they once were: what the audit refers to instead of a copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from sqlalchemy import Connection, Engine

from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.recorded import RecordedWindow, Revisions
from mlengine.stores.bars.segments import read_between
from mlengine.stores.bars.series import read_series, series_interval
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import MICROSECOND

# Bars of five days a week and seven hours a day are in six times their span, and holidays in more.
_WIDER, _WEEKS = 6, 14 * 86_400 * 10**6


@dataclass(frozen=True)
class RecordedWindowReader:
    """The rows of the bar store; raises DatabaseUnavailable when it can't be used."""

    engine: Engine

    def read(self, windows: Sequence[RecordedWindow]) -> list[BarArrays | None]:
        """The bars of each window, to the last bit; None where the store does not have them."""
        found: dict[RecordedWindow, BarArrays | None] = dict.fromkeys(windows)
        with reading(self.engine) as connection:
            for interval, of_sample in product({each.interval for each in windows}, (False, True)):
                key = series_interval(interval, of_sample=of_sample)
                reach = _WIDER * (INTERVALS[interval] // MICROSECOND)
                missing = _missing(found, interval)
                found |= _read(
                    connection, {each: each.rows * reach + _WEEKS for each in missing}, key
                )
                missing = _missing(found, interval)
                found |= _read(connection, {each: each.last_start for each in missing}, key)
        return [found[each] for each in windows]


def _missing(
    found: Mapping[RecordedWindow, BarArrays | None], interval: str
) -> list[RecordedWindow]:
    return [each for each, bars in found.items() if bars is None and each.interval == interval]


def _read(
    connection: Connection, reaches: Mapping[RecordedWindow, int], key: str
) -> dict[RecordedWindow, BarArrays | None]:
    """Windows of the series of one `key`, from the rows that begin so long before each or later."""
    found: dict[RecordedWindow, BarArrays | None] = dict.fromkeys(reaches)
    if not reaches:
        return found
    series = read_series(connection, {each.symbol for each in reaches}, key)
    spans: dict[int, tuple[int, int]] = {}
    for window, reach in reaches.items():
        if window.symbol in series:
            number, last = series[window.symbol].id, window.last_start
            first, until = spans.get(number, (last, last))
            spans[number] = min(first, last - reach), max(until, last)
    rows: Mapping[int, Revisions] = read_between(connection, spans) if spans else {}
    for window in reaches:
        if window.symbol in series:
            found[window] = rows[series[window.symbol].id].window(window)
    return found
