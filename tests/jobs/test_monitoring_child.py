from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.databases import NOW, answered, new_database, opened
from tests.patience import eventually
from tests.platforms import make_platform, settings

from mlengine import config
from mlengine.jobs.monitoring_child import COMMAND, MonitoringChild
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.monitoring.update_lease import UpdateLease
from mlengine.stores.system.dependency_states import DependencyStates

SLEEP = ("sleep", "600")


def append(engine: Engine, number: int) -> None:
    AuditStore(engine, DependencyStates()).append([answered(number)])


def child_of(engine: Engine, *command: str) -> MonitoringChild:
    return MonitoringChild(UpdateLease(engine), 60, lambda: NOW, command)


def test_nothing_is_started_where_nothing_has_come(tmp_path: Path) -> None:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        child = child_of(engine, *SLEEP)
        assert child.tick() == 60
        append(engine, 1)
        assert child.tick() < 60
        child.stop()


def test_one_works_at_a_time_and_a_failure_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        append(engine, 1)
        child = child_of(engine, "false")
        assert child.tick() < 60
        assert eventually(lambda: child.tick() == 60)
    assert "monitoring_update_failed" in caplog.text


def test_a_child_that_works_is_ended_with_its_worker(tmp_path: Path) -> None:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        append(engine, 1)
        child = child_of(engine, *SLEEP)
        child.tick()
        assert child.tick() < 60
        child.stop()
        assert child.tick() == 60


def test_without_a_database_it_is_tried_again_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(f"sqlite:///{tmp_path}/none/audit.db") as engine:
        assert child_of(engine, *SLEEP).tick() == 60
    assert "monitoring_not_read" in caplog.text


def test_the_process_itself_takes_in_what_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = make_platform(tmp_path)
    platform.predict.predict("AAA", PredictionRequest("r", datetime.now(UTC)))
    lease = platform.control.update_lease
    assert lease.is_due(now=datetime.now(UTC))
    for name, value in {
        "ARTIFACTS_DIR": str(settings(tmp_path).artifacts_dir),
        "MARKET_DATA_DIR": str(tmp_path / "bars"),
    }.items():
        monkeypatch.setenv(name, value)
    assert config.load_from_environment().monitoring.every_seconds == 60
    child = MonitoringChild(lease, 60, lambda: datetime.now(UTC), COMMAND)
    child.tick()
    assert eventually(lambda: child.tick() == 60, seconds=30)
    assert not lease.is_due(now=datetime.now(UTC))
