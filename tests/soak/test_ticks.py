"""Each tick of a schedule starts one training, whatever workers were told and whichever dies."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.postgres import running_server, what_is_missing
from tests.processes import tick_until_killed
from tests.queue_process import QueueProcess
from tests.training_rig import say

from mlengine.services.runs.schedules import ScheduleService
from mlengine.stores.database.migrate import migrate

TICKS = 200
HOUR = timedelta(hours=1)
MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(what_is_missing() is not None, reason=str(what_is_missing())),
]


def _check_the_run_of(schedule: ScheduleService, tick: datetime) -> bool:
    """One was asked for; where its worker died before it told the queue, others do."""
    (run_id,) = schedule.runs.store.unfinished_ids()
    run = schedule.runs.get(run_id, now=tick)
    assert (run.actor, run.state, run.queued_at) == ("schedule", "queued", tick)
    has_job = schedule.runs.queue.has_job(run_id)
    assert has_job or schedule.runs.restore_missing_jobs() == [run_id]
    schedule.runs.store.finish(run_id, state="succeeded", now=tick)
    return has_job


def test_three_workers_with_other_settings_one_killed_run_each_tick_once(tmp_path: Path) -> None:
    ends: Counter[str] = Counter()
    with running_server() as server, QueueProcess() as queue:
        database = server.new_database()
        migrate(database)
        schedule = tick_until_killed.service(database, queue.url, tmp_path, None)
        schedule.set_expression("0 * * * *", actor="ann", now=MIDNIGHT)
        command = [sys.executable, "-m", tick_until_killed.__name__]
        with subprocess.Popen(
            [*command, database, queue.url, str(tmp_path), "1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # each says once that its settings differ
            text=True,
        ) as workers:
            assert workers.stdin is not None
            assert workers.stdout is not None
            for number in range(1, TICKS + 1):
                tick = MIDNIGHT + number * HOUR
                workers.stdin.write(f"{tick.isoformat()}\n")
                workers.stdin.flush()
                while not (said := workers.stdout.readline()).startswith("done"):
                    assert said, "the workers have ended"
                ends[said.split()[1]] += 1
                ends["died before the queue was told"] += not _check_the_run_of(schedule, tick)
        assert schedule.runs.store.count_by_state() == {"succeeded": TICKS}
        schedule.runs.store.engine.dispose()
    say(f"{TICKS} ticks, {dict(ends)}")
    assert ends["killed"] > TICKS / 10
