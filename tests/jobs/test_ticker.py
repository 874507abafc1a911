from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.patience import eventually
from tests.platforms import settings

from mlengine.bootstrap.control import build_control
from mlengine.jobs.ticker import ScheduleTicker

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)


def test_a_clock_that_ticks_claims_a_run_by_itself(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    control = build_control(settings(tmp_path, TRAIN_SCHEDULE="0 2 * * *"))
    control.migrate_and_backfill()
    moments = [MIDNIGHT]
    clock = ScheduleTicker(control.schedules, lambda: moments[-1])
    clock.tick_once()
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
    assert ScheduleTicker(control.schedules, lambda: MIDNIGHT).tick_once() > 1
    assert "schedule_not_read" in caplog.text


def test_the_clock_loads_neither_polars_nor_lightgbm() -> None:
    code = "import sys, mlengine.jobs.ticker; print(*{name.split('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"polars", "lightgbm", "flask"} & set(said.stdout.split())
