"""Waits for a line, then takes the tick of a schedule; prints the outcome."""

from __future__ import annotations

import sys
from datetime import timedelta

from tests.databases import NOW

from mlengine.core.runs.schedule import Schedule
from mlengine.stores.database.engine import open_database
from mlengine.stores.runs.rows import Claim
from mlengine.stores.runs.schedules import ScheduleStore


def main(url: str, run_id: str) -> None:
    store = ScheduleStore(open_database(url))
    claim = Claim(run_id=run_id, spec="{}", actor="schedule", request_id=None)
    tick = NOW + timedelta(hours=23)
    store.read()
    print("ready", flush=True)
    input()
    taken = store.claim_tick(Schedule("0 2 * * *", NOW), tick, claim, now=tick)
    while taken.outcome == "contended":
        taken = store.claim_tick(Schedule("0 2 * * *", NOW), tick, claim, now=tick)
    print(taken.outcome)


if __name__ == "__main__":
    main(*sys.argv[1:])
