"""Records one more bar of three symbols again and again, and prints how many each has by then."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
from tests.databases import bar_store
from tests.factories import START, random_bars

from mlengine.core.bars.bars import BarArrays
from mlengine.stores.bars.stored import UpstreamBars

DAY = timedelta(days=1)
# More than a fast machine records while it is killed two hundred times.
ROWS = 20_000
SYMBOLS = ("AAA", "BBB", "CCC")


def bars_of(symbol: str) -> pl.DataFrame:
    """All bars, of which each recording adds one; a hundred are revised with every tenth."""
    return random_bars(symbol, rows=ROWS, volatility=0.001)


def answer_of(bars: pl.DataFrame, rows: int) -> UpstreamBars:
    """The first `rows` bars, as they are by then."""
    known = bars.head(rows).with_columns(
        pl.col("volume")
        + pl.when(pl.int_range(pl.len()) >= rows - 100).then(rows // 10).otherwise(0),
        (pl.col("timestamp") + DAY).alias("known_at"),
    )
    tail = known.tail(120)
    return UpstreamBars(BarArrays.of(tail), tail["timestamp"][0], START + rows * DAY)


def main(folder: str) -> None:
    store = bar_store(Path(folder))
    stored = store.newest(SYMBOLS, "1d", bars=1)
    newest = stored["AAA"].held.arrays.last_timestamp if stored else None
    rows = (newest - START) // DAY + 1 if newest else 200
    bars = {symbol: bars_of(symbol) for symbol in SYMBOLS}
    while True:
        rows += 1
        answers = {symbol: answer_of(bars[symbol], rows) for symbol in SYMBOLS}
        sys.stdout.write(f"{rows}\n")
        sys.stdout.flush()
        store.record(answers, "1d", seen_at=START + rows * DAY)


if __name__ == "__main__":
    main(*sys.argv[1:])
