"""Trainings by `lightgbm.dask` on two workers that are processes of their own, and their ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from tests.dask_processes import DaskProcesses, dask_processes
from tests.patience import eventually, patience
from tests.training_rig import TrainingRig, now, say

from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.config import Settings
from mlengine.core.boosting.model import DEFAULT_PARAMS, LightGBMConfig
from mlengine.core.runs.run import Run
from mlengine.errors import InvalidRequest, TrainingFailed
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.services.runs.service import RunRequest
from mlengine.stores.training.dask_cluster import DaskCluster

pytestmark = pytest.mark.soak

LONG, SOME = 100_000, 4_000
SHORT, KILLS = 20, 8


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    with dask_processes(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
def rig(cluster: DaskProcesses) -> Iterator[TrainingRig]:
    with _rig(cluster) as started:
        yield started


def _rig(cluster: DaskProcesses) -> TrainingRig:
    return TrainingRig(DASK_SCHEDULER_ADDRESS=cluster.address, TRAIN_MEMORY_MB="0")


def _ask(rig: TrainingRig, rounds: int) -> str:
    recipe = {"engine": "dask", "rounds": rounds}
    request = RunRequest(uuid4().hex, "test", "r", now())
    return rig.control.runs.request_training(recipe, request).run_id


def _begin(rig: TrainingRig, cluster: DaskProcesses, rounds: int) -> str:
    """A run whose fit the workers are at."""
    rig.start_worker()
    run_id = _ask(rig, rounds)
    assert eventually(lambda: cluster.at_work() or not rig.run(run_id).unfinished, seconds=60)
    assert rig.run(run_id).state == "running", rig.log()
    return run_id


def _end(rig: TrainingRig, run_id: str) -> tuple[Run, float]:
    return rig.end_of(run_id, seconds=180)


def _leaves_nothing(rig: TrainingRig, cluster: DaskProcesses) -> bool:
    """Neither rows on the cluster, nor a fit, nor features or a version here."""
    idle = eventually(lambda: not cluster.at_work() and not cluster.data(), seconds=120)
    spilled = [each for each in (rig.artifacts / "spill").iterdir() if each.is_dir()]
    held = [each for each in spilled if any(each.iterdir())]
    return idle and not rig.versions() and (not held or rig.worker is not None)


def _works(cluster: DaskProcesses, count: int = 2) -> bool:
    """Whether each worker does what it is asked, which one that waits in LightGBM does not."""
    with cluster.client() as client:
        client.wait_for_workers(count, timeout=120)
        asked = [
            client.submit(pow, 2, 10, workers=[worker], pure=False) for worker in client.nthreads()
        ]
        return [each.result(timeout=patience(20)) for each in asked] == [1024] * count


def test_two_workers_make_a_version_that_serves_once_a_person_says_so(
    rig: TrainingRig, cluster: DaskProcesses
) -> None:
    rig.start_worker()
    fingerprints = set()
    for _ in range(2):
        run, _ = _end(rig, _ask(rig, SHORT))
        assert run.state == "succeeded", (run.error, rig.log())
        platform = build_platform(Settings.from_env(rig.environ))
        manifest, is_active = platform.models.get(str(run.version))
        assert not manifest.reproducible
        assert (manifest.gate.policy, manifest.gate.reason) == ("always", "not_reproducible")
        assert not is_active
        assert len(manifest.folds) == 1
        fingerprints.add(manifest.fingerprint)
    say(f"fingerprints of one recipe: {len(fingerprints)}")
    assert eventually(lambda: not cluster.data())
    platform.models.activate("v2", actor="ann", reason="it is good", now=now())
    _replays(platform)


def _replays(platform: Platform) -> None:
    for symbol in ("AAA", "BBB"):
        made = platform.predict.predict(symbol, PredictionRequest("r", now()))
        assert made.model_version == "v2"
        replayed = platform.replay.replay(
            made.prediction_id, check_upstream=False, actor="ann", request_id=None, now=now()
        )
        assert replayed.status == "identical"


@pytest.mark.parametrize("which", [0, 1])
def test_a_killed_worker_ends_the_run_in_words_and_the_other_is_of_use_again(
    rig: TrainingRig, cluster: DaskProcesses, which: int
) -> None:
    run_id = _begin(rig, cluster, LONG)
    killed_at = time.monotonic()
    os.kill(cluster.worker_pids()[which], signal.SIGKILL)
    run, _ = _end(rig, run_id)
    say(f"failed {time.monotonic() - killed_at:.1f} s after its worker: {run.error}")
    assert run.state == "failed"
    assert "lost 1 of 2 workers" in str(run.error)
    assert _works(cluster)
    assert _leaves_nothing(rig, cluster)


def test_workers_killed_at_random_moments_leave_the_others_of_use(cluster: DaskProcesses) -> None:
    """Of eight survivors about one waits in LightGBM, for ever where nobody starts it anew."""
    rng = np.random.default_rng(1)
    for kill in range(KILLS):
        with ThreadPoolExecutor(1) as thread:
            fit = thread.submit(_fit_for_long, cluster)
            assert eventually(cluster.at_work, seconds=60)
            time.sleep(2 * rng.random())
            killed_at = time.monotonic()
            os.kill(cluster.worker_pids()[kill % 2], signal.SIGKILL)
            with pytest.raises(TrainingFailed, match="lost 1 of 2 workers"):
                fit.result()
        say(f"kill {kill}: failed after {time.monotonic() - killed_at:.1f} s")
        assert _works(cluster)
    assert eventually(lambda: not cluster.data())


def _fit_for_long(cluster: DaskProcesses) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4_000, 10))
    labels = (rows[:, 0] + rng.normal(size=len(rows)) > 0.0).astype(np.float64)
    params = {**DEFAULT_PARAMS, "min_data_in_leaf": 20}
    DaskCluster(cluster.address).fit(
        LightGBMConfig("direction", 42, 1, rounds=LONG, params=params),
        names=tuple("abcdefghij"),
        blocks=[(rows, labels)],
        meanwhile=lambda: None,
    )


def test_a_cancelled_run_ends_at_once_and_the_cluster_is_free_after_the_fit(
    rig: TrainingRig, cluster: DaskProcesses
) -> None:
    run_id = _begin(rig, cluster, SOME)
    rig.control.runs.cancel(run_id, actor="ann", now=now())
    assert eventually(lambda: rig.horse() is None)
    assert rig.run(run_id).state == "cancelled"
    assert _works(cluster)
    assert _leaves_nothing(rig, cluster)


def test_a_scheduler_that_dies_during_the_fit_ends_the_run_in_words(tmp_path: Path) -> None:
    with dask_processes(tmp_path) as cluster, _rig(cluster) as rig:
        run_id = _begin(rig, cluster, LONG)
        died_at = time.monotonic()
        cluster.scheduler.kill()
        run, _ = _end(rig, run_id)
        say(f"failed {time.monotonic() - died_at:.1f} s after the scheduler: {run.error}")
        assert run.state == "failed"
        assert "Dask scheduler" in str(run.error)
        assert not rig.versions()
        # Nobody is left to ask: the next run is told so.
        run, _ = _end(rig, _ask(rig, SHORT))
        assert (run.state, "does not answer" in str(run.error)) == ("failed", True)


def test_without_an_address_the_recipe_is_refused_before_there_is_a_run() -> None:
    with TrainingRig() as rig:
        request = RunRequest(uuid4().hex, "test", "r", now())
        with pytest.raises(InvalidRequest, match="DASK_SCHEDULER_ADDRESS"):
            rig.control.runs.request_training({"engine": "dask"}, request)
        assert rig.control.runs.status(None, now=now()) is None
