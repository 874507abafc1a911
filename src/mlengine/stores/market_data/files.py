"""The `files` upstream: a directory of Parquet and CSV files, written by somebody else.

A file holds one symbol and is named for it (`AAPL.parquet`, `AAPL.csv`), or has a column `symbol`
(or `ticker`) and holds any number. A path is never built from a symbol: symbols are looked up in
what the directory holds. A file that changes is read again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from mlengine.core.intervals import INTERVALS
from mlengine.errors import UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.frames import UnreadableFile, column_names, read_csv, read_parquet
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
        with self._lock:
            parts = [found for found in self._parts(symbol) if found is not None]
        if not parts:
            raise UnknownSymbol(symbol)
        whole = pl.concat(parts)
        _refuse_other_interval(whole["timestamp"], interval)
        return within(whole, start=start, end=end)

    def _parts(self, symbol: str) -> list[pl.DataFrame | None]:
        listed = self._listed()
        for gone in self._held.keys() - listed.keys():
            del self._held[gone]
        return [self._look_in(name, stamp, symbol) for name, stamp in listed.items()]

    def _look_in(self, name: str, stamp: _Stamp, symbol: str) -> pl.DataFrame | None:
        held = self._held.get(name)
        if held is None or held.stamp != stamp:
            held = _Held(stamp, many=not TICKERS.isdisjoint(_header(self._directory / name)))
        if held.symbols is None and (held.many or Path(name).stem == symbol):
            held = _Held(stamp, held.many, _symbols(self._directory / name))
        self._held[name] = held
        return (held.symbols or {}).get(symbol)

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


def _refuse_other_interval(timestamps: pl.Series, interval: str) -> None:
    """Summer time moves a local midnight by an hour; a few odd bars are no other interval."""
    seconds = timestamps.unique().sort().diff().drop_nulls().dt.total_seconds()
    if seconds.len() < 2:
        return
    step = INTERVALS[interval].total_seconds()
    closer, adjacent = seconds < 0.9 * step, seconds <= 1.5 * step
    if closer.sum() > 0.1 * seconds.len() or not adjacent.any():
        raise UpstreamInvalid(f"the files hold bars of another interval than {interval}")
