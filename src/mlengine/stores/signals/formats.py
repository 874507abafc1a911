"""Tables as the files that others read: CSV, Arrow and Parquet."""

import io

import polars as pl

from mlengine.core.signals.signal import TableFormat
from mlengine.stores.system import table_files


def to_format(frame: pl.DataFrame, table_format: TableFormat) -> bytes:
    """The content of such a file; Arrow is its IPC file, and lists are words by blanks in CSV."""
    if table_format == "parquet":
        return table_files.to_parquet(frame)
    buffer = io.BytesIO()
    if table_format == "arrow":
        frame.write_ipc(buffer)
    else:
        lists = [name for name, kind in frame.schema.items() if kind == pl.List]
        flat = frame.with_columns(pl.col(name).list.join(" ") for name in lists)
        flat.write_csv(buffer, datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    return buffer.getvalue()
