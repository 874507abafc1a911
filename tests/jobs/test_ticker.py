from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.patience import eventually
from tests.platforms import settings

from mlengine.bootstrap.control import build_control
from mlengine.jobs.ticker import Ticker, claim_due_training

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)


def test_a_clock_that_ticks_claims_a_run_by_itself(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    control = build_control(settings(tmp_path, TRAIN_SCHEDULE="0 2 * * *"))
    control.migrate_and_backfill()
    moments = [MIDNIGHT]
    tick = partial(claim_due_training, lambda: (control.schedules,), lambda: moments[-1])
    clock = Ticker("schedule", tick)
    tick()
    moments.append(MIDNIGHT + timedelta(hours=3))
    clock.start()
    try:
        assert eventually(lambda: len(control.run_store.unfinished_ids()) == 1)
    finally:
        clock.stop()
    (run,) = control.run_store.queued()
    assert run.actor == "schedule"


def test_a_clock_without_its_database_says_so_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = "sqlite:////nonexistent/audit.db"
    control = build_control(settings(tmp_path, TRAIN_SCHEDULE="0 2 * * *", AUDIT_DATABASE_URL=url))
    assert claim_due_training(lambda: (control.schedules,), lambda: MIDNIGHT) > 1
    assert "schedule_not_read" in caplog.text


def test_the_clock_loads_neither_polars_nor_lightgbm() -> None:
    modules = "mlengine.jobs.ticker, mlengine.jobs.monitoring_child"
    code = f"import sys, {modules}; print(*{{name.split('.')[0] for name in sys.modules}})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"polars", "lightgbm", "flask"} & set(said.stdout.split())
