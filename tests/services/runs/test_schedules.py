from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from tests.databases import new_database, opened
from tests.platforms import settings
from tests.queue_process import QueueProcess

from mlengine.core.runs.schedule import ScheduleTick
from mlengine.services.runs.schedules import ScheduleService
from mlengine.services.runs.service import RunService
from mlengine.stores.queue.jobs import JobQueue
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.schedules import ScheduleStore
from mlengine.stores.runs.store import RunStore

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NONE = ScheduleTick("none", None)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ScheduleService]:
    with opened(new_database(tmp_path / "audit.db")) as platform:
        queue = JobQueue(lambda: "unix:///nonexistent/queue.sock")
        runs = RunService(RunStore(platform), queue, settings(tmp_path).train, 60)
        yield ScheduleService(ScheduleStore(platform), runs, "0 2 * * *")


def test_the_very_first_start_runs_nothing_for_the_past(service: ScheduleService) -> None:
    assert service.tick(run_id="one", now=MIDNIGHT) == NONE
    assert service.tick(run_id="one", now=MIDNIGHT + HOUR) == NONE
    assert service.tick(run_id="one", now=MIDNIGHT + 2 * HOUR) == ScheduleTick("claimed", "one")
    assert service.tick(run_id="two", now=MIDNIGHT + 3 * HOUR) == NONE


def test_missed_ticks_run_once_after_a_restart(service: ScheduleService) -> None:
    service.tick(run_id="one", now=MIDNIGHT)
    back = MIDNIGHT + 4 * DAY
    restarted = dataclasses.replace(service)
    assert restarted.tick(run_id="one", now=back) == ScheduleTick("claimed", "one")
    run = service.runs.get("one", now=back)
    assert (run.actor, run.state, run.spec) == (
        "schedule",
        "queued",
        service.runs.default_spec_text(),
    )
    service.runs.store.finish("one", state="succeeded", now=back)
    assert restarted.tick(run_id="two", now=back + HOUR) == NONE
    assert restarted.tick(run_id="two", now=back + 2 * HOUR) == ScheduleTick("claimed", "two")


def test_a_changed_expression_counts_from_the_change(service: ScheduleService) -> None:
    service.tick(run_id="one", now=MIDNIGHT)
    later = MIDNIGHT + 5 * HOUR
    service.set_expression("0 1 * * *", actor="ann", now=later)
    assert service.tick(run_id="one", now=later + HOUR) == NONE
    assert service.tick(run_id="one", now=MIDNIGHT + 25 * HOUR) == ScheduleTick("claimed", "one")


def test_a_schedule_that_was_cleared_stays_so(service: ScheduleService) -> None:
    service.tick(run_id="one", now=MIDNIGHT)
    service.set_expression(None, actor="ann", now=MIDNIGHT)
    assert service.tick(run_id="one", now=MIDNIGHT + DAY) == NONE
    assert dataclasses.replace(service).tick(run_id="one", now=MIDNIGHT + DAY) == NONE
    assert service.timetable(now=MIDNIGHT + DAY).next_ticks == ()
    service.set_expression("0 2 * * *", actor="ann", now=MIDNIGHT + 2 * DAY)
    assert service.tick(run_id="one", now=MIDNIGHT + 2 * DAY + HOUR) == NONE
    claimed = service.tick(run_id="one", now=MIDNIGHT + 2 * DAY + 2 * HOUR)
    assert claimed == ScheduleTick("claimed", "one")


def test_workers_that_were_told_otherwise_say_so_and_obey(
    service: ScheduleService, caplog: pytest.LogCaptureFixture
) -> None:
    service.tick(run_id="one", now=MIDNIGHT)
    other = dataclasses.replace(service, configured="* * * * *")
    silent = dataclasses.replace(service, configured=None)
    for minute in range(1, 4):
        now = MIDNIGHT + timedelta(minutes=minute)
        assert [each.tick(run_id="one", now=now) for each in (other, silent)] == [NONE] * 2
    assert caplog.text.count("TRAIN_SCHEDULE differs") == 1
    assert service.tick(run_id="one", now=MIDNIGHT + 2 * HOUR).outcome == "claimed"
    assert other.timetable(now=MIDNIGHT).expression == "0 2 * * *"
    assert other.timetable(now=MIDNIGHT).configured == "* * * * *"


def test_a_tick_during_a_run_is_skipped_for_good(
    service: ScheduleService, caplog: pytest.LogCaptureFixture
) -> None:
    service.tick(run_id="one", now=MIDNIGHT)
    service.runs.store.create(
        NewRun(run_id="hand", spec="{}", actor="ann", request_id=None), now=MIDNIGHT
    )
    with caplog.at_level(logging.WARNING):
        assert service.tick(run_id="one", now=MIDNIGHT + DAY) == ScheduleTick("skipped", "hand")
    assert "scheduled training skipped" in caplog.text
    service.runs.store.finish("hand", state="succeeded", now=MIDNIGHT + DAY)
    assert service.tick(run_id="one", now=MIDNIGHT + DAY + HOUR) == NONE


def test_threads_racing_on_one_tick_give_one_run_and_one_job(service: ScheduleService) -> None:
    with QueueProcess() as queue:
        runs = dataclasses.replace(service.runs, queue=JobQueue(lambda: queue.url))
        racing = dataclasses.replace(service, runs=runs)
        racing.tick(run_id="none", now=MIDNIGHT)
        outcomes: list[str] = []
        begin = threading.Barrier(8)

        def race(number: int) -> None:
            begin.wait()
            outcomes.append(racing.tick(run_id=f"run{number}", now=MIDNIGHT + DAY).outcome)

        racers = [threading.Thread(target=race, args=(number,)) for number in range(8)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert outcomes.count("claimed") == 1
        assert set(outcomes) <= {"claimed", "taken", "none"}
        (run_id,) = runs.store.unfinished_ids()
        assert runs.queue.has_job(run_id)


def test_a_timetable_tells_the_last_tick_and_the_next(service: ScheduleService) -> None:
    empty = service.timetable(now=MIDNIGHT)
    assert (empty.expression, empty.last_tick, empty.workers) == ("0 2 * * *", None, None)
    assert empty.next_ticks[:2] == (MIDNIGHT + 2 * HOUR, MIDNIGHT + 26 * HOUR)
    service.tick(run_id="one", now=MIDNIGHT)
    assert service.timetable(now=MIDNIGHT).last_tick is None
    service.tick(run_id="one", now=MIDNIGHT + 3 * HOUR)
    assert service.timetable(now=MIDNIGHT + 3 * HOUR).last_tick == MIDNIGHT + 2 * HOUR
    service.set_expression(None, actor="ann", now=MIDNIGHT)
    assert service.timetable(now=MIDNIGHT).next_ticks == ()


def test_a_scheduled_training_has_a_policy_of_its_own(service: ScheduleService) -> None:
    service.tick(run_id="one", now=MIDNIGHT)
    refreshing = dataclasses.replace(service, activate="if_not_worse")
    assert refreshing.tick(run_id="one", now=MIDNIGHT + DAY).outcome == "claimed"
    run = service.runs.get("one", now=MIDNIGHT + DAY)
    assert orjson.loads(run.spec)["activate"] == "if_not_worse"
    assert orjson.loads(service.runs.default_spec_text())["activate"] == "if_better"
