from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.databases import new_database, opened

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.engine import writing
from mlengine.stores.database.lock_patience import patience_of


def test_a_lock_is_waited_for_once_where_waits_are_limited(tmp_path: Path) -> None:
    url = new_database(tmp_path / "a.db")
    with (
        opened(url) as engine,
        closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as holder,
    ):
        holder.execute("BEGIN IMMEDIATE")
        patience_of(engine).most_seconds = 0.1
        begun = time.monotonic()
        for _ in range(20):
            with pytest.raises(DatabaseUnavailable, match="locked"), writing(engine):
                pass
        assert time.monotonic() - begun < 1.0
        holder.execute("ROLLBACK")
        with writing(engine):
            pass
