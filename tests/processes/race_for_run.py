"""Processes that claim the one live run at the same moment; each prints who has it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from tests.processes.racing import race

from mlengine.errors import TrainingInProgress
from mlengine.stores.database.engine import open_database
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.store import RunStore


def claim(url: str, number: int, wait: Callable[[], object]) -> str:
    runs = RunStore(open_database(url))
    mine = NewRun(run_id=f"run{number}", spec="{}", actor="ops", request_id=None)
    wait()
    try:
        runs.create(mine, now=datetime.now(UTC))
    except TrainingInProgress as busy:
        return f"out {busy.run_id}"
    return f"in {mine.run_id}"


if __name__ == "__main__":
    race(int(sys.argv[2]), functools.partial(claim, sys.argv[1]))
