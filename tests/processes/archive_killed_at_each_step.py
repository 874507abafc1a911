"""Archives the same day in one process a step, each killed there; prints what became of the rows.

A step is a change of a file, or a statement that SQLite is given: `... FOLDER EVERY` takes each
EVERY-th of them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.crashing import STEPS, at_step
from tests.databases import NOW, answered, new_database, opened

from mlengine.services.audit.service import AuditService
from mlengine.stores.audit.spool.spool import AuditSpool
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.database.archive.files import AuditArchive, give_archive

KILLED = signal.SIGKILL.value
IDS = ["p4", "p3", "p2", "p1"]
_STEPS = STEPS | {"execute", "commit"}


@contextmanager
def audit_in(folder: Path) -> Iterator[AuditService]:
    with opened(f"sqlite:///{folder}/audit.db") as engine:
        give_archive(engine, AuditArchive(folder / "audit-archive"))
        yield AuditService(SpooledAuditStore(engine, spool=AuditSpool(folder / "spool")))


def archive(audit: AuditService) -> int:
    """How many predictions moved."""
    later = NOW + timedelta(days=9)
    days = audit.archive_days(before=later.date(), actor="ann", now=later)
    return sum(each.rows for each in days)


def main(folder: str, every: str) -> None:
    template = Path(folder) / "template"
    if not (pid := os.fork()):  # none may fork that has run a query of Polars
        _fill(template)
        os._exit(0)
    os.waitpid(pid, 0)
    folders = []
    for step in range(1, 1000, int(every)):
        folders.append(shutil.copytree(template, Path(folder) / str(step)))
        pid = os.fork()
        if not pid:
            with (
                audit_in(folders[-1]) as audit,
                at_step(step, lambda: os.kill(os.getpid(), signal.SIGKILL), among=_STEPS),
            ):
                archive(audit)
            os._exit(0)
        if os.waitpid(pid, 0)[1] != KILLED:
            break
    wrong = [each.name for each in folders if not _is_whole(each)]
    print(json.dumps({"killed": len(folders) - 1, "wrong": wrong}))


def _fill(template: Path) -> None:
    template.mkdir()
    new_database(template / "audit.db")
    with audit_in(template) as audit:
        entries = [answered(number, day=number % 3) for number in range(1, 5)]
        entries[3] = replace(entries[3], at=NOW + timedelta(days=1))
        audit.store.append(entries)


def _is_whole(folder: Path) -> bool:
    """Each row once: after the kill, and after the next run."""
    with audit_in(folder) as audit:
        before = [row.prediction_id for row in audit.recent(limit=9).rows]
        archive(audit)
        after = [row.prediction_id for row in audit.recent(limit=9).rows]
    return before == after == IDS


if __name__ == "__main__":
    main(*sys.argv[1:])
