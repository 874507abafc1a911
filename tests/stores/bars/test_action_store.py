from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from math import isnan
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select
from tests.databases import bar_store

from mlengine.core.actions.actions import StatedAction, actions_at
from mlengine.core.actions.kinds import DIVIDEND, SPLIT
from mlengine.errors import DatabaseUnavailable
from mlengine.stores.bars.action_store import ActionStore, ReportedActions
from mlengine.stores.database.engine import open_database, reading
from mlengine.stores.database.tables import corporate_actions

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
OF_THE_PAST = StatedAction("A", date(2025, 6, 10), SPLIT, 4.0)
ANNOUNCED = StatedAction("A", date(2025, 9, 1), DIVIDEND, 1.0, announced=date(2025, 8, 1))
COMING = StatedAction("A", date(2026, 4, 1), DIVIDEND, 2.0)


@pytest.fixture
def store(tmp_path):
    store = ActionStore(bar_store(tmp_path).engine)
    yield store
    store.engine.dispose()


def record(store: ActionStore, *actions: StatedAction, at: datetime = NOW, zone=UTC):
    recorded = store.record({"A": ReportedActions(actions, zone)}, seen_at=at)["A"]
    # Its words, for what was taken back has NaN, which equals nothing.
    assert repr(store.read(["A"])["A"]) == repr(recorded)
    assert recorded.asked_at == at
    return recorded.revisions


def known(revisions):
    return {each.ex_date: each.known_at for each in revisions}


def rows(store: ActionStore) -> int:
    with reading(store.engine) as connection:
        return connection.scalar(select(func.count()).select_from(corporate_actions))


def test_the_first_recording_is_history(store):
    revisions = record(store, OF_THE_PAST, ANNOUNCED, COMING, zone=ZoneInfo("America/New_York"))
    assert known(revisions) == {
        OF_THE_PAST.ex_date: datetime(2025, 6, 10, 4, tzinfo=UTC),
        ANNOUNCED.ex_date: datetime(2025, 8, 1, 4, tzinfo=UTC),
        COMING.ex_date: NOW,
    }


def test_what_comes_later_is_known_once_it_is_seen(store):
    record(store, OF_THE_PAST)
    revisions = record(store, OF_THE_PAST, ANNOUNCED, at=NOW + 9 * HOUR)
    assert known(revisions)[ANNOUNCED.ex_date] == NOW + 9 * HOUR
    assert known(revisions)[OF_THE_PAST.ex_date] < NOW


def test_while_nobody_looked_it_is_known_when_it_was_announced(store):
    record(store)
    ex_date, announced = (NOW + 20 * DAY).date(), (NOW + 10 * DAY).date()
    later = StatedAction("A", ex_date, SPLIT, 4.0, announced=announced)
    before = StatedAction("A", NOW.date(), DIVIDEND, 4.0)
    revisions = record(store, later, before, at=NOW + 30 * DAY)
    assert known(revisions)[ex_date] == datetime(2026, 3, 12, tzinfo=UTC)
    assert known(revisions)[NOW.date()] == datetime(2026, 3, 3, 1, tzinfo=UTC)


def test_a_source_that_failed_counts_as_asked(store):
    record(store, OF_THE_PAST)
    store.mark_asked(["A"], NOW + DAY)
    revisions = record(store, OF_THE_PAST, ANNOUNCED, at=NOW + DAY + HOUR)
    assert known(revisions)[ANNOUNCED.ex_date] == NOW + DAY + HOUR


def test_nothing_new_is_written_twice(store):
    for hours in range(3):
        record(store, OF_THE_PAST, ANNOUNCED, at=NOW + hours * HOUR)
    assert rows(store) == 2


def test_a_changed_value_is_a_further_row(store):
    record(store, OF_THE_PAST)
    changed = StatedAction("A", OF_THE_PAST.ex_date, SPLIT, 5.0)
    revisions = record(store, changed, at=NOW + HOUR)
    assert [each.value for each in actions_at(revisions, NOW)] == [4.0]
    assert [each.value for each in actions_at(revisions, NOW + HOUR)] == [5.0]
    assert rows(store) == 2


def test_what_its_source_takes_back_counts_until_then_and_may_come_again(store):
    record(store, OF_THE_PAST)
    record(store, at=NOW + HOUR)
    gone = record(store, at=NOW + 2 * HOUR)
    assert len(gone) == 2
    assert isnan(gone[1].value)
    again = record(store, OF_THE_PAST, at=NOW + 3 * HOUR)
    counts = [len(actions_at(again, NOW + hours * HOUR)) for hours in range(4)]
    assert counts == [1, 0, 0, 1]


def test_symbols_are_apart_and_one_never_asked_for_is_left_out(store):
    other = StatedAction("B", date(2025, 6, 10), SPLIT, 2.0)
    store.record(
        {"A": ReportedActions([OF_THE_PAST], UTC), "B": ReportedActions([other], UTC)}, seen_at=NOW
    )
    recorded = store.read(["A", "B", "C"])
    assert {symbol: [a.value for a in each.revisions] for symbol, each in recorded.items()} == {
        "A": [4.0],
        "B": [2.0],
    }
    assert store.read([]) == {}


def test_a_database_that_is_gone_is_said(tmp_path):
    store = ActionStore(open_database(f"sqlite:///{tmp_path}/none/audit.db"))
    with pytest.raises(DatabaseUnavailable):
        store.read(["A"])
    with pytest.raises(DatabaseUnavailable):
        store.record({"A": ReportedActions([OF_THE_PAST], UTC)}, seen_at=NOW)
