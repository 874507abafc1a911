from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert
from tests.databases import NOW, new_database, opened

from mlengine.errors import DamagedRow
from mlengine.stores.database.engine import writing
from mlengine.stores.database.tables import drift_progress
from mlengine.stores.monitoring.drift_store import DriftStore
from mlengine.stores.monitoring.tally_payload import decode_dates


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DriftStore]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield DriftStore(engine)


def test_an_alarm_that_is_no_object_is_a_damaged_row(store: DriftStore) -> None:
    row = {"version": "v1", "prediction_seq": 1, "updated_at": NOW, "alarm": "[]"}
    with writing(store.engine) as connection:
        connection.execute(insert(drift_progress).values(row))
    with pytest.raises(DamagedRow):
        store.progress("v1")


def test_no_dates_leave_no_rows(store: DriftStore) -> None:
    store.record("v1", decode_dates([], features=2))
    assert store.rows_by_date("v1") == []


@pytest.mark.parametrize("payload", [b"no zlib", zlib.compress(b"short"), None])
def test_counts_that_nobody_wrote_are_a_damaged_row(payload: bytes) -> None:
    with pytest.raises(DamagedRow):
        decode_dates([(1, 1, 1, payload)], features=1)
