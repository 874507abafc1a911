"""Writing a day of predictions to a file: by symbol, and by number within one."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
from sqlalchemy import Engine, func, select

from mlengine.errors import CannotWrite
from mlengine.stores.audit.days import of_day
from mlengine.stores.database.archive.files import (
    ArchiveFile,
    AuditArchive,
    file_name,
)
from mlengine.stores.database.archive.frames import (
    SCHEMA,
    SELECTED,
    WINDOWS_SCHEMA,
    read_form,
    stored_form,
)
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import bar_windows, feature_vectors, predictions
from mlengine.stores.system import atomic_files

BATCH_ROWS = 20_000
Form = Callable[[pl.LazyFrame], pl.LazyFrame]

_LEVEL = 9  # of zstd: half as large as at the first, and no slower to read


@dataclass(frozen=True)
class ArchiveWriter:
    engine: Engine
    archive: AuditArchive
    batch_rows: int = BATCH_ROWS

    def write(self, day: date) -> ArchiveFile | None:
        """All predictions of a day that are in the table, in a file that does not count yet.

        It is compared with what was read, value by value, and forced to disk. None where there is
        no prediction of that day. Raises DatabaseUnavailable, and CannotWrite.
        """
        aside = self.archive.directory / f".writing-{day}"
        try:
            shutil.rmtree(aside, ignore_errors=True)
            atomic_files.make_directory(aside)
            return self._write(day, aside)
        except (OSError, pl.exceptions.ComputeError) as error:
            raise CannotWrite(
                str(self.archive.directory), atomic_files.describe_error(error)
            ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _write(self, day: date, aside: Path) -> ArchiveFile | None:
        parts, copies = list[Path](), list[Path]()
        first, last, rows = 2**63, 0, 0
        for symbols in self._batches(day):
            frame, windows = self._read(day, symbols), self._read_windows(day, symbols)
            parts.append(_write_part(frame, aside / f"{len(parts):08}.part"))
            if windows.height:
                copies.append(_write_part(windows, aside / f"{len(copies):08}.windows"))
            numbers = frame["seq"].to_list()
            first, last, rows = min(first, *numbers), max(last, *numbers), rows + len(numbers)
        if not rows:
            return None
        name = file_name(day, first=first, last=last, rows=rows)
        file = ArchiveFile(self.archive.directory / name, day, first, last, rows)
        joined = aside / "joined"
        _join(parts, joined, stored_form, read_form)
        if copies:
            _join(copies, aside / "windows", _as_it_is, _as_it_is)
            _put(aside / "windows", file.windows_path)
        _put(joined, file.path)
        atomic_files.fsync_directory(self.archive.directory)
        return file

    def _batches(self, day: date) -> Iterator[list[str]]:
        """The day's symbols, as many at once as make a batch."""
        row = predictions.c
        counts = select(row.symbol, func.count()).where(*of_day(day)).group_by(row.symbol)
        with reading(self.engine) as connection:
            by_symbol = connection.execute(counts.order_by(row.symbol)).all()
        symbols, rows = list[str](), 0
        for symbol, count in by_symbol:
            if symbols and rows + count > self.batch_rows:
                yield symbols
                symbols, rows = [], 0
            symbols, rows = [*symbols, symbol], rows + count
        if symbols:
            yield symbols

    def _read(self, day: date, symbols: Sequence[str]) -> pl.DataFrame:
        row = predictions.c
        query = (
            select(*SELECTED)
            .outerjoin(feature_vectors, row.vector_id == feature_vectors.c.id)
            .where(row.symbol.in_(symbols), *of_day(day))
            .order_by(row.symbol, row.seq)
        )
        with reading(self.engine) as connection:
            rows = [tuple(each) for each in connection.execute(query)]
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")

    def _read_windows(self, day: date, symbols: Sequence[str]) -> pl.DataFrame:
        """The windows of bars that were copied; those of a symbol in time."""
        query = (
            select(*(bar_windows.c[name] for name in WINDOWS_SCHEMA))
            .join(feature_vectors, feature_vectors.c.bars_hash == bar_windows.c.bars_hash)
            .join(predictions, predictions.c.vector_id == feature_vectors.c.id)
            .where(predictions.c.symbol.in_(symbols), *of_day(day))
            .distinct()
        )
        with reading(self.engine) as connection:
            rows = [tuple(row) for row in connection.execute(query)]
        rows.sort(key=lambda row: (row[1], int.from_bytes(row[3][:8], "little"), row[0]))
        return pl.DataFrame(rows, schema=WINDOWS_SCHEMA, orient="row")


def _write_part(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_parquet(path, compression="zstd", compression_level=1)
    return path


def _as_it_is(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame


def _join(parts: Sequence[Path], path: Path, encode: Form, decode: Form) -> None:
    """One file of all parts, read again; raises CannotWrite where it says something else."""
    pl.concat([encode(pl.scan_parquet(part)) for part in parts]).sink_parquet(
        path, compression="zstd", compression_level=_LEVEL, maintain_order=True
    )
    offset = 0
    for part in parts:
        wanted = pl.read_parquet(part)
        found = decode(pl.scan_parquet(path).slice(offset, wanted.height)).collect()
        offset += wanted.height
        if not found.equals(wanted):
            raise CannotWrite(str(path), "it can't be read as it was written")


def _put(path: Path, place: Path) -> None:
    """Under its name once it is on disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    path.replace(place)
