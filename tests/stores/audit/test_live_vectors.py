"""What was scored for the present: each bar once, by date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update
from tests.databases import FEATURE_SET, NOW, answered, failed, new_database, opened, window_of

from mlengine.core.timestamps import EPOCH
from mlengine.errors import DamagedRow
from mlengine.stores.audit.live_vectors import LiveRows, LiveVectorReader, ScoredVersion
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.database.engine import writing
from mlengine.stores.database.tables import feature_vectors

SCORED = ScoredVersion("v1", FEATURE_SET.hash, "1d", 3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AuditStore]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield AuditStore(engine)


def date_of(day: int) -> int:
    return (window_of("AAA", day=day)["timestamp"][-1] - EPOCH).days


def rows(store: AuditStore, day: int, **changes: object) -> LiveRows:
    scored = replace(SCORED, **changes)  # type: ignore[arg-type]
    return LiveVectorReader(store.engine).rows(scored, date=date_of(day))


def test_a_bar_is_there_once_by_its_last_answer(store: AuditStore) -> None:
    store.append([answered(1, probability_up=0.25), answered(2, symbol="BBB")])
    store.append([answered(3, probability_up=0.75), answered(4, day=2), failed(5)])
    found = rows(store, 0)
    assert (found.symbols, found.scores.tolist()) == (["AAA", "BBB"], [0.75, 0.1 + 0.2])
    assert found.vectors.shape == (2, 3)
    assert np.isnan(found.vectors[:, 1]).all()
    assert found.vectors[0, 2] == np.nextafter(0.1, 1.0)
    assert rows(store, 1).symbols == []


def test_a_bar_whose_history_was_revised_counts_once(store: AuditStore) -> None:
    store.append([answered(1), answered(2, bars_hash="9" * 64, probability_up=0.9)])
    assert rows(store, 0).scores.tolist() == [0.9]


def test_rows_are_those_of_one_version_feature_set_and_interval(store: AuditStore) -> None:
    other = replace(FEATURE_SET, hash="a" * 64)
    store.append([answered(1), answered(2, symbol="BBB", model_version="v2")])
    store.append([answered(3, symbol="CCC", feature_set=other)])
    assert rows(store, 0).symbols == ["AAA"]
    assert rows(store, 0, version="v2").symbols == ["BBB"]
    assert rows(store, 0, feature_set_hash="a" * 64).symbols == ["CCC"]
    assert rows(store, 0, interval="1h").symbols == []


@pytest.mark.parametrize(("hours", "live"), [(0, True), (23, True), (24, False), (9000, False)])
def test_what_was_asked_of_the_past_is_not_live(store: AuditStore, hours: int, live: bool) -> None:
    store.append([answered(1, as_of=NOW + timedelta(seconds=1) - timedelta(hours=hours))])
    assert bool(rows(store, 0).symbols) == live
    dates = LiveVectorReader(store.engine).dates_since(SCORED, seq=0, updated_at=None)
    assert bool(dates) == live


@pytest.mark.parametrize("name", ["expected_return", "expected_score"])
def test_the_score_is_that_of_the_objective(store: AuditStore, name: str) -> None:
    store.append([answered(1, objective="return", probability_up=None, **{name: 0.01})])
    assert rows(store, 0).scores.tolist() == [0.01]


def test_dates_are_those_of_new_rows_and_of_late_ones(store: AuditStore) -> None:
    reader = LiveVectorReader(store.engine)
    assert reader.newest_seq("v1") is None
    store.append([answered(n, day=n) for n in range(3)])
    assert reader.newest_seq("v1") == 3
    days = [date_of(n) for n in range(3)]
    assert reader.dates_since(SCORED, seq=0, updated_at=None) == days
    assert reader.dates_since(SCORED, seq=2, updated_at=None) == days[2:]
    assert reader.dates_since(SCORED, seq=3, updated_at=NOW) == days
    assert reader.dates_since(SCORED, seq=3, updated_at=NOW + timedelta(minutes=9)) == []


def test_a_vector_of_another_length_is_damage(store: AuditStore) -> None:
    store.append([answered(1)])
    with writing(store.engine) as connection:
        connection.execute(update(feature_vectors).values(payload=b"short"))
    with pytest.raises(DamagedRow):
        rows(store, 0)
