from __future__ import annotations

from pathlib import Path

import pytest
from tests.databases import new_database, opened

from mlengine.stores.database.engine import reading
from mlengine.stores.database.sqlite.checkpointer import checkpointer_of


def test_who_opens_a_file_gets_a_checkpointer_in_place_of_sqlites_own(tmp_path: Path) -> None:
    with opened(new_database(tmp_path / "a.db")) as engine:
        assert checkpointer_of(engine) is not None
        with reading(engine) as connection:
            pages = connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar()
    assert pages == 500_000


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_needs_no_checkpointer(url: str) -> None:
    with opened(url) as engine:
        assert checkpointer_of(engine) is None
