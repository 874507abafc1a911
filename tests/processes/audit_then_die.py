"""Audits `count` predictions from number `first` on, and kills itself."""

from __future__ import annotations

import os
import signal
import sys

from tests.databases import answered, opened

from mlengine.stores.audit.store import AuditStore


def main(url: str, first: str, count: str) -> None:
    with opened(url) as engine:
        store = AuditStore(engine)
        for number in range(int(first), int(first) + int(count)):
            store.append([answered(number, day=number % 3)])
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
