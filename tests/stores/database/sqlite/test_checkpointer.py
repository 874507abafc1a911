from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.databases import new_database, opened
from tests.processes import commit_without_a_break

from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.lock_patience import wait_for_turn
from mlengine.stores.database.sqlite import checkpointer
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


def test_the_log_begins_anew_while_others_write_without_a_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it grows by a hundred megabytes a second, for as long as they do."""
    monkeypatch.setattr(checkpointer, "_INTERVAL_SECONDS", 0.0)
    file, times = tmp_path / "a.db", 0
    with opened(new_database(file)) as engine, _other_writers(engine, file):
        for _ in range(20):
            before = _header(tmp_path / "a.db-wal")
            checkpointer_of(engine).count_committed(5_000)
            _checkpoint_ends()
            times += _header(tmp_path / "a.db-wal") != before
            if times == 3:
                return
    pytest.fail(f"the log began anew {times} times in 20 checkpoints")


def test_a_very_long_log_is_emptied_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "_INTERVAL_SECONDS", 3600.0)  # the file is younger
    monkeypatch.setattr(checkpointer, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(checkpointer, "_LONGEST_LOG_BYTES", 500_000)
    headers = []
    with opened(new_database(tmp_path / "a.db")) as engine:
        _make_blobs(engine)
        for size in (100_000, 600_000, 100_000):
            with writing(engine) as connection:
                connection.exec_driver_sql("UPDATE blobs SET bytes = randomblob(?)", (size,))
            headers.append(_header(tmp_path / "a.db-wal"))
            checkpointer_of(engine).count_committed(5_000)
            _checkpoint_ends()
    assert [other != one for one, other in pairwise(headers)] == [False, True]


def test_nobody_waits_for_a_checkpoint_while_a_reader_needs_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not let the log begin anew, and would take the writers' lock again and again."""
    monkeypatch.setattr(checkpointer, "_INTERVAL_SECONDS", 0.0)
    turns: list[float] = []

    def counted(*arguments: Any, seconds: float) -> object:
        turns.append(seconds)
        return wait_for_turn(*arguments, seconds=seconds)

    monkeypatch.setattr(checkpointer, "wait_for_turn", counted)
    with opened(new_database(tmp_path / "a.db")) as engine:
        _make_blobs(engine)
        with reading(engine) as reader:
            reader.exec_driver_sql("SELECT count(*) FROM blobs").scalar()
            with writing(engine) as connection:
                connection.exec_driver_sql("UPDATE blobs SET bytes = randomblob(100000)")
            checkpointer_of(engine).count_committed(5_000)
            _checkpoint_ends()
            assert turns == []
        checkpointer_of(engine).count_committed(5_000)
        _checkpoint_ends()
    assert len(turns) == 1


def test_a_file_that_stays_long_is_looked_at_again_after_as_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(checkpointer, "_LONG_LOG_BYTES", 1)
    begun: list[bool] = []
    with opened(new_database(tmp_path / "a.db")) as engine:
        _make_blobs(engine)
        at_work = checkpointer_of(engine)
        monkeypatch.setattr(at_work, "_checkpoint", begun.append)
        for rows in (32, 1, 1, 30):
            at_work.count_committed(rows)
            _checkpoint_ends()
    assert len(begun) == 2


@contextmanager
def _other_writers(engine: Engine, file: Path) -> Iterator[None]:
    _make_blobs(engine)
    command = [sys.executable, "-m", commit_without_a_break.__name__, str(file)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for writer in writers:
            assert writer.stdout.readline()
        yield
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def _make_blobs(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE blobs (bytes BLOB)")
        connection.exec_driver_sql("INSERT INTO blobs VALUES (NULL)")


def _header(log: Path) -> bytes:
    """Written anew when the log begins anew (https://www.sqlite.org/walformat.html)."""
    with log.open("rb") as file:
        return file.read(24)


def _checkpoint_ends() -> None:
    for thread in threading.enumerate():
        if thread.name == "checkpoint":
            thread.join()
