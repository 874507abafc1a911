"""Processes that migrate one database at the same moment."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

from tests.processes.racing import race

from mlengine.stores.database.migrate import migrate


def bring_to_newest_schema(url: str, _number: int, wait: Callable[[], object]) -> str:
    wait()
    migrate(url)
    return "migrated"


if __name__ == "__main__":
    race(int(sys.argv[2]), functools.partial(bring_to_newest_schema, sys.argv[1]))
