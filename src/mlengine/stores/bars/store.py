"""The bar store: fetched bars as Parquet, `{interval}/{symbol}.parquet`, replaced atomically."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import polars as pl

from mlengine.core.bars.bars import BARS_SCHEMA
from mlengine.stores.system.atomic_files import exclusive, replace_file
from mlengine.stores.system.table_files import UnreadableFile, read_parquet, to_parquet

log = logging.getLogger(__name__)

_SUFFIX = ".parquet"


@dataclass(frozen=True)
class BarStore:
    """One directory; a reader sees the bars from before a write or from after it."""

    directory: Path

    def write(self, symbol: str, interval: str, frame: pl.DataFrame) -> int:
        """Merge `frame` (BARS_SCHEMA) in, by timestamp, the newer fetch winning.

        Returns how many bars are new or have other values than before; revised ones are logged.
        """
        folder = self.directory / interval
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / ".lock"):
            stored = self.read(symbol, interval)
            fresh = frame.join(stored, on=stored.columns, how="anti")
            revised = fresh.join(stored, on="timestamp", how="semi").height
            if revised:
                facts = {"symbol": symbol, "interval": interval, "revised": revised}
                log.warning("stored bars revised", extra=facts)
            if fresh.height:
                unchanged = stored.join(fresh, on="timestamp", how="anti")
                merged = pl.concat([unchanged, fresh]).sort("timestamp")
                replace_file(folder / _file_name(symbol), to_parquet(merged))
        return fresh.height

    def read(self, symbol: str, interval: str) -> pl.DataFrame:
        """The stored bars, oldest first; none when there are none, or when the file is damaged."""
        name = _file_name(symbol)
        if name in self._names(interval):
            bars = _read_or_none(self.directory / interval / name)
            if bars is not None:
                return bars
            log.warning("stored bars unreadable", extra={"symbol": symbol, "interval": interval})
        return pl.DataFrame(schema=BARS_SCHEMA)

    def symbols(self, interval: str) -> list[str]:
        """The symbols with stored bars, by name."""
        return sorted(unquote(name.removesuffix(_SUFFIX)) for name in self._names(interval))

    def _names(self, interval: str) -> list[str]:
        try:
            names = os.listdir(self.directory / interval)
        except FileNotFoundError:
            return []
        return [name for name in names if name.endswith(_SUFFIX)]


def _read_or_none(path: Path) -> pl.DataFrame | None:
    try:
        bars = read_parquet(path)
    except UnreadableFile:
        return None
    return bars if bars.schema == pl.Schema(BARS_SCHEMA) else None


def _file_name(symbol: str) -> str:
    return quote(symbol, safe="") + _SUFFIX
