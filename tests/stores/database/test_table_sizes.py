import sqlite3
from contextlib import closing
from math import inf
from pathlib import Path

import pytest
from tests.databases import new_database

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.table_sizes import sqlite_path, table_sizes


def fill(path: Path, rows: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        values = [(f"{number:09}", "x" * 200) for number in range(rows)]
        connection.executemany("INSERT INTO schedules VALUES (?, ?, 0)", values)
        connection.commit()


def test_a_table_is_counted_with_its_indexes(tmp_path: Path) -> None:
    url = new_database(tmp_path / "audit.db")
    fill(tmp_path / "audit.db", 1000)
    sizes = {each.name: each for each in table_sizes(url)}
    assert sizes["schedules"].rows == 1000
    assert 200_000 < (sizes["schedules"].bytes or 0) < (tmp_path / "audit.db").stat().st_size


def test_what_takes_too_long_is_not_known_unless_it_is_wanted(tmp_path: Path) -> None:
    url = new_database(tmp_path / "audit.db")
    fill(tmp_path / "audit.db", 20_000)
    hasty = {each.name: each for each in table_sizes(url, seconds=0)}["schedules"]
    assert hasty.bytes is None
    exact = {each.name: each for each in table_sizes(url, seconds=inf)}["schedules"]
    assert (exact.rows, exact.bytes is not None) == (20_000, True)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert table_sizes(f"sqlite:///{tmp_path}/audit.db") == ()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audit.db").write_bytes(b"x" * 5000)
    with pytest.raises(DatabaseUnavailable):
        table_sizes(f"sqlite:///{tmp_path}/audit.db")


def test_only_a_plain_file_has_a_path() -> None:
    assert sqlite_path("sqlite:////a/audit.db") == Path("/a/audit.db")
    for url in (
        "postgresql://host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?uri=true",
    ):
        assert sqlite_path(url) is None


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(DatabaseUnavailable):
        table_sizes("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
