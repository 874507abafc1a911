"""Score what is due until told otherwise: `python -m … FOLDER UPSTREAM SECONDS HOLDER`.

SECONDS is how far the replayed market's clock is from this machine's.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from tests.replayed_market import market_settings

from mlengine.bootstrap.platform import build_platform
from mlengine.services.signals.worker import SignalWorker
from mlengine.stores.database.clock import host_clock


def main(folder: str, upstream: str, seconds: str, holder: str, *symbols: str) -> None:
    platform = build_platform(market_settings(Path(folder), upstream))
    ahead = timedelta(seconds=float(seconds))

    def clock() -> datetime:
        return host_clock() + ahead

    planner = replace(platform.slice_scorer.planner, symbols=symbols, slice_symbols=2)
    scorer = replace(platform.slice_scorer, planner=planner, clock=clock)
    plans = platform.control.signal_plans
    worker = SignalWorker(lambda: {"main": scorer}, plans, clock, holder)
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    sys.stdin.readline()
    while True:
        worker.work()
        time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
