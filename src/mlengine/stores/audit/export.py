"""The audit as a Parquet file, written in batches: memory holds one of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from sqlalchemy import Boolean, Double, Engine, Integer, Row, func, select

from mlengine.errors import CannotStart
from mlengine.stores.audit.filter import AuditFilter
from mlengine.stores.audit.reader import row_query
from mlengine.stores.audit.vectors import decode_vector
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import UtcDateTime, feature_vectors, predictions
from mlengine.stores.system import atomic_files

BATCH_ROWS = 20_000
VECTOR = "features"
_LEFT_OUT = ("seq", "vector_id")
_QUERY = row_query().add_columns(feature_vectors.c.payload)


def _kind(column_type: object) -> pl.DataType:
    if isinstance(column_type, UtcDateTime):
        return pl.Datetime("us", "UTC")
    kinds = ((Boolean, pl.Boolean()), (Double, pl.Float64()), (Integer, pl.Int64()))
    return next((kind for each, kind in kinds if isinstance(column_type, each)), pl.String())


SCHEMA = {
    **{
        column.name: _kind(column.type)
        for column in row_query().selected_columns
        if column.name not in _LEFT_OUT
    },
    VECTOR: pl.List(pl.Float64),
}


@dataclass(frozen=True)
class AuditExport:
    engine: Engine
    batch_rows: int = BATCH_ROWS

    def write(self, path: Path, audit_filter: AuditFilter) -> int:
        """Put the selected rows at `path`, oldest first; returns how many.

        Columns as SCHEMA: those of the tables, and `features`, the vector as it was scored, in
        the feature set's order, NaN where a feature was null. The file appears whole or not at
        all. Raises AuditUnavailable, and CannotStart when the file can't be written.
        """
        with _refusals_named(path), tempfile.TemporaryDirectory(dir=path.parent) as folder:
            parts: list[Path] = []
            for frame in self._batches(audit_filter):
                parts.append(Path(folder) / f"{len(parts):08}.parquet")
                frame.write_parquet(parts[-1])
            whole = Path(folder) / "whole.parquet"
            if parts:
                pl.scan_parquet(parts).sink_parquet(whole, maintain_order=True)
            else:
                pl.DataFrame(schema=SCHEMA).write_parquet(whole)
            whole.replace(path)
        return int(pl.scan_parquet(path).select(pl.len()).collect().item())

    def _batches(self, audit_filter: AuditFilter) -> Iterator[pl.DataFrame]:
        """Rows that are there now, by their number; each batch is read alone."""
        with reading(self.engine) as connection:
            newest = connection.scalar(select(func.max(predictions.c.seq))) or 0
        after = 0
        while True:
            seq = predictions.c.seq
            query = audit_filter.apply(_QUERY).where(seq > after, seq <= newest)
            with reading(self.engine) as connection:
                rows = connection.execute(query.order_by(seq).limit(self.batch_rows)).all()
            if not rows:
                return
            yield _frame(rows)
            after = rows[-1].seq


@contextmanager
def _refusals_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as error:
        reason = (
            atomic_files.describe_error(error)
            if isinstance(error, OSError)
            else "the file system refuses it"
        )
        raise CannotStart(f"{path} can't be written: {reason}") from error


def _frame(rows: Sequence[Row[tuple[object, ...]]]) -> pl.DataFrame:
    names = [name for name in SCHEMA if name != VECTOR]
    values = [(*(getattr(row, name) for name in names), _vector(row.payload)) for row in rows]
    return pl.DataFrame(values, schema=SCHEMA, orient="row")


def _vector(payload: bytes | None) -> list[float] | None:
    return None if payload is None else decode_vector(payload).tolist()
