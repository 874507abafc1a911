"""Which files of archived predictions there are, and which of them count.

A file holds predictions of one date in UTC, and its name says which: the date, the first and the
last number (`seq`), and how many. It counts from when its rows are gone from the table, which is
one transaction: so a row is in one of the two, whenever a process dies.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import cast

from sqlalchemy import Engine, select

from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import predictions

WINDOWS_SUFFIX = ".windows"
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)_(\d+)_(\d+)_(\d+)\.parquet")
_ARCHIVE = "mlengine_audit_archive"


@dataclass(frozen=True)
class ArchiveFile:
    """`rows` predictions of `day`, numbered `first` to `last`, with gaps."""

    path: Path
    day: date
    first: int
    last: int
    rows: int

    @property
    def windows_path(self) -> Path:
        """The windows of bars that were copied for them, where there are such."""
        return self.path.with_name(f"{self.path.stem}{WINDOWS_SUFFIX}")

    @property
    def since(self) -> datetime:
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)

    @property
    def until(self) -> datetime:
        return self.since + timedelta(days=1)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.windows_path.unlink(missing_ok=True)


def file_name(day: date, *, first: int, last: int, rows: int) -> str:
    return f"{day}_{first}_{last}_{rows}.parquet"


def parse_file(path: Path) -> ArchiveFile | None:
    """None for a file of another name."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    numbers = (int(match[group]) for group in (2, 3, 4))
    return ArchiveFile(path, date.fromisoformat(match[1]), *numbers)


@dataclass
class AuditArchive:
    """The files in `directory`, which need not be there."""

    directory: Path
    _counting: set[ArchiveFile] = field(default_factory=set)

    def files(self) -> list[ArchiveFile]:
        """All, by day, whether or not they count."""
        try:
            paths = sorted(self.directory.iterdir())
        except FileNotFoundError:
            return []
        return [file for path in paths if (file := parse_file(path))]

    def remove_all(self) -> int:
        """Remove every file; returns how many predictions counted in them, as far as is known."""
        rows = 0
        for file in self.files():
            rows += file.rows if file in self._counting else 0
            file.remove()
        return rows

    def counting(self, engine: Engine) -> list[ArchiveFile]:
        """Those whose rows are gone from the table; raises DatabaseUnavailable."""
        files = self.files()
        unknown = [each for each in files if each not in self._counting]
        if unknown:
            seq = predictions.c.seq
            with reading(engine) as connection:
                query = select(seq).where(seq.in_([each.first for each in unknown]))
                there = set(connection.scalars(query))
            self._counting |= {each for each in unknown if each.first not in there}
        return [each for each in files if each in self._counting]


def archive_of(engine: Engine) -> AuditArchive | None:
    """The one that `give_archive` gave the engine; None of one that has none."""
    return cast("AuditArchive | None", engine.get_execution_options().get(_ARCHIVE))


def give_archive(engine: Engine, archive: AuditArchive) -> None:
    """Let whoever reads predictions from the engine's tables read those of the archive, too."""
    engine.update_execution_options(**{_ARCHIVE: archive})
