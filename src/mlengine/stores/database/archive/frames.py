"""Archived predictions as Polars frames: one row a prediction, with what its vector says.

Identifiers and hashes in hexadecimal are kept as the bytes that they stand for, in a column of
their own; whatever is none stays as it is. The hash of a vector is computed from it.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import polars as pl
from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, LargeBinary, type_coerce

from mlengine.stores.database.archive.files import ArchiveFile
from mlengine.stores.database.archive.selection import Selection
from mlengine.stores.database.tables import UtcDateTime, feature_vectors, predictions

_BYTES = "_bytes"
_HEX = ("prediction_id", "request_id", "trace_id", "model_fingerprint", "bars_hash")
_HEX_PATTERN = "^([0-9a-f]{2})+$"
_MOMENT = pl.Datetime("us", "UTC")
_OF_VECTORS = [c for c in feature_vectors.c if c.name not in ("id", "symbol", "vector_hash")]
_COLUMNS: list[Column[Any]] = [*predictions.c, *_OF_VECTORS]
_MOMENTS = [c.name for c in _COLUMNS if isinstance(c.type, UtcDateTime)]
# As they are selected, and as a frame has them in memory.
SELECTED = [
    type_coerce(c, BigInteger).label(c.name) if isinstance(c.type, UtcDateTime) else c
    for c in _COLUMNS
]


def _polars_type(column_type: object) -> pl.DataType:
    types = ((Boolean, pl.Boolean()), (Double, pl.Float64()), (LargeBinary, pl.Binary()))
    numbers = isinstance(column_type, Integer | UtcDateTime)
    if numbers:
        return pl.Int64()
    return next((polars for sql, polars in types if isinstance(column_type, sql)), pl.String())


SCHEMA = {c.name: _polars_type(c.type) for c in _COLUMNS}
WINDOWS_SCHEMA = {
    "bars_hash": pl.String(),
    "symbol": pl.String(),
    "rows": pl.Int64(),
    "payload": pl.Binary(),
}


def stored_form(frame: pl.LazyFrame) -> pl.LazyFrame:
    """A frame of SCHEMA as a file has it."""
    texts, binary = [], []
    for name in _HEX:
        is_hex = pl.col(name).str.contains(_HEX_PATTERN)
        texts.append(pl.when(~is_hex).then(name).alias(name))
        decoded = pl.when(is_hex).then(name).str.decode("hex", strict=False)
        binary.append(decoded.alias(name + _BYTES))
    moments = [pl.col(name).cast(_MOMENT) for name in _MOMENTS]
    return frame.with_columns(*texts, *binary, *moments)


def read_form(stored: pl.LazyFrame) -> pl.LazyFrame:
    """The inverse of `stored_form`; a column that the file lacks is null."""
    there = set(stored.collect_schema())
    texts = [
        pl.coalesce(pl.col(name + _BYTES).bin.encode("hex"), name).alias(name) for name in _HEX
    ]
    lacking = [pl.lit(None, dtype).alias(n) for n, dtype in SCHEMA.items() if n not in there]
    moments = [pl.col(name).cast(pl.Int64) for name in _MOMENTS if name in there]
    return stored.with_columns(*texts, *moments, *lacking).select(list(SCHEMA))


def selected(files: Sequence[ArchiveFile], selection: Selection) -> pl.DataFrame:
    """The rows of the selection, by number."""
    seqs = selection.spans.get("seq", (None, None))
    wanted = [each for each in files if _may_have(each, seqs)]
    parts = [
        read_form(pl.scan_parquet(each.path)).filter(*_conditions(selection)) for each in wanted
    ]
    found = pl.concat(parts).sort("seq") if parts else pl.LazyFrame(schema=SCHEMA)
    if selection.newest is not None:
        found = found.tail(selection.newest)
    if selection.oldest is not None:
        found = found.head(selection.oldest)
    return found.collect()


def windows(files: Sequence[ArchiveFile], hashes: Sequence[str]) -> pl.DataFrame:
    """The copied windows of bars with these hashes."""
    paths = [each.windows_path for each in files if each.windows_path.exists()]
    if not paths:
        return pl.DataFrame(schema=WINDOWS_SCHEMA)
    wanted = pl.col("bars_hash").is_in(list(hashes))
    return pl.scan_parquet(paths).filter(wanted).unique("bars_hash").collect()


def vector_hash(payload: bytes) -> str:
    """As it was when the vector was stored."""
    return hashlib.sha256(payload).hexdigest()


def _may_have(file: ArchiveFile, span: tuple[int | None, int | None]) -> bool:
    low, high = span
    return (low is None or file.last >= low) and (high is None or file.first <= high)


def _conditions(selection: Selection) -> list[pl.Expr]:
    conditions = [pl.lit(True)]
    for name, values in selection.among.items():
        conditions.append(pl.col(name).is_in(list(values)))
    for name, (low, high) in selection.spans.items():
        conditions += [pl.col(name) >= low] if low is not None else []
        conditions += [pl.col(name) <= high] if high is not None else []
    if selection.prefix is not None:
        version = pl.col("model_version")
        named = version.str.starts_with(selection.prefix)
        plain = ~version.str.contains("/", literal=True) | version.is_null()
        conditions.append(named if selection.prefix else plain)
    return conditions
