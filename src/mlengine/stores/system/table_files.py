"""Parquet and CSV into frames and back, with one error for all that can be wrong with a file."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from mlengine.stores.system import atomic_files

_GZIP = b"\x1f\x8b"


class UnreadableFile(ValueError):
    """The file is gone, not allowed, cut short or no table."""


def read_parquet(path: Path) -> pl.DataFrame:
    """The whole file; it is not mapped, because a mapped file that shrinks kills the process."""
    with translated_read_errors(path.name):
        return pl.read_parquet(path.read_bytes())


def to_parquet(frame: pl.DataFrame) -> bytes:
    """Parquet as bytes, so that whoever stores them can hash what it writes."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def stream_parquet(plan: pl.LazyFrame, path: Path) -> None:
    """Write what `plan` gives without holding all of it; raises OSError, leaving no file."""
    with atomic_files.atomic_replacement(path) as aside:
        plan.sink_parquet(aside, compression="zstd")


def from_parquet(content: bytes) -> pl.DataFrame:
    """The inverse of `to_parquet`, for bytes whose digest was checked."""
    return pl.read_parquet(io.BytesIO(content))


def read_csv(path: Path) -> pl.DataFrame:
    """The whole file, plain or gzip, every column as text; a line without an end is left out."""
    with translated_read_errors(path.name):
        content = path.read_bytes()
        if not content.startswith(_GZIP):
            content = content[: content.rfind(b"\n") + 1] or content
        return pl.read_csv(content, infer_schema=False)


def column_names(path: Path) -> list[str]:
    """The names in a Parquet file's schema or in a plain CSV file's first line."""
    with translated_read_errors(path.name):
        if path.suffix == ".parquet":
            return list(pl.read_parquet_schema(path))
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])


@contextmanager
def translated_read_errors(name: str) -> Iterator[None]:
    """Polars panics on some damaged files; a panic is no Exception."""
    polars_errors = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error, *polars_errors):
        raise UnreadableFile(name) from None
