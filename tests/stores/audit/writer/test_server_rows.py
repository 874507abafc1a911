"""The short way into PostgreSQL: by COPY, and never later than the poll of a web worker allows."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete
from tests.databases import answered, failed, opened
from tests.patience import eventually, patience
from tests.postgres import PostgresServer

from mlengine.stores.audit.entries import AuditedPrediction
from mlengine.stores.audit.spool.spool import AuditSpool
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.audit.writer import server_rows, settling
from mlengine.stores.database.engine import guard_answers, open_database, writing
from mlengine.stores.database.migrate import migrate
from mlengine.stores.database.server.limits import limits_of
from mlengine.stores.database.tables import feature_vectors, predictions


@pytest.fixture(autouse=True)
def _by_the_speed_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_rows, "_WAIT_SECONDS", patience(0.045))


@pytest.fixture
def store(postgres_url: str) -> AuditStore:
    migrate(postgres_url)
    engine = open_database(postgres_url, timeout_seconds=0.3)
    guard_answers(engine, lock_seconds=0.1)
    return AuditStore(engine)


def _again(number: int, name: str, **changes: object) -> AuditedPrediction:
    """As `answered`, another time."""
    entry = answered(number)
    made = replace(entry.prediction, prediction_id=name, **changes)  # type: ignore[arg-type]
    return replace(entry, prediction=made)


def _recent(store: AuditStore) -> list[str]:
    return [row.prediction_id for row in store.recent(limit=99).rows]


def test_rows_are_copied_as_they_are_once_their_vectors_are_stored(store: AuditStore) -> None:
    awkward = "a\\b\tc\nd\re\v\f\bf ' \" é \\N"
    assert not store.append_rows_directly([answered(1)])
    assert not store.supports_direct_append
    store.append([answered(1)])
    assert store.supports_direct_append
    odd = {"probability_up": 5e-324, "base_rate": -0.1 - 0.2, "trained_through": None}
    assert store.append_rows_directly(
        [_again(1, "q1", reasons=(awkward,), model_version=awkward, **odd), failed(2)]
    )
    direct = [store.get("q1"), store.get("p2")]
    store.append([_again(5, "q2", reasons=(awkward,), model_version=awkward, **odd)])
    long_way = store.get("q2")
    assert direct[0]
    assert long_way
    assert direct[0].model_version == awkward
    assert direct[0].base_rate == -0.1 - 0.2
    same = {
        "prediction_id": "q2",
        "request_id": "r5",
        "at": long_way.at,
        "bar_timestamp": long_way.bar_timestamp,
    }
    assert replace(direct[0], bars_hash=long_way.bars_hash, **same) == long_way


def test_a_group_is_one_commit_and_a_bad_row_leaves_the_others_alone(store: AuditStore) -> None:
    store.append([answered(1)])
    threads = [
        threading.Thread(target=store.append, args=[[_again(1, name)]])
        for name in ("q1", "q2", "p1", "q3")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(_recent(store)) == ["p1", "q1", "q2", "q3"]


def test_a_vector_that_was_deleted_meanwhile_is_stored_again(
    store: AuditStore, postgres_url: str
) -> None:
    store.append([answered(1)])
    with opened(postgres_url) as other, writing(other) as connection:
        connection.execute(delete(predictions))
        connection.execute(delete(feature_vectors))
    assert not store.append_rows_directly([_again(1, "q1")])
    store.append([_again(1, "q1")])
    assert _recent(store) == ["q1"]
    assert store.append_rows_directly([_again(1, "q2")])


def test_a_commit_that_takes_long_is_given_up_and_made_once(
    store: AuditStore, postgres: PostgresServer
) -> None:
    store.append([answered(1)])
    postgres.freeze()
    try:
        begun = time.monotonic()
        assert not store.append_rows_directly([_again(1, "q1")])
        assert time.monotonic() - begun < patience(0.2)
        assert not store.supports_direct_append
    finally:
        postgres.thaw()
    store.append([_again(1, "q1")])
    assert _recent(store) == ["q1", "p1"]
    assert eventually(lambda: _prepared(store))


def _prepared(store: AuditStore) -> bool:
    store.append([_again(1, f"r{time.monotonic_ns()}")])
    return store.supports_direct_append


def test_a_connection_that_the_server_ends_is_opened_again(
    store: AuditStore, postgres: PostgresServer
) -> None:
    store.append([answered(1)])
    postgres.stop("fast")
    postgres.start()
    assert not store.append_rows_directly([_again(1, "q1")])
    store.append([_again(1, "q1")])
    assert store.append_rows_directly([_again(1, "q2")])
    assert _recent(store) == ["q2", "q1", "p1"]


def test_rows_that_wait_too_long_for_their_turn_go_the_long_way(store: AuditStore) -> None:
    store.append([answered(1)])
    assert store._group_writer
    with store._group_writer._lock:
        assert not store.append_rows_directly([_again(1, "q1")])
    assert store._group_writer._pending == type(store._group_writer._pending)()
    assert store.append_rows_directly([_again(1, "q1")])


@pytest.fixture
def spooled(store: AuditStore, tmp_path: Path) -> SpooledAuditStore:
    return SpooledAuditStore(store.engine, spool=AuditSpool(tmp_path / "spool"))


def test_rows_that_a_server_had_not_on_disk_are_written_again(
    spooled: SpooledAuditStore, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_SECONDS", 0.5)
    spooled.append([answered(1)])
    assert spooled.append_rows_directly([_again(1, f"q{n}") for n in range(20)])
    postgres.stop()  # at once, as by a power cut of its machine
    try:
        assert eventually(lambda: not spooled.spool.is_empty)
    finally:
        postgres.start()
    spooled.drain()
    assert sorted(_recent(spooled)) == sorted(["p1", *(f"q{n}" for n in range(20))])
    assert spooled.spool.is_empty


def test_rows_that_are_on_disk_are_kept_no_longer(spooled: SpooledAuditStore) -> None:
    spooled.append([answered(1)])
    assert spooled.append_rows_directly([_again(1, "q1")])
    assert spooled._group_writer
    unsettled = spooled._group_writer._committer._unsettled  # type: ignore[attr-defined]
    assert eventually(lambda: not unsettled._entries)
    spooled._group_writer.close()
    assert spooled.spool.is_empty


def test_a_server_that_hangs_before_it_has_them_on_disk_gets_them_again(
    spooled: SpooledAuditStore, postgres: PostgresServer
) -> None:
    spooled.append([answered(1)])
    assert spooled.append_rows_directly([_again(1, "q1")])
    postgres.freeze()
    try:
        assert not spooled.append_rows_directly([_again(1, "q2")])
        assert eventually(lambda: not spooled.spool.is_empty)
    finally:
        postgres.thaw()
    assert eventually(lambda: not limits_of(spooled.engine).is_hanging)  # type: ignore[union-attr]
    spooled.drain()
    assert {"p1", "q1"} <= set(_recent(spooled))
