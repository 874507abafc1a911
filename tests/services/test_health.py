from __future__ import annotations

from pathlib import Path

import pytest
from tests.platforms import NOW, make_engine
from tests.published import publish
from tests.queue_process import QueueProcess

from mlengine.core.manifest import FeatureSetEntry
from mlengine.errors import AuditUnavailable, NoActiveModel, NotReady


def test_a_platform_without_queue_or_model_is_degraded_and_alive(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, models=0)
    health = engine.health.health()
    assert health.status == "degraded"
    assert (health.active_version, health.loaded_version) == (None, None)
    assert health.checks == {
        "redis": "down",
        "audit": "ok",
        "upstream": "unknown",
        "workers": "unknown",
    }
    with pytest.raises(NoActiveModel):
        engine.health.ready()


def test_a_model_makes_the_platform_ready(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)
    assert engine.health.ready() == "v1"
    assert engine.health.health().loaded_version == "v1"


def test_a_model_of_another_feature_set_is_not_ready(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)
    registry = engine.models.registry
    names = registry.manifest("v1").feature_set.features
    publish(registry.directory, entry=FeatureSetEntry("core", 1, "0" * 64, 64, names))
    registry.activate("v2", actor="x", reason="", now=NOW)
    with pytest.raises(NotReady, match="feature set 'core'"):
        engine.health.ready()


def test_an_upstream_is_judged_by_the_last_real_call(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)
    engine.predict.batch(["AAA"], as_of=None, version=None, request_id="r", now=NOW)
    assert engine.health.health().checks["upstream"] == "ok"


def test_a_queue_without_a_worker_is_said(tmp_path: Path) -> None:
    with QueueProcess() as queue:
        engine = make_engine(tmp_path, REDIS_URL=queue.url)
        checks = engine.health.health().checks
        assert (checks["redis"], checks["workers"]) == ("ok", "down")
        engine.checks.record("redis", "degraded")
        assert engine.health.health().checks["redis"] == "degraded"


def test_an_active_file_that_can_not_be_read_is_degraded(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)
    engine.models.shelf.current()
    (engine.models.registry.directory / "ACTIVE").write_text("{")
    health = engine.health.health()
    assert (health.status, health.active_version, health.loaded_version) == (
        "degraded",
        None,
        "v1",
    )


def test_an_audit_that_can_not_be_written_is_not_ready(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, AUDIT_DATABASE_URL=f"sqlite:///{tmp_path}/other.db")
    engine.audit.store.engine.dispose()
    (tmp_path / "other.db").unlink()
    with pytest.raises(AuditUnavailable):
        engine.health.ready()
    assert engine.health.health().checks["audit"] == "down"
