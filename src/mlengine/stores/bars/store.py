"""The bar store: fetched bars as Parquet, `{interval}/{symbol}.parquet`, replaced atomically."""

from __future__ import annotations

import io
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import polars as pl

from mlengine.core.bars.bars import BARS_SCHEMA
from mlengine.stores.system.atomic_files import exclusive, replace_file
from mlengine.stores.system.table_files import UnreadableFile, read_parquet

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
            held = self.read(symbol, interval)
            fresh = frame.join(held, on=held.columns, how="anti")
            _tell_revised(symbol, interval, fresh.join(held, on="timestamp", how="semi").height)
            if fresh.height:
                kept = held.join(fresh, on="timestamp", how="anti")
                merged = pl.concat([kept, fresh]).sort("timestamp")
                replace_file(folder / _file_name(symbol), _parquet(merged))
        return fresh.height

    def read(self, symbol: str, interval: str) -> pl.DataFrame:
        """The stored bars, oldest first; none when there are none, or when the file is damaged."""
        name = _file_name(symbol)
        if name not in self._names(interval):
            return pl.DataFrame(schema=BARS_SCHEMA)
        held = _readable(self.directory / interval / name)
        if held is None:
            log.warning("stored bars unreadable", extra={"symbol": symbol, "interval": interval})
            return pl.DataFrame(schema=BARS_SCHEMA)
        return held

    def symbols(self, interval: str) -> list[str]:
        """The symbols with stored bars, by name."""
        return sorted(unquote(name.removesuffix(_SUFFIX)) for name in self._names(interval))

    def _names(self, interval: str) -> list[str]:
        try:
            names = os.listdir(self.directory / interval)
        except FileNotFoundError:
            return []
        return [name for name in names if name.endswith(_SUFFIX)]


def _tell_revised(symbol: str, interval: str, revised: int) -> None:
    if revised:
        facts = {"symbol": symbol, "interval": interval, "revised": revised}
        log.warning("stored bars revised", extra=facts)


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _readable(path: Path) -> pl.DataFrame | None:
    try:
        held = read_parquet(path)
    except UnreadableFile:
        return None
    return held if held.schema == pl.Schema(BARS_SCHEMA) else None


def _file_name(symbol: str) -> str:
    return quote(symbol, safe="") + _SUFFIX
