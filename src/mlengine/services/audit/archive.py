"""Moving closed days of predictions to files."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from mlengine.errors import CannotWrite
from mlengine.stores.audit.archive.removal import CHANGED, remove_archived, remove_leftovers
from mlengine.stores.audit.archive.writer import ArchiveWriter
from mlengine.stores.audit.days import first_day
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.database.archive.files import ArchiveFile, AuditArchive
from mlengine.stores.system import atomic_files

_DAY = timedelta(days=1)
_TRIES = 3


@dataclass(frozen=True)
class ArchiveService:
    store: SpooledAuditStore
    archive: AuditArchive

    def archive_days(self, *, before: date, actor: str, now: datetime) -> Iterator[ArchiveFile]:
        """Each day before `before` (UTC) that has ended and has predictions in the tables.

        A day is yielded once its rows are on disk, were compared with the tables and are gone from
        them. Wherever it is broken off, no row is lost or doubled, and the next run goes on. Raises
        DatabaseUnavailable, and CannotWrite where a file can't be written, or another run is at it.
        """
        directory, engine = self.archive.directory, self.store.engine
        with atomic_files.translated_os_errors():
            atomic_files.make_directory(directory)
        with atomic_files.file_lock(directory / ".lock", wait=False) as is_mine:
            if not is_mine:
                raise CannotWrite(str(directory), "another run is at it")
            self.store.drain()
            self._tidy_up()
            day = first_day(engine)
            while day is not None and day < min(before, now.astimezone(UTC).date()):
                yield self._archive(day, actor=actor, now=now)
                day = first_day(engine, since=day + _DAY)

    def _archive(self, day: date, *, actor: str, now: datetime) -> ArchiveFile:
        writer = ArchiveWriter(self.store.engine, self.archive)
        for attempt in range(_TRIES):
            file = writer.write(day)
            if file is None:
                break
            try:
                remove_archived(self.store.engine, file, actor=actor, at=now)
            except CannotWrite:
                file.remove()
                if attempt == _TRIES - 1:
                    raise
            else:
                return file
        raise CannotWrite(str(self.archive.directory), CHANGED)

    def _tidy_up(self) -> None:
        """What a run left that was broken off: files that don't count, vectors of days that do."""
        counting = set(self.archive.counting(self.store.engine))
        for file in self.archive.files():
            if file not in counting:
                file.remove()
        remove_leftovers(self.store.engine)
