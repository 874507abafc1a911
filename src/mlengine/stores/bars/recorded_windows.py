"""Windows of recorded bars as they once were: what the audit refers to instead of a copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.recorded import RecordedWindow, Revisions
from mlengine.stores.bars.segments import read_between
from mlengine.stores.bars.series import read_series
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
        found: dict[RecordedWindow, BarArrays | None] = {}
        with reading(self.engine) as connection:
            for interval in {each.interval for each in windows}:
                wanted = [each for each in windows if each.interval == interval]
                reach = _WIDER * (INTERVALS[interval] // MICROSECOND)
                found |= _read(connection, {each: each.rows * reach + _WEEKS for each in wanted})
                missing = [each for each in wanted if found[each] is None]
                if missing:
                    found |= _read(connection, {each: each.last_start for each in missing})
        return [found[each] for each in windows]


def _read(
    connection: Connection, reaches: Mapping[RecordedWindow, int]
) -> dict[RecordedWindow, BarArrays | None]:
    """Windows of one interval, from the rows that begin so long before each or later."""
    found: dict[RecordedWindow, BarArrays | None] = dict.fromkeys(reaches)
    symbols = {each.symbol for each in reaches}
    (interval,) = {each.interval for each in reaches}
    series = read_series(connection, symbols, interval)
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
