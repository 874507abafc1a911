"""Columns of the database with values that lie: answers stay defined."""

# ruff: noqa: S608 - the names of tables and columns are the database's own

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from flask import Flask
from tests.platforms import NOW, SYMBOLS, make_platform, settings

from mlengine.app import create_app
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.schedules import ScheduleStore

LIES: tuple[object, ...] = ("garbage", b"\xff\x00", -1, 2**62, 1e308, None)
_KEY = {"X-API-Key": "a-test-key-of-thirty-two-letters"}
# 4xx and 503 are refusals in words; a damaged row may also be a row that is not there.
_DEFINED = {200, 202, 404, 409, 422, 502, 503}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """With answers, a failure, a run, a schedule, events and bars in its database."""
    platform = make_platform(tmp_path, models=2)
    app = create_app(settings(tmp_path), platform)
    client = app.test_client()
    for path in (*(f"/predict?symbol={symbol}" for symbol in SYMBOLS), "/predict?symbol=NONE"):
        client.get(path)
    client.post("/models/activate/v2", headers=_KEY)
    control = platform.control
    spec = json.dumps(control.runs.defaults.to_dict())
    control.run_store.create(NewRun(run_id="one", spec=spec, actor="test", request_id="r"), now=NOW)
    ScheduleStore(control.database).begin("0 2 * * *", now=NOW)
    yield app
    platform.control.database.dispose()


@contextmanager
def _lying(database: Path, table: str, column: str, lie: object) -> Iterator[bool]:
    """The column with that value in every row, and as it was at the end; False if refused."""
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
        try:
            connection.execute(f"UPDATE {table} SET {column} = ?", [lie])
        except sqlite3.IntegrityError:
            connection.rollback()
            yield False
            return
        connection.commit()
        try:
            yield True
        finally:
            before = ", ".join(str(rowid) for rowid, _ in rows)
            connection.execute(f"DELETE FROM {table} WHERE rowid NOT IN ({before})")
            update = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"
            connection.executemany(update, [(value, rowid) for rowid, value in rows])
            connection.commit()


def _columns(database: Path) -> list[tuple[str, str]]:
    """Of all tables with rows."""
    with closing(sqlite3.connect(database)) as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            if connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        ]
        return [
            (table, column[1])
            for table in tables
            for column in connection.execute(f"PRAGMA table_info({table})")
        ]


def _paths(app: Flask) -> list[str]:
    (prediction, *_) = app.test_client().get("/predictions/recent").json["predictions"]
    return [
        "/predictions/recent",
        f"/predictions/{prediction['prediction_id']}",
        "/monitoring/history",
        "/monitoring/latency",
        "/monitoring/freshness",
        "/monitoring/drift",
        "/admin/train/status",
        "/admin/runs",
        "/ready",
        "/predict?symbol=AAA",
        "/bars/quality?symbol=AAA",
    ]


def _undefined(app: Flask, database: Path, lies: Iterable[tuple[str, str, object]]) -> list[str]:
    client, paths, wrong = app.test_client(), _paths(app), []
    for table, column, lie in lies:
        with _lying(database, table, column, lie) as is_written:
            for path in paths if is_written else []:
                status = client.get(path, headers=_KEY).status_code
                if status not in _DEFINED:
                    wrong.append(f"{table}.{column} = {lie!r}: {path} {status}")
    return wrong


def test_a_row_that_lies_is_a_defined_answer(app: Flask, tmp_path: Path) -> None:
    database = tmp_path / "artifacts" / "audit.db"
    columns = [each for each in _columns(database) if each[0] in ("predictions", "runs", "events")]
    lies = itertools.cycle(LIES)
    chosen = [(*column, lie) for column, lie in zip(columns[::3], lies, strict=False)]
    assert _undefined(app, database, chosen) == []


@pytest.mark.soak
def test_rows_that_lie_in_any_way_are_defined_answers(app: Flask, tmp_path: Path) -> None:
    database = tmp_path / "artifacts" / "audit.db"
    lies = [(*column, lie) for column in _columns(database) for lie in LIES]
    assert _undefined(app, database, lies) == []
