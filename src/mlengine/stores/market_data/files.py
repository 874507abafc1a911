"""The `files` upstream: a directory of Parquet and CSV files, written by somebody else.

A file holds one symbol and is named for it (`AAPL.parquet`, `AAPL.csv`), or has a column `symbol`
(or `ticker`) and holds any number. A path is never built from a symbol: symbols are looked up in
what the directory holds. A file that changes is read again.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate, pairwise
from pathlib import Path

import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.errors import MlengineError, UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data import CandlePanel, MarketData
from mlengine.stores.market_data.candles import within
from mlengine.stores.market_data.columns import SYMBOL_COLUMNS, parse_table
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.system.table_files import UnreadableFile, column_names, read_csv, read_parquet

_SUFFIXES = (".parquet", ".csv")
_Stamp = tuple[int, int]


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
    """A file as it was when it was read; `content` is None while only its header was."""

    stamp: _Stamp
    has_symbols: bool
    content: _FileCandles | None = None


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
        with self._lock:
            files, unreadable = self._load(symbols)
        readable = set(symbols) - unreadable.keys()
        parts = [part for file in files for part in file.slices(readable)]
        candles = pl.concat(parts) if parts else pl.DataFrame(schema=RAW_SCHEMA)
        refused: dict[str, MlengineError] = {
            symbol: UnknownSymbol(symbol)
            for symbol in readable.difference(*(f.rows for f in files))
        }
        # One piece of memory: every later step would go through one for each part.
        return CandlePanel(
            within(candles, start=start, end=end).rechunk(), {**refused, **unreadable}
        )

    def _load(self, symbols: Sequence[str]) -> tuple[list[_FileCandles], dict[str, MlengineError]]:
        """The files that may hold them, and for each symbol the first one that can't be read."""
        try:
            stamps = self._stamps()
        except OSError:
            error = UpstreamUnavailable("the directory of market data can't be read")
            return [], dict.fromkeys(symbols, error)
        for deleted in self._files.keys() - stamps.keys():
            del self._files[deleted]
        files: list[_FileCandles] = []
        unreadable: dict[str, MlengineError] = {}
        for name, stamp in stamps.items():
            concerned: Set[str] = set(symbols)
            try:
                concerned = self._may_hold(name, stamp, concerned)
                if concerned:
                    files.append(self._content(name))
            except UpstreamInvalid as error:
                unreadable = {**dict.fromkeys(concerned, error), **unreadable}
        return files, unreadable

    def _may_hold(self, name: str, stamp: _Stamp, symbols: Set[str]) -> Set[str]:
        """Those of the symbols that the file may hold, by its header or its name."""
        file = self._files.get(name)
        if file is None or file.stamp != stamp:
            with _refused(name):
                header = {column.casefold() for column in column_names(self._directory / name)}
            file = _CachedFile(stamp, not SYMBOL_COLUMNS.isdisjoint(header))
            self._files[name] = file
        return symbols if file.has_symbols else symbols & {Path(name).stem}

    def _content(self, name: str) -> _FileCandles:
        file = self._files[name]
        content = file.content or _read(self._directory / name)
        self._files[name] = replace(file, content=content)
        return content

    def _stamps(self) -> dict[str, _Stamp]:
        """When each file was modified, and its size."""
        with os.scandir(self._directory) as entries:
            named = [entry for entry in entries if entry.name.endswith(_SUFFIXES)]
            stats = {entry.name: entry.stat() for entry in named if entry.is_file()}
        return {name: (stats[name].st_mtime_ns, stats[name].st_size) for name in sorted(stats)}


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
