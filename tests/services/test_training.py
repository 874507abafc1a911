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
from tests.platforms import make_engine
from tests.queue_process import QueueProcess

from mlengine.bootstrap import Engine
from mlengine.core.intervals import rfc3339
from mlengine.core.progress import Progress
from mlengine.core.run import Run
from mlengine.core.train_spec import TrainSpec
from mlengine.errors import (
    LeaseLost,
    NoLiveRun,
    QueueUnavailable,
    RunNotCancellable,
    RunNotFound,
    TrainingFailed,
    TrainingInProgress,
)
from mlengine.services.fitting import Candidate
from mlengine.services.lease import LEASE_SECONDS, Lease
from mlengine.services.work import ReproductionWork
from mlengine.stores.job_queue import JobQueue
from mlengine.stores.run_rows import Claim
from mlengine.stores.runs import RunStore
from mlengine.stores.tables import events


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return make_engine(tmp_path, models=0)


def claim(engine: Engine, run_id: str = "run1", **changed: object) -> None:
    """A queued run, without a queue."""
    spec = dataclasses.replace(engine.runs.defaults, **changed)  # type: ignore[arg-type]
    engine.runs.runs.claim(
        run_id,
        spec=orjson.dumps(spec.to_dict()).decode(),
        actor="ann",
        request_id="req",
        now=now(),
    )


def state(engine: Engine, run_id: str = "run1") -> Run:
    return engine.runs.get(run_id, now=now())


def test_a_run_ends_in_an_active_model_and_an_honest_record(engine: Engine) -> None:
    claim(engine)
    assert engine.training.run("run1") == "v1"

    run = state(engine)
    assert (run.state, run.version, run.error) == ("succeeded", "v1", None)
    assert run.started_at is not None
    assert run.ended_at is not None
    assert engine.models.active_version() == "v1"
    manifest, _ = engine.models.show("v1")
    assert manifest.run_id == "run1"
    beside = {"model.txt", "bars.parquet", "reference.parquet", "holdout.parquet"}
    assert set(manifest.files) == beside
    kinds = [e.kind for e in engine.monitoring.history(kind=None, limit=9, cursor=None).rows]
    assert kinds == ["activated", "trained"]
    answer = engine.predict.one(
        "AAA", as_of=None, version=None, explain=False, request_id="r", now=now()
    )
    assert answer.model_fingerprint == manifest.fingerprint


def test_the_same_recipe_trains_the_same_model_which_is_not_promoted(engine: Engine) -> None:
    for run_id in ("run1", "run2"):
        claim(engine, run_id)
        engine.training.run(run_id)
    first, second = (engine.models.show(version)[0] for version in ("v1", "v2"))
    assert first.fingerprint == second.fingerprint
    assert second.gate.reason == "identical"
    assert engine.models.active_version() == "v1"


def test_the_history_says_what_the_gate_saw_and_the_gate_counts_by_it(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, models=0, TRAIN_GATE_MIN_DATES="30")
    for number in (1, 2, 3):
        claim(engine, f"run{number}", seed=number + 3)
        engine.training.run(f"run{number}")
    third, second, first = (event.details for event in engine.events.page("trained", 9, None).rows)
    gate, holdout = engine.models.show("v3")[0].gate, engine.models.show("v3")[0].split.holdout
    assert (first["reason"], first["tested"], first["champion"]) == ("first_model", False, None)
    assert (second["tested"], second["decisions"], second["level"]) == (True, 1, 0.05)
    assert gate.test is not None
    assert third == {
        "run_id": "run3",
        "holdout": [rfc3339(holdout.start), rfc3339(holdout.end)],
        "promoted": False,
        "reason": "not_better_than_champion",
        "fingerprint": engine.models.show("v3")[0].fingerprint,
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

    engine: Engine

    def fit(self, spec: TrainSpec, **told: Any) -> Candidate:
        candidate = self.engine.training.fitting.fit(spec, **told)
        self.engine.models.activate("v2", actor="bob", reason="by hand", now=now())
        return candidate


@pytest.mark.parametrize(("policy", "serves"), [("if_not_worse", "v2"), ("always", "v3")])
def test_who_beat_the_champion_does_not_replace_what_was_activated_meanwhile(
    tmp_path: Path, policy: str, serves: str
) -> None:
    engine = make_engine(tmp_path, models=0, TRAIN_GATE_MIN_DATES="30", TRAIN_GATE_MARGIN="9")
    for number, activate in ((1, "always"), (2, "never")):
        claim(engine, f"run{number}", seed=number, activate=activate)
        engine.training.run(f"run{number}")
    claim(engine, "run3", seed=3, activate=policy)
    fitting: Any = Meddled(engine)
    dataclasses.replace(engine.training, fitting=fitting).run("run3")
    assert engine.models.show("v3")[0].gate.promote
    assert engine.models.active_version() == serves


def test_a_pruned_version_has_looked_at_the_holdout_all_the_same(engine: Engine) -> None:
    for number in (1, 2, 3):
        claim(engine, f"run{number}", seed=number, activate="always")
        engine.training.run(f"run{number}")
    registry = engine.models.registry
    registry.prune(keep_newest=1, audited=lambda _: False, record=lambda _: None)
    assert registry.versions() == ["v2", "v3"]
    claim(engine, "run4")
    engine.training.run("run4")
    assert engine.models.show("v4")[0].holdout_reused_by == 3


def test_a_test_counts_also_when_its_training_was_killed_before_the_history_knew(
    tmp_path: Path,
) -> None:
    engine = make_engine(tmp_path, models=0, TRAIN_GATE_MIN_DATES="30")
    claim(engine, "run1", seed=4)
    engine.training.run("run1")
    claim(engine, "run2", seed=5)
    engine.training.run("run2")
    with engine.events.engine.begin() as connection:
        connection.execute(delete(events).where(events.c.version == "v2"))
    claim(engine, "run3", seed=6)
    engine.training.run("run3")
    test = engine.models.show("v3")[0].gate.test
    assert test is not None
    assert test.decisions == 2
    told = engine.events.page("trained", 9, None).rows
    assert sorted(str(event.version) for event in told) == ["v1", "v2", "v3"]


def test_a_refit_is_published_with_its_candidate_beside_it(engine: Engine) -> None:
    claim(engine, refit="full", activate="always")
    engine.training.run("run1")
    manifest, _ = engine.models.show("v1")
    assert "candidate.txt" in manifest.files
    assert manifest.trained_through > manifest.candidate_trained_through


def test_a_run_without_a_known_symbol_fails_and_says_why(engine: Engine) -> None:
    claim(engine, symbols=("NONE",))
    with pytest.raises(TrainingFailed):
        engine.training.run("run1")
    run = state(engine)
    assert run.state == "failed"
    assert run.error
    assert engine.models.list().models == ()


def test_a_run_that_is_not_queued_is_not_begun(engine: Engine) -> None:
    with pytest.raises(LeaseLost):
        engine.training.run("nobody")
    claim(engine)
    engine.training.run("run1")
    with pytest.raises(LeaseLost):
        engine.training.run("run1")
    assert state(engine).state == "succeeded"


def test_an_unforeseen_end_is_recorded_without_its_text(engine: Engine) -> None:
    broken = dataclasses.replace(engine.training, fitting=None)  # type: ignore[arg-type]
    claim(engine)
    with pytest.raises(AttributeError):
        broken.run("run1")
    assert (state(engine).state, state(engine).error) == ("failed", "internal error, see log")


def test_a_run_whose_lease_ran_out_publishes_nothing(engine: Engine) -> None:
    late = dataclasses.replace(engine.training, clock=Late())
    claim(engine)
    with pytest.raises(LeaseLost):
        late.run("run1")
    assert state(engine).state == "lost"
    assert engine.models.list().models == ()


class Late:
    """A clock that says every call comes a lease after the one before."""

    def __init__(self) -> None:
        self.now = now() - timedelta(days=1)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=LEASE_SECONDS + 1)
        return self.now


def test_a_lease_renews_itself_and_notices_that_it_is_lost(engine: Engine) -> None:
    claim(engine)
    engine.runs.runs.start("run1", now=now(), lease_seconds=LEASE_SECONDS)
    with Lease(engine.runs.runs, "run1", now, renew_seconds=0.02) as lease:
        lease.progress(Progress("folds", 10.0, fold=1, folds=2))
        assert state(engine).progress == Progress("folds", 10.0, fold=1, folds=2)
        engine.runs.runs.finish("run1", state="cancelled", now=now())
        with pytest.raises(LeaseLost):
            report_until_refused(lease)
    assert state(engine).state == "cancelled"


def report_until_refused(lease: Lease) -> None:
    for percent in range(1000):
        time.sleep(0.01)
        lease.progress(Progress("folds", percent / 10))


def test_without_a_queue_the_run_is_failed_and_the_next_one_can_be_claimed(
    engine: Engine,
) -> None:
    for run_id in ("run1", "run2"):
        with pytest.raises(QueueUnavailable):
            engine.runs.request(
                engine.runs.defaults, actor="ann", request_id="r", run_id=run_id, now=now()
            )
        assert state(engine, run_id).state == "failed"
    assert engine.runs.workers() is None


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with QueueProcess() as queue:
        engine = make_engine(tmp_path, models=0, REDIS_URL=queue.url)
        runs = engine.runs
        first = runs.request(runs.defaults, actor="ann", request_id="r", run_id="run1", now=now())
        assert first.state == "queued"
        with pytest.raises(TrainingInProgress) as busy:
            runs.request(runs.defaults, actor="bob", request_id="r", run_id="run2", now=now())
        assert busy.value.run_id == "run1"
        assert runs.status(None, now=now()) == first
        assert runs.workers() == 0
        with pytest.raises(RunNotFound):
            runs.status("run2", now=now())


def test_a_queued_run_whose_job_was_lost_is_enqueued_again(tmp_path: Path) -> None:
    with QueueProcess() as queue:
        engine = make_engine(tmp_path, models=0, REDIS_URL=queue.url)
        claim(engine)
        assert engine.runs.resume_queued() == ["run1"]
        assert JobQueue(lambda: queue.url).has_job("run1")
        assert engine.runs.resume_queued() == []


def test_overrides_change_the_configured_recipe(engine: Engine) -> None:
    assert engine.runs.spec({"horizon_bars": 3}).horizon_bars == 3
    assert engine.runs.spec({}) == engine.runs.defaults
    assert engine.runs.status(None, now=now()) is None


@dataclasses.dataclass(frozen=True)
class Finding:
    version: str
    equal: bool


class Reproducer:
    """A stand-in for what trains a version again."""

    def reproduce(self, version: str, progress: Callable[[Progress], None]) -> Finding:
        progress(Progress("folds", 50.0))
        return Finding(version, equal=True)


def test_a_run_of_another_kind_is_carried_out_by_its_own_work(engine: Engine) -> None:
    training = dataclasses.replace(
        engine.training, others={"reproduce": ReproductionWork(Reproducer())}
    )
    engine.runs.runs.admit(
        Claim(
            run_id="again",
            kind="reproduce",
            spec='{"version":"v3"}',
            actor="ann",
            request_id=None,
        ),
        now=now(),
    )
    assert training.run("again") is None
    run = state(engine, "again")
    assert (run.kind, run.state, run.version) == ("reproduce", "succeeded", None)
    assert run.result == {"version": "v3", "equal": True}
    assert any('"folds"' in line for line in run.log)


def test_a_kind_that_nothing_carries_out_fails_its_run(engine: Engine) -> None:
    claim = Claim(run_id="odd", kind="odd", spec="{}", actor="ann", request_id=None)
    engine.runs.runs.admit(claim, now=now())
    with pytest.raises(TrainingFailed, match="no runs of kind 'odd'"):
        engine.training.run("odd")
    assert state(engine, "odd").state == "failed"


def test_a_process_that_does_not_notice_its_lost_lease_is_ended(engine: Engine) -> None:
    claim(engine)
    engine.runs.runs.start("run1", now=now(), lease_seconds=LEASE_SECONDS)
    ended = threading.Event()
    with Lease(engine.runs.runs, "run1", now, look_seconds=0.02, end_process=ended.set):
        engine.runs.runs.cancel("run1", actor="ann", now=now())
        assert ended.wait(5)


class SlowOnce(RunStore):
    """A store whose first renewal is on its way until `go`."""

    on_its_way, go, written = threading.Event(), threading.Event(), threading.Event()

    def renew(self, run_id: str, **told: Any) -> None:
        first = not self.on_its_way.is_set()
        self.on_its_way.set()
        if first:
            self.go.wait(5)
        super().renew(run_id, **told)
        if first:
            self.written.set()


def test_a_renewal_under_way_does_not_undo_the_fence(engine: Engine) -> None:
    claim(engine)
    engine.runs.runs.start("run1", now=now(), lease_seconds=LEASE_SECONDS)
    slow = SlowOnce(engine.runs.runs.engine)
    with Lease(slow, "run1", now, renew_seconds=0.5) as lease:
        assert slow.on_its_way.wait(5)
        fence = threading.Thread(target=lease.fence)
        fence.start()
        fence.join(0.2)
        slow.go.set()
        assert slow.written.wait(5)
        fence.join(5)
        with pytest.raises(RunNotCancellable):
            engine.runs.cancel(None, actor="ann", now=now())


def test_a_fenced_run_can_not_be_cancelled(engine: Engine) -> None:
    claim(engine)
    engine.runs.runs.start("run1", now=now(), lease_seconds=LEASE_SECONDS)
    with Lease(engine.runs.runs, "run1", now) as lease:
        lease.progress(Progress("publish", 99.0))
        lease.fence()
        with pytest.raises(RunNotCancellable):
            engine.runs.cancel(None, actor="ann", now=now())
    engine.runs.runs.finish("run1", state="succeeded", now=now())
    with pytest.raises(NoLiveRun):
        engine.runs.cancel(None, actor="ann", now=now())
