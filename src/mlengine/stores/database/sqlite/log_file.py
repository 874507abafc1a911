"""The write-ahead log beside a SQLite file; needs no SQLAlchemy, for a supervisor empties it."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

LOG_SUFFIX = "-wal"
_SQLITE_FILE = "sqlite:///"


def log_bytes(file: str) -> int:
    """How large the log of a database is; 0 where there is none."""
    try:
        return os.stat(f"{file}{LOG_SUFFIX}").st_size
    except OSError:
        return 0


def empty_log(database_url: str) -> None:
    """Put the rows in the log into the file of a database that nobody uses any more.

    Does nothing for another kind of database; what fails is done by whoever opens it next.
    """
    file = database_url.removeprefix(_SQLITE_FILE)
    if file == database_url or "?" in file or not Path(file).is_file() or not log_bytes(file):
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(file, timeout=1.0)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
