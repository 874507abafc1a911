"""Fits by lightgbm.dask on a cluster whose scheduler and worker are in this process.

With one worker there is no sum over machines, so that the trees are those of one process; several
are in tests/soak/test_dask.py.
"""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import lightgbm as lgb
import numpy as np
import pytest
from distributed import Client, LocalCluster
from tests.patience import eventually

from mlengine.core.boosting.binning import LabelledRows
from mlengine.core.boosting.early_stopping import cut_at_best_round
from mlengine.core.boosting.model import LightGBMConfig, fit
from mlengine.errors import LeaseLost, TrainingFailed
from mlengine.stores.training import dask_cluster, dask_watch
from mlengine.stores.training.dask_cluster import DaskCluster
from mlengine.stores.training.dask_watch import ClusterWatch

NAMES = ("a", "b", "c")
PARAMS = {
    "learning_rate": 0.2,
    "num_leaves": 7,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 3.0,
}


def _config(objective="direction", rounds=12, **params):
    return LightGBMConfig(
        objective, 42, 1, rounds=rounds, early_stopping_rounds=3, params={**PARAMS, **params}
    )


def _rows(seed=0, rows=800):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, len(NAMES)))
    features[rng.random(features.shape) < 0.05] = np.nan
    labels = np.nan_to_num(features[:, 0]) + rng.normal(size=rows)
    return features, (labels > 0.0).astype(np.float64)


def _nothing():
    """While the cluster fits."""


def _fit(cluster, config=None, blocks=None, meanwhile=_nothing):
    return cluster.fit(
        config or _config(), names=NAMES, blocks=blocks or [_rows()], meanwhile=meanwhile
    )


@pytest.fixture(autouse=True)
def _ports_of_failed_fits(monkeypatch):
    """LightGBM leaves the port of a fit that fails to the garbage collector of its worker."""
    dask_cluster._let_lightgbm_find_scikit_learn()
    held = []
    acquire = lgb.dask._RemoteSocket.acquire

    def acquire_and_hold(port):
        held.append(port)
        return acquire(port)

    monkeypatch.setattr(lgb.dask._RemoteSocket, "acquire", acquire_and_hold)
    yield
    for port in held:
        port.release()


@pytest.fixture(scope="module")
def local():
    with _local_cluster() as cluster:
        yield cluster


def _local_cluster(workers=1):
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        host="127.0.0.1",
        protocol="tcp://",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address=None,
    )


@pytest.fixture
def cluster(local):
    return DaskCluster(local.scheduler_address, connect_seconds=10.0)


@pytest.mark.parametrize("objective", ["direction", "return"])
def test_one_worker_gives_the_trees_of_one_process(cluster, objective):
    config, rows, stop = _config(objective), _rows(1), _rows(2, 400)
    alone = fit(config, names=NAMES, train=LabelledRows(*rows), early_stop=LabelledRows(*stop))
    text = _fit(cluster, config, [rows])
    fitted = cut_at_best_round(text, config, names=NAMES, early_stop=[stop])
    assert fitted.fingerprint == alone.fingerprint
    assert fitted.best_iteration == alone.best_iteration


def test_scikit_learn_is_found_where_it_was_hidden_from_lightgbm(cluster, monkeypatch):
    monkeypatch.setattr(lgb.compat, "SKLEARN_INSTALLED", False)
    assert _fit(cluster, _config(rounds=1)).startswith("tree\n")
    assert lgb.compat.SKLEARN_INSTALLED


def test_all_blocks_are_learnt_from_and_nothing_of_them_stays(cluster, local):
    blocks = (_rows(seed, 301 + seed) for seed in range(4))
    text = _fit(cluster, _config(rounds=2, bagging_fraction=1.0), blocks)
    counts = [line for line in text.splitlines() if line.startswith("leaf_count=")]
    assert {sum(map(int, line.split("=")[1].split())) for line in counts} == {4 * 301 + 6}
    assert eventually(lambda: not local.scheduler.tasks)


def test_lines_of_dask_are_those_of_the_platform(cluster, caplog):
    _fit(cluster, _config(rounds=1))
    for name in ("distributed", "distributed.client"):
        assert logging.getLogger(name).handlers == []
        caplog.clear()
        logging.getLogger(name).warning("said once")
        assert caplog.messages == ["said once"]


def test_what_is_raised_meanwhile_ends_the_fit(cluster, local):
    def lose():
        raise LeaseLost("run")

    with pytest.raises(LeaseLost):
        _fit(cluster, _config(rounds=2_000, num_leaves=100), meanwhile=lose)
    assert eventually(lambda: not local.scheduler.tasks)


def test_what_lightgbm_refuses_fails_the_training_in_words(cluster):
    with pytest.raises(TrainingFailed, match="LightGBM refused"):
        _fit(cluster, _config(num_leaves=1))


def test_another_failure_on_the_cluster_is_named_by_its_kind_alone(cluster, caplog):
    def blocks():
        yield _rows()
        raise KeyError("not for everyone")

    with pytest.raises(TrainingFailed, match=r"could not fit the model \(KeyError\)") as failed:
        _fit(cluster, blocks=blocks())
    assert "everyone" not in str(failed.value)
    assert "not for everyone" in caplog.text


def test_a_worker_that_can_not_fit_is_named_before_rows_are_sent(cluster, monkeypatch):
    monkeypatch.setattr(dask_watch, "_PACKAGES", ("lightgbm", "no-such-package"))
    with pytest.raises(TrainingFailed, match=r"worker tcp://.* has no no-such-package"):
        _fit(cluster, blocks=[()])
    monkeypatch.setattr(lgb, "__version__", "3.3.5")
    with pytest.raises(TrainingFailed, match=r"has lightgbm .*, and the training 3.3.5"):
        _fit(cluster, blocks=[()])


def test_a_scheduler_that_is_not_there_is_named():
    with pytest.raises(TrainingFailed, match=r"tcp://127.0.0.1:1 does not answer within 0.2 s"):
        _fit(DaskCluster("tcp://127.0.0.1:1", connect_seconds=0.2))


def test_a_cluster_without_workers_is_not_waited_for_long():
    with _local_cluster(workers=0) as empty:
        cluster = DaskCluster(empty.scheduler_address, connect_seconds=0.3)
        with pytest.raises(TrainingFailed, match="has no workers"):
            _fit(cluster)


def test_a_lost_worker_and_a_silent_scheduler_end_the_fit(monkeypatch):
    monkeypatch.setattr(dask_watch, "_SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(dask_watch, "_SECONDS_A_LOOK", 0.3)
    with _local_cluster() as local, Client(local.scheduler_address) as client:
        watch = ClusterWatch(client, silence_seconds=0.0)
        watch.begin(wait_seconds=5.0)
        watch.look()
        local.scale(0)
        assert eventually(lambda: not client.nthreads())
        for look in (watch.look, watch.explain_failure):
            with pytest.raises(TrainingFailed, match=r"lost 1 of 1 workers.*tcp://127.0.0.1"):
                look()
        local.close()
        with pytest.raises(TrainingFailed, match="has said nothing for 0 s"):
            _look_until(watch)
        with pytest.raises(TrainingFailed, match="does not answer any more"):
            watch.explain_failure()


def test_looks_at_the_cluster_are_a_second_apart(cluster):
    with Client(cluster.address) as client:
        watch = ClusterWatch(client, silence_seconds=1.0)
        watch.begin(wait_seconds=5.0)
        watch.workers = ("tcp://127.0.0.1:1",)
        watch.look()


def test_workers_that_nobody_can_start_anew_are_named_in_the_log(cluster, caplog):
    """Those of this process have no nanny; the fit runs until its own end."""
    with Client(cluster.address) as client, ThreadPoolExecutor(1) as thread:
        released.clear()
        future = client.submit(_wait_until_released, pure=False)
        assert eventually(lambda: any(client.call_stack().values()))
        thread.submit(dask_watch.end_fits, client, {"another"}, grace_seconds=0.2).result()
        assert "workers" not in caplog.text
        thread.submit(dask_watch.end_fits, client, {future.key}, grace_seconds=0.2).result()
        future.cancel()
        released.set()
    assert "workers may still be at a fit" in caplog.text


released = threading.Event()


def _wait_until_released():
    """The task of a worker in this process."""
    released.wait(60.0)


def _look_until(watch):
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        watch.look()
