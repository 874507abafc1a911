"""The `files` upstream: a directory of Parquet and CSV files, written by somebody else.

A file holds one symbol and is named for it (`AAPL.parquet`, `AAPL.csv`), or has a column `symbol`
(or `ticker`) and holds any number. A path is never built from a symbol: symbols are looked up in
what the directory holds. A file that changes is read again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from mlengine.core.bars import RAW_SCHEMA
from mlengine.core.intervals import INTERVALS
from mlengine.errors import UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.frames import UnreadableFile, column_names, read_csv, read_parquet
from mlengine.stores.market_data import Panel
from mlengine.stores.market_data.candles import within
from mlengine.stores.market_data.columns import TICKERS, read_columns
from mlengine.stores.market_data.deadline import NEVER, Deadline

_SUFFIXES = (".parquet", ".csv")
_Stamp = tuple[int, int]


@dataclass(frozen=True)
class _Held:
    """A file as it was when it was read; `symbols` is None while only its header is known."""

    stamp: _Stamp
    many: bool
    symbols: Mapping[str, pl.DataFrame] | None = None


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
    ) -> Panel:
        """The candles of all symbols from one look at the directory; see MarketData."""
        with self._lock:
            found, refused = self._parts(symbols)
        parts = [part for symbol in found if symbol not in refused for part in found[symbol]]
        whole = pl.concat(parts) if parts else pl.DataFrame(schema=RAW_SCHEMA)
        other = _of_other_interval(whole, interval)
        no_such = UpstreamInvalid(f"the files hold bars of another interval than {interval}")
        unknown = {symbol: UnknownSymbol(symbol) for symbol in found if not found[symbol]}
        fit = whole.filter(~pl.col("symbol").is_in(other)) if other else whole
        return Panel(
            # Every later step would go through a piece of memory for each part.
            within(fit, start=start, end=end).rechunk(),
            {**unknown, **dict.fromkeys(other, no_such), **refused},
        )

    def _parts(
        self, symbols: Sequence[str]
    ) -> tuple[dict[str, list[pl.DataFrame]], dict[str, UpstreamInvalid]]:
        """What the files hold of each symbol, and the first one that can't be read for it."""
        listed = self._listed()
        for gone in self._held.keys() - listed.keys():
            del self._held[gone]
        found: dict[str, list[pl.DataFrame]] = {symbol: [] for symbol in symbols}
        refused: dict[str, UpstreamInvalid] = {}
        for name, stamp in listed.items():
            concerned: Set[str] = found.keys()
            try:
                concerned = self._concerned(name, stamp, concerned)
                held = self._content(name) if concerned else {}
            except UpstreamInvalid as error:
                refused = {**dict.fromkeys(concerned, error), **refused}
                continue
            for symbol in concerned & held.keys():
                found[symbol].append(held[symbol])
        return found, refused

    def _concerned(self, name: str, stamp: _Stamp, symbols: Set[str]) -> Set[str]:
        """Those of the symbols that the file may hold, by its header or its name."""
        held = self._held.get(name)
        if held is None or held.stamp != stamp:
            many = not TICKERS.isdisjoint(_header(self._directory / name))
            held = self._held[name] = _Held(stamp, many)
        return symbols if held.many else symbols & {Path(name).stem}

    def _content(self, name: str) -> Mapping[str, pl.DataFrame]:
        held = self._held[name]
        if held.symbols is None:
            held = self._held[name] = replace(held, symbols=_symbols(self._directory / name))
        return held.symbols or {}

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


def _symbols(path: Path) -> dict[str, pl.DataFrame]:
    try:
        table = read_parquet(path) if path.suffix == ".parquet" else read_csv(path)
    except UnreadableFile:
        raise _unreadable(path) from None
    bars = read_columns(table, symbol=path.stem, file_name=path.name)
    return {str(part["symbol"][0]): part for part in bars.partition_by("symbol")}


def _unreadable(path: Path) -> UpstreamInvalid:
    return UpstreamInvalid(f"the file {path.name!r} can't be read")


def _of_other_interval(candles: pl.DataFrame, interval: str) -> list[str]:
    """The symbols whose bars lie closer than `interval`, or of which no two lie so close."""
    known = candles.select("symbol", "timestamp").drop_nulls().sort("symbol", "timestamp")
    starts = known["timestamp"].to_physical().to_numpy()
    step, first, found = INTERVALS[interval].total_seconds(), 0, []
    for rows, symbol in known["symbol"].rle().struct.unnest().rows():
        if _is_other(np.diff(starts[first : first + rows]), step):
            found.append(symbol)
        first += rows
    return found


def _is_other(gaps: npt.NDArray[np.int64], step: float) -> bool:
    """Summer time moves a local midnight by an hour; a few odd bars are no other interval."""
    seconds = gaps[gaps > 0] // 1_000_000
    if seconds.size < 2:
        return False
    closer = np.count_nonzero(seconds < 0.9 * step)
    return bool(closer > 0.1 * seconds.size or seconds.min() > 1.5 * step)
