"""Audits predictions from four threads until it is killed; prints each id that is written."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace

from tests.databases import answered, opened

from mlengine.stores.audit.store import AuditStore


def append_many(store: AuditStore, thread: int) -> None:
    entry = answered(1)
    for number in range(10_000):
        name = f"p{thread}-{number}"
        store.append([replace(entry, prediction=replace(entry.prediction, prediction_id=name))])
        os.write(1, f"{name}\n".encode())


def main(url: str) -> None:
    with opened(url) as engine:
        store = AuditStore(engine)
        for thread in range(4):
            threading.Thread(target=append_many, args=[store, thread], daemon=True).start()
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
