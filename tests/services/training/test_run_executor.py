from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import delete
from tests.patience import patience
from tests.platforms import make_platform
from tests.queue_process import QueueProcess

from mlengine.bootstrap.platform import Platform
from mlengine.core.runs.progress import Progress
from mlengine.core.runs.run import Run
from mlengine.core.timestamps import rfc3339
from mlengine.core.training.spec import TrainSpec
from mlengine.errors import (
    LeaseLost,
    NoUnfinishedRun,
    QueueUnavailable,
    RunNotCancellable,
    RunNotFound,
    TrainingFailed,
    TrainingInProgress,
)
from mlengine.services.models.event_recording import manifest_recipe
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.services.runs.lease import LEASE_SECONDS, Lease
from mlengine.services.runs.service import RunRequest
from mlengine.services.training.pipeline import DraftVersion
from mlengine.services.training.reproduction import ReproductionService
from mlengine.stores.database.tables import events
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.store import RunStore


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path, models=0)


def claim(platform: Platform, run_id: str = "run1", **changed: object) -> None:
    """A queued run, without a queue."""
    spec = dataclasses.replace(platform.control.runs.defaults, **changed)  # type: ignore[arg-type]
    platform.control.run_store.create(
        NewRun(
            run_id=run_id, spec=orjson.dumps(spec.to_dict()).decode(), actor="ann", request_id="req"
        ),
        now=now(),
    )


def state(platform: Platform, run_id: str = "run1") -> Run:
    return platform.control.runs.get(run_id, now=now())


def test_a_run_ends_in_an_active_model_and_an_honest_record(platform: Platform) -> None:
    claim(platform)
    assert platform.run_executor.execute("run1") == "v1"

    run = state(platform)
    assert (run.state, run.version, run.error) == ("succeeded", "v1", None)
    assert run.started_at is not None
    assert run.ended_at is not None
    assert platform.models.active_version() == "v1"
    manifest, _ = platform.models.get("v1")
    assert manifest.run_id == "run1"
    beside = {"model.txt", "bars.parquet", "reference.parquet", "holdout.parquet"}
    beside |= {"out_of_fold.parquet", "drift.npz", "novelty.npz"}
    assert set(manifest.files) == beside
    kinds = [e.kind for e in platform.monitoring.history(kind=None, limit=9, cursor=None).rows]
    assert kinds == ["activated", "trained"]
    answer = platform.predict.predict("AAA", PredictionRequest(request_id="r", now=now()))
    assert answer.model_fingerprint == manifest.fingerprint


def test_what_the_gate_promotes_waits_for_approval_where_that_is_needed(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0, ACTIVATION_APPROVALS="true")
    claim(platform)
    assert platform.run_executor.execute("run1") == "v1"
    assert (state(platform).state, platform.models.active_version()) == ("succeeded", None)
    asked, trained = platform.monitoring.history(kind=None, limit=9, cursor=None).rows
    assert (asked.kind, asked.actor, trained.actor) == ("activation_requested", "gate", "ann")
    platform.models.request_activation("v1", actor="ann", reason="by hand", now=now())
    assert platform.models.active_version() == "v1"


def test_the_same_recipe_trains_the_same_model_which_is_not_promoted(platform: Platform) -> None:
    for run_id in ("run1", "run2"):
        claim(platform, run_id)
        platform.run_executor.execute(run_id)
    first, second = (platform.models.get(version)[0] for version in ("v1", "v2"))
    assert first.fingerprint == second.fingerprint
    assert second.gate.reason == "identical"
    assert platform.models.active_version() == "v1"


def test_a_training_lets_go_of_old_versions_that_nothing_keeps(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0, MODELS_KEEP="2", TRAIN_ACTIVATE="never")
    for number in (1, 2, 3):
        claim(platform, f"run{number}", seed=number)
        platform.run_executor.execute(f"run{number}")
    assert platform.registry.versions() == ["v2", "v3"]
    (pruned,) = platform.control.events.page("pruned", 9, None).rows
    assert (pruned.version, pruned.actor) == ("v1", "retention")


def test_the_history_says_what_the_gate_saw_and_the_gate_counts_by_it(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0, TRAIN_GATE_MIN_DATES="30")
    for number in (1, 2, 3):
        claim(platform, f"run{number}", seed=number + 3)
        platform.run_executor.execute(f"run{number}")
    third, second, first = (
        event.details for event in platform.control.events.page("trained", 9, None).rows
    )
    gate, holdout = platform.models.get("v3")[0].gate, platform.models.get("v3")[0].split.holdout
    assert (first["reason"], first["tested"], first["champion"]) == ("first_model", False, None)
    assert (second["tested"], second["decisions"], second["level"]) == (True, 1, 0.05)
    assert gate.test is not None
    assert third == {
        "run_id": "run3",
        "holdout": [rfc3339(holdout.start), rfc3339(holdout.end)],
        "recipe": manifest_recipe(platform.models.get("v3")[0]),
        "verdict": platform.models.get("v3")[0].verdict.verdict,
        "promoted": False,
        "reason": "not_better_than_champion",
        "fingerprint": platform.models.get("v3")[0].fingerprint,
        "policy": "if_better",
        "losses": dict(gate.losses),
        "champion": "v1",
        "champion_generation": 1,
        "tested": True,
        "mean_difference": gate.test.mean_difference,
        "statistic": gate.test.statistic,
        "p_value": gate.test.p_value,
        "level": 0.05 / 4,
        "decisions": 2,
        "dates": gate.test.dates,
    }


@dataclasses.dataclass(frozen=True)
class Meddled:
    """A fit at whose end somebody activates another version by hand."""

    platform: Platform

    def run(self, spec: TrainSpec, **told: Any) -> DraftVersion:
        draft = self.platform.run_executor.pipeline.run(spec, **told)
        self.platform.models.activate("v2", actor="bob", reason="by hand", now=now())
        return draft


@pytest.mark.parametrize(("policy", "serves"), [("if_not_worse", "v2"), ("always", "v3")])
def test_who_beat_the_champion_does_not_replace_what_was_activated_meanwhile(
    tmp_path: Path, policy: str, serves: str
) -> None:
    platform = make_platform(tmp_path, models=0, TRAIN_GATE_MIN_DATES="30", TRAIN_GATE_MARGIN="9")
    for number, activate in ((1, "always"), (2, "never")):
        claim(platform, f"run{number}", seed=number, activate=activate)
        platform.run_executor.execute(f"run{number}")
    claim(platform, "run3", seed=3, activate=policy)
    pipeline: Any = Meddled(platform)
    dataclasses.replace(platform.run_executor, pipeline=pipeline).execute("run3")
    assert platform.models.get("v3")[0].gate.promote
    assert platform.models.active_version() == serves


def test_a_pruned_version_has_looked_at_the_holdout_all_the_same(platform: Platform) -> None:
    for number in (1, 2, 3):
        claim(platform, f"run{number}", seed=number, activate="always")
        platform.run_executor.execute(f"run{number}")
    registry = platform.models.registry
    registry.prune(keep_newest=1, audited=lambda _: False, record=lambda _: None)
    assert registry.versions() == ["v2", "v3"]
    claim(platform, "run4")
    platform.run_executor.execute("run4")
    assert platform.models.get("v4")[0].holdout_reused_by == 3


def test_a_test_counts_also_when_its_training_was_killed_before_the_history_knew(
    tmp_path: Path,
) -> None:
    platform = make_platform(tmp_path, models=0, TRAIN_GATE_MIN_DATES="30")
    claim(platform, "run1", seed=4)
    platform.run_executor.execute("run1")
    claim(platform, "run2", seed=5)
    platform.run_executor.execute("run2")
    with platform.control.events.engine.begin() as connection:
        connection.execute(delete(events).where(events.c.version == "v2"))
    claim(platform, "run3", seed=6)
    platform.run_executor.execute("run3")
    test = platform.models.get("v3")[0].gate.test
    assert test is not None
    assert test.decisions == 2
    told = platform.control.events.page("trained", 9, None).rows
    assert sorted(str(event.version) for event in told) == ["v1", "v2", "v3"]


def test_a_refit_is_published_with_its_candidate_beside_it(platform: Platform) -> None:
    claim(platform, refit="full", activate="always")
    platform.run_executor.execute("run1")
    manifest, _ = platform.models.get("v1")
    assert "candidate.txt" in manifest.files
    assert manifest.trained_through > manifest.candidate_trained_through


def test_a_run_without_a_known_symbol_fails_and_says_why(platform: Platform) -> None:
    claim(platform, symbols=("NONE",))
    with pytest.raises(TrainingFailed):
        platform.run_executor.execute("run1")
    run = state(platform)
    assert run.state == "failed"
    assert run.error
    assert platform.models.list().models == ()


def test_a_run_that_is_not_queued_is_not_begun(platform: Platform) -> None:
    with pytest.raises(LeaseLost):
        platform.run_executor.execute("nobody")
    claim(platform)
    platform.run_executor.execute("run1")
    with pytest.raises(LeaseLost):
        platform.run_executor.execute("run1")
    assert state(platform).state == "succeeded"


def test_an_unforeseen_end_is_recorded_without_its_text(platform: Platform) -> None:
    broken = dataclasses.replace(platform.run_executor, pipeline=None)  # type: ignore[arg-type]
    claim(platform)
    with pytest.raises(AttributeError):
        broken.execute("run1")
    assert (state(platform).state, state(platform).error) == ("failed", "internal error, see log")


def test_a_run_whose_lease_ran_out_publishes_nothing(platform: Platform) -> None:
    late = dataclasses.replace(platform.run_executor, clock=Late())
    claim(platform)
    with pytest.raises(LeaseLost):
        late.execute("run1")
    assert state(platform).state == "lost"
    assert platform.models.list().models == ()


class Late:
    """A clock that says every call comes a lease after the one before."""

    def __init__(self) -> None:
        self.now = now() - timedelta(days=1)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=LEASE_SECONDS + 1)
        return self.now


def test_a_lease_renews_itself_and_notices_that_it_is_lost(platform: Platform) -> None:
    claim(platform)
    platform.control.run_store.start("run1", now=now(), lease_seconds=LEASE_SECONDS)
    with Lease(platform.control.run_store, "run1", now, renew_seconds=0.02) as lease:
        lease.progress(Progress("folds", 10.0, fold=1, folds=2))
        assert state(platform).progress == Progress("folds", 10.0, fold=1, folds=2)
        platform.control.run_store.finish("run1", state="cancelled", now=now())
        with pytest.raises(LeaseLost):
            report_until_refused(lease)
    assert state(platform).state == "cancelled"


def report_until_refused(lease: Lease) -> None:
    for percent in range(1000):
        time.sleep(0.01)
        lease.progress(Progress("folds", percent / 10))


def test_without_a_queue_the_run_is_failed_and_the_next_one_can_be_claimed(
    platform: Platform,
) -> None:
    for run_id in ("run1", "run2"):
        with pytest.raises(QueueUnavailable):
            platform.control.runs.request_training({}, RunRequest(run_id, "ann", "r", now()))
        assert state(platform, run_id).state == "failed"
    assert platform.control.runs.workers() is None


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with QueueProcess() as queue:
        platform = make_platform(tmp_path, models=0, REDIS_URL=queue.url)
        runs = platform.control.runs
        first = runs.request_training({}, RunRequest("run1", "ann", "r", now()))
        assert first.state == "queued"
        with pytest.raises(TrainingInProgress) as busy:
            runs.request_training({}, RunRequest("run2", "bob", "r", now()))
        assert busy.value.run_id == "run1"
        assert runs.status(None, now=now()) == first
        assert runs.workers() == 0
        with pytest.raises(RunNotFound):
            runs.status("run2", now=now())


def test_a_queued_run_whose_job_was_lost_is_enqueued_again(tmp_path: Path) -> None:
    with QueueProcess() as queue:
        platform = make_platform(tmp_path, models=0, REDIS_URL=queue.url)
        claim(platform)
        just_before = platform.control.runs.get("run1", now=now()).queued_at - timedelta(seconds=1)
        # Whoever asks for a training writes its row first, and its job then.
        assert platform.control.runs.restore_missing_jobs(queued_by=just_before) == []
        assert platform.control.runs.restore_missing_jobs() == ["run1"]
        assert platform.control.queue.has_job("run1")
        assert platform.control.runs.restore_missing_jobs() == []


def test_overrides_change_the_configured_recipe(platform: Platform) -> None:
    assert platform.control.runs.spec({"horizon_bars": 3}).horizon_bars == 3
    assert platform.control.runs.spec({}) == platform.control.runs.defaults
    assert platform.control.runs.status(None, now=now()) is None


@dataclasses.dataclass(frozen=True)
class Finding:
    version: str
    equal: bool


class Reproducer(ReproductionService):
    """A stand-in for what trains a version again."""

    def reproduce(self, version: str, progress: Callable[[Progress], None]) -> Finding:  # type: ignore[override]
        progress(Progress("folds", 50.0))
        return Finding(version, equal=True)


def test_a_run_of_another_kind_is_carried_out_by_its_own_work(platform: Platform) -> None:
    reproduction = Reproducer(**vars(platform.reproduction))
    training = dataclasses.replace(platform.run_executor, reproduction=reproduction)
    platform.control.run_store.create(
        NewRun(
            run_id="again",
            kind="reproduce",
            spec='{"version":"v3"}',
            actor="ann",
            request_id=None,
        ),
        now=now(),
    )
    assert training.execute("again") is None
    run = state(platform, "again")
    assert (run.kind, run.state, run.version) == ("reproduce", "succeeded", None)
    assert run.result == {"version": "v3", "equal": True}
    assert any('"folds"' in line for line in run.log)


def test_a_kind_that_nothing_carries_out_fails_its_run(platform: Platform) -> None:
    new = NewRun(run_id="odd", kind="odd", spec="{}", actor="ann", request_id=None)
    platform.control.run_store.create(new, now=now())
    with pytest.raises(TrainingFailed, match="no runs of kind 'odd'"):
        platform.run_executor.execute("odd")
    assert state(platform, "odd").state == "failed"


def test_a_process_that_does_not_notice_its_lost_lease_is_ended(platform: Platform) -> None:
    claim(platform)
    platform.control.run_store.start("run1", now=now(), lease_seconds=LEASE_SECONDS)
    ended = threading.Event()
    with Lease(platform.control.run_store, "run1", now, check_seconds=0.02, end_process=ended.set):
        platform.control.run_store.cancel("run1", actor="ann", now=now())
        assert ended.wait(patience(5))


class SlowOnce(RunStore):
    """A store whose first renewal is on its way until `go`."""

    on_its_way, go, written = threading.Event(), threading.Event(), threading.Event()

    def renew(self, run_id: str, **told: Any) -> None:
        first = not self.on_its_way.is_set()
        self.on_its_way.set()
        if first:
            self.go.wait(patience(5))
        super().renew(run_id, **told)
        if first:
            self.written.set()


def test_a_renewal_under_way_does_not_undo_the_fence(platform: Platform) -> None:
    claim(platform)
    platform.control.run_store.start("run1", now=now(), lease_seconds=LEASE_SECONDS)
    slow = SlowOnce(platform.control.database)
    with Lease(slow, "run1", now, renew_seconds=0.5) as lease:
        assert slow.on_its_way.wait(patience(5))
        fence = threading.Thread(target=lease.fence)
        fence.start()
        fence.join(0.2)
        slow.go.set()
        assert slow.written.wait(patience(5))
        fence.join(5)
        with pytest.raises(RunNotCancellable):
            platform.control.runs.cancel(None, actor="ann", now=now())


def test_a_fenced_run_can_not_be_cancelled(platform: Platform) -> None:
    claim(platform)
    platform.control.run_store.start("run1", now=now(), lease_seconds=LEASE_SECONDS)
    with Lease(platform.control.run_store, "run1", now) as lease:
        lease.progress(Progress("publish", 99.0))
        lease.fence()
        with pytest.raises(RunNotCancellable):
            platform.control.runs.cancel(None, actor="ann", now=now())
    platform.control.run_store.finish("run1", state="succeeded", now=now())
    with pytest.raises(NoUnfinishedRun):
        platform.control.runs.cancel(None, actor="ann", now=now())
