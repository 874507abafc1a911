"""Counts so often in the folder, says so, and waits to be killed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from mlengine.core.telemetry.families import HTTP_DURATION, HTTP_REQUESTS
from mlengine.stores.telemetry.counters import Counters


def main(folder: str, count: str) -> None:
    counters = Counters(Path(folder))
    for number in range(int(count)):
        counters.count(HTTP_REQUESTS, "/predict", "GET", "200").add()
        counters.sketch(HTTP_DURATION, "/predict", "GET").observe(1.0 + number)
    print("counted", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
