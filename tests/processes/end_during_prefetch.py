"""Ends while the platform still fetches; prints whether it did: folder, upstream, its kind."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.platforms import make_platform
from tests.services.predictions.test_prefetch import DAY, DAYS, FIRST, NOW, ask, known, warm


def main(folder: str, url: str, source: str) -> None:
    settings = {"MARKET_DATA_BASE_URL": url} if source == "http" else {}
    platform = make_platform(Path(folder), MARKET_DATA_CACHE_SECONDS="5", **settings)
    known(DAYS + 1).write_parquet(Path(folder, "bars/panel.parquet"))
    warm(platform)
    ask(platform, FIRST, NOW + DAY)
    idle = platform.predict.prefetch.wait_until_idle(within_seconds=0)
    print("nothing" if idle else "prefetching", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
