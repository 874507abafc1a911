from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select
from tests.databases import new_database, opened, url_of
from tests.processes import race_to_migrate

from mlengine.errors import CannotStart, CannotWrite, DatabaseUnavailable
from mlengine.stores.database.backup import write_backup
from mlengine.stores.database.engine import reading, schema_is_current, writing
from mlengine.stores.database.migrate import judge_schema, migrate, migration_config
from mlengine.stores.database.tables import REVISION, metadata, runs


def test_the_tables_in_code_are_those_that_the_migrations_make(tmp_path):
    with opened(new_database(tmp_path / "a.db")) as engine, engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_revision_in_code_is_the_newest_migration():
    assert ScriptDirectory.from_config(migration_config()).get_current_head() == REVISION


def test_a_migration_makes_the_folder_and_turns_on_wal(tmp_path):
    path = tmp_path / "new 100%" / "deep" / "audit.db"
    migrate(url_of(path))
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    with opened(url_of(path)) as engine:
        assert schema_is_current(engine)


def test_a_second_migration_changes_nothing(tmp_path):
    url = new_database(tmp_path / "a.db")
    migrate(url)
    with opened(url) as engine:
        assert schema_is_current(engine)


def test_four_processes_migrate_one_new_database(tmp_path):
    url = url_of(tmp_path / "folder" / "audit.db")
    done = subprocess.run(
        [sys.executable, "-m", race_to_migrate.__name__, url, "4"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stdout.split()) == (0, ["migrated"] * 4), done.stderr
    with opened(url) as engine:
        assert schema_is_current(engine)


def test_migrating_leaves_logging_as_it_was(tmp_path, capfd):
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("alembic").level)
    migrate(url_of(tmp_path / "a.db"))
    after = (root.level, list(root.handlers), logging.getLogger("alembic").level)
    assert after == before
    assert capfd.readouterr() == ("", "")


def test_an_empty_database_is_not_current(tmp_path):
    with opened(url_of(tmp_path / "a.db")) as engine:
        assert not schema_is_current(engine)


def test_a_run_that_was_publishing_before_the_column_still_is(tmp_path):
    url = url_of(tmp_path / "a.db")
    with opened(url) as engine, writing(engine) as connection:
        config = migration_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for model, state, progress in [
            ("one", "running", '{"stage":"publishing","percent":95.0,"fold":null}'),
            ("two", "running", '{"stage":"publish","percent":95.0,"fold":null}'),
            ("three", "queued", None),
            ("four", "lost", '{"stage":"publishing","percent":95.0,"fold":null}'),
        ]:
            row = (model, model, state, "{}", "ann", 1, progress)
            connection.exec_driver_sql(
                "INSERT INTO runs (run_id, model, state, spec, actor, queued_at, progress)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
    migrate(url)
    with opened(url) as engine, reading(engine) as connection:
        publishing = dict(connection.execute(select(runs.c.run_id, runs.c.publishing)).all())
    assert publishing == {"one": True, "two": False, "three": False, "four": False}


def test_vectors_with_copies_of_their_bars_stay_and_others_need_none(tmp_path):
    url = url_of(tmp_path / "a.db")
    insert = (
        "INSERT INTO feature_vectors (bars_hash, feature_set_hash, symbol, interval, bar_timestamp,"
        " vector_hash, feature_set_name, feature_set_version, window_bars, payload)"
        " VALUES (?, 'f', 'AAA', '1d', 1, 'v', 'core', 1, 64, 'p')"
    )
    with opened(url) as engine, writing(engine) as connection:
        config = migration_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0020")
        connection.exec_driver_sql("INSERT INTO bar_windows VALUES ('h', 'AAA', 64, 'w')")
        connection.exec_driver_sql(insert, ("h",))
    migrate(url)
    with opened(url) as engine, writing(engine) as connection:
        connection.exec_driver_sql(insert, ("of no copy",))
        connection.exec_driver_sql("DELETE FROM bar_windows")
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        rows = connection.exec_driver_sql("SELECT bars_hash, bars_recorded_by FROM feature_vectors")
        assert rows.all() == [("h", None), ("of no copy", None)]


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotStart, match="file"):
        migrate(url_of(tmp_path / "file" / "audit.db"))


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "audit.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseUnavailable, match="not a database"):
        migrate(url_of(tmp_path / "audit.db"))


def test_a_database_in_memory_needs_no_lock():
    migrate("sqlite://")


def test_a_database_of_a_newer_platform_says_how_to_go_back(tmp_path):
    url = new_database(tmp_path / "audit.db")
    with opened(url) as engine, writing(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CannotStart, match=r"newer mlengine .*9999.*install that version again"):
        migrate(url)


def test_a_copy_is_whole_while_the_database_is_used(tmp_path):
    url = new_database(tmp_path / "audit.db")
    with opened(url) as engine:
        with writing(engine) as connection:
            connection.exec_driver_sql("PRAGMA user_version=7")
        assert write_backup(engine, tmp_path / "copy.db") == (tmp_path / "copy.db").stat().st_size
        with pytest.raises(CannotWrite, match="such a file already"):
            write_backup(engine, tmp_path / "copy.db")
        with pytest.raises(CannotWrite, match="can't be written"):
            write_backup(engine, tmp_path / "none" / "copy.db")
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0
    migrate(url_of(tmp_path / "copy.db"))
    with opened(url_of(tmp_path / "copy.db")) as engine, reading(engine) as connection:
        assert connection.exec_driver_sql("PRAGMA user_version").scalar() == 7


def test_a_copy_of_what_is_no_file_or_damaged_leaves_nothing(tmp_path):
    (tmp_path / "audit.db").write_bytes(b"no database at all" * 100)
    for url in (url_of(tmp_path / "audit.db"), "sqlite://"):
        with opened(url) as engine, pytest.raises(CannotWrite):
            write_backup(engine, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_an_older_schema_is_warned_of_with_what_to_do(caplog):
    judge_schema(REVISION)
    assert not caplog.records
    judge_schema("0001")
    (record,) = caplog.records
    assert (record.schema, record.next_step) == ("0001", "mlengine migrate")
    with pytest.raises(CannotStart, match="newer mlengine"):
        judge_schema("9999")
