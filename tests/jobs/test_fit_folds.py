"""The job of a helper, and what its worker does once the job has ended."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.fold_work import work
from tests.platforms import make_platform
from tests.queue_process import QueueProcess

from mlengine.bootstrap.control import ControlPlane
from mlengine.jobs.tasks import fit_folds
from mlengine.jobs.worker import RunWorker, make_worker
from mlengine.stores.queue.jobs import JobQueue
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.training.fold_work_files import parse_fitted, write_work

JOB = "run1-folds-1"


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    """One whose run `run1` shares its folds, of a platform that the environment names."""
    control = make_platform(tmp_path, models=0).control
    monkeypatch.setenv("ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    new = NewRun(run_id="run1", spec="{}", actor="ann", request_id=None)
    control.run_store.create(new, now=control.clock())
    control.run_store.start("run1", now=control.clock(), lease_seconds=900.0)
    made = work()
    control.fold_helpers.folds.open("run1", len(made.folds))
    write_work(control.fold_helpers.files, "run1", made)
    return control


def test_the_job_of_a_helper_fits_what_is_open(control: ControlPlane) -> None:
    assert fit_folds("run1", JOB) == {"run_id": "run1", "folds": 2}
    results = control.fold_helpers.folds.results("run1", beside=())
    expected = {fold: work().fit(fold) for fold in (1, 2)}
    assert {fold: parse_fitted(each) for fold, each in results.items()} == expected
    assert fit_folds("run1", JOB) == {"run_id": "run1", "folds": 0}
    assert fit_folds("run2", "run2-folds-1") == {"run_id": "run2", "folds": 0}


def worker_of(control: ControlPlane, *, died: bool) -> RunWorker:
    worker = make_worker("redis://127.0.0.1:1", prepare_for_work=False, name="worker")
    worker.run_maintenance, worker.fold_helpers = control.run_maintenance, control.fold_helpers
    worker._horse_died = died
    return worker


def test_a_worker_lets_go_of_what_its_helper_held(control: ControlPlane) -> None:
    folds, now = control.fold_helpers.folds, control.clock()
    first = folds.claim("run1", JOB, now=now, lease_seconds=900.0)
    second = folds.claim("run1", "run1-folds-2", now=now, lease_seconds=900.0)
    assert None not in (first, second)
    worker_of(control, died=True)._clear_up_after(SimpleNamespace(id=JOB))  # type: ignore[arg-type]
    assert folds.claim("run1", "x", now=now, lease_seconds=9.0) == dataclasses.replace(
        first,  # type: ignore[type-var]
        holder="x",
    )
    assert control.runs.get("run1", now=now).state == "running"


def test_a_worker_leaves_nothing_of_a_training_that_died(control: ControlPlane) -> None:
    worker_of(control, died=True)._clear_up_after(SimpleNamespace(id="run1"))  # type: ignore[arg-type]
    assert control.runs.get("run1", now=control.clock()).state == "failed"
    assert control.fold_helpers.folds.shared(now=control.clock()) == []
    assert control.fold_helpers.files.left_here() == frozenset()


def test_helpers_wait_in_the_queue_and_are_withdrawn_from_it() -> None:
    with QueueProcess() as server:
        queue = JobQueue(lambda: server.url)
        queue.enqueue_helper("run1", JOB, timeout_seconds=60)
        assert queue.has_job(JOB)
        queue.remove_job(JOB, only_waiting=True)
        assert not queue.has_job(JOB)
        queue.remove_job(JOB, only_waiting=True)
