"""A whole platform on random bars: files upstream, SQLite, a published tiny model."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from tests.databases import new_database
from tests.factories import random_bars
from tests.published import publish

from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.config import Settings

SYMBOLS = ("AAA", "BBB", "CCC")
ROWS = 400
NOW = datetime(2021, 3, 1, tzinfo=UTC)


def bars_folder(directory: Path, *, symbols: tuple[str, ...] = SYMBOLS, rows: int = ROWS) -> Path:
    """Daily bars of each symbol as Parquet files, from 2020-01-01 on."""
    directory.mkdir(parents=True, exist_ok=True)
    for symbol in symbols:
        random_bars(symbol, rows=rows).write_parquet(directory / f"{symbol}.parquet")
    return directory


def settings(folder: Path, **changed: str) -> Settings:
    """Settings of a platform below `folder`."""
    environ = {
        "ADMIN_API_KEY": "a-test-key-of-thirty-two-letters",
        "ARTIFACTS_DIR": str(folder / "artifacts"),
        "MARKET_DATA_DIR": str(folder / "bars"),
        "MARKET_DATA_CACHE_SECONDS": "0",
        "TRAIN_SYMBOLS": ",".join(SYMBOLS),
        "TRAIN_CV_FOLDS": "2",
        "RATE_LIMIT_REQUESTS": "0",
        "LOG_LEVEL": "WARNING",
    }
    return Settings.from_env({**environ, **changed})


def make_platform(folder: Path, *, models: int = 1, **changed: str) -> Platform:
    """A platform with a migrated database and `models` tiny versions, v1 active.

    One that lies in `folder` already is opened as it is.
    """
    if not (folder / "artifacts" / "audit.db").exists():
        shutil.copytree(_template(models), folder, dirs_exist_ok=True)
    platform = build_platform(settings(folder, **changed))
    platform.control.migrate_and_backfill()
    return platform


@functools.cache
def _template(models: int) -> Path:
    """The folder of such a platform, made once in a process: tests get copies."""
    folder = Path(tempfile.mkdtemp(prefix="mlengine-platform-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    bars_folder(folder / "bars")
    (folder / "artifacts").mkdir()
    new_database(folder / "artifacts" / "audit.db")
    platform = build_platform(settings(folder))
    for seed in range(1, models + 1):
        publish(platform.models.registry.directory, seed=seed, run_id=f"run{seed}")
    if models:
        platform.models.activate("v1", actor="test", reason="first", now=NOW)
    platform.control.database.dispose()
    return folder


def window(symbol: str, rows: int = 64) -> pl.DataFrame:
    """The newest bars that the upstream of `make_platform` serves."""
    return random_bars(symbol, rows=ROWS).tail(rows)
