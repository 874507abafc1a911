from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.databases import NOW, new_database, opened
from tests.platforms import settings

from mlengine.errors import InvalidRequest, RunNotFound
from mlengine.services.audit.retention import RetentionService
from mlengine.services.runs.maintenance import RunMaintenance
from mlengine.services.runs.service import RunService
from mlengine.stores.audit.retention import AuditRetention
from mlengine.stores.queue.jobs import JobQueue
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.store import RunStore


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunService]:
    with opened(new_database(tmp_path / "audit.db")) as platform:
        queue = JobQueue(lambda: "unix:///nonexistent/queue.sock")
        yield RunService(RunStore(platform), queue, settings(tmp_path).train, 60)


@pytest.mark.parametrize(
    "overrides",
    [
        {"objective": "direction", "symbols": tuple("ABCDEFGHIJ")},
        {"objective": "return", "symbols": tuple("ABCDEFGHI")},
    ],
)
def test_z_scores_that_do_not_go_with_the_rest_are_refused_at_once(
    service: RunService, overrides: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        service.spec({"label": "cs_zscore", **overrides})
    assert "at least 10 symbols" in refusal.value.errors["label"][0]
    fits = {"label": "cs_zscore", "objective": "return", "symbols": tuple("ABCDEFGHIJ")}
    assert service.spec(fits).label == "cs_zscore"


def test_an_engine_that_is_not_there_is_refused_with_its_reason(service: RunService) -> None:
    without = dataclasses.replace(service, engine_refusals={"dask": "needs an address"})
    with pytest.raises(InvalidRequest) as refusal:
        without.spec({"engine": "dask"})
    assert refusal.value.errors == {"engine": ["needs an address"]}
    assert without.spec({"engine": "lightgbm"}).is_reproducible
    assert not service.spec({"engine": "dask"}).is_reproducible


def claim(service: RunService, *, started: bool) -> None:
    service.store.create(NewRun(run_id="one", spec="{}", actor="ops", request_id=None), now=NOW)
    if started:
        service.store.start("one", now=NOW, lease_seconds=30)


@pytest.mark.parametrize(
    ("started", "died", "state"),
    [
        (True, True, "failed"),
        (True, False, "running"),
        (False, False, "failed"),
        (False, True, "failed"),
    ],
)
def test_a_run_ends_with_its_job_unless_another_process_may_have_it(
    service: RunService, started: bool, died: bool, state: str
) -> None:
    claim(service, started=started)
    service.fail_unfinished("one", died=died, now=NOW)
    run = service.get("one", now=NOW)
    assert run.state == state
    assert (run.error is None) == (state == "running")
    if started and died:
        assert run.error == "the training process died"


def test_a_run_that_has_ended_by_itself_is_left_as_it_stands(service: RunService) -> None:
    claim(service, started=True)
    service.store.finish("one", state="succeeded", now=NOW, version="v1")
    service.fail_unfinished("one", died=True, now=NOW)
    assert service.get("one", now=NOW).state == "succeeded"
    with pytest.raises(RunNotFound):
        service.fail_unfinished("two", died=True, now=NOW)


def test_a_process_has_time_to_go_unless_others_ended_its_run(
    service: RunService, tmp_path: Path
) -> None:
    now = NOW
    retention = RetentionService(AuditRetention(service.store.engine), 0)
    upkeep = RunMaintenance(service, service.store, retention, tmp_path, lambda: now)
    claim(service, started=True)
    assert not upkeep.is_over("one")
    service.store.finish("one", state="succeeded", now=NOW, version="v1")
    assert not upkeep.is_over("one")
    now = NOW + timedelta(minutes=1)
    assert upkeep.is_over("one")
    service.store.create(NewRun(run_id="two", spec="{}", actor="ops", request_id=None), now=now)
    service.store.finish("two", state="cancelled", now=now)
    assert upkeep.is_over("two")


def test_the_job_of_a_run_is_looked_for_once_there_was_time_to_enqueue_it(
    service: RunService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Upkeep between a row and its job would have the run worked on twice."""
    now = NOW
    retention = RetentionService(AuditRetention(service.store.engine), 0)
    upkeep = RunMaintenance(service, service.store, retention, tmp_path, lambda: now)
    claim(service, started=False)
    upkeep.run()
    assert not caplog.records
    now = NOW + timedelta(minutes=1)
    upkeep.run()  # asks the queue, which is not there
    assert [record.message for record in caplog.records] == ["upkeep_of_runs_failed"]


def test_the_runs_of_a_stopped_platform_are_lost_at_once(
    service: RunService, caplog: pytest.LogCaptureFixture
) -> None:
    claim(service, started=True)
    service.mark_running_as_lost(now=NOW)
    assert service.get("one", now=NOW).state == "lost"
    service.mark_running_as_lost(now=NOW)
    assert [record.message for record in caplog.records] == ["runs of a stopped platform are lost"]


def test_a_run_whose_process_died_after_publishing_names_its_version(service: RunService) -> None:
    claim(service, started=True)
    service.fail_unfinished("one", died=True, now=NOW, version="v4")
    run = service.get("one", now=NOW)
    assert (run.state, run.version) == ("failed", "v4")
    assert run.error == "the training process died, after it had published v4"


@pytest.mark.parametrize("started", [True, False])
def test_how_a_process_was_ended_is_said(service: RunService, started: bool) -> None:
    claim(service, started=started)
    service.fail_unfinished("one", died=True, now=NOW, reason="it took too long")
    assert service.get("one", now=NOW).error == "it took too long"
