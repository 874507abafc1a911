"""The `files` upstream: a directory of Parquet and CSV files, written by somebody else.

A file holds one symbol and is named for it (`AAPL.parquet`, `AAPL.csv`), or has a column `symbol`
(or `ticker`) and holds any number. A path is never built from a symbol: symbols are looked up in
what the directory holds. A file that changes is read again. One that can't be used costs only the
symbol that it is named for, or none where another file has that symbol.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate, pairwise
from pathlib import Path

import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.errors import MlengineError, UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data import CandlePanel, MarketData
from mlengine.stores.market_data.candles import between
from mlengine.stores.market_data.columns import PRICE_COLUMNS, SYMBOL_COLUMNS, parse_table
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.market_data.tables.folder import FileStamp, table_files
from mlengine.stores.system.table_files import UnreadableFile, column_names, read_csv, read_parquet


@dataclass(frozen=True)
class _FileCandles:
    """A file's candles, sorted by symbol, and the rows of each symbol: first and end."""

    candles: pl.DataFrame
    rows: Mapping[str, tuple[int, int]]

    def slices(self, symbols: Set[str]) -> list[pl.DataFrame]:
        """The candles of those symbols that it has, in as few slices as it takes."""
        slices: list[tuple[int, int]] = []
        for first, end in sorted(self.rows[symbol] for symbol in symbols & self.rows.keys()):
            joined_first = slices.pop()[0] if slices and slices[-1][1] == first else first
            slices.append((joined_first, end))
        return [self.candles.slice(first, end - first) for first, end in slices]


@dataclass(frozen=True)
class _CachedFile:
    """A file as it was when it was looked at; `content` is None while only its header was.

    `refusal` says why it can't be used. A list of symbols without prices is no file of bars.
    """

    stamp: FileStamp
    has_symbols: bool = False
    is_list: bool = False
    content: _FileCandles | None = None
    refusal: UpstreamInvalid | None = None


class FilesMarketData(MarketData):
    """Reads each file once, at the first request for a symbol that it may hold."""

    kind = "files"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._files: dict[str, _CachedFile] = {}

    def candles(
        self,
        symbol: str,
        interval: str,
        *,
        start: datetime,
        end: datetime,
        deadline: Deadline | None = None,  # noqa: ARG002 - what is in memory needs no time
    ) -> pl.DataFrame:
        """The candles of `symbol` from every file that holds it; see MarketData."""
        panel = self.panel([symbol], interval, start=start, end=end)
        if symbol in panel.refused:
            raise panel.refused[symbol]
        return panel.candles

    def panel(
        self,
        symbols: Sequence[str],
        interval: str,  # noqa: ARG002 - files don't state theirs
        *,
        start: datetime,
        end: datetime,
    ) -> CandlePanel:
        """The candles of all symbols from one look at the directory; see MarketData."""
        try:
            with self._lock:
                files, unreadable = self._load(set(symbols))
        except OSError:
            error = UpstreamUnavailable("the directory of market data can't be read")
            return CandlePanel(pl.DataFrame(schema=RAW_SCHEMA), dict.fromkeys(symbols, error))
        parts = [part for file in files for part in file.slices(set(symbols))]
        candles = pl.concat(parts) if parts else pl.DataFrame(schema=RAW_SCHEMA)
        refused: dict[str, MlengineError] = {
            symbol: unreadable.get(symbol) or UnknownSymbol(symbol)
            for symbol in set(symbols).difference(*(file.rows for file in files))
        }
        # One piece of memory: every later step would go through one for each part.
        return CandlePanel(between(candles, start=start, end=end).rechunk(), refused)

    def refused_files(self) -> list[tuple[str, str]]:
        """Each file of the directory that can't be used, as far as it was looked at, and why."""
        with self._lock, suppress(OSError):
            self._look()
        files = [(name, file.refusal) for name, file in self._files.items()]
        return sorted((name, refusal.reason) for name, refusal in files if refusal)

    def _load(self, symbols: Set[str]) -> tuple[list[_FileCandles], dict[str, UpstreamInvalid]]:
        """The files that hold some of the symbols, and why those named for others can't be used."""
        self._look()
        files: list[_FileCandles] = []
        unreadable: dict[str, UpstreamInvalid] = {}
        for name, cached in self._files.items():
            symbol = Path(name).stem
            if cached.has_symbols or symbol in symbols:
                file = self._files[name] = _with_content(self._directory / name, cached)
                if file.content:
                    files.append(file.content)
                elif file.refusal and symbol in symbols:
                    unreadable.setdefault(symbol, file.refusal)
        return files, unreadable

    def _look(self) -> None:
        """Forget the files that are gone or changed, and read the headers of new ones."""
        stamps = table_files(self._directory)
        self._files = {
            name: file
            if (file := self._files.get(name)) and file.stamp == stamp
            else _look_at(self._directory / name, stamp)
            for name, stamp in stamps.items()
        }


def _with_content(path: Path, file: _CachedFile) -> _CachedFile:
    if file.content or file.refusal or file.is_list:
        return file
    try:
        return replace(file, content=_read(path))
    except UpstreamInvalid as error:
        return replace(file, refusal=error)


def _look_at(path: Path, stamp: FileStamp) -> _CachedFile:
    try:
        with _refused(path.name):
            header = {column.casefold() for column in column_names(path)}
    except UpstreamInvalid as error:
        return _CachedFile(stamp, refusal=error)
    has_symbols = not SYMBOL_COLUMNS.isdisjoint(header)
    return _CachedFile(stamp, has_symbols, has_symbols and PRICE_COLUMNS.isdisjoint(header))


def _read(path: Path) -> _FileCandles:
    with _refused(path.name):
        table = read_parquet(path) if path.suffix == ".parquet" else read_csv(path)
    candles = parse_table(table, symbol=path.stem, file_name=path.name)
    if not candles["symbol"].is_sorted():
        candles = candles.sort("symbol", maintain_order=True)
    counts, symbols = (column.to_list() for column in candles["symbol"].rle().struct.unnest())
    ends = accumulate(counts, initial=0)
    return _FileCandles(candles, dict(zip(symbols, pairwise(ends), strict=True)))


@contextmanager
def _refused(name: str) -> Iterator[None]:
    try:
        yield
    except UnreadableFile:
        raise UpstreamInvalid(f"the file {name!r} can't be read") from None
