"""The windows of bars behind the predictions, each stored once by its hash.

The payload is little-endian: the timestamps (int64, microseconds since 1970), then open, high,
low, close and volume (float64), column by column.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter

import numpy as np
import polars as pl
from sqlalchemy import Connection, select

from mlengine.core.bars import BARS_SCHEMA, VALUES
from mlengine.stores.database import insert_new
from mlengine.stores.tables import bar_windows


def encode_window(bars: pl.DataFrame) -> bytes:
    """The payload of one symbol's bars."""
    moments = bars["timestamp"].to_numpy().view(np.int64).astype("<i8", copy=False)
    columns = (bars[name].to_numpy().astype("<f8", copy=False) for name in VALUES)
    return moments.tobytes() + b"".join(column.tobytes() for column in columns)


def decode_window(symbol: str, rows: int, payload: bytes) -> pl.DataFrame:
    """The inverse of `encode_window`, bit for bit; columns as BARS_SCHEMA."""
    moments = np.frombuffer(payload, "<i8", rows).astype(np.int64)
    values = np.frombuffer(payload, "<f8", offset=8 * rows).reshape(len(VALUES), rows)
    columns = {name: values[i].astype(np.float64) for i, name in enumerate(VALUES)}
    frame = pl.DataFrame({"symbol": [symbol] * rows, "timestamp": moments, **columns})
    return frame.cast(pl.Schema(BARS_SCHEMA))


def store_windows(connection: Connection, windows: Mapping[str, pl.DataFrame]) -> None:
    """Write the windows, by their hash, that are not there yet.

    Sorted, like every insert of several keys: two writers must not wait for each other.
    """
    rows = [
        {
            "bars_hash": bars_hash,
            "symbol": bars["symbol"][0],
            "rows": bars.height,
            "payload": encode_window(bars),
        }
        for bars_hash, bars in sorted(windows.items(), key=itemgetter(0))
    ]
    connection.execute(insert_new(connection, bar_windows), rows)


def read_window(connection: Connection, bars_hash: str) -> pl.DataFrame | None:
    """The bars with this hash, None where they are not stored."""
    row = connection.execute(
        select(bar_windows).where(bar_windows.c.bars_hash == bars_hash)
    ).first()
    return None if row is None else decode_window(row.symbol, row.rows, row.payload)
