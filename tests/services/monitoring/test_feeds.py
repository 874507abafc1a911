from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.databases import NOW, answered, failed, new_database, opened

from mlengine.core.monitoring.event import Event
from mlengine.services.monitoring.feeds import FeedStep
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.database.events import EventStore
from mlengine.stores.database.outbox import Outbox
from mlengine.stores.monitoring.feed_store import MOST_NAMED, FeedStore
from mlengine.stores.system.dependency_states import DependencyStates


class Feeds:
    def __init__(self, engine: object) -> None:
        self.audit = AuditStore(engine, DependencyStates())
        self.events = EventStore(engine)
        self.outbox = Outbox(engine)
        self.step = FeedStep(FeedStore(engine), "1d")
        self.number = 0

    def predict(self, symbol: str, *, stale: bool, **changes: object) -> None:
        self.number += 1
        self.audit.append([answered(self.number, symbol=symbol, stale=stale, **changes)])

    def update(self) -> list[Event]:
        """What is told by an update, oldest first."""
        before = self.outbox.newest_seq()
        assert self.step.run(NOW) is None
        told = len(self.outbox.after(before, limit=100))
        return [*reversed(self.events.page(None, 100, None).rows[:told])]


@pytest.fixture
def feeds(tmp_path: Path) -> Iterator[Feeds]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield Feeds(engine)


def test_a_feed_that_goes_stale_and_comes_back_is_told_once_each(feeds: Feeds) -> None:
    feeds.predict("AAA", stale=False)
    feeds.predict("BBB", stale=False)
    assert feeds.update() == []
    for _ in range(2):
        feeds.predict("AAA", stale=True)
    (event,) = feeds.update()
    assert (event.kind, event.details["count"], [*event.details["last_bars"]]) == (
        *("feed_stale", 1, ["AAA"]),
    )
    feeds.predict("AAA", stale=True)
    assert feeds.update() == []
    feeds.predict("AAA", stale=True)
    feeds.predict("AAA", stale=False)
    assert [event.kind for event in feeds.update()] == ["feed_fresh"]
    assert feeds.update() == []


def test_what_was_asked_about_the_past_says_nothing(feeds: Feeds) -> None:
    feeds.predict("AAA", stale=True, as_of=NOW - timedelta(days=3))
    feeds.audit.append([failed(50)])
    assert feeds.update() == []


def test_many_symbols_are_one_event_that_names_some(feeds: Feeds) -> None:
    entries = [
        answered(number, symbol=f"S{number:03d}", stale=True) for number in range(MOST_NAMED + 5)
    ]
    feeds.audit.append(entries)
    (event,) = feeds.update()
    assert event.details["count"] == MOST_NAMED + 5
    assert len(event.details["last_bars"]) == MOST_NAMED


def test_an_update_that_is_killed_and_done_again_tells_once(feeds: Feeds) -> None:
    feeds.predict("AAA", stale=True)
    states, position = feeds.step.store.new_states("1d")
    for _ in range(2):
        feeds.step.store.take_in(states, "1d", position=position, now=NOW)
    assert feeds.outbox.newest_seq() == 1
