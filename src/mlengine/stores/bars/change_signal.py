"""How a process notices that another one has recorded bars."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine, func, select

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import bar_segments

log = logging.getLogger(__name__)

_SECONDS_APART = 1.0


class FileChangeSignal:
    """A file beside a SQLite database, which grows by a byte with each recording."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = self._current()
        self._of_thread = threading.local()

    def changed(self) -> bool:
        """Whether anybody has recorded bars since the last call; costs one `stat`."""
        size = self._current()
        changed, self._size = size != self._size, size
        return changed

    def notify(self) -> None:
        """Let the others know of a recording; without it they find it when they next look."""
        with suppress(OSError), self._path.open("ab", buffering=0) as file:
            file.write(b".")
            self._of_thread.end = file.tell()

    @contextmanager
    def own_recordings_known(self) -> Iterator[None]:
        """Let what this thread records in the block be no change, if nobody else has recorded."""
        self._of_thread.end = None
        yield
        end: int | None = self._of_thread.end
        if end is not None and self._size == end - 1 and self._current() == end:
            self._size = end

    def _current(self) -> int:
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0


class PollingChangeSignal:
    """The newest segment of another database, which a thread asks for once a second."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._newest: int | None = None
        self._changed = False
        self._due_at = 0.0
        self._looking = threading.Lock()

    def changed(self) -> bool:
        """Whether anybody has recorded bars since the last call, as far as was seen; never waits.

        The first call knows nothing yet.
        """
        if time.monotonic() >= self._due_at and self._looking.acquire(blocking=False):
            self._due_at = time.monotonic() + _SECONDS_APART
            threading.Thread(target=self._look, name="bars-signal", daemon=True).start()
        if not self._changed:
            return False
        self._changed = False
        return True

    def _look(self) -> None:
        try:
            with reading(self._engine) as connection:
                newest: int | None = connection.scalar(select(func.max(bar_segments.c.id)))
            if newest != self._newest:
                self._newest, self._changed = newest, True
        except DatabaseUnavailable as refusal:
            log.debug("recordings not looked for", extra={"reason": refusal.reason})
        finally:
            self._looking.release()

    def notify(self) -> None:
        """The others ask the database."""

    @contextmanager
    def own_recordings_known(self) -> Iterator[None]:
        """They are a change all the same."""
        yield


def open_change_signal(engine: Engine) -> FileChangeSignal | PollingChangeSignal:
    """What tells the processes of one database that there are new bars."""
    name = engine.url.database
    if engine.dialect.name == "sqlite" and name and name != ":memory:":
        return FileChangeSignal(Path(f"{name}.recordings"))
    return PollingChangeSignal(engine)
