"""Three workers that look at one schedule at each tick, one of which is killed while it looks.

For each line of the standard input, a moment: forks as many workers, kills one a random while after
they have begun, lets the others look again as workers do each second, and prints the outcomes.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from tests.platforms import settings

from mlengine.services.runs.schedules import ScheduleService
from mlengine.services.runs.service import RunService
from mlengine.stores.database.engine import open_database
from mlengine.stores.queue.jobs import JobQueue
from mlengine.stores.runs.schedules import ScheduleStore
from mlengine.stores.runs.store import RunStore

# What each of them was told to begin with; the database counts.
CONFIGURED = ("0 * * * *", "*/7 * * * *", None)
_LONGEST_SECONDS = 0.15


def service(database: str, queue: str, folder: Path, configured: str | None) -> ScheduleService:
    engine = open_database(database)
    runs = RunService(RunStore(engine), JobQueue(lambda: queue), settings(folder).train, 60)
    return ScheduleService(ScheduleStore(engine), runs, configured)


def look(
    asked: tuple[str, str, Path], number: int, moment: datetime, ready: int, begin: int
) -> None:
    """What one worker does; both pipes carry a byte for each, so that the dead hold nobody up."""
    schedule = service(*asked, CONFIGURED[number])
    schedule.store.read()
    os.write(ready, b".")
    os.read(begin, 1)
    outcomes = [schedule.tick(run_id=uuid4().hex, now=moment).outcome for _ in range(3)]
    sys.stdout.write(f"{number} {' '.join(outcomes)}\n")
    sys.stdout.flush()


def main(database: str, queue: str, folder: str, seed: str) -> None:
    context, chance = multiprocessing.get_context("fork"), random.Random(seed)  # noqa: S311
    arguments = (database, queue, Path(folder))
    for line in sys.stdin:
        moment = datetime.fromisoformat(line.strip())
        (is_ready, ready), (begin, start) = os.pipe(), os.pipe()
        workers = [
            context.Process(target=look, args=(arguments, number, moment, ready, begin))
            for number in range(len(CONFIGURED))
        ]
        for worker in workers:
            worker.start()
        for _ in workers:
            os.read(is_ready, 1)
        os.write(start, b"." * len(workers))
        time.sleep(chance.uniform(0.0, _LONGEST_SECONDS))
        victim = chance.choice(workers)
        if victim.pid is not None and victim.is_alive():
            os.kill(victim.pid, signal.SIGKILL)
        for worker in workers:
            worker.join()
        for handle in (is_ready, ready, begin, start):
            os.close(handle)
        killed = victim.exitcode == -signal.SIGKILL
        sys.stdout.write(f"done {'killed' if killed else 'late'}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
