from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.databases import new_database, opened
from tests.patience import patience

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.engine import writing
from mlengine.stores.database.lock_patience import LockPatience, patience_of, wait_for_turn


@contextmanager
def _two_writers(path: Path) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    """Two connections to a new file with a table `t`; the first doesn't wait itself."""
    with (
        closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as mine,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        mine.execute("PRAGMA journal_mode=WAL")
        mine.execute("CREATE TABLE t (x)")
        yield mine, other


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
        assert time.monotonic() - begun < patience(1.0)
        holder.execute("ROLLBACK")
        with writing(engine):
            pass


def test_what_waits_by_itself_does_so_after_another_has_waited_in_vain(tmp_path: Path) -> None:
    url = new_database(tmp_path / "a.db")
    with (
        opened(url) as engine,
        closing(
            sqlite3.connect(tmp_path / "a.db", isolation_level=None, check_same_thread=False)
        ) as holder,
    ):
        holder.execute("BEGIN IMMEDIATE")
        patience_of(engine).most_seconds = 0.01
        with pytest.raises(DatabaseUnavailable, match="locked"), writing(engine):
            pass
        patience_of(engine).most_seconds = patience(5.0)
        with pytest.raises(DatabaseUnavailable, match="locked"), writing(engine):
            pass
        release = threading.Timer(0.05, holder.execute, ["ROLLBACK"])
        release.start()
        with writing(engine, waits_by_itself=True):
            assert not holder.in_transaction
        release.join()


def test_a_database_in_which_others_commit_is_busy_and_not_locked(tmp_path: Path) -> None:
    with _two_writers(tmp_path / "a.db") as (mine, other):
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO t VALUES (1)")
        attempts = []

        def attempt() -> None:
            """The other one commits between any two attempts, and has the lock at each."""
            other.execute("COMMIT")
            if len(attempts) < 5:
                other.execute("BEGIN IMMEDIATE")
                other.execute("INSERT INTO t VALUES (1)")
            attempts.append(time.monotonic())
            mine.execute("BEGIN IMMEDIATE")

        wait_for_turn(mine, attempt, seconds=0.0001, turns=1_000_000)
        assert len(attempts) == 6


def test_a_database_that_one_keeps_locked_is_given_up(tmp_path: Path) -> None:
    with _two_writers(tmp_path / "a.db") as (mine, other):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            wait_for_turn(mine, lambda: mine.execute("BEGIN IMMEDIATE"), seconds=0.02)


def test_only_a_wait_for_one_writer_makes_others_not_wait(tmp_path: Path) -> None:
    """Of a database that others write to in turn, the next one gets its own."""
    with _two_writers(tmp_path / "a.db") as (mine, other):
        waits = LockPatience(most_seconds=patience(0.05))
        other.execute("BEGIN IMMEDIATE")

        def attempt() -> None:
            other.execute("INSERT INTO t VALUES (1)")
            other.execute("COMMIT")
            other.execute("BEGIN IMMEDIATE")
            mine.execute("BEGIN IMMEDIATE")

        with pytest.raises(sqlite3.OperationalError, match="locked"):
            wait_for_turn(mine, attempt, seconds=patience(0.05), turns=2, patience=waits)
        assert not waits.is_locked
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            wait_for_turn(
                mine,
                lambda: mine.execute("BEGIN IMMEDIATE"),
                seconds=waits.most_seconds or 0.0,
                patience=waits,
            )
        assert waits.is_locked
        assert waits.seconds(None) == 0.0
