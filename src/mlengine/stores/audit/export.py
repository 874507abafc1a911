"""The audit as a Parquet file, written in batches: memory holds one of them."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import polars as pl
from sqlalchemy import Boolean, Double, Engine, Integer, Row, func, select

from mlengine.errors import CannotWrite
from mlengine.stores.audit.filter import AuditFilter
from mlengine.stores.audit.prediction_reader import row_query
from mlengine.stores.audit.vectors import decode_vector
from mlengine.stores.database.archive.files import ArchiveFile
from mlengine.stores.database.archive.frames import selected
from mlengine.stores.database.archive.reading import counting_files
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import UtcDateTime, feature_vectors, predictions
from mlengine.stores.system import atomic_files

BATCH_ROWS = 20_000
VECTOR_COLUMN = "features"
_INTERNAL_COLUMNS = ("seq", "vector_id")
_QUERY = row_query().add_columns(feature_vectors.c.payload)


def _polars_type(column_type: object) -> pl.DataType:
    if isinstance(column_type, UtcDateTime):
        return pl.Datetime("us", "UTC")
    types = ((Boolean, pl.Boolean()), (Double, pl.Float64()), (Integer, pl.Int64()))
    return next((polars for sql, polars in types if isinstance(column_type, sql)), pl.String())


SCHEMA = {
    column.name: _polars_type(column.type)
    for column in row_query().selected_columns
    if column.name not in _INTERNAL_COLUMNS
} | {VECTOR_COLUMN: pl.List(pl.Float64)}


@dataclass(frozen=True)
class AuditExporter:
    engine: Engine
    batch_rows: int = BATCH_ROWS

    def write(self, path: Path, audit_filter: AuditFilter) -> int:
        """Put the selected rows at `path`, archived ones before others; returns how many.

        Columns as SCHEMA: those of the tables, and `features`, the vector as it was scored, in
        the feature set's order, NaN where a feature was null. The file appears whole or not at
        all. Raises DatabaseUnavailable, and CannotWrite when the file can't be written.
        """
        with _translated_errors(path):
            files = counting_files(self.engine)
            self._write(path, audit_filter, files)
            while files != (later := counting_files(self.engine)):  # a day has moved meanwhile
                self._write(path, audit_filter, files := later)
        return int(pl.scan_parquet(path).select(pl.len()).collect().item())

    def _write(self, path: Path, audit_filter: AuditFilter, files: Sequence[ArchiveFile]) -> None:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            parts: list[Path] = []
            archived = self._archived(audit_filter, files)
            for frame in chain(archived, self._batches(audit_filter)):
                parts.append(Path(folder) / f"{len(parts):08}.parquet")
                frame.write_parquet(parts[-1])
            joined = Path(folder) / "joined.parquet"
            pl.scan_parquet(parts).sink_parquet(joined, maintain_order=True)
            joined.replace(path)

    @staticmethod
    def _archived(
        audit_filter: AuditFilter, files: Sequence[ArchiveFile]
    ) -> Iterator[pl.DataFrame]:
        """The archived rows, file by file."""
        for file in files:
            found = selected([file], audit_filter.selection())
            vectors = [_vector(payload) for payload in found["payload"]]
            features = pl.Series(VECTOR_COLUMN, vectors, dtype=SCHEMA[VECTOR_COLUMN], strict=True)
            moments = [
                pl.col(name).cast(kind) for name, kind in SCHEMA.items() if name in found.columns
            ]
            yield found.with_columns(*moments, features).select(list(SCHEMA))

    def _batches(self, audit_filter: AuditFilter) -> Iterator[pl.DataFrame]:
        """Rows that are there now, by their number; the first batch is empty."""
        with reading(self.engine) as connection:
            newest = connection.scalar(select(func.max(predictions.c.seq))) or 0
        seq = predictions.c.seq
        query = audit_filter.apply(_QUERY).where(seq <= newest).order_by(seq)
        yield _frame([])
        last = 0
        while True:
            with reading(self.engine) as connection:
                rows = connection.execute(query.where(seq > last).limit(self.batch_rows)).all()
            if not rows:
                return
            yield _frame(rows)
            last = rows[-1].seq


@contextmanager
def _translated_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as error:
        raise CannotWrite(str(path), atomic_files.describe_error(error)) from error


def _frame(rows: Sequence[Row[tuple[object, ...]]]) -> pl.DataFrame:
    names = [name for name in SCHEMA if name != VECTOR_COLUMN]
    values = [(*(getattr(row, name) for name in names), _vector(row.payload)) for row in rows]
    return pl.DataFrame(values, schema=SCHEMA, orient="row")


def _vector(payload: bytes | None) -> list[float] | None:
    return None if payload is None else decode_vector(payload).tolist()
