"""Spools one prediction a process, each killed one step later; prints how each ended."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.crashing import STEPS, at_step
from tests.databases import answered, opened

from mlengine.stores.audit.spool.spool import AuditSpool
from mlengine.stores.audit.spool.store import SpooledAuditStore


def spool_one(folder: Path, number: int) -> None:
    with opened(f"sqlite:///{folder}/nowhere/audit.db") as engine:
        store = SpooledAuditStore(engine, spool=AuditSpool(folder / "spool"))
        entry = answered(number)
        with at_step(number, lambda: os.kill(os.getpid(), signal.SIGKILL), among=STEPS):
            store.append([entry])


def main(folder: str) -> None:
    outcomes = []
    for number in range(1, 40):
        pid = os.fork()
        if not pid:
            spool_one(Path(folder), number)
            os._exit(0)
        outcomes.append(os.waitpid(pid, 0)[1])
    print(outcomes)


if __name__ == "__main__":
    main(*sys.argv[1:])
