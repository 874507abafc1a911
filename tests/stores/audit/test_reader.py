from __future__ import annotations

from datetime import timedelta

import pytest
from tests.databases import (
    NOW,
    answered,
    failed,
    new_database,
    opened,
)

from mlengine.errors import InvalidRequest
from mlengine.stores.audit.filter import AuditFilter
from mlengine.stores.audit.store import AuditStore


@pytest.fixture
def store(tmp_path):
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield AuditStore(engine)


def _ids(page) -> list[str]:
    return [row.prediction_id for row in page.rows]


def _recent(store: AuditStore, *, cursor: str | None = None, **conditions) -> list[str]:
    return _ids(store.recent(AuditFilter(**conditions), limit=200, cursor=cursor))


def test_pages_go_on_where_they_ended_whatever_was_added(store):
    store.append([answered(n) for n in range(1, 6)])
    first = store.recent(limit=2)
    store.append([answered(6)])
    second = store.recent(limit=3, cursor=first.next_cursor)
    assert (_ids(first), _ids(second)) == (["p5", "p4"], ["p3", "p2", "p1"])
    assert second.next_cursor is None


def test_rows_of_one_symbol_or_version_are_found(store):
    store.append([answered(1), answered(2, symbol="BBB"), answered(3, model_version="v2")])
    store.append([failed(4, symbol="BBB")])
    assert _recent(store, symbol="BBB") == ["p4", "p2"]
    assert _recent(store, version="v2") == ["p3"]
    assert _recent(store, symbol="BBB", version="v1") == ["p4", "p2"]
    assert _recent(store, symbol="CCC") == []


def test_a_foreign_cursor_is_refused(store):
    with pytest.raises(InvalidRequest):
        _recent(store, cursor="nonsense")


def test_a_cursor_from_before_a_clearing_shows_no_newer_row(store):
    store.append([answered(n) for n in range(1, 4)])
    cursor = store.recent(limit=1).next_cursor
    store.clear(actor="ann", at=NOW)
    store.append([answered(4)])
    assert _recent(store, cursor=cursor) == []
    assert _recent(store) == ["p4"]


def test_the_last_prediction_is_the_last_that_was_answered(store):
    assert store.last_prediction_at(now=NOW) is None
    store.append([answered(1), answered(2), failed(3)])
    assert store.last_prediction_at(now=NOW) == NOW + timedelta(seconds=2)
