"""The `sample` upstream: real daily prices of AAPL, FB, GOOG, IBM, MSFT, 2000 to 2013.

They come from `stocks.csv.gz` of the package bokeh-sampledata, which is found but never imported:
importing it pulls pandas.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.errors import UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.system.table_files import UnreadableFile, read_csv

_SPLITS: tuple[float, ...] = (*range(2, 21), 3 / 2, 4 / 3, 5 / 2, 5 / 4)
# A dividend paid on the day of the split moves the ratio as well, a split is known within this.
_SPLIT_TOLERANCE = 0.01


class SampleMarketData(MarketData):
    """Prices adjusted for splits and dividends, volume for splits; read once, on first use."""

    kind = "sample"

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._candles: Mapping[str, pl.DataFrame] = {}

    def offered_intervals(self) -> Collection[str]:
        """Days alone."""
        return ("1d",)

    def candles(
        self,
        symbol: str,
        interval: str,
        *,
        start: datetime,
        end: datetime,
        deadline: Deadline | None = None,  # noqa: ARG002 - what is in memory needs no time
    ) -> pl.DataFrame:
        """The daily candles of `symbol`; see MarketData."""
        if interval not in self.offered_intervals():
            raise UpstreamInvalid("the sample has daily bars only")
        candles = self._loaded().get(symbol)
        if candles is None:
            raise UnknownSymbol(symbol)
        return candles.filter(pl.col("timestamp").is_between(start, end, closed="left"))

    def panel(
        self, symbols: Sequence[str], interval: str, *, start: datetime, end: datetime
    ) -> None:
        """None: five symbols are soon loaded one by one."""

    def _loaded(self) -> Mapping[str, pl.DataFrame]:
        with self._lock:
            if not self._candles:
                self._candles = read_sample(self._file or find_sample_file())
            return self._candles


def find_sample_file(package: str = "bokeh_sampledata") -> Path:
    """Where the installed package keeps the prices; raises UpstreamUnavailable without it."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder, "_data", "stocks.csv.gz")
        if file.is_file():
            return file
    raise UpstreamUnavailable(
        "the sample prices are not installed; run `pip install --no-deps bokeh-sampledata` or "
        "install mlengine with [sample], or set MARKET_DATA_BASE_URL or MARKET_DATA_DIR"
    )


def read_sample(file: Path) -> Mapping[str, pl.DataFrame]:
    """Candles in RAW_SCHEMA by symbol, from the columns that Yahoo gave such files.

    Each price is multiplied by `Adj Close / Close` of its day, so that the four keep their order.
    """
    try:
        adjusted = _adjust(read_csv(file))
    except (UnreadableFile, pl.exceptions.PolarsError):
        raise UpstreamInvalid("the file of sample prices can't be read") from None
    parts = adjusted.partition_by("symbol", maintain_order=True)
    return {part["symbol"][0]: part for part in parts}


def split_ratio(jump: float) -> float:
    """The split behind a jump of the adjustment factor from one day to the next, 1.0 for none.

    `Adj Close / Close` jumps by the split's ratio on the first day at the new price, and by
    1 + dividend / price where a dividend is cut off. Only jumps within 1 % of n:1 (n up to 20),
    3:2, 4:3, 5:2, 5:4 or one of these upside down are splits; MSFT's three dollars of November
    2004 (a jump of 1.112) are none.
    """
    for split in _SPLITS:
        for ratio in (split, 1 / split):
            if abs(jump / ratio - 1.0) <= _SPLIT_TOLERANCE:
                return ratio
    return 1.0


def _adjust(text: pl.DataFrame) -> pl.DataFrame:
    numbers = pl.col("Open", "High", "Low", "Close", "Volume", "Adj Close").cast(pl.Float64)
    table = text.with_columns(numbers, pl.col("Date").str.to_date()).sort("Ticker", "Date")
    factor = pl.col("Adj Close") / pl.col("Close")
    jump = (factor / factor.shift(1)).over("Ticker").fill_null(1.0)
    ratios = [split_ratio(value) for value in table.select(jump).to_series()]
    # For each day the product of the splits after it: a share of then is so many of the last.
    later_splits = pl.col("ratio").shift(-1, fill_value=1.0).cum_prod(reverse=True)
    return (
        table.with_columns(ratio=pl.Series(ratios, dtype=pl.Float64))
        .select(
            pl.col("Ticker").alias("symbol"),
            pl.col("Date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("timestamp"),
            *(
                (pl.col(name) * factor).alias(name.lower())
                for name in ("Open", "High", "Low", "Close")
            ),
            (pl.col("Volume") * later_splits.over("Ticker")).alias("volume"),
        )
        .match_to_schema(RAW_SCHEMA, missing_columns="insert")
    )
