"""Spools where a file may not grow; prints what is refused and how many files are left."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from tests.databases import answered, opened

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.audit.spool.spool import AuditSpool
from mlengine.stores.audit.spool.store import SpooledAuditStore


def main(folder: str) -> None:
    spool = Path(folder, "spool")
    with opened(f"sqlite:///{folder}/nowhere/audit.db") as engine:
        store = SpooledAuditStore(engine, spool=AuditSpool(spool))
        store.append([answered(1)])
        size = next(spool.iterdir()).stat().st_size
        for room in (size + 100, 100):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
            try:
                store.append([answered(2)])
            except DatabaseUnavailable as refusal:
                print(refusal)
        print(len(list(spool.iterdir())), "file")
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        store.append([answered(3)])


if __name__ == "__main__":
    main(*sys.argv[1:])
