"""Waits for a line, then claims the one live run; prints who has it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from mlengine.errors import TrainingInProgress
from mlengine.stores.database.engine import open_database
from mlengine.stores.runs.rows import Claim
from mlengine.stores.runs.store import RunStore


def main(url: str, run_id: str) -> None:
    runs = RunStore(open_database(url))
    print("ready", flush=True)
    input()
    try:
        runs.claim(
            Claim(run_id=run_id, spec="{}", actor="ops", request_id=None), now=datetime.now(UTC)
        )
        print("in", run_id)
    except TrainingInProgress as busy:
        print("out", busy.run_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
