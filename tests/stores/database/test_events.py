from __future__ import annotations

from datetime import timedelta

import pytest
from tests.databases import NOW, new_database, opened, url_of

from mlengine.core.monitoring.event import Event
from mlengine.errors import DatabaseUnavailable, InvalidRequest
from mlengine.stores.database.events import EventStore


@pytest.fixture
def store(tmp_path):
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield EventStore(engine)


def _append(store: EventStore, number: int, kind: str = "trained", generation: int | None = None):
    store.append(
        kind,
        at=NOW + timedelta(seconds=number),
        version=f"v{number}",
        actor="ops",
        details={"n": number},
        generation=generation,
    )


def test_an_event_comes_back_whole(store):
    details = {"reason": "better", "losses": [0.1 + 0.2, None], "deep": {"ü": True}}
    store.append("activated", at=NOW, version="v2", actor="ops", details=details, generation=7)
    (event,) = store.page(None, 10, None).rows
    assert event == Event(
        kind="activated", at=NOW, version="v2", actor="ops", details=details, generation=7
    )


def test_an_event_needs_neither_version_nor_actor(store):
    store.append("drift_checked", at=NOW, version=None, actor=None, details={})
    (event,) = store.page(None, 10, None).rows
    assert (event.version, event.actor, event.generation) == (None, None, None)


def test_pages_are_newest_first_and_end(store):
    for number in range(1, 6):
        _append(store, number)
    first = store.page(None, 2, None)
    second = store.page(None, 2, first.next_cursor)
    _append(store, 6)
    third = store.page(None, 2, second.next_cursor)
    assert [[event.version for event in page.rows] for page in (first, second, third)] == [
        ["v5", "v4"],
        ["v3", "v2"],
        ["v1"],
    ]
    assert third.next_cursor is None


def test_a_full_last_page_has_no_cursor(store):
    _append(store, 1)
    _append(store, 2)
    assert store.page(None, 2, None).next_cursor is None


def test_a_page_holds_one_kind_when_asked(store):
    for number, kind in enumerate(["trained", "activated", "trained"], start=1):
        _append(store, number, kind)
    assert [event.version for event in store.page("trained", 10, None).rows] == ["v3", "v1"]
    assert store.page("nothing", 10, None).rows == ()


def test_a_generation_has_one_event(store):
    _append(store, 1, "activated", generation=1)
    _append(store, 2, "activated", generation=1)
    _append(store, 3, "rolled_back", generation=2)
    _append(store, 4)
    assert [event.version for event in store.page(None, 10, None).rows] == ["v4", "v3", "v1"]
    assert store.recorded_generations() == {1, 2}


def test_the_newest_event_of_a_kind_and_version_is_found(store):
    assert store.newest("trained", version="v1") is None
    for number in (1, 2, 1):
        _append(store, number)
    _append(store, 1, "activated")
    newest = store.newest("trained", version="v1")
    assert (newest.kind, newest.version, newest.at) == (
        "trained",
        "v1",
        NOW + timedelta(seconds=1),
    )


def test_a_foreign_cursor_is_refused(store):
    with pytest.raises(InvalidRequest):
        store.page(None, 10, "nonsense")


def test_a_store_without_its_table_is_unavailable(tmp_path):
    with opened(url_of(tmp_path / "empty.db")) as engine, pytest.raises(DatabaseUnavailable):
        EventStore(engine).recorded_generations()


def test_the_tests_of_the_gate_are_counted_by_the_activation_of_their_champion(store):
    for details in (
        {"tested": True, "champion": "v1", "champion_generation": 3},
        {"tested": True, "champion": "v1", "champion_generation": 3, "p_value": None},
        {"tested": False, "champion": "v1", "champion_generation": 3},
        {"tested": True, "champion": "v1", "champion_generation": 2},
        {"reason": "written before there were tests"},
    ):
        store.append("trained", at=NOW, version="v2", actor="ops", details=details)
    store.append(
        "activated",
        at=NOW,
        version="v2",
        actor="ops",
        details={"tested": True, "champion_generation": 3},
        generation=4,
    )
    assert [store.count_gate_tests(generation) for generation in (1, 2, 3, 4)] == [0, 1, 2, 0]
