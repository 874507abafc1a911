"""Predictions by day on PostgreSQL: made, filled, pruned and put in place of a plain table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select, text
from tests.databases import NOW, a_prediction, answered, failed, opened
from tests.patience import eventually

from mlengine.errors import DatabaseUnavailable
from mlengine.services.audit.retention import RetentionService
from mlengine.stores.audit import days
from mlengine.stores.audit.entries import AuditedFailure, AuditedPrediction, entry_tuple
from mlengine.stores.audit.retention import AuditRetention
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.events import EventStore
from mlengine.stores.database.migrate import migrate
from mlengine.stores.database.server.partitioning import partitioning_steps
from mlengine.stores.database.server.partitions import (
    PRUNED,
    create_days,
    detached,
    is_partitioned,
    partitions,
)
from mlengine.stores.database.table_sizes import table_sizes
from mlengine.stores.database.tables import bar_windows, feature_vectors, metadata, predictions

DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    migrate(postgres_url)
    with opened(postgres_url) as engine:
        yield engine


@pytest.fixture
def today(engine: Engine) -> datetime:
    """The day on which the engine's database was made, which midnight may be after."""
    with reading(engine) as connection:
        first = partitions(connection)[0].since
    assert first is not None
    assert first <= datetime.now(UTC) < first + DAY + timedelta(hours=1)
    return first


def on_day(number: int, moment: datetime) -> AuditedPrediction:
    return replace(answered(number, day=number), at=moment)


def counts(engine: Engine) -> tuple[int, ...]:
    with reading(engine) as connection:
        return tuple(
            connection.scalar(select(func.count()).select_from(table)) or 0
            for table in (predictions, feature_vectors, bar_windows)
        )


def stored_in(engine: Engine) -> dict[str, str]:
    """The partition of each prediction."""
    with reading(engine) as connection:
        query = text("SELECT prediction_id, tableoid::regclass::text FROM predictions")
        return {row[0]: row[1] for row in connection.execute(query)}


def days_from(engine: Engine, first: datetime) -> None:
    with writing(engine) as connection:
        create_days(connection, now=first)


def test_a_new_database_has_a_partition_a_day_and_the_week_to_come(
    engine: Engine, today: datetime
) -> None:
    with reading(engine) as connection:
        there = partitions(connection)
    assert [each.since for each in there] == [today + n * DAY for n in range(8)]
    assert there[0].name == f"predictions_{today:%Y%m%d}"
    store = AuditStore(engine)
    store.append([on_day(1, today), on_day(2, today + 2 * DAY), on_day(3, NOW)])
    store.append(
        [replace(on_day(1, today), prediction=replace(a_prediction(4), prediction_id="p4"))]
    )
    assert stored_in(engine) == {
        "p1": there[0].name,
        "p2": there[2].name,
        "p3": "predictions_default",
        "p4": there[0].name,
    }
    assert [row.prediction_id for row in store.recent(limit=9).rows] == ["p4", "p3", "p2", "p1"]
    assert eventually(store.writable)
    sizes = {each.name: each for each in table_sizes(str(engine.url))}
    assert "predictions_default" not in sizes
    assert sizes["predictions"].bytes


def test_the_days_go_on(engine: Engine, today: datetime) -> None:
    retention = RetentionService(AuditRetention(engine), 0)
    AuditStore(engine).append([on_day(1, today + 9 * DAY)])
    retention.prune_expired(now=today + 5 * DAY)
    with reading(engine) as connection:
        assert len(partitions(connection)) == 8
    retention.prune_expired(now=today + 7 * DAY)
    with reading(engine) as connection:
        there = [each.since for each in partitions(connection)]
    assert there == [today + n * DAY for n in range(15) if n != 9], "a row was there already"


def test_whole_days_go_with_the_vectors_and_windows_of_their_own(engine: Engine) -> None:
    first = TODAY - 5 * DAY
    days_from(engine, first)
    store = AuditStore(engine)
    shared = replace(answered(2, day=1).prediction, prediction_id="later")
    store.append(
        [
            *(on_day(number, first + number % 2 * DAY) for number in range(6)),
            replace(failed(7), at=first),
            replace(answered(2, day=1), at=first + 3 * DAY, prediction=shared),
            on_day(8, NOW),
        ]
    )
    retention = AuditRetention(engine, batch_rows=2)
    before = first + 2 * DAY + DAY / 2
    assert retention.count(before=before) == 8
    assert retention.remove(before=before, actor="ann", at=TODAY) == 8
    assert counts(engine) == (1, 1, 1)
    with reading(engine) as connection:
        assert detached(connection, PRUNED) == []
        assert partitions(connection)[0].since == first + 2 * DAY
    (event,) = EventStore(engine).page("audit_pruned", 9, None).rows
    assert event.details["predictions"] == 8


def test_a_pruning_that_was_broken_off_is_ended_by_the_next_one(engine: Engine) -> None:
    first = TODAY - 3 * DAY
    days_from(engine, first)
    AuditStore(engine).append([on_day(number, first) for number in range(5)])
    assert len(days.detach_days(engine, before=first + DAY)) == 1
    assert counts(engine) == (0, 5, 5)
    retention = AuditRetention(engine)
    assert retention.remove(before=first + DAY, actor="ann", at=TODAY) == 5
    assert counts(engine) == (0, 0, 0)


def test_a_long_reading_keeps_a_day_and_no_answer_waiting(engine: Engine) -> None:
    first = TODAY - 3 * DAY
    days_from(engine, first)
    AuditStore(engine).append([on_day(1, first)])
    with reading(engine) as connection:
        connection.execute(select(predictions)).all()
        with pytest.raises(DatabaseUnavailable):
            days.detach_days(engine, before=first + DAY)
    assert counts(engine)[0] == 1


def _without_partitions(url: str) -> None:
    """As a version made it that knew none."""
    with opened(url) as engine, writing(engine) as connection:
        connection.exec_driver_sql("DROP TABLE predictions")
        metadata.create_all(connection, [predictions])


def test_a_table_of_before_gets_partitions_in_steps_and_keeps_its_rows(
    engine: Engine, postgres_url: str
) -> None:
    _without_partitions(postgres_url)
    store = AuditStore(engine)
    store.append([on_day(1, NOW), on_day(2, TODAY), replace(failed(3), at=TODAY)])
    migrate(postgres_url)
    steps = list(partitioning_steps(engine, now=TODAY + DAY / 3))
    assert len(steps) == 3
    for number, (_, run) in enumerate(steps):
        if number < 2:
            for _ in range(2):  # one that was broken off is done again
                run()
        store.append([on_day(10 + number, TODAY)])
    steps[-1][1]()
    with reading(engine) as connection:
        assert is_partitioned(connection)
        assert [(each.since, each.until) for each in partitions(connection)] == [
            (None, TODAY + 8 * DAY)
        ]
    assert list(partitioning_steps(engine, now=TODAY)) == []
    store.append([on_day(20, TODAY), on_day(21, TODAY + 9 * DAY)])
    assert [row.prediction_id for row in store.recent(limit=99).rows] == [
        *("p21", "p20", "p12", "p11", "p10", "p3", "p2", "p1")
    ]
    _double_stays_one(store, on_day(1, NOW))
    assert AuditRetention(engine).remove(before=TODAY + 10 * DAY, actor="ann", at=TODAY) == 8
    assert counts(engine) == (0, 0, 0)


def _double_stays_one(store: AuditStore, entry: AuditedPrediction | AuditedFailure) -> None:
    before = counts(store.engine)[0]
    store._insert_with_vectors([entry], [entry_tuple(entry)])
    assert counts(store.engine)[0] == before
