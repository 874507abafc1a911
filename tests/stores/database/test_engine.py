from __future__ import annotations

import sqlite3
import struct
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import ClassVar

import pytest
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.schema import CreateIndex, CreateTable
from tests.databases import NOW, new_database, opened, url_of
from tests.patience import patience

from mlengine.errors import CannotStart, DatabaseUnavailable
from mlengine.stores.database.engine import (
    enable_wal,
    insert_or_ignore,
    lock_tables,
    open_database,
    reading,
    writing,
)
from mlengine.stores.database.tables import events, metadata, predictions, runs


def _event(**changes: object) -> dict[str, object]:
    return {"kind": "k", "at": NOW, "details": "{}", **changes}


def test_a_connection_waits_and_checks_references(tmp_path):
    with opened(new_database(tmp_path / "a.db")) as engine, reading(engine) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 1,
        "busy_timeout": 5000,
        "foreign_keys": 1,
    }


@pytest.mark.parametrize(
    "moment",
    [
        NOW,
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=-9))),
    ],
)
def test_a_moment_comes_back_to_the_microsecond_in_utc(tmp_path, moment):
    with opened(new_database(tmp_path / "a.db")) as engine:
        with writing(engine) as connection:
            connection.execute(events.insert().values(_event(at=moment)))
        with reading(engine) as connection:
            stored = connection.scalar(select(events.c.at))
    assert stored == moment
    assert stored.utcoffset() == timedelta(0)


def test_a_naive_moment_is_refused(tmp_path):
    with opened(new_database(tmp_path / "a.db")) as engine, pytest.raises(StatementError):  # noqa: SIM117
        with writing(engine) as connection:
            connection.execute(events.insert().values(_event(at=datetime(2020, 1, 1))))  # noqa: DTZ001


@pytest.mark.parametrize(
    "number", [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -1e-17, 2.0**53 + 2, 1 / 3, -7.0]
)
def test_a_number_comes_back_to_the_last_bit(tmp_path, number):
    row = {
        "prediction_id": "p",
        "request_id": "r",
        "at": NOW,
        "route": "/",
        "ok": False,
        "symbol": "A",
        "as_of": NOW,
        "total_ms": number,
    }
    with opened(new_database(tmp_path / "a.db")) as engine:
        with writing(engine) as connection:
            connection.execute(predictions.insert().values(row))
        with reading(engine) as connection:
            stored = connection.scalar(select(predictions.c.total_ms))
    assert struct.pack("<d", stored) == struct.pack("<d", number)


def test_an_error_in_the_block_undoes_all_of_it(tmp_path):
    with opened(new_database(tmp_path / "a.db")) as engine:
        with pytest.raises(KeyError), writing(engine) as connection:  # noqa: PT012
            connection.execute(events.insert().values(_event()))
            raise KeyError
        with reading(engine) as connection:
            assert connection.execute(select(events)).all() == []


def test_a_broken_constraint_is_not_the_store_s_failure(tmp_path):
    with opened(new_database(tmp_path / "a.db")) as engine, pytest.raises(IntegrityError):  # noqa: SIM117
        with writing(engine) as connection:
            connection.execute(events.insert(), [_event(generation=1), _event(generation=1)])


def test_a_reader_sees_one_snapshot_while_a_writer_commits(tmp_path):
    with opened(new_database(tmp_path / "a.db")) as engine:
        with reading(engine) as reader:
            before = reader.execute(select(events)).all()
            with writing(engine) as writer:
                writer.execute(events.insert().values(_event()))
            assert reader.execute(select(events)).all() == before == []
        with reading(engine) as reader:
            assert len(reader.execute(select(events)).all()) == 1


def test_a_locked_database_is_unavailable_after_the_wait(tmp_path):
    url = new_database(tmp_path / "a.db")
    holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with opened(url, busy_timeout_seconds=0.02) as engine:
        with pytest.raises(DatabaseUnavailable, match="keeps it locked"), writing(engine):
            pass
        holder.execute("ROLLBACK")
        with writing(engine):
            pass
    holder.close()


def test_a_writer_can_be_less_patient_than_the_others(tmp_path):
    url = new_database(tmp_path / "a.db")
    holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with opened(url, busy_timeout_seconds=30) as engine:
        started = time.monotonic()
        with (
            pytest.raises(DatabaseUnavailable, match="keeps it locked"),
            writing(engine, lock_timeout_seconds=0.05),
        ):
            pass
        assert time.monotonic() - started < patience(5)
        holder.execute("ROLLBACK")
        with writing(engine, lock_timeout_seconds=0.05) as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 0
        with reading(engine) as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    holder.close()


def test_a_read_only_database_is_unavailable(tmp_path):
    new_database(tmp_path / "a.db")
    url = f"sqlite:///file:{tmp_path}/a.db?mode=ro&uri=true"
    with (
        opened(url) as engine,
        pytest.raises(DatabaseUnavailable, match="it is read-only"),
        writing(engine) as connection,
    ):
        connection.execute(events.insert().values(_event()))


def test_a_missing_folder_is_unavailable(tmp_path):
    with (
        opened(url_of(tmp_path / "nowhere" / "a.db")) as engine,
        pytest.raises(DatabaseUnavailable, match="can't be opened"),
        reading(engine),
    ):
        pass


def test_a_missing_table_says_what_to_run(tmp_path):
    with (
        opened(url_of(tmp_path / "a.db")) as engine,
        pytest.raises(DatabaseUnavailable, match="mlengine db upgrade"),
        reading(engine) as connection,
    ):
        connection.execute(select(events))


def test_a_full_disk_is_unavailable_and_leaves_nothing(tmp_path):
    with opened(new_database(tmp_path / "a.db")) as engine:
        with reading(engine) as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 1}")
        with (
            pytest.raises(DatabaseUnavailable, match="disk is full"),
            writing(engine) as connection,
        ):
            connection.execute(events.insert(), [_event(details="x" * 3000)] * 9)
        with reading(engine) as connection:
            assert connection.execute(select(events)).all() == []


@pytest.mark.parametrize("url", ["", "nonsense", "nosuch://localhost/db"])
def test_a_url_without_a_known_database_is_refused(url):
    with pytest.raises(CannotStart, match="AUDIT_DATABASE_URL"):
        open_database(url)


def test_a_port_that_is_no_number_is_refused():
    with pytest.raises(CannotStart, match="AUDIT_DATABASE_URL"):
        open_database("postgresql://host:port/db")


def test_a_driver_that_is_not_installed_is_named_without_the_password():
    with pytest.raises(CannotStart, match="asyncmy") as refusal:
        open_database("mysql+asyncmy://user:secret@localhost/db")
    assert "secret" not in str(refusal.value)


def test_a_refusal_never_quotes_a_value(tmp_path):
    with opened(new_database(tmp_path / "a.db")) as engine, pytest.raises(IntegrityError) as broken:  # noqa: SIM117
        with writing(engine) as connection:
            connection.execute(events.insert(), [_event(actor="secret", generation=1)] * 2)
    assert "secret" not in str(broken.value)


def test_every_table_compiles_for_postgresql():
    dialect = postgresql.dialect()
    sql = "\n".join(
        str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables
    )
    assert "seq BIGSERIAL" in sql
    assert "probability_up DOUBLE PRECISION" in sql
    (live,) = (index for index in runs.indexes if index.name == "uq_runs_live")
    assert "UNIQUE" in str(CreateIndex(live).compile(dialect=dialect))
    assert "WHERE state IN ('queued', 'running')" in str(CreateIndex(live).compile(dialect=dialect))


def test_rows_that_are_there_already_are_skipped_on_both_databases(tmp_path):
    class Connection:
        dialect = postgresql.dialect()

    sql = str(insert_or_ignore(Connection(), events).compile(dialect=Connection.dialect))
    assert sql.endswith("ON CONFLICT DO NOTHING")
    with opened(new_database(tmp_path / "a.db")) as engine, writing(engine) as connection:
        for _ in range(2):
            connection.execute(insert_or_ignore(connection, events), _event(generation=1))
        assert len(connection.execute(select(events)).all()) == 1


def test_writers_are_kept_out_by_a_lock_where_they_are_many(tmp_path):
    class Connection:
        dialect = postgresql.dialect()
        executed: ClassVar[list[str]] = []

        def exec_driver_sql(self, statement):
            self.executed.append(statement)

    lock_tables(Connection(), runs, events)
    assert Connection.executed == ["LOCK TABLE runs, events IN EXCLUSIVE MODE"]
    with opened(new_database(tmp_path / "a.db")) as engine, writing(engine) as connection:
        lock_tables(connection, runs, events)


def test_a_new_file_has_small_pages_and_an_old_one_keeps_its_own(tmp_path):
    for name, before in (("new.db", None), ("old.db", "CREATE TABLE t (a)")):
        if before:
            connection = sqlite3.connect(tmp_path / name)
            connection.execute(before)
            connection.close()
        engine = open_database(f"sqlite:///{tmp_path / name}")
        enable_wal(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE u (a)")
            pages = connection.exec_driver_sql("PRAGMA page_size").scalar()
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert pages == (4096 if before else 2048)
        engine.dispose()


def synchronous(connection: Connection) -> int:
    """1 is NORMAL, 2 is FULL."""
    level: int = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    return level


def test_a_commit_is_forced_to_disk_where_it_is_asked_for(tmp_path: Path) -> None:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        with writing(engine, survives_power_cut=True) as connection:
            assert synchronous(connection) == 2
        with writing(engine) as connection:
            assert synchronous(connection) == 1


def insert_without_series(engine: Engine) -> None:
    """The reference is looked at in the commit."""
    with writing(engine, survives_power_cut=True) as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        connection.exec_driver_sql(
            "INSERT INTO bar_segments (series_id, first_start, last_start, rows, seen_at, payload)"
            " VALUES (99, 0, 0, 1, 0, '')"
        )


def test_a_forced_commit_that_fails_leaves_the_connection_as_it_was(tmp_path: Path) -> None:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        with pytest.raises(IntegrityError):
            insert_without_series(engine)
        with writing(engine) as connection:
            assert synchronous(connection) == 1
            assert connection.exec_driver_sql("SELECT count(*) FROM bar_segments").scalar() == 0


@pytest.mark.parametrize("may_take_long", [False, True])
def test_what_a_statement_undoes_itself_with_is_kept_in_memory_where_it_is_small(
    tmp_path: Path, may_take_long: bool
) -> None:
    with opened(new_database(tmp_path / "a.db")) as engine:
        with writing(engine, may_take_long=may_take_long) as one:
            within = one.exec_driver_sql("PRAGMA temp_store").scalar()
        with reading(engine) as one:
            after = one.exec_driver_sql("PRAGMA temp_store").scalar()
    in_memory, by_default = 2, 0
    assert (within, after) == (by_default if may_take_long else in_memory, by_default)
