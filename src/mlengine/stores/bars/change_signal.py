"""How a process notices that another one has recorded bars."""

import os
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine, func, select

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import bar_segments

_SECONDS_APART = 1.0


class FileChangeSignal:
    """A file beside a SQLite database, which grows by a byte with each recording."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = self._current()

    def changed(self) -> bool:
        """Whether anybody has recorded bars since the last call; costs one `stat`."""
        size = self._current()
        changed, self._size = size != self._size, size
        return changed

    def notify(self) -> None:
        """Let the others know of a recording; without it they find it when they next look."""
        with suppress(OSError), self._path.open("ab") as file:
            file.write(b".")

    def _current(self) -> int:
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0


class PollingChangeSignal:
    """The newest segment of another database, which is asked for once a second."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._newest: int | None = None
        self._due_at = 0.0

    def changed(self) -> bool:
        """Whether anybody has recorded bars since the last time that this looked."""
        if time.monotonic() < self._due_at:
            return False
        self._due_at = time.monotonic() + _SECONDS_APART
        with suppress(DatabaseUnavailable), reading(self._engine) as connection:
            newest: int | None = connection.scalar(select(func.max(bar_segments.c.id)))
            changed, self._newest = newest != self._newest, newest
            return changed
        return False

    def notify(self) -> None:
        """The others ask the database."""


def open_change_signal(engine: Engine) -> FileChangeSignal | PollingChangeSignal:
    """What tells the processes of one database that there are new bars."""
    name = engine.url.database
    if engine.dialect.name == "sqlite" and name and name != ":memory:":
        return FileChangeSignal(Path(f"{name}.recordings"))
    return PollingChangeSignal(engine)
