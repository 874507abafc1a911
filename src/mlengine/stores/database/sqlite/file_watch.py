"""Whether the file of a SQLite database is still the one that this process has opened.

A connection goes on writing into a file that was deleted or replaced, and what it commits is gone
with it; so are the rows in the log of a file that was cut short. Until the process ends nothing is
written any more: a new connection beside the old ones would mix the logs of two databases.
"""

import os
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import Engine, event

from mlengine.errors import DatabaseUnavailable

REPLACED = "its file was deleted, replaced or cut short under the platform: start it again"
_WATCH = "mlengine_file_watch"


@dataclass
class FileWatch:
    """One `stat` a check; safe for threads."""

    path: str
    replaced: bool = field(default=False, init=False)
    _identity: tuple[int, int] | None = field(default=None, init=False)
    _size: int = field(default=0, init=False)

    def install(self, engine: Engine) -> None:
        """Open no further connection of the engine once the file is another one."""
        engine.update_execution_options(**{_WATCH: self})
        event.listen(engine, "do_connect", lambda *_: self.check())

    def check(self) -> None:
        """Raises DatabaseUnavailable from the moment on that the file is another one."""
        if self.replaced or self._is_another():
            self.replaced = True
            raise DatabaseUnavailable(REPLACED)

    def _is_another(self) -> bool:
        try:
            status = os.stat(self.path)
        except OSError:
            return self._identity is not None
        identity, known = (status.st_dev, status.st_ino), self._identity
        if known is not None and (identity != known or status.st_size < self._size):
            return True
        self._identity, self._size = identity, status.st_size
        return False


def watch_of(engine: Engine) -> FileWatch | None:
    """The one that `open_database` has started; it does so for a SQLite file alone."""
    return cast("FileWatch | None", engine.get_execution_options().get(_WATCH))
