"""A whole copy of a SQLite database, to go back to: taken while the platform runs, too."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from mlengine.errors import CannotWrite, DatabaseUnavailable
from mlengine.stores.database.sqlite.checkpointer import detached_connection
from mlengine.stores.database.sqlite.transactions import database_file

_PRIVATE = 0o600


def write_backup(engine: Engine, target: Path) -> int:
    """Write what is committed by now to `target`, which must be new; returns its bytes.

    Raises CannotWrite, also where the database is no file: its server has tools for that.
    """
    if database_file(engine) is None:
        raise CannotWrite(str(target), "the database is no SQLite file; copy it with its own tools")
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE))
    except FileExistsError as error:
        raise CannotWrite(str(target), "there is such a file already") from error
    except OSError as error:
        raise CannotWrite(str(target), "no file can be made there") from error
    try:
        with closing(detached_connection(engine)) as connection:
            connection.execute("VACUUM INTO ?", [str(target)])
    except (sqlite3.Error, DatabaseUnavailable) as error:
        target.unlink(missing_ok=True)
        raise CannotWrite(str(target), "the disk is full, or the database is damaged") from error
    return target.stat().st_size
