"""The `files` upstream: a directory of Parquet and CSV files, written by somebody else.

A file holds one symbol and is named for it (`AAPL.parquet`, `AAPL.csv`), or has a column `symbol`
(or `ticker`) and holds any number. A path is never built from a symbol: symbols are looked up in
what the directory holds. A file that changes is read again.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA, is_ordered
from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data import CandlePanel
from mlengine.stores.market_data.candles import within
from mlengine.stores.market_data.columns import TICKERS, read_columns
from mlengine.stores.market_data.deadline import NEVER, Deadline
from mlengine.stores.system.table_files import UnreadableFile, column_names, read_csv, read_parquet

_SUFFIXES = (".parquet", ".csv")
_Stamp = tuple[int, int]


@dataclass(frozen=True)
class _Content:
    """A file's candles, sorted by symbol, and where those of each begin and end."""

    candles: pl.DataFrame
    places: Mapping[str, tuple[int, int]]

    def of(self, symbols: Set[str]) -> list[pl.DataFrame]:
        """The candles of those symbols that it holds, in as few slices as it takes."""
        slices: list[tuple[int, int]] = []
        for first, end in sorted(self.places[symbol] for symbol in symbols & self.places.keys()):
            begun = slices.pop()[0] if slices and slices[-1][1] == first else first
            slices.append((begun, end))
        return [self.candles.slice(first, end - first) for first, end in slices]


@dataclass(frozen=True)
class _Held:
    """A file as it was when it was read; `content` is None while only its header is known."""

    stamp: _Stamp
    many: bool
    content: _Content | None = None


class FilesMarketData:
    """Reads each file once, when a symbol that it may hold is first asked for."""

    kind = "files"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}

    def deadline(self) -> Deadline:
        """None: nobody else has to answer."""
        return NEVER

    def candles(
        self,
        symbol: str,
        interval: str,
        *,
        start: datetime,
        end: datetime,
        deadline: Deadline | None = None,  # noqa: ARG002 - what is at hand needs no time
    ) -> pl.DataFrame:
        """The candles of `symbol` from every file that holds it; see MarketData.

        The files don't say their interval, so bars that lie closer than it, or of which no two
        lie so close, are refused.
        """
        panel = self.panel([symbol], interval, start=start, end=end)
        if symbol in panel.refused:
            raise panel.refused[symbol]
        return panel.candles

    def panel(
        self, symbols: Sequence[str], interval: str, *, start: datetime, end: datetime
    ) -> CandlePanel:
        """The candles of all symbols from one look at the directory; see MarketData."""
        with self._lock:
            contents, refused = self._contents(symbols)
        readable = set(symbols) - refused.keys()
        parts = [part for content in contents for part in content.of(readable)]
        whole = pl.concat(parts) if parts else pl.DataFrame(schema=RAW_SCHEMA)
        other = _of_other_interval(whole, interval)
        no_such = UpstreamInvalid(f"the files hold bars of another interval than {interval}")
        unknown = readable.difference(*(content.places for content in contents))
        fit = whole.filter(~pl.col("symbol").is_in(other)) if other else whole
        return CandlePanel(
            # Every later step would go through a piece of memory for each part.
            within(fit, start=start, end=end).rechunk(),
            {
                **{symbol: UnknownSymbol(symbol) for symbol in unknown},
                **dict.fromkeys(other, no_such),
                **refused,
            },
        )

    def _contents(
        self, symbols: Sequence[str]
    ) -> tuple[list[_Content], dict[str, UpstreamInvalid]]:
        """The files that may hold them, and for each symbol the first one that can't be read."""
        listed = self._listed()
        for gone in self._held.keys() - listed.keys():
            del self._held[gone]
        found: list[_Content] = []
        refused: dict[str, UpstreamInvalid] = {}
        for name, stamp in listed.items():
            concerned: Set[str] = set(symbols)
            try:
                concerned = self._concerned(name, stamp, concerned)
                if concerned:
                    found.append(self._content(name))
            except UpstreamInvalid as error:
                refused = {**dict.fromkeys(concerned, error), **refused}
        return found, refused

    def _concerned(self, name: str, stamp: _Stamp, symbols: Set[str]) -> Set[str]:
        """Those of the symbols that the file may hold, by its header or its name."""
        held = self._held.get(name)
        if held is None or held.stamp != stamp:
            many = not TICKERS.isdisjoint(_header(self._directory / name))
            held = self._held[name] = _Held(stamp, many)
        return symbols if held.many else symbols & {Path(name).stem}

    def _content(self, name: str) -> _Content:
        held = self._held[name]
        if held.content is not None:
            return held.content
        content = _read(self._directory / name)
        self._held[name] = replace(held, content=content)
        return content

    def _listed(self) -> dict[str, _Stamp]:
        try:
            with os.scandir(self._directory) as entries:
                found = [entry for entry in entries if entry.name.endswith(_SUFFIXES)]
                stats = {entry.name: entry.stat() for entry in found if entry.is_file()}
        except OSError:
            raise UpstreamUnavailable("the directory of market data can't be read") from None
        return {name: (stats[name].st_mtime_ns, stats[name].st_size) for name in sorted(stats)}


def _header(path: Path) -> set[str]:
    try:
        return {name.casefold() for name in column_names(path)}
    except UnreadableFile:
        raise _unreadable(path) from None


def _read(path: Path) -> _Content:
    try:
        table = read_parquet(path) if path.suffix == ".parquet" else read_csv(path)
    except UnreadableFile:
        raise _unreadable(path) from None
    candles = read_columns(table, symbol=path.stem, file_name=path.name)
    if not candles["symbol"].is_sorted():
        candles = candles.sort("symbol", maintain_order=True)
    rows, names = (column.to_list() for column in candles["symbol"].rle().struct.unnest())
    ends = list(accumulate(rows, initial=0))
    return _Content(candles, dict(zip(names, pairwise(ends), strict=True)))


def _unreadable(path: Path) -> UpstreamInvalid:
    return UpstreamInvalid(f"the file {path.name!r} can't be read")


def _of_other_interval(candles: pl.DataFrame, interval: str) -> list[str]:
    """The symbols whose bars lie closer than `interval`, or of which no two lie so close.

    Summer time moves a local midnight by an hour; a few odd bars are no other interval.
    """
    known = candles.select("symbol", "timestamp").drop_nulls()
    if known.is_empty():
        return []
    ordered = known if is_ordered(known) else known.sort("symbol", "timestamp")
    rows, symbols = ordered["symbol"].rle().struct.unnest()
    firsts = rows.cum_sum().shift(1, fill_value=0).to_numpy()
    starts = ordered["timestamp"].to_physical().to_numpy()
    gaps = np.diff(starts, prepend=starts[0])
    gaps[firsts] = 0
    return symbols.filter(pl.Series(_are_other(gaps, firsts, interval))).to_list()


def _are_other(
    gaps: npt.NDArray[np.int64], firsts: npt.NDArray[np.uint32], interval: str
) -> npt.NDArray[np.bool_]:
    """Of each symbol, whose gaps in microseconds begin at `firsts`; no gap is 0."""
    step, some = INTERVALS[interval].total_seconds(), gaps > 0
    close = math.ceil(0.9 * step) * 1_000_000  # in whole seconds, as all that follows
    count = np.add.reduceat(some, firsts, dtype=np.int64)
    closer = np.add.reduceat(some & (gaps < close), firsts, dtype=np.int64)
    shortest = np.minimum.reduceat(np.where(some, gaps, np.iinfo(np.int64).max), firsts)
    return (count >= 2) & ((closer > 0.1 * count) | (shortest // 1_000_000 > 1.5 * step))
