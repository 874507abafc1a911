from __future__ import annotations

import json

import pytest
from sqlalchemy import select
from tests.databases import NOW, new_database, opened

from mlengine.core.monitoring.event import Event
from mlengine.core.monitoring.messages import is_asked_for, is_type_or_family
from mlengine.errors import NoActiveModel
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.events import EventStore, insert_event
from mlengine.stores.database.outbox import Outbox
from mlengine.stores.database.tables import deliveries
from mlengine.stores.hooks.hook_store import Hook, HookStore


@pytest.fixture
def engine(tmp_path):
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield engine


def _append(engine, kind: str, generation: int | None = None) -> None:
    EventStore(engine).append(
        kind, at=NOW, version="v2", actor="ops", details={"a": [1, None]}, generation=generation
    )


def _hook(hook_id: str, *types: str) -> Hook:
    return Hook(id=hook_id, url="https://a.example/", types=types, created_at=NOW, secret="s")


def test_an_event_that_others_are_told_of_puts_its_message_into_the_outbox(engine):
    _append(engine, "activated")
    (message,) = Outbox(engine).after(0, limit=10)
    assert (message.seq, message.type, message.at) == (1, "model.activated", NOW)
    assert json.loads(message.body) == {
        "type": "model.activated",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "data": {
            "kind": "activated",
            "model": "main",
            "version": "v2",
            "actor": "ops",
            "details": {"a": [1, None]},
        },
    }


def test_one_that_is_nobody_elses_business_does_not(engine):
    _append(engine, "admin_action")
    assert Outbox(engine).newest_seq() == 0


def test_an_activation_that_is_recorded_twice_is_told_once(engine):
    _append(engine, "activated", generation=3)
    _append(engine, "activated", generation=3)
    assert Outbox(engine).newest_seq() == 1


def test_no_message_stays_of_a_transaction_that_failed(engine):
    event = Event(kind="trained", at=NOW, version="v1", actor=None, details={})

    def fail() -> None:
        with writing(engine) as connection:
            insert_event(connection, event)
            raise NoActiveModel

    with pytest.raises(NoActiveModel):
        fail()
    assert Outbox(engine).after(0, limit=10) == []


def test_messages_are_read_in_pages(engine):
    for _ in range(5):
        _append(engine, "trained")
    outbox = Outbox(engine)
    assert [message.seq for message in outbox.after(2, limit=2)] == [3, 4]
    assert outbox.newest_seq() == 5


def test_each_hook_gets_what_it_asked_for(engine):
    store = HookStore(engine)
    for hook in (_hook("all"), _hook("models", "model.*"), _hook("one", "train.failed")):
        store.add(hook, actor="ops")
    for kind in ("trained", "train_failed", "bars_revised"):
        _append(engine, kind)
    with reading(engine) as connection:
        row = deliveries.c
        rows = connection.execute(select(row.hook_id, row.message_seq).order_by(row.id)).all()
    assert sorted(map(tuple, rows)) == [
        *(("all", 1), ("all", 2), ("all", 3)),
        *(("models", 1), ("one", 2)),
    ]


def test_a_type_is_asked_for_by_its_name_or_its_first_word():
    assert is_asked_for("model.trained", [])
    assert is_asked_for("model.trained", ["model.*"])
    assert is_asked_for("model.trained", ["train.failed", "model.trained"])
    assert not is_asked_for("model.trained", ["model.activated", "train.*"])
    assert is_type_or_family("bars.*")
    assert not is_type_or_family("bars")
