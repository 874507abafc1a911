"""A PostgreSQL server that hangs is waited for once, and no answer is lost by it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.patience import eventually, patience
from tests.platforms import make_platform
from tests.postgres import PostgresServer

from mlengine.errors import DatabaseUnavailable
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.database import write_probe
from mlengine.stores.database.engine import guard_answers, open_database, reading, writing
from mlengine.stores.database.migrate import migrate
from mlengine.stores.database.server.limits import ServerLimits, limits_of
from mlengine.stores.database.write_probe import WriteProbe

pytest.importorskip("psycopg")

NOW = datetime(2021, 3, 1, tzinfo=UTC)
SECONDS = 0.2


@pytest.fixture
def server(postgres: PostgresServer) -> PostgresServer:
    return postgres


@pytest.fixture
def engine(postgres_url: str) -> Engine:
    """Of a process that clients wait for."""
    engine = open_database(postgres_url, timeout_seconds=SECONDS)
    guard_answers(engine, lock_seconds=0.1)
    return engine


def _limits(engine: Engine) -> ServerLimits:
    limits = limits_of(engine)
    assert limits
    return limits


def _refusal(engine: Engine, statement: str = "SELECT 1", *, may_take_long: bool = False) -> str:
    with (
        pytest.raises(DatabaseUnavailable) as refused,
        writing(engine, may_take_long=may_take_long) as connection,
    ):
        connection.execute(text(statement))
    return refused.value.reason


def test_a_server_that_hangs_is_waited_for_once_and_found_when_it_goes_on(
    server: PostgresServer, engine: Engine
) -> None:
    with writing(engine):
        pass
    server.freeze()
    try:
        begun = time.monotonic()
        assert _refusal(engine) == "it does not answer"
        assert time.monotonic() - begun < patience(2.0)
        begun = time.monotonic()
        for _ in range(100):
            assert _refusal(engine) == "it does not answer"
        assert time.monotonic() - begun < patience(0.1)
        assert _limits(engine).is_hanging
    finally:
        server.thaw()
    assert eventually(lambda: not _limits(engine).is_hanging)
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_a_slow_statement_is_no_hanging_server(engine: Engine) -> None:
    slow = "SELECT pg_sleep(0.4)"
    assert _refusal(engine, slow) == "it does not answer"
    assert not _limits(engine).is_hanging
    with writing(engine, may_take_long=True) as connection:
        connection.execute(text(slow))
    assert _refusal(engine, slow) == "it does not answer"


def test_who_has_no_clients_waits_for_what_takes_long(server: PostgresServer) -> None:
    engine = open_database(server.url, timeout_seconds=SECONDS)
    with reading(engine) as connection:
        connection.execute(text("SELECT pg_sleep(0.6)"))
    _limits(engine).record_hanging()
    assert not _limits(engine).is_hanging


def test_a_prediction_is_answered_while_the_server_hangs_and_its_row_is_there_afterwards(
    server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    platform = make_platform(
        tmp_path, AUDIT_DATABASE_URL=postgres_url, DATABASE_TIMEOUT_SECONDS=str(SECONDS)
    )
    database = platform.control.database
    guard_answers(database, lock_seconds=0.1)
    asked = PredictionRequest("r", NOW)
    ids = [platform.predict.predict("AAA", asked).prediction_id]
    server.freeze()
    try:
        begun = time.monotonic()
        ids += [platform.predict.predict("AAA", asked).prediction_id for _ in range(20)]
        # One of them waits: for a statement, or for a connection, which psycopg gives two seconds.
        assert time.monotonic() - begun < patience(4.0)
        assert platform.audit.spooled
        begun = time.monotonic()
        assert platform.health.health().checks["audit"] == "degraded"
        with pytest.raises(DatabaseUnavailable):
            WriteProbe().write(database)
        assert time.monotonic() - begun < patience(0.1)
    finally:
        server.thaw()
    assert eventually(lambda: not _limits(database).is_hanging)
    ids.append(platform.predict.predict("AAA", asked).prediction_id)
    platform.audit.store.drain()
    assert not platform.audit.spooled
    assert {row.prediction_id for row in platform.audit.recent(limit=50).rows} >= set(ids)


def test_a_server_that_is_busy_stays_writable_for_a_while(
    postgres_url: str, engine: Engine
) -> None:
    migrate(postgres_url)
    probe = WriteProbe()
    assert eventually(lambda: _is_written(probe, engine))
    with writing(open_database(postgres_url)) as holder:
        holder.execute(text("LOCK TABLE predictions"))
        probe._written_at = time.monotonic() - 1.5
        assert _is_written(probe, engine)
        probe._written_at = time.monotonic() - 60.0
        assert not _is_written(probe, engine)
    assert eventually(lambda: _is_written(probe, engine))


def test_a_process_that_has_just_started_waits_once_for_its_first_connection(
    postgres_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that who asks whether it is ready is not told that the database can't be written."""
    migrate(postgres_url)
    monkeypatch.setattr(write_probe, "_SERVER_PATIENCE_SECONDS", 0.0)
    probe = WriteProbe()
    probe.write(engine)
    assert probe._patience_seconds == 0.0


def _is_written(probe: WriteProbe, engine: Engine) -> bool:
    try:
        probe.write(engine)
    except DatabaseUnavailable:
        return False
    return True


def test_a_probe_ends_once_the_server_answers() -> None:
    answers = threading.Event()
    limits = ServerLimits(SECONDS, probe=answers.is_set, guards_answers=True)
    limits.record_hanging()
    limits.record_hanging()
    with pytest.raises(DatabaseUnavailable):
        limits.require_answering()
    answers.set()
    assert eventually(lambda: not limits.is_hanging)
    limits.require_answering()
