"""A training whose folds threads fit beside it, as workers on other hosts do."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from tests.platforms import make_platform

from mlengine.bootstrap.platform import Platform
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import LeaseLost, QueueUnavailable, TrainingFailed
from mlengine.services.runs.fold_helpers import FoldHelpers, helped_run
from mlengine.services.training.fold_fan_out import TrainingFanOut
from mlengine.services.training.fold_helper import FoldHelper
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.training.fold_store import MOST_TRIES, FoldClaim

FOLDS = 4
Task = Callable[[str, str], object]


def no_work(run_id: str, helper: str) -> None:
    """A helper that waits in the queue for ever."""


@dataclass
class Workers:
    """A queue with live workers; `task` is what they do with a helper's job, in a thread each."""

    count: int = 2
    task: Task = no_work
    jobs: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def workers(self) -> int:
        if self.count < 0:
            raise QueueUnavailable("it is down")
        return self.count

    def has_job(self, job_id: str) -> bool:
        return job_id in self.jobs

    def enqueue_helper(self, run_id: str, helper: str, *, timeout_seconds: int) -> None:
        assert timeout_seconds > 0
        self.jobs.append(helper)
        thread = threading.Thread(target=self.task, args=[run_id, helper])
        self.threads.append(thread)
        thread.start()

    def remove_job(self, job_id: str, *, only_waiting: bool) -> None:
        assert only_waiting
        self.removed.append(job_id)


@dataclass
class Rig:
    platform: Platform
    workers: Workers = field(default_factory=Workers)

    def __post_init__(self) -> None:
        control = self.platform.control
        self.helpers: FoldHelpers = dataclasses.replace(
            control.fold_helpers,
            queue=self.workers,  # type: ignore[arg-type]
        )
        executor = self.platform.run_executor
        fan_out = TrainingFanOut(self.helpers, control.clock)
        pipeline = dataclasses.replace(executor.pipeline, fan_out=fan_out)
        self.executor = dataclasses.replace(executor, pipeline=pipeline)

    def help(self, run_id: str, helper: str) -> int:
        helpers = self.helpers
        return FoldHelper(helpers.folds, helpers.files, helpers.clock).help(run_id, helper)

    def train(self, run_id: str = "run1", **changed: object) -> Manifest:
        self.claim(run_id, **changed)
        version = self.executor.execute(run_id)
        assert version is not None
        for thread in self.workers.threads:
            thread.join()
        return self.platform.models.get(version)[0]

    def claim(self, run_id: str, **changed: object) -> None:
        control = self.platform.control
        spec = dataclasses.replace(control.runs.defaults, folds=FOLDS, **changed)  # type: ignore[arg-type]
        text = orjson.dumps(spec.to_dict()).decode()
        new = NewRun(run_id=run_id, spec=text, actor="ann", request_id="req")
        control.run_store.create(new, now=control.clock())

    def is_empty(self) -> bool:
        """Whether nothing is left of any training that shared its folds."""
        now = self.platform.control.clock()
        return not self.helpers.files.left_here() and not self.helpers.folds.shared(now=now)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(make_platform(tmp_path, models=0, TRAIN_FANOUT="folds"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The version that one process makes of the same bars."""
    rig = Rig(make_platform(tmp_path_factory.mktemp("alone"), models=0))
    rig.workers.count = 1
    return rig.train(refit="full")


def same(one: Manifest, other: Manifest) -> bool:
    """Whether models and figures are the same."""
    parts = ("fingerprint", "candidate_fingerprint", "folds", "metrics", "importances", "files")
    return all(getattr(one, part) == getattr(other, part) for part in parts)


def test_helpers_and_the_training_make_the_model_of_one_process(rig: Rig, alone: Manifest) -> None:
    fitted: list[int] = []
    rig.workers.count = 3
    rig.workers.task = lambda run_id, helper: fitted.append(rig.help(run_id, helper))
    assert same(rig.train(refit="full"), alone)
    assert rig.workers.jobs == ["run1-folds-1", "run1-folds-2"]
    assert sum(fitted) >= 1
    assert rig.is_empty()
    assert rig.workers.removed == [f"run1-folds-{n}" for n in range(1, FOLDS + 1)]


def test_helpers_may_do_all(rig: Rig, alone: Manifest) -> None:
    done: list[int] = []

    def all_at_once(run_id: str, helper: str) -> None:
        done.append(rig.help(run_id, helper))

    rig.workers.task = all_at_once
    enqueue = rig.workers.enqueue_helper

    def enqueue_and_wait(run_id: str, helper: str, *, timeout_seconds: int) -> None:
        enqueue(run_id, helper, timeout_seconds=timeout_seconds)
        rig.workers.threads[-1].join()

    rig.workers.enqueue_helper = enqueue_and_wait  # type: ignore[method-assign]
    assert same(rig.train(refit="full"), alone)
    assert done == [FOLDS]


def test_with_no_helper_in_sight_the_training_fits_all_folds(rig: Rig, alone: Manifest) -> None:
    assert same(rig.train(refit="full"), alone)
    assert rig.workers.jobs == ["run1-folds-1"]
    assert rig.is_empty()


@pytest.mark.parametrize("is_helped", [True, False])
def test_features_that_memory_does_not_hold_are_shared_as_well(
    tmp_path: Path, alone: Manifest, is_helped: bool
) -> None:
    rig = Rig(make_platform(tmp_path, models=0, TRAIN_MEMORY_MB="0"))
    if is_helped:
        rig.workers.task = rig.help
    assert same(rig.train(refit="full"), alone)
    assert rig.is_empty()


@pytest.mark.parametrize("workers", [-1, 1])
def test_where_nobody_can_help_nothing_is_shared(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    rig.workers.count = workers
    monkeypatch.setattr(rig.helpers.files.__class__, "new_folder", None)
    rig.train()
    assert rig.workers.jobs == []


def test_a_training_that_cannot_share_goes_on_alone(
    rig: Rig, alone: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    rig.helpers.files.directory.parent.mkdir(exist_ok=True)
    rig.helpers.files.directory.write_bytes(b"in the way")
    assert same(rig.train(refit="full"), alone)
    assert "folds not shared" in caplog.text
    assert rig.workers.jobs == []


def test_a_helper_that_died_is_replaced(rig: Rig, alone: Manifest) -> None:
    def die(run_id: str, helper: str) -> None:
        past = rig.helpers.clock() - timedelta(seconds=20)
        with_lease = rig.helpers.folds.claim(run_id, helper, now=past, lease_seconds=20.5)
        assert with_lease is not None

    rig.workers.task = die
    assert same(rig.train(refit="full"), alone)
    assert rig.is_empty()


def test_what_a_helper_says_is_not_believed_where_it_is_damaged(rig: Rig, alone: Manifest) -> None:
    def lie(run_id: str, helper: str) -> None:
        claim = rig.helpers.folds.claim(run_id, helper, now=rig.helpers.clock(), lease_seconds=9.0)
        assert claim is not None
        rig.helpers.folds.finish(claim, b"no model")

    rig.workers.task = lie
    assert same(rig.train(refit="full"), alone)


def test_a_cancelled_training_waits_for_nobody_and_leaves_nothing(rig: Rig) -> None:
    control = rig.platform.control

    def cancel(run_id: str, helper: str) -> None:
        for _ in range(FOLDS):
            rig.helpers.folds.claim(run_id, helper, now=control.clock(), lease_seconds=900.0)
        control.run_store.cancel(run_id, actor="ann", now=control.clock())

    rig.workers.task = cancel
    rig.claim("run1")
    with pytest.raises(LeaseLost):
        rig.executor.execute("run1")
    assert control.runs.get("run1", now=control.clock()).state == "cancelled"
    assert rig.platform.registry.versions() == []
    assert rig.is_empty()


def test_a_helper_gives_up_a_fold_of_a_training_that_has_ended(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, given_up = rig.platform.control, threading.Event()
    fit = FoldHelper._fit

    def end_training_first(self: FoldHelper, work: object, claim: FoldClaim, end: object) -> None:
        control.run_store.cancel(claim.run_id, actor="ann", now=control.clock())
        fit(self, work, claim, end)  # type: ignore[arg-type]

    monkeypatch.setattr(FoldHelper, "_fit", end_training_first)

    def help_and_say(run_id: str, helper: str) -> None:
        assert rig.help(run_id, helper) == 0
        given_up.set()

    rig.workers.task = help_and_say
    rig.claim("run1", rounds=1000, params={"learning_rate": 0.001})
    with pytest.raises(LeaseLost):
        rig.executor.execute("run1")
    assert given_up.wait(30)
    assert rig.is_empty()


def test_a_helper_that_comes_too_late_does_nothing(rig: Rig) -> None:
    rig.train()
    assert rig.help("run1", "run1-folds-1") == 0
    assert not rig.helpers.has_work("run1")


def test_damaged_files_end_a_helper_with_a_reason(rig: Rig) -> None:
    folder = rig.helpers.files.new_folder("run1")
    (folder / "rows.npz").write_bytes(b"?")
    with pytest.raises(TrainingFailed, match="run1"):
        rig.help("run1", "run1-folds-1")


def test_trainings_that_died_are_cleared_up_and_others_get_helpers_again(rig: Rig) -> None:
    control, helpers = rig.platform.control, rig.helpers
    rig.claim("run1")
    control.run_store.start("run1", now=control.clock(), lease_seconds=900.0)
    helpers.folds.open("run1", FOLDS)
    helpers.files.new_folder("run1")
    helpers.files.new_folder("long-gone")
    helpers.look_after()
    helpers.look_after()
    assert rig.workers.jobs == ["run1-folds-1"]
    assert helpers.files.left_here() == {"run1"}
    assert helpers.has_work("run1")

    for _ in range(MOST_TRIES * FOLDS):
        helpers.folds.claim("run1", "x", now=control.clock(), lease_seconds=900.0)
        helpers.release("x")
    rig.workers.jobs.clear()
    helpers.look_after()
    assert rig.workers.jobs == []

    control.run_store.cancel("run1", actor="ann", now=control.clock())
    helpers.look_after()
    assert rig.is_empty()


def test_what_is_in_the_way_of_looking_after_helpers_is_logged(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.workers.count = -1
    rig.claim("run1")
    control = rig.platform.control
    control.run_store.start("run1", now=control.clock(), lease_seconds=900.0)
    rig.helpers.folds.open("run1", FOLDS)
    rig.helpers.look_after()
    assert "helpers_not_looked_after" in caplog.text


@pytest.mark.parametrize(
    ("most", "alive", "folds", "helpers"),
    [(0, 3, 5, 2), (2, 3, 5, 1), (9, 3, 5, 2), (0, 9, 5, 5), (1, 3, 5, 0), (0, 0, 5, 0)],
)
def test_as_many_help_as_may_and_are_there(
    rig: Rig, most: int, alive: int, folds: int, helpers: int
) -> None:
    rig.workers.count = alive
    assert dataclasses.replace(rig.helpers, most_workers=most).count(folds) == helpers


def test_a_job_says_which_run_it_helps() -> None:
    assert helped_run("abc-folds-12") == "abc"
    assert helped_run("abc") is None


def test_trainings_share_nothing_unless_they_are_told_to(tmp_path: Path) -> None:
    assert make_platform(tmp_path, models=0).run_executor.pipeline.fan_out is None
