"""The real web server while its PostgreSQL is stopped, hung, restarted, failed over or full."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from tests.patience import slowness
from tests.platforms import SYMBOLS, make_platform
from tests.postgres import PostgresServer, running_server, server_folder, what_is_missing
from tests.serving import Answer, Asker, Load, lasts, load, serving

pytest.importorskip("psycopg")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(what_is_missing() is not None, reason=str(what_is_missing())),
]

PATHS = [f"/predict?symbol={symbol}" for symbol in SYMBOLS]
PROBES = ["/health", "/ready"]
CONNECTIONS = 40
END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()"

Servers: TypeAlias = tuple[PostgresServer, PostgresServer | None]


def _stopped(servers: Servers) -> Iterator[None]:
    servers[0].stop()
    yield
    servers[0].start()


def _hung(servers: Servers) -> Iterator[None]:
    servers[0].freeze()
    yield
    servers[0].thaw()


def _restarted(servers: Servers) -> Iterator[None]:
    for _ in range(3):
        servers[0].stop("fast")
        servers[0].start()
    yield


def _failed_over(servers: Servers) -> Iterator[None]:
    primary, standby = servers
    assert standby
    primary.freeze()
    yield
    primary.kill()
    standby.promote()


def _slots_used_up(servers: Servers) -> Iterator[None]:
    """By others, as soon as the platform lets one go: its connections are ended."""
    engine = create_engine(servers[0].url, pool_size=0, isolation_level="AUTOCOMMIT")
    with ExitStack() as stack:
        held = [stack.enter_context(engine.connect())]
        held[0].execute(text(END_ALL))
        with suppress(OperationalError):
            while True:
                held.append(stack.enter_context(engine.connect()))
        yield
    engine.dispose()


ORDEALS: dict[str, Callable[[Servers], Iterator[None]]] = {
    "stopped": _stopped,
    "hung": _hung,
    "restarted": _restarted,
    "failed over": _failed_over,
    "slots used up": _slots_used_up,
}


@contextmanager
def _servers(name: str) -> Iterator[Servers]:
    if name != "failed over":
        with running_server("-c", f"max_connections={CONNECTIONS}") as server:
            yield server, None
        return
    following = ["-c synchronous_standby_names=standby", "-c wal_level=replica"]
    with running_server(*following) as primary, server_folder("standby") as folder:
        standby = PostgresServer(folder)
        standby.copy_of(primary)
        standby.start()
        try:
            yield primary, standby
        finally:
            standby.stop()


def _url(servers: Servers) -> str:
    primary, standby = servers
    if standby is None:
        return primary.url
    other = standby.url.partition("?")[2]
    return f"{primary.url}&{other}&target_session_attrs=read-write"


@contextmanager
def _probing(port: int) -> Iterator[list[Answer]]:
    """Ask whether the platform lives, again and again."""
    answers: list[Answer] = []
    over = threading.Event()

    def run() -> None:
        asker = Asker(port)
        while not over.wait(0.05):
            answers.extend(map(asker.ask, PROBES))
        asker.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("name", ORDEALS)
def test_no_answer_and_no_row_is_lost_by_a_server_that_fails(tmp_path: Path, name: str) -> None:
    spool = tmp_path / "artifacts" / "audit-spool"
    with _servers(name) as servers:
        url = _url(servers)
        make_platform(tmp_path, AUDIT_DATABASE_URL=url).control.database.dispose()
        with (
            serving(tmp_path, ready=PATHS[0], AUDIT_DATABASE_URL=url) as server,
            load(server.port, PATHS, askers=4) as traffic,
            _probing(server.port) as probes,
        ):
            lasts(3)
            begun = time.monotonic()
            ordeal = contextmanager(ORDEALS[name])(servers)
            with ordeal:
                lasts(8)
            ended = time.monotonic()
            lasts(30, lambda: not spool.exists())
            lasts(3)
        _report(name, traffic, probes, begun, ended)
        assert traffic.failed == []
        assert not spool.exists()
        answered = {each.body["prediction_id"] for each in traffic.answers}
        assert answered <= _stored(url)
    assert {each.status for each in probes} <= {200, 503}
    assert _slowest(traffic.answers, begun, ended) < 3.0 * slowness()
    busy = _slowest(probes, 0, begun)
    assert _slowest(probes, begun, ended) < max(0.1 * slowness(), 2 * busy)


def _report(name: str, traffic: Load, probes: list[Answer], begun: float, ended: float) -> None:
    during = [each for each in traffic.answers if begun <= each.begun <= ended]
    sys.stdout.write(
        f"{name}: {len(traffic.answers)} answers, {len(during)} while it failed, the slowest in "
        f"{_slowest(traffic.answers, begun, ended):.3f} s; {len(traffic.failed)} failed; "
        f"slowest probe {1e3 * _slowest(probes, begun, ended):.0f} ms, "
        f"before {1e3 * _slowest(probes, 0, begun):.0f} ms\n"
    )


def _slowest(answers: list[Answer], since: float, until: float) -> float:
    """Of those that were under way between the two."""
    return max(
        each.ended - each.begun for each in answers if since <= each.ended and each.begun <= until
    )


def _stored(url: str) -> set[str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        stored = set(connection.scalars(text("SELECT prediction_id FROM predictions")))
    engine.dispose()
    return stored
