from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.databases import NOW, answered, new_database, opened

from mlengine.stores.audit.store import AuditStore
from mlengine.stores.monitoring.update_lease import Position, UpdateLease
from mlengine.stores.system.dependency_states import DependencyStates

LATER = NOW + timedelta(minutes=2)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield engine


def append(engine: Engine, number: int) -> None:
    AuditStore(engine, DependencyStates()).append([answered(number)])


def test_one_holder_at_a_time_until_it_releases_or_its_lease_ends(engine: Engine) -> None:
    lease = UpdateLease(engine)
    assert lease.acquire("first", now=NOW, lease_seconds=60) == Position(0, 0)
    assert lease.acquire("second", now=NOW, lease_seconds=60) is None
    assert lease.renew("first", now=NOW, lease_seconds=180)
    assert lease.acquire("second", now=LATER, lease_seconds=60) is None
    lease.release("first", taken_in=Position(0, 0), next_look=None)
    assert lease.acquire("second", now=LATER, lease_seconds=60) == Position(0, 0)
    assert lease.acquire("third", now=LATER + timedelta(hours=1), lease_seconds=60)
    assert not lease.renew("second", now=LATER, lease_seconds=60)
    lease.release("second", taken_in=Position(9, 9), next_look=None)
    assert not lease.is_due(now=LATER)


def test_it_is_due_while_rows_are_not_taken_in(engine: Engine) -> None:
    lease = UpdateLease(engine)
    assert not lease.is_due(now=NOW)
    append(engine, 1)
    assert lease.is_due(now=NOW)
    taken = lease.acquire("first", now=NOW, lease_seconds=60)
    assert taken == Position(1, 0)
    append(engine, 2)
    assert not lease.is_due(now=NOW)
    lease.release("first", taken_in=taken, next_look=None)
    assert lease.is_due(now=NOW)


def test_a_failure_takes_nothing_in_and_a_next_look_is_due_by_itself(engine: Engine) -> None:
    lease = UpdateLease(engine)
    append(engine, 1)
    lease.acquire("first", now=NOW, lease_seconds=60)
    lease.release("first", taken_in=None, next_look=None)
    assert lease.is_due(now=NOW)
    taken = lease.acquire("first", now=NOW, lease_seconds=60)
    lease.release("first", taken_in=taken, next_look=LATER)
    assert not lease.is_due(now=NOW)
    assert lease.is_due(now=LATER)


def test_it_says_since_when_something_waits(engine: Engine) -> None:
    lease = UpdateLease(engine)
    assert lease.waits_since(now=LATER) is None
    append(engine, 1)
    at = NOW + timedelta(seconds=1)
    assert lease.waits_since(now=LATER) == at
    taken = lease.acquire("first", now=NOW, lease_seconds=60)
    lease.release("first", taken_in=None, next_look=None)
    assert lease.waits_since(now=LATER) == at, "it failed"
    lease.acquire("first", now=LATER, lease_seconds=60)
    soon = LATER + timedelta(minutes=1)
    lease.release("first", taken_in=taken, next_look=soon)
    assert lease.waits_since(now=LATER) is None
    assert lease.waits_since(now=soon + timedelta(hours=1)) == soon
