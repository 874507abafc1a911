"""Writes the golden values of the `core` feature set: `python -m tests.golden.core_features.make`.

Run it only together with a new version of the set, and review the difference like code.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from mlengine.core.features import CORE, compute

HERE = Path(__file__).parent
ROWS = (70, 99)


def golden_bars() -> pl.DataFrame:
    """100 bars from a linear congruential generator, in cents: no library's random numbers."""
    state, cents, rows = 20_240_229, 10_000, []

    def draw(below: int) -> int:
        nonlocal state
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        return (state >> 33) % below

    for i in range(100):
        opened = cents + draw(101) - 50
        cents = opened + draw(401) - 195
        top, floor = max(opened, cents) + draw(120), min(opened, cents) - draw(120)
        prices = [value / 100 for value in (opened, top, floor, cents)]
        day = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=i)
        rows.append(("GOLD", day, *prices, float(100_000 + draw(900_000))))
    names = ("symbol", "timestamp", "open", "high", "low", "close", "volume")
    overrides = {"timestamp": pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, schema=names, schema_overrides=overrides, orient="row")


def golden() -> str:
    made = compute(golden_bars(), CORE).select(CORE.names)
    rows = {str(row): made.row(row, named=True) for row in ROWS}
    body = {"set": CORE.name, "version": CORE.version, "hash": CORE.hash, "rows": rows}
    return json.dumps(body, indent=1) + "\n"


def main() -> None:
    text = golden()
    (HERE / "values.json").write_text(text)
    metadata = {
        "what": "features of core v1 at rows 70 and 99 of golden_bars()",
        "made_by": "python -m tests.golden.core_features.make",
        "from": "golden_bars() in make.py, a linear congruential generator",
        "tolerance": "1e-12 relative: logarithm and sine differ in the last bit between machines",
        "polars": pl.__version__,
        "sha256": {"values.json": hashlib.sha256(text.encode()).hexdigest()},
    }
    (HERE / "metadata.json").write_text(json.dumps(metadata, indent=1) + "\n")


if __name__ == "__main__":
    main()
