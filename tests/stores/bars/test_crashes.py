"""The bar store when its process is killed, or its disk is full, at any moment of a write."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, event
from tests.crashing import ROOT
from tests.databases import bar_store
from tests.factories import START
from tests.processes.record_until_killed import SYMBOLS, answer_of, bars_of

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.bars.store import BarStore
from mlengine.stores.bars.stored import UpstreamBars

DAY = timedelta(days=1)


def record_and_kill(folder: Path, seconds: float) -> int:
    """Let a process record for so long from its first write on; the last one that it began."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.processes.record_until_killed", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        return int([first, *process.stdout.readlines()][-1])


def expected(symbol: str, rows: int) -> pl.DataFrame:
    return answer_of(bars_of(symbol), rows).arrays.frame()


def look(store: BarStore, begun: int) -> None:
    """All that was recorded is there, in all symbols alike; the last one maybe."""
    stored = store.newest(SYMBOLS, "1d", bars=120)
    if not stored:
        assert begun == 201, "the first one"
        return
    rows = {(stored[s].held.arrays.last_timestamp - START) // DAY + 1 for s in SYMBOLS}
    assert rows <= {begun - 1} or rows == {begun}, "none is lost, and no recording is torn"
    (last,) = rows
    for symbol in SYMBOLS:
        assert stored[symbol].held.tail(120).arrays.frame().equals(expected(symbol, last))
    for back in (1, 7, 23):
        if last - back > 200:
            then = store.known_at(["AAA"], "1d", START + (last - back) * DAY, bars=120)
            assert then["AAA"].held.arrays.frame().equals(expected("AAA", last - back))


def kill_again_and_again(folder: Path, kills: int) -> None:
    store = bar_store(folder)
    for kill in range(kills):
        look(store, record_and_kill(folder, kill * 7 % 40 / 100))


def test_a_few_kills_lose_no_bar(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, 3)


@pytest.mark.soak
def test_two_hundred_kills_lose_no_bar(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, 200)


@contextmanager
def growing_by(engine: Engine, pages: int) -> Iterator[None]:
    """Let the database grow by so many pages more, in this process."""

    def limit(connection: Any, _record: object) -> None:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={count + pages}")

    engine.dispose()
    event.listen(engine, "connect", limit)
    try:
        yield
    finally:
        event.remove(engine, "connect", limit)
        engine.dispose()


def recorded(store: BarStore, answers: Mapping[str, UpstreamBars], rows: int) -> bool:
    """Whether there was room for it."""
    with suppress(DatabaseUnavailable):
        store.record(answers, "1d", seen_at=START + rows * DAY)
        return True
    return False


def test_a_disk_that_is_full_at_any_write_loses_no_bar(tmp_path: Path) -> None:
    store, bars = bar_store(tmp_path), {symbol: bars_of(symbol) for symbol in SYMBOLS}
    refused = 0
    for rows in range(200, 217):
        answers = {symbol: answer_of(bars[symbol], rows) for symbol in SYMBOLS}
        for pages in range(400):
            with growing_by(store.engine, pages):
                if recorded(store, answers, rows):
                    break
            refused += 1
            if rows > 200:
                look(store, rows)
        look(store, rows)
        assert store.newest(["AAA"], "1d", bars=1)["AAA"].held.arrays.last_timestamp == (
            START + (rows - 1) * DAY
        )
    assert refused > 20
