"""Parquet and CSV into frames and back, with one error for all that can be wrong with a file."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from mlengine.stores.system import atomic_files

# A file begins and ends with these; the length of what it says of itself stands before the last.
_PARQUET, _LENGTH_BYTES = b"PAR1", 4


class UnreadableFile(ValueError):
    """The file is gone, not allowed, cut short or no table."""


def read_parquet(path: Path) -> pl.DataFrame:
    """The whole file; it is not mapped, because a mapped file that shrinks kills the process."""
    with translated_read_errors(path.name):
        return pl.read_parquet(path.read_bytes())


def parquet_columns(path: Path) -> list[str]:
    """The names of the columns; only the end of the file is read, and none of it mapped."""
    with translated_read_errors(path.name):
        return list(pl.read_parquet_schema(io.BytesIO(_parquet_end(path))))


def parquet_rows(path: Path) -> int:
    """How many rows it says that it has, as `parquet_columns` reads it."""
    with translated_read_errors(path.name):
        rows: int = pl.scan_parquet(_parquet_end(path)).select(pl.len()).collect().item()
    return rows


def _parquet_end(path: Path) -> bytes:
    """What a file says of itself, as a file of its own whose cells nobody may ask for."""
    with path.open("rb") as file:
        file.seek(-_LENGTH_BYTES - len(_PARQUET), os.SEEK_END)
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        file.seek(-length - _LENGTH_BYTES - len(_PARQUET), os.SEEK_END)
        return _PARQUET + file.read()


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
    """The whole file, plain or gzip, every column as text."""
    with translated_read_errors(path.name):
        return pl.read_csv(path.read_bytes(), infer_schema=False)


@contextmanager
def translated_read_errors(name: str) -> Iterator[None]:
    """Polars panics on some damaged files; a panic is no Exception."""
    polars_errors = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
    try:
        yield
    except (OSError, UnicodeDecodeError, *polars_errors):
        raise UnreadableFile(name) from None
