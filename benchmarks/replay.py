"""Audited predictions made again in other processes: `python -m benchmarks.replay` prints a table.

One process predicts, over its own audit and registry in a temporary folder: daily bars of many
symbols, as of many days, by versions of both objectives on both built-in feature sets, in batches
and one by one, which the model scores by different calls. It ends, and each line of the table is a
new process under another number of threads, time zone and locale, that recomputes every prediction
from its stored window and compares it bit for bit. The last line asks the upstream too, after it
has multiplied its history by 0.99337, as a dividend does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from tests.factories import START, random_bars
from tests.published import publish

from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.config import Settings
from mlengine.core.bars.bars import PRICES
from mlengine.core.features import BUILTIN
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.audit.filter import AuditFilter

BARS = 600
NOW = datetime(2022, 6, 1, tzinfo=UTC)
DIVIDEND = 0.99337
ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "as it was predicted": {},
    "1 thread": {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"},
    "8 threads": {"POLARS_MAX_THREADS": "8", "OMP_NUM_THREADS": "8"},
    "TZ=Asia/Kathmandu LC_ALL=C": {"TZ": "Asia/Kathmandu", "LC_ALL": "C"},
    "TZ=America/St_Johns LC_ALL=de_DE": {"TZ": "America/St_Johns", "LC_ALL": "de_DE.UTF-8"},
}


def main() -> int:
    """Predict, then replay elsewhere; 1 when anything was not identical."""
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--rows", type=int, default=10_000)
    read.add_argument("--symbols", type=int, default=50)
    read.add_argument("--child", choices=("predict", "replay", "upstream"))
    read.add_argument("--folder", type=Path)
    asked = read.parse_args()
    if asked.child == "predict":
        predict(asked.folder, asked.rows, asked.symbols)
        return 0
    if asked.child:
        print(json.dumps(replay(asked.folder, check_upstream=asked.child == "upstream")))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return table(Path(folder), asked.rows, asked.symbols)


def table(folder: Path, rows: int, symbols: int) -> int:
    for number in range(symbols):
        symbol = f"S{number:03d}"
        path = folder / "bars" / f"{symbol}.parquet"
        path.parent.mkdir(exist_ok=True)
        random_bars(symbol, rows=BARS).write_parquet(path)
    child(folder, "predict", {}, "--rows", str(rows), "--symbols", str(symbols))
    print(f"{'where':34} {'replayed':>9} {'identical':>9} {'rows/s':>7}  upstream")
    failed = 0
    for where, changed in ELSEWHERE.items():
        failed += line(where, child(folder, "replay", changed))
    for path in (folder / "bars").iterdir():
        pl.read_parquet(path).with_columns(pl.col(PRICES) * DIVIDEND).write_parquet(path)
    failed += line("a dividend since", child(folder, "upstream", {}))
    return int(failed > 0)


def line(where: str, found: dict[str, int]) -> int:
    """Print one line; how many predictions were not identical."""
    rate = found["replayed"] / found["seconds"]
    upstream = f"changed: {found['changed']}" if found["changed"] else "not asked"
    counted = f"{found['replayed']:>9,} {found['identical']:>9,} {rate:>7,.0f}"
    print(f"{where:34} {counted}  {upstream}")
    return found["replayed"] - found["identical"]


def child(folder: Path, what: str, changed: Mapping[str, str], *more: str) -> dict[str, int]:
    """What a process under another environment says."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.replay", "--child", what, "--folder", folder, *more],
        env={**os.environ, **changed},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout or "{}")


def engine_of(folder: Path) -> Platform:
    environ = {
        "ARTIFACTS_DIR": str(folder / "artifacts"),
        "MARKET_DATA_DIR": str(folder / "bars"),
        "LOG_LEVEL": "WARNING",
    }
    return build_platform(Settings.from_env(environ))


def predict(folder: Path, rows: int, symbols: int) -> None:
    platform = engine_of(folder)
    platform.control.migrate_and_backfill()
    versions = [
        publish(
            platform.registry.directory,
            feature_set=BUILTIN[name],
            objective=objective,
            run_id=f"{name}-{objective}",
        ).version
        for name in BUILTIN
        for objective in ("direction", "return")
    ]
    names = [f"S{number:03d}" for number in range(symbols)]
    for number in range(-(-rows // symbols)):
        asked = {
            "as_of": START + timedelta(days=BARS - number % (BARS - 100)),
            "version": versions[number % len(versions)],
            "request_id": "bench",
            "now": NOW,
        }
        chosen = names[: rows - number * symbols]
        if number // len(versions) % 2:
            for name in chosen:
                platform.predict.predict(name, PredictionRequest(**asked))
        else:
            platform.predict.predict_batch(
                chosen, PredictionRequest(**asked, route="/predict/batch")
            )


def replay(folder: Path, *, check_upstream: bool) -> dict[str, float]:
    platform = engine_of(folder)
    started = time.perf_counter()
    found = platform.replay.replay_many(
        AuditFilter(), sample=None, seed=0, check_upstream=check_upstream, actor="bench", now=NOW
    )
    return {
        "replayed": found.replayed,
        "identical": found.counts["identical"],
        "changed": found.upstream["changed"],
        "seconds": time.perf_counter() - started,
    }


if __name__ == "__main__":
    sys.exit(main())
