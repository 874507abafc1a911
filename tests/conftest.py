"""Fixtures of every room: nothing here reads the machine's environment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event
from tests.postgres import PostgresServer, running_server, what_is_missing
from tests.settings_read import settings_read

from mlengine.config import Settings
from mlengine.stores.system.garbage_collection import collect_less_often

collect_less_often()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` and no setting of this machine reaches a test or its children."""
    monkeypatch.setenv("FLASK_SKIP_DOTENV", "1")
    for name in settings_read():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_log_levels() -> None:
    """Those of a new process: an application sets the levels of its profile for the whole one."""
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("mlengine").setLevel(logging.NOTSET)


_connected: set[Engine] = set()


@event.listens_for(Engine, "engine_connect")
def _remember(connection: Connection) -> None:
    _connected.add(connection.engine)


@pytest.fixture(autouse=True)
def _databases_are_closed() -> Iterator[None]:
    """Python 3.13 warns of each connection that is left to the garbage collector."""
    yield
    while _connected:
        _connected.pop().dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this process; a test that stops it starts it again."""
    pytest.importorskip("psycopg")
    if (missing := what_is_missing()) is not None:
        pytest.skip(missing)
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """Of a database of the test's own."""
    return postgres.new_database()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A development platform on the sample, in a folder of its own."""
    return {
        "ENV": "development",
        "ADMIN_API_KEY": "a-test-key-of-thirty-two-letters",
        "ARTIFACTS_DIR": str(tmp_path / "artifacts"),
        "RATE_LIMIT_REQUESTS": "0",
    }


@pytest.fixture
def make_settings(environ: dict[str, str]) -> Callable[..., Settings]:
    """Settings from `environ` with some variables changed."""

    def make(**changed: str) -> Settings:
        return Settings.from_env({**environ, **changed})

    return make
