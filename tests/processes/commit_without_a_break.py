"""Commit to a SQLite file again and again, and say so once, until killed."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from functools import partial

from mlengine.stores.database.lock_patience import wait_for_turn


def main() -> None:
    with closing(sqlite3.connect(sys.argv[1], timeout=0.0, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        begin = partial(connection.execute, "BEGIN IMMEDIATE")
        while True:
            wait_for_turn(connection, begin, seconds=600.0)
            connection.execute("UPDATE blobs SET bytes = randomblob(1000000)")
            connection.execute("COMMIT")
            if connection.total_changes == 1:
                print("committed", flush=True)


if __name__ == "__main__":
    main()
