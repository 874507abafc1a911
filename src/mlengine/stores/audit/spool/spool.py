"""Audit rows that the database could not take, in files until it can.

The folder is there only while rows wait in it. Each process appends to a file of its own, one line
an answer (all rows of a batch together), forced to disk before the answer is sent: a line that is
torn belongs to an answer that was never given. Numbers are in shortest round-trip form and vectors
and windows as their bytes, so that every bit comes back. One lock file, beside the folder, keeps
those who write and those who put rows into the database apart.
"""

import contextlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import IntegrityError

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.audit.spool.lines import SpooledRow, dump_line, parse_line
from mlengine.stores.system import atomic_files, strict_files

log = logging.getLogger(__name__)

# An append puts one file back, before its answer.
_ROWS_A_FILE = 1024
_MOST_BYTES = 2_000_000_000
_ROWS, _DAMAGED = ".jsonl", ".damaged"


@dataclass(frozen=True)
class SpoolCounts:
    """What waits for the database, of all processes; `spooled_rows` since this one started."""

    files: int = 0
    bytes: int = 0
    spooled_rows: int = 0


class AuditSpool:
    """The spool of one process below `directory`; safe for threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = directory.with_name(f"{directory.name}.lock")
        self._file: Path | None = None
        self._rows = 0
        self._spooled = 0

    @property
    def is_empty(self) -> bool:
        """Whether no row of any process waits; one `stat`."""
        return not self._directory.exists()

    def counts(self) -> SpoolCounts:
        """What waits now, also what was set aside; a folder that can't be read counts as empty."""
        sizes = []
        with contextlib.suppress(OSError):
            for path in self._files(_ROWS, _DAMAGED):
                with contextlib.suppress(FileNotFoundError):
                    sizes.append(path.stat().st_size)
        return SpoolCounts(len(sizes), sum(sizes), self._spooled)

    def write(self, rows: Sequence[SpooledRow]) -> None:
        """Force all rows to disk, or none; raises DatabaseUnavailable."""
        line = dump_line(rows)
        try:
            atomic_files.make_directory(self._lock.parent)
            with atomic_files.file_lock(self._lock):
                self._append(line, len(rows))
        except OSError as error:
            raise DatabaseUnavailable(
                f"neither it nor its spool can be written: {atomic_files.describe_error(error)}"
            ) from error
        self._spooled += len(rows)

    def drain(
        self, store: Callable[[Sequence[SpooledRow]], None], *, most_files: int | None = None
    ) -> None:
        """Give what waits to `store`, the oldest first, and forget what it has taken.

        `store` must leave rows that it has already as they are: a process may die between the
        two. Does nothing while another process is at it. Raises what `store` raises, but for a
        broken constraint: such a file, and one that is damaged, is set aside and stays. The whole
        lines of a damaged one are stored.
        """
        if self.is_empty:
            return
        with atomic_files.file_lock(self._lock, wait=False) as locked:
            if not locked:
                return
            for path in self._files(_ROWS)[:most_files]:
                self._drain_file(path, store)
            with contextlib.suppress(OSError):  # others wait still
                self._directory.rmdir()

    def _drain_file(self, path: Path, store: Callable[[Sequence[SpooledRow]], None]) -> None:
        try:
            *lines, torn = strict_files.read_bytes(path, most_bytes=_MOST_BYTES).split(b"\n")
            rows, damage = _readable_rows(lines)
            store(rows)
        except (ValueError, FileNotFoundError, IntegrityError) as error:
            self._set_aside(path, type(error).__name__)
            return
        if damage:
            self._set_aside(path, damage)
            return
        log.info(
            "audit spool replayed",
            extra={"file": path.name, "rows": len(rows), "torn_bytes": len(torn)},
        )
        path.unlink()
        atomic_files.fsync_directory(self._directory)

    @staticmethod
    def _set_aside(path: Path, reason: str) -> None:
        """Leave a file to the operator; what of it could be read is in the tables."""
        log.error("audit spool set aside", extra={"file": path.name, "reason": reason})
        path.rename(path.with_suffix(_DAMAGED))

    def _append(self, line: bytes, rows: int) -> None:
        """The caller holds the lock, so that nobody takes the file away meanwhile."""
        atomic_files.make_directory(self._directory)
        path = self._own_file()
        is_new = not path.exists()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(handle).st_size
            try:
                _write_all(handle, line)
                os.fsync(handle)
                if is_new:
                    atomic_files.fsync_directory(self._directory)
                    atomic_files.force_names(self._directory, folders=1)
            except OSError:
                self._file = None  # the next line must not follow a torn one
                os.ftruncate(handle, size)
                if size == 0:  # or a full disk would leave one an answer
                    path.unlink()
                raise
        finally:
            os.close(handle)
        self._rows += rows

    def _own_file(self) -> Path:
        """A file that this process alone appends to; named so that the oldest sorts first."""
        if self._file is None or self._rows >= _ROWS_A_FILE:
            self._file = self._directory / f"{time.time_ns():020}-{os.getpid()}{_ROWS}"
            self._rows = 0
        return self._file

    def _files(self, *suffixes: str) -> list[Path]:
        try:
            return sorted(path for path in self._directory.iterdir() if path.suffix in suffixes)
        except FileNotFoundError:
            return []


def _readable_rows(lines: Sequence[bytes]) -> tuple[list[SpooledRow], str | None]:
    """The rows of the lines that are whole, and what is wrong with the others if any are."""
    rows: list[SpooledRow] = []
    damaged = 0
    for line in lines:
        try:
            rows.extend(parse_line(line))
        except ValueError:
            damaged += 1
    return rows, f"{damaged} of {len(lines)} lines are damaged" if damaged else None


def _write_all(handle: int, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(handle, rest) :]
