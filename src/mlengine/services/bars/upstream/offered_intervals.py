"""Whether a source can have bars of an interval at all."""

from collections.abc import Sequence
from datetime import datetime

from mlengine.core.bars.interval_check import interval_mismatches
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.timestamps import EPOCH
from mlengine.errors import MlengineError
from mlengine.stores.market_data import MarketData


def interval_refusal(
    source: MarketData, interval: str, symbols: Sequence[str], *, now: datetime
) -> str | None:
    """Why the source has no bars of the interval; None where it may have some.

    Of files the bars themselves say so: of another interval are those of every symbol that has
    any. Nobody else is asked for bars.
    """
    offered = source.offered_intervals()
    if interval not in offered:
        names = ", ".join(name for name in INTERVALS if name in offered)
        return f"the source of bars has none of {interval}, only of {names}"
    if source.kind != "files":
        return None
    first: str | None = None
    for symbol in symbols:
        try:
            candles = source.candles(symbol, interval, start=EPOCH, end=now)
        except MlengineError:
            continue
        mismatch = interval_mismatches(candles, interval).get(symbol)
        if mismatch is None:
            return None
        first = first or mismatch.reason
    return first
