"""The windows of bars behind the predictions, each stored once by its hash.

The payload (`BarArrays.payload`) is little-endian: the timestamps (int64, microseconds since 1970),
then open, high, low, close and volume (float64), column by column.
"""

from collections.abc import Mapping
from operator import itemgetter

import numpy as np
from sqlalchemy import Connection

from mlengine.core.bars.bars import VALUES, BarArrays
from mlengine.stores.database.engine import insert_or_ignore
from mlengine.stores.database.many_rows import Writing, execute_many
from mlengine.stores.database.tables import bar_windows

_COLUMNS = ("bars_hash", "symbol", "rows", "payload")


def decode_window(symbol: str, rows: int, payload: bytes) -> BarArrays:
    """The inverse of `BarArrays.payload`, bit for bit; when its bars were known is not in it."""
    starts = np.frombuffer(payload, "<i8", rows).astype(np.int64)
    values = np.frombuffer(payload, "<f8", offset=8 * rows).reshape(len(VALUES), rows)
    return BarArrays(symbol, starts, values.astype(np.float64), known_at=starts)


def window_statement(connection: Connection) -> Writing:
    """What is executed here, to be compiled ahead."""
    return insert_or_ignore(connection, bar_windows), _COLUMNS


def store_windows(connection: Connection, windows: Mapping[str, BarArrays]) -> None:
    """Write the windows, by their hash, that are not there yet.

    Sorted, like every insert of several keys: two writers must not wait for each other.
    """
    rows = [
        (key, bars.symbol, bars.rows, bars.payload)
        for key, bars in sorted(windows.items(), key=itemgetter(0))
    ]
    execute_many(connection, *window_statement(connection), rows)
