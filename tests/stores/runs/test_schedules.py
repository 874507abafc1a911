from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.databases import NOW, new_database, opened
from tests.processes import race_for_schedule_tick

from mlengine.core.runs.schedule import Schedule, ScheduleTick
from mlengine.core.timestamps import rfc3339
from mlengine.stores.database.events import EventStore
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.schedules import ScheduleStore
from mlengine.stores.runs.store import RunStore

DAILY = "0 2 * * *"
TICK = NOW + timedelta(hours=23)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ScheduleStore]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield ScheduleStore(engine)


def claim(run_id: str) -> NewRun:
    return NewRun(run_id=run_id, spec="{}", actor="schedule", request_id=None)


def test_a_schedule_begins_once_and_anew_when_it_is_changed(store: ScheduleStore) -> None:
    assert store.read() is None
    store.begin(DAILY, now=NOW)
    store.begin("0 3 * * *", now=TICK)
    store.set_expression(DAILY, actor="ann", now=TICK)
    assert store.read() == Schedule(DAILY, NOW)
    store.set_expression("0 3 * * *", actor="ann", now=TICK)
    assert store.read() == Schedule("0 3 * * *", TICK)
    store.set_expression(None, actor="bob", now=TICK)
    assert store.read() == Schedule(None, TICK)
    told = [
        (each.kind, each.actor, each.details)
        for each in EventStore(store.engine).page(None, 9, None).rows
    ]
    assert told == [
        ("schedule_set", "bob", {"expression": None, "before": "0 3 * * *"}),
        ("schedule_set", "ann", {"expression": "0 3 * * *", "before": DAILY}),
    ]


def test_a_tick_is_taken_once_and_its_run_with_it(store: ScheduleStore) -> None:
    store.begin(DAILY, now=NOW)
    schedule = Schedule(DAILY, NOW)
    assert store.claim_tick(schedule, TICK, claim("one"), now=TICK) == ScheduleTick(
        "claimed", "one"
    )
    assert store.claim_tick(schedule, TICK, claim("two"), now=TICK) == ScheduleTick("taken", None)
    assert store.read() == Schedule(DAILY, TICK)
    runs = RunStore(store.engine)
    assert runs.unfinished_ids() == {"one"}
    assert runs.get("one", now=TICK).actor == "schedule"


def test_a_tick_during_a_run_is_skipped_and_the_history_says_so(store: ScheduleStore) -> None:
    runs = RunStore(store.engine)
    runs.create(NewRun(run_id="by-hand", spec="{}", actor="ann", request_id=None), now=NOW)
    store.begin(DAILY, now=NOW)
    taken = store.claim_tick(Schedule(DAILY, NOW), TICK, claim("one"), now=TICK)
    assert taken == ScheduleTick("skipped", "by-hand")
    assert store.read() == Schedule(DAILY, TICK)
    assert runs.unfinished_ids() == {"by-hand"}
    (event,) = EventStore(store.engine).page(None, 9, None).rows
    assert (event.kind, event.actor) == ("train_skipped", "schedule")
    assert event.details == {"run_id": "by-hand", "tick": rfc3339(TICK)}


def test_a_run_that_expired_does_not_stand_in_the_way(store: ScheduleStore) -> None:
    runs = RunStore(store.engine)
    runs.create(NewRun(run_id="dead", spec="{}", actor="ann", request_id=None), now=NOW)
    runs.start("dead", now=NOW, lease_seconds=30)
    store.begin(DAILY, now=NOW)
    assert store.claim_tick(Schedule(DAILY, NOW), TICK, claim("one"), now=TICK).outcome == "claimed"
    assert runs.get("dead", now=TICK).state == "lost"


def test_a_claim_that_fails_leaves_the_tick_to_be_tried_again(store: ScheduleStore) -> None:
    runs = RunStore(store.engine)
    runs.create(NewRun(run_id="one", spec="{}", actor="ann", request_id=None), now=NOW)
    runs.finish("one", state="succeeded", now=NOW)
    store.begin(DAILY, now=NOW)
    taken = store.claim_tick(Schedule(DAILY, NOW), TICK, claim("one"), now=TICK)  # the id is taken
    assert taken == ScheduleTick("contended", None)
    assert store.read() == Schedule(DAILY, NOW)


def test_eight_processes_racing_on_one_tick_give_one_run(tmp_path: Path) -> None:
    url = new_database(tmp_path / "audit.db")
    with opened(url) as engine:
        ScheduleStore(engine).begin(DAILY, now=NOW)
        done = subprocess.run(
            [
                *(sys.executable, "-m", race_for_schedule_tick.__name__, url),
                *(DAILY, NOW.isoformat(), TICK.isoformat(), "8"),
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
        )
        outcomes = done.stdout.split()
        assert sorted(outcomes) == ["claimed"] + ["taken"] * 7
        assert len(RunStore(engine).unfinished_ids()) == 1
