from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Table, func, select
from tests.databases import NOW, answered, failed, new_database, opened

from mlengine.errors import DatabaseUnavailable
from mlengine.services.audit.retention import RetentionService
from mlengine.stores.audit.retention import AuditRetention
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.database.engine import reading
from mlengine.stores.database.events import EventStore
from mlengine.stores.database.tables import bar_windows, feature_vectors, predictions

DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AuditStore]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield AuditStore(engine)


def rows(store: AuditStore, table: Table) -> int:
    with reading(store.engine) as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def counts(store: AuditStore) -> tuple[int, ...]:
    return tuple(rows(store, table) for table in (predictions, feature_vectors, bar_windows))


def test_what_is_older_goes_with_the_vectors_and_windows_of_its_own(store: AuditStore) -> None:
    store.append([answered(1, day=1), answered(2, day=2), failed(3), answered(4, day=2)])
    store.append([answered(5, day=5, feature_set=answered(1).prediction.feature_set)])
    retention = AuditRetention(store.engine)
    before = NOW + timedelta(seconds=4)
    assert (retention.count(before=before), retention.any(before=before)) == (3, True)
    assert retention.remove(before=before, actor="ann", at=NOW) == 3
    assert [row.prediction_id for row in store.recent(limit=9).rows] == ["p5", "p4"]
    assert counts(store) == (2, 2, 2), "the vector of day 2 is still referred to"
    assert (retention.count(before=before), retention.any(before=before)) == (0, False)
    store.append([answered(6, day=1)])
    assert counts(store) == (3, 3, 3), "what went can come again"


def test_a_window_that_another_vector_needs_stays(store: AuditStore) -> None:
    store.append([answered(1), answered(2, first=7.0)])
    assert counts(store) == (2, 2, 1)
    before = NOW + timedelta(seconds=2)
    AuditRetention(store.engine).remove(before=before, actor="ann", at=NOW)
    assert counts(store) == (1, 1, 1)


def test_many_rows_go_in_batches_and_stand_in_one_event(store: AuditStore) -> None:
    store.append([answered(number, day=number % 7) for number in range(50)])
    retention = AuditRetention(store.engine, batch_rows=8)
    before = NOW + timedelta(seconds=45)
    assert retention.remove(before=before, actor="ann", at=NOW) == 45
    (event,) = EventStore(store.engine).page("audit_pruned", 9, None).rows
    assert (event.actor, event.at) == ("ann", NOW)
    assert event.details == {"predictions": 45, "before": "2026-01-02T03:04:50.678901Z"}
    assert retention.remove(before=before, actor="ann", at=NOW) == 0
    assert len(EventStore(store.engine).page("audit_pruned", 9, None).rows) == 1


def test_predictions_go_on_while_old_ones_go(store: AuditStore) -> None:
    store.append([answered(number, day=number % 5) for number in range(300)])
    retention = AuditRetention(store.engine, batch_rows=10)

    def predict(number: int) -> None:
        store.append([answered(1000 + number, day=number % 5)])

    before = NOW + timedelta(seconds=300)
    with ThreadPoolExecutor(3) as pool:
        removing = pool.submit(retention.remove, before=before, actor="ann", at=NOW)
        list(pool.map(predict, range(60)))
        assert removing.result() == 300
    assert counts(store) == (60, 5, 5)


def test_a_day_ends_for_the_setting_at_midnight(store: AuditStore) -> None:
    keep = RetentionService(AuditRetention(store.engine), 2)
    store.append([answered(0), answered(1)])
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    assert keep.prune_expired(now=midnight + 3 * DAY - timedelta(seconds=1)) == 0
    assert keep.prune_expired(now=midnight + 3 * DAY) == 2
    assert keep.prune_expired(now=midnight + 9 * DAY) == 0
    (event,) = EventStore(store.engine).page("audit_pruned", 9, None).rows
    assert (event.actor, event.details["predictions"]) == ("retention", 2)


def test_without_a_setting_all_is_kept(store: AuditStore) -> None:
    keep = RetentionService(AuditRetention(store.engine), 0)
    store.append([answered(0)])
    assert keep.prune_expired(now=NOW + 9999 * DAY) == 0
    request = {"actor": "ann", "now": NOW + 10 * DAY}
    assert keep.prune(older_than_days=9, dry_run=True, **request) == 1
    assert counts(store)[0] == 1
    assert keep.prune(older_than_days=9, dry_run=False, **request) == 1
    assert counts(store)[0] == 0


def test_a_store_that_can_not_be_used_is_said(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/nowhere/a.db") as engine, pytest.raises(DatabaseUnavailable):
        AuditRetention(engine).remove(before=NOW, actor="ann", at=NOW)
