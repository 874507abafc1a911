from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.databases import new_database, opened
from tests.platforms import settings

from mlengine.core.runs.retraining import RetrainingTick
from mlengine.errors import BadSetting
from mlengine.services.runs.retraining import RetrainingService
from mlengine.services.runs.service import RunService
from mlengine.stores.database.events import EventStore
from mlengine.stores.queue.jobs import JobQueue
from mlengine.stores.runs.retrainings import RetrainingStore
from mlengine.stores.runs.store import RunStore

NOW = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
NONE = RetrainingTick("none")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RetrainingService]:
    """In force since before the first event."""
    with opened(new_database(tmp_path / "audit.db")) as engine:
        queue = JobQueue(lambda: "unix:///nonexistent/queue.sock")
        runs = RunService(RunStore(engine), queue, settings(tmp_path).train, 60)
        store = RetrainingStore(engine)
        service = RetrainingService(store, runs, ("drift", "skill"), 7 * DAY, lambda: "v2")
        alarm(service)
        assert service.tick(run_id="past", now=NOW) == NONE
        yield service


def alarm(
    service: RetrainingService,
    kind: str = "drift_alarm",
    *,
    version: str | None = "v2",
    **details: object,
) -> None:
    events = EventStore(service.store.engine)
    events.append(kind, at=NOW, version=version, actor=None, details=details)


def history(service: RetrainingService, kind: str) -> list[dict[str, object]]:
    page = EventStore(service.store.engine).page(kind, 100, None)
    assert all(event.actor == "monitoring" for event in page.rows)
    return [dict(event.details) for event in page.rows]


def end(service: RetrainingService, run_id: str, now: datetime) -> None:
    service.runs.store.finish(run_id, state="succeeded", now=now)


def test_nothing_is_asked_for_by_what_was_before(service: RetrainingService) -> None:
    assert service.tick(run_id="one", now=NOW) == NONE


def test_an_alarm_asks_for_one_training_that_must_not_be_worse(service: RetrainingService) -> None:
    alarm(service)
    alarm(service)
    assert service.tick(run_id="one", now=NOW) == RetrainingTick("claimed", run_id="one")
    assert service.tick(run_id="two", now=NOW) == NONE
    run = service.runs.get("one", now=NOW)
    assert (run.actor, run.state) == ("monitoring", "queued")
    assert json.loads(run.spec) == {
        **service.runs.defaults.to_dict(),
        "activate": "if_not_worse",
    }
    assert history(service, "train_requested") == [
        {"run_id": "one", "trigger": "drift_alarm", "event": 3}
    ]


def test_what_is_never_activated_is_not_by_an_alarm(service: RetrainingService) -> None:
    defaults = dataclasses.replace(service.runs.defaults, activate="never")
    runs = dataclasses.replace(service.runs, defaults=defaults)
    alarm(service)
    dataclasses.replace(service, runs=runs).tick(run_id="one", now=NOW)
    assert json.loads(service.runs.get("one", now=NOW).spec)["activate"] == "never"


def test_after_a_training_there_is_none_for_a_while(service: RetrainingService) -> None:
    alarm(service)
    service.tick(run_id="one", now=NOW)
    end(service, "one", NOW)
    alarm(service, "drift_alarm")
    skipped = service.tick(run_id="two", now=NOW + 6 * DAY)
    assert skipped == RetrainingTick("skipped", reason="cooldown")
    assert history(service, "train_skipped")[0]["reason"] == "cooldown"
    assert service.tick(run_id="two", now=NOW + 8 * DAY) == NONE, "it was dealt with"
    alarm(service)
    assert service.tick(run_id="two", now=NOW + 8 * DAY).outcome == "claimed"


def test_an_alarm_about_a_version_that_no_longer_serves_asks_for_nothing(
    service: RetrainingService,
) -> None:
    alarm(service, version="v1")
    assert service.tick(run_id="one", now=NOW).reason == "not_active"


def test_a_feature_that_stands_still_is_no_reason_to_train(service: RetrainingService) -> None:
    alarm(service, by="frozen_feature")
    assert service.tick(run_id="one", now=NOW) == NONE
    alarm(service, by="distribution")
    alarm(service, by="frozen_feature")
    assert service.tick(run_id="one", now=NOW).outcome == "claimed"


def test_while_a_run_lives_the_alarm_waits(service: RetrainingService) -> None:
    alarm(service)
    service.tick(run_id="one", now=NOW)
    alarm(service)
    hasty = dataclasses.replace(service, cooldown=timedelta())
    assert hasty.tick(run_id="two", now=NOW).outcome == "waiting"
    end(service, "one", NOW)
    assert hasty.tick(run_id="two", now=NOW).outcome == "claimed"


def test_only_what_was_chosen_asks_for_a_training(service: RetrainingService) -> None:
    only_skill = dataclasses.replace(service, reasons=("skill",))
    alarm(service)
    assert only_skill.tick(run_id="one", now=NOW) == NONE
    nothing = dataclasses.replace(service, reasons=())
    assert nothing.tick(run_id="one", now=NOW) == NONE
    assert service.store.read() is None, "who begins again begins anew"
    assert service.tick(run_id="one", now=NOW) == NONE
    assert service.tick(run_id="one", now=NOW) == NONE


def test_of_many_workers_one_asks(service: RetrainingService) -> None:
    alarm(service)
    ticks: list[RetrainingTick] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        ticks.append(service.tick(run_id=f"run{number}", now=NOW))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [tick.outcome for tick in ticks].count("claimed") == 1
    assert {tick.outcome for tick in ticks} <= {"claimed", "taken", "none", "waiting"}
    assert len(service.runs.store.queued()) == 1
    assert len(history(service, "train_requested")) == 1


def test_what_asks_for_trainings_is_a_setting(tmp_path: Path) -> None:
    assert settings(tmp_path).monitoring.retrain_on == ()
    both = settings(tmp_path, RETRAIN_ON="drift, skill").monitoring
    assert (both.retrain_on, both.retrain_cooldown_days) == (("drift", "skill"), 7)
    with pytest.raises(BadSetting, match="RETRAIN_ON"):
        settings(tmp_path, RETRAIN_ON="boredom")
