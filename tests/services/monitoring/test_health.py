from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis
from tests.patience import patience
from tests.platforms import NOW, make_platform
from tests.published import publish
from tests.queue_process import QueueProcess

from mlengine.bootstrap.platform import Platform
from mlengine.core.versions.manifest import FeatureSetEntry
from mlengine.errors import DatabaseUnavailable, NoActiveModel, NotReady
from mlengine.services.monitoring.health import HealthService, WorkerCountProbe
from mlengine.services.predictions.prediction_builder import PredictionRequest


@pytest.fixture
def queue() -> Iterator[QueueProcess]:
    with QueueProcess() as running:
        yield running


def predict(platform: Platform) -> None:
    platform.predict.predict_batch(
        ["AAA"],
        PredictionRequest(request_id="r", now=NOW, route="/predict/batch"),
    )


def eventually(service: HealthService, part: str, state: str) -> bool:
    """Whether `part` comes to be in `state`; a busy machine may need more than one asking."""
    until = time.monotonic() + patience(20)
    while service.health().checks[part] != state:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


class Clock:
    """A monotonic timer that is set by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_platform_without_queue_or_model_is_degraded_and_alive(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0)
    health = platform.health.health()
    assert health.status == "degraded"
    assert (health.active_version, health.loaded_version) == (None, None)
    assert health.checks == {
        "redis": "down",
        "audit": "unknown",
        "upstream": "unknown",
        "workers": "unknown",
        "model": "unknown",
        "keys": "ok",
    }
    with pytest.raises(NoActiveModel):
        platform.health.ready()


def test_a_model_makes_the_platform_ready(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    assert platform.health.ready() == "v1"
    health = platform.health.health()
    assert (health.loaded_version, health.checks["model"]) == ("v1", "ok")


def test_a_model_of_another_feature_set_is_not_ready(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    registry = platform.models.registry
    names = registry.manifest("v1").feature_set.features
    publish(registry.directory, entry=FeatureSetEntry("core", 1, "0" * 64, 64, names))
    registry.activate("v2", actor="x", reason="", now=NOW)
    with pytest.raises(NotReady, match="feature set 'core'"):
        platform.health.ready()
    assert platform.health.health().checks["model"] == "down"


def test_a_worker_that_starts_on_a_broken_version_serves_the_one_before_and_says_so(
    tmp_path: Path,
) -> None:
    platform = make_platform(tmp_path, models=2)
    platform.registry.activate("v2", actor="x", reason="", now=NOW)
    (platform.registry.directory / "v2" / "model.txt").write_text("")
    assert platform.health.ready() == "v1"
    health = platform.health.health()
    assert (health.active_version, health.loaded_version) == ("v2", "v1")
    assert (health.status, health.checks["model"]) == ("degraded", "degraded")
    (made,) = platform.predict.predict_batch(
        ["AAA"],
        PredictionRequest(request_id="r", now=NOW, route="/predict/batch"),
    ).results
    assert (made.model_version, made.degraded) == ("v1", True)


def test_upstream_and_audit_are_judged_by_the_last_real_call(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    predict(platform)
    checks = platform.health.health().checks
    assert (checks["upstream"], checks["audit"]) == ("ok", "ok")


def test_a_queue_without_a_worker_is_said(tmp_path: Path, queue: QueueProcess) -> None:
    platform = make_platform(tmp_path, REDIS_URL=queue.url)
    assert eventually(platform.health, "workers", "down")
    assert platform.health.health().checks["redis"] == "ok"
    platform.states.record("redis", "degraded")
    assert eventually(platform.health, "redis", "degraded")


def test_a_queue_server_that_hangs_makes_no_one_wait(tmp_path: Path, queue: QueueProcess) -> None:
    platform = make_platform(tmp_path, REDIS_URL=queue.url)
    assert eventually(platform.health, "redis", "ok")
    with Redis.from_url(queue.url) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    slowest = 0.0
    try:
        assert eventually(platform.health, "redis", "down")
        for _ in range(20):
            started = time.monotonic()
            checks = platform.health.health().checks
            slowest = max(slowest, time.monotonic() - started)
            assert (checks["redis"], checks["workers"]) == ("down", "unknown")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert slowest < patience(0.5), "a fifth of a second, and what a busy machine adds"
    assert eventually(platform.health, "redis", "ok")


def test_the_queue_is_asked_once_in_two_seconds(tmp_path: Path, queue: QueueProcess) -> None:
    clock = Clock()
    platform = make_platform(tmp_path, REDIS_URL=queue.url)
    service = dataclasses.replace(
        platform.health, worker_count=WorkerCountProbe(platform.control.runs.workers, clock)
    )
    assert eventually(service, "redis", "ok")
    queue.stop()
    clock.seconds = 1.9
    assert service.health().checks["redis"] == "ok"
    clock.seconds = 2.0
    assert eventually(service, "redis", "down")


def test_a_locked_database_makes_no_one_wait(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    predict(platform)
    with closing(sqlite3.connect(tmp_path / "artifacts/audit.db")) as holder:
        holder.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        assert platform.health.health().checks["audit"] == "ok", "as the last write left it"
        with pytest.raises(DatabaseUnavailable):
            platform.health.ready()
        assert time.monotonic() - started < patience(3)
    assert platform.health.ready() == "v1"


def test_an_older_copy_that_serves_is_degraded(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    assert platform.health.health().checks["model"] == "ok"
    (platform.registry.directory / "v1" / "model.txt").write_bytes(b"spoilt")
    platform.control.active.touch()
    health = platform.health.health()
    assert (health.active_version, health.loaded_version) == ("v1", "v1")
    assert (health.status, health.checks["model"]) == ("degraded", "degraded")


def test_an_active_file_that_can_not_be_read_is_degraded(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    platform.loader.active()
    (platform.registry.directory / "ACTIVE").write_text("{")
    health = platform.health.health()
    assert (health.status, health.active_version, health.loaded_version) == (
        "degraded",
        None,
        "v1",
    )


def test_a_folder_of_models_that_is_a_file_is_degraded(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0)
    (tmp_path / "artifacts/models").mkdir(parents=True, exist_ok=True)
    (tmp_path / "artifacts/models/main").write_text("")
    health = platform.health.health()
    assert (health.status, health.checks["model"]) == ("degraded", "down")


def test_an_audit_that_can_not_be_written_is_not_ready(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, AUDIT_DATABASE_URL=f"sqlite:///{tmp_path}/other.db")
    platform.control.database.dispose()
    (tmp_path / "other.db").unlink()
    with pytest.raises(DatabaseUnavailable):
        platform.health.ready()
    assert platform.health.health().checks["audit"] == "down"
