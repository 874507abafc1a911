"""Processes that take one tick of a schedule at the same moment; each prints the outcome."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from datetime import datetime

from tests.processes.racing import race

from mlengine.core.runs.schedule import Schedule
from mlengine.stores.database.engine import open_database
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.schedules import ScheduleStore


def take(
    url: str, schedule: Schedule, tick: datetime, number: int, wait: Callable[[], object]
) -> str:
    store = ScheduleStore(open_database(url))
    claim = NewRun(run_id=f"run{number}", spec="{}", actor="schedule", request_id=None)
    store.read()
    wait()
    taken = store.claim_tick(schedule, tick, claim, now=tick)
    while taken.outcome == "contended":
        taken = store.claim_tick(schedule, tick, claim, now=tick)
    return taken.outcome


def main(url: str, expression: str, since: str, tick: str, racers: str) -> None:
    schedule = Schedule(expression, datetime.fromisoformat(since))
    race(int(racers), functools.partial(take, url, schedule, datetime.fromisoformat(tick)))


if __name__ == "__main__":
    main(*sys.argv[1:])
