"""Features that memory does not hold: Parquet files in the order of a dataset's rows.

Features are computed symbol by symbol and learnt from date by date. So they are appended to one
file a span of dates as they come, and each file is put in order once all are there.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats, Indices, Moments
from mlengine.core.boosting.row_blocks import RowBlock
from mlengine.core.training.spilled import PIECE_ROWS
from mlengine.stores.system import atomic_files

# Rows of a file, about: what a training reads at once.
SPAN_ROWS = 65_536
_LOCK = ".lock"
_CELL_BYTES = 8


@dataclass(frozen=True)
class SpillFolder:
    """Where features go that take more than `memory_bytes`.

    They are computed for `piece_rows` bars at once, and read for `span_rows`, about.
    """

    directory: Path
    memory_bytes: int
    piece_rows: int = PIECE_ROWS
    span_rows: int = SPAN_ROWS

    def spill_for(self, bars: pl.DataFrame, names: tuple[str, ...]) -> ParquetSpill | None:
        """Where to put the features `names` of `bars`; None where memory holds them.

        Raises ArtifactsUnavailable.
        """
        if bars.height * len(names) * _CELL_BYTES <= self.memory_bytes:
            return None
        spans = _span_ends(bars["timestamp"], self.span_rows)
        return ParquetSpill(_Scratch.within(self.directory), names, spans, self.piece_rows)


class _Scratch:
    """A folder that goes with this object, or with the next one where the process was killed."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        weakref.finalize(self, _remove, path, handle)

    @classmethod
    def within(cls, directory: Path) -> _Scratch:
        """A new one; raises ArtifactsUnavailable."""
        with atomic_files.translated_os_errors():
            directory.mkdir(parents=True, exist_ok=True)
            with atomic_files.file_lock(directory / _LOCK):
                _remove_abandoned(directory)
                path = directory / secrets.token_hex(8)
                path.mkdir(mode=0o700)
                return cls(path, _lock(path))


class ParquetSpill:
    """Takes features in any order and gives them back by the numbers of a dataset's rows."""

    def __init__(
        self, scratch: _Scratch, names: tuple[str, ...], span_ends: Moments, piece_rows: int
    ) -> None:
        self._scratch, self._names, self._span_ends = scratch, names, span_ends
        self.piece_rows = piece_rows
        self._appended = 0

    def append(self, timestamps: pl.Series, features: pl.DataFrame) -> None:
        """Keep the features of further rows; raises ArtifactsUnavailable."""
        spans = np.searchsorted(self._span_ends, timestamps.dt.epoch("us").to_numpy())
        values = features.fill_null(float("nan"))
        for span in np.unique(spans):
            chosen = np.flatnonzero(spans == span)
            records = np.empty((len(chosen), 1 + len(self._names)))
            records[:, 0].view(np.int64)[:] = self._appended + chosen
            records[:, 1:] = values[chosen].to_numpy()
            with (
                atomic_files.translated_os_errors(),
                self._unordered(span).open("ab") as file,
            ):
                file.write(records.data)
        self._appended += len(spans)

    def finish(self, order: Indices) -> ParquetFeatures:
        """One Parquet file a span, its rows as `order` has them; raises ArtifactsUnavailable."""
        rows = np.full(self._appended, -1, np.int64)
        rows[order] = np.arange(len(order))
        paths, ends = [], []
        for span in range(len(self._span_ends)):
            unordered = self._unordered(span)
            if not unordered.exists():
                continue
            records = np.fromfile(unordered).reshape(-1, 1 + len(self._names))
            unordered.unlink()
            numbers = rows[records[:, 0].view(np.int64)]
            chosen = np.argsort(numbers, kind="stable")[np.count_nonzero(numbers < 0) :]
            if not len(chosen):
                continue
            paths.append(self._scratch.path / f"{span}.parquet")
            ends.append(int(numbers[chosen[-1]]) + 1)
            self._write(records, chosen, paths[-1])
        return ParquetFeatures(self._scratch, self._names, tuple(paths), np.array(ends, np.int64))

    def _write(self, records: Floats, chosen: Indices, path: Path) -> None:
        columns = {name: records[chosen, at] for at, name in enumerate(self._names, start=1)}
        with atomic_files.translated_os_errors():
            pl.DataFrame(columns).write_parquet(path, compression="uncompressed", statistics=False)

    def _unordered(self, span: int) -> Path:
        return self._scratch.path / f"{span}.rows"


@dataclass(frozen=True)
class ParquetFeatures:
    """Rows [ends[i - 1], ends[i]) of a dataset in the i-th of `paths`; NaN where undefined."""

    scratch: _Scratch
    names: tuple[str, ...]
    paths: tuple[Path, ...]
    ends: Indices

    def blocks(self, rows: Indices) -> Sequence[RowBlock]:
        """Some rows, ascending, a block a file."""
        return [_ParquetRows(path, at) for path, at in self._by_file(rows)]

    def column(self, name: str, rows: Indices) -> Floats:
        """One feature of some rows, ascending."""
        found = [
            pl.read_parquet(path, columns=[name], memory_map=False)[name].to_numpy()[at]
            for path, at in self._by_file(rows)
        ]
        return np.concatenate(found) if found else np.empty(0)

    def plan(self) -> pl.LazyFrame:
        """All rows, one column a feature, null where undefined."""
        if not self.paths:
            return pl.LazyFrame(schema=dict.fromkeys(self.names, pl.Float64))
        return pl.scan_parquet(list(self.paths)).select(pl.col(self.names).fill_nan(None))

    def _by_file(self, rows: Indices) -> list[tuple[Path, Indices | slice]]:
        """The files that have some of `rows`, and their places there."""
        cuts = np.searchsorted(rows, self.ends)
        found, first, begin = list[tuple[Path, Indices | slice]](), 0, 0
        for path, cut, end in zip(self.paths, cuts.tolist(), self.ends.tolist(), strict=True):
            if cut > first:
                at = rows[first:cut] - begin
                together = at[-1] - at[0] + 1 == len(at)
                found.append((path, slice(int(at[0]), int(at[-1]) + 1) if together else at))
            first, begin = cut, end
        return found


@dataclass(frozen=True)
class _ParquetRows:
    path: Path
    at: Indices | slice

    def __len__(self) -> int:
        return self.at.stop - self.at.start if isinstance(self.at, slice) else len(self.at)

    def read(self) -> Floats:
        values = pl.read_parquet(self.path, memory_map=False).to_numpy(order="c")
        return np.ascontiguousarray(values[self.at])


def _span_ends(timestamps: pl.Series, rows: int) -> Moments:
    """The last moment of each span of dates, all symbols of a moment in one."""
    moments, counts = np.unique(timestamps.dt.epoch("us").to_numpy(), return_counts=True)
    spans = (np.cumsum(counts) - 1) // rows
    last = np.append(spans[1:] != spans[:-1], True)
    return np.asarray(moments[last])


def _lock(folder: Path) -> int:
    """The folder, open and locked while this process lives; raises BlockingIOError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _remove_abandoned(directory: Path) -> None:
    """The folders of processes that are no more."""
    for path in directory.iterdir():
        if path.is_dir():
            try:
                handle = _lock(path)
            except OSError:
                continue
            _remove(path, handle)


def _remove(path: Path, handle: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(handle)
