"""What each part of a platform takes on disk."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

from mlengine.core.versions.layout import DRIFT_FILE, NOVELTY_FILE, REFERENCE_FILE
from mlengine.errors import MlengineError
from mlengine.stores.database.sqlite.log_file import LOG_SUFFIX
from mlengine.stores.database.table_sizes import (
    DEFAULT_SECONDS,
    TableSize,
    sqlite_path,
    table_sizes,
)
from mlengine.stores.registry.folders import STAGING

_MODELS, _SPOOL, _QUEUE = "models", "audit spool", "queue"
_SPILL = "spilled features"
_DATABASE, _REST = "database", "other files"
_FOLDERS = {"models": _MODELS, "audit-spool": _SPOOL, "queue": _QUEUE, "spill": _SPILL}
_DATABASE_FILES = {"": _DATABASE, LOG_SUFFIX: "write-ahead log", "-shm": "index of the log"}
_BLOCK_BYTES = 512  # of `st_blocks`, whatever the file system's are
_STORES = {
    "audit": ("predictions", "feature_vectors", "bar_windows"),
    "bars": ("bar_series", "bar_segments"),
}


@dataclass(frozen=True)
class PartSize:
    """`within` names the part that this one is a piece of; None is not known."""

    part: str
    bytes: int | None
    files: int | None = None
    rows: int | None = None
    within: str | None = None


@dataclass(frozen=True)
class PlatformSizes:
    """`total_bytes` is the sum of the parts that are within no other.

    `problem` is why the tables of the database could not be counted.
    """

    parts: tuple[PartSize, ...]
    total_bytes: int
    problem: str | None = None


def measure_sizes(artifacts_dir: Path, database_url: str, *, exact: bool) -> PlatformSizes:
    """What the files of each part take, and what the tables of the database take.

    Each part stands before its pieces. `exact` counts large tables, too, however long it takes.
    """
    tables, problem = _tables(database_url, seconds=inf if exact else DEFAULT_SECONDS)
    parts = _file_parts(artifacts_dir, sqlite_path(database_url))
    if tables and not any(part.part == _DATABASE for part in parts):  # it is on a server
        parts.append(PartSize(_DATABASE, _total(table.bytes for table in tables)))
    parts += _table_parts(tables)
    total = sum(part.bytes or 0 for part in parts if part.within is None)
    return PlatformSizes(tuple(_in_order(parts)), total, problem)


def _tables(database_url: str, *, seconds: float) -> tuple[tuple[TableSize, ...], str | None]:
    try:
        return table_sizes(database_url, seconds=seconds), None
    except MlengineError as error:
        return (), str(error)


def _file_parts(artifacts_dir: Path, database: Path | None) -> list[PartSize]:
    lengths: dict[tuple[str, str | None], list[int]] = {}
    beside = {Path(f"{database}{end}"): part for end, part in _DATABASE_FILES.items() if database}
    for path in {*_files_below(artifacts_dir), *beside}:
        with suppress(OSError):  # it has gone, or was never there
            length = _bytes_on_disk(path.lstat())
            for key in _places(path, artifacts_dir, beside.get(path)):
                lengths.setdefault(key, []).append(length)
    return [
        PartSize(part, sum(sizes), files=len(sizes), within=within)
        for (part, within), sizes in lengths.items()
    ]


def _bytes_on_disk(stat: os.stat_result) -> int:
    """The length of a file, less what it has set aside and not written to."""
    return min(stat.st_size, stat.st_blocks * _BLOCK_BYTES)


def _files_below(folder: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(folder):
        yield from (Path(directory, name) for name in names)


def _places(
    path: Path, artifacts_dir: Path, database_part: str | None
) -> Iterator[tuple[str, str | None]]:
    """The part that a file belongs to, and the pieces of it."""
    if database_part:
        yield database_part, None
        return
    folder, *below = path.relative_to(artifacts_dir).parts
    part = _FOLDERS.get(folder, _REST) if below else _REST
    yield part, None
    if part == _QUEUE:
        yield ("log" if below == ["server.log"] else "jobs"), part
    elif part == _MODELS and len(below) > 2:
        _line, version, *_ = below
        run = version.removeprefix(STAGING)
        yield (version if run == version else f"half-written by run {run}"), part
        if below[-1] in (REFERENCE_FILE, DRIFT_FILE, NOVELTY_FILE):
            yield "references of all versions", part


def _table_parts(tables: Iterable[TableSize]) -> Iterator[PartSize]:
    """Each table, those of the audit and of the bars under their store."""
    store_of = {table: store for store, names in _STORES.items() for table in names}
    by_store: dict[str, list[TableSize]] = {}
    for table in tables:
        by_store.setdefault(store_of.get(table.name, table.name), []).append(table)
    for store, members in by_store.items():
        size, rows = _total(each.bytes for each in members), _total(each.rows for each in members)
        yield PartSize(store, size, rows=rows, within=_DATABASE)
        if store in _STORES:
            yield from (PartSize(m.name, m.bytes, rows=m.rows, within=store) for m in members)


def _total(counts: Iterable[int | None]) -> int | None:
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def _in_order(parts: list[PartSize], within: str | None = None) -> Iterator[PartSize]:
    """The largest first, each followed by its pieces."""
    siblings = [part for part in parts if part.within == within]
    for part in sorted(siblings, key=lambda each: (-(each.bytes or 0), each.part)):
        yield part
        yield from _in_order(parts, part.part)
