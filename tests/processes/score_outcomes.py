"""Run the steps of the monitoring update past the lease: `python -m … FOLDER UPSTREAM MOMENT`."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from tests.replayed_market import market_settings

from mlengine.bootstrap.platform import build_platform


def main(folder: str, upstream: str, moment: str) -> None:
    platform = build_platform(market_settings(Path(folder), upstream))
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    for step in platform.monitoring_updates.steps:
        step.run(datetime.fromisoformat(moment))


if __name__ == "__main__":
    main(*sys.argv[1:])
