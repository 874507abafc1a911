import logging
import os
import threading

import polars as pl
import pytest
from tests.factories import random_bars

from mlengine.core.bars.bars import BARS_SCHEMA
from mlengine.stores.bars.store import BarStore


def test_written_bars_are_read_back_and_listed(tmp_path):
    store = BarStore(tmp_path / "bars")
    bars = random_bars("BTC/USD", rows=30)
    assert store.symbols("1d") == []
    assert store.write("BTC/USD", "1d", bars) == 30
    assert store.write("AAA", "1d", random_bars("AAA", rows=1)) == 1
    assert store.read("BTC/USD", "1d").equals(bars)
    assert store.symbols("1d") == ["AAA", "BTC/USD"]
    assert store.symbols("1h") == []


@pytest.mark.parametrize("symbol", ["NONE", "../AAA", "AAA.parquet", "x" * 5000, "\0", ""])
def test_a_symbol_without_bars_has_none(tmp_path, symbol):
    store = BarStore(tmp_path)
    store.write("AAA", "1d", random_bars("AAA", rows=1))
    read = store.read(symbol, "1d")
    assert read.is_empty()
    assert read.schema == pl.Schema(BARS_SCHEMA)


def test_a_second_fetch_adds_what_is_new(tmp_path, caplog):
    store = BarStore(tmp_path)
    bars = random_bars(rows=30)
    store.write("AAA", "1d", bars.head(20))
    assert store.write("AAA", "1d", bars.tail(20)) == 10
    assert store.write("AAA", "1d", bars) == 0
    assert store.read("AAA", "1d").equals(bars)
    assert caplog.records == []


def test_revised_bars_replace_the_old_and_are_told(tmp_path, caplog):
    store = BarStore(tmp_path)
    bars = random_bars(rows=10)
    store.write("AAA", "1d", bars)
    revised = bars.with_columns(pl.col("close") * 0.99)
    assert store.write("AAA", "1d", revised.tail(4)) == 4
    assert store.read("AAA", "1d").equals(pl.concat([bars.head(6), revised.tail(4)]))
    [record] = caplog.records
    assert (record.message, record.symbol, record.revised) == ("stored bars revised", "AAA", 4)


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more"])
def test_damaged_bars_are_told_and_fetched_anew(tmp_path, caplog, content):
    store = BarStore(tmp_path)
    bars = random_bars(rows=10)
    store.write("AAA", "1d", bars)
    (tmp_path / "1d" / "AAA.parquet").write_bytes(content)
    assert store.read("AAA", "1d").is_empty()
    assert caplog.records[0].message == "stored bars unreadable"
    assert store.write("AAA", "1d", bars) == 10
    assert store.read("AAA", "1d").equals(bars)


def test_a_file_of_other_columns_is_damaged_too(tmp_path, caplog):
    store = BarStore(tmp_path)
    store.write("AAA", "1d", random_bars(rows=2))
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "1d" / "AAA.parquet")
    assert store.read("AAA", "1d").is_empty()
    assert caplog.records[0].levelno == logging.WARNING


def test_a_failed_write_leaves_the_old_bars_and_no_rubbish(tmp_path):
    store = BarStore(tmp_path)
    store.write("AAA", "1d", random_bars(rows=2))
    (tmp_path / "1d" / "BBB.parquet").mkdir()
    with pytest.raises(IsADirectoryError):
        store.write("BBB", "1d", random_bars("BBB", rows=2))
    assert sorted(os.listdir(tmp_path / "1d")) == [
        ".lock",
        "AAA.parquet",
        "BBB.parquet",
    ]


def test_two_writers_lose_no_bar_of_each_other(tmp_path):
    store = BarStore(tmp_path)
    bars = random_bars(rows=80)
    parts = [bars.gather_every(8, offset=offset) for offset in range(8)]
    threads = [threading.Thread(target=store.write, args=("AAA", "1d", part)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read("AAA", "1d").equals(bars)


def test_a_reader_never_sees_a_torn_file(tmp_path, caplog):
    store = BarStore(tmp_path)
    bars = random_bars(rows=400)
    store.write("AAA", "1d", bars.head(1))
    stop = threading.Event()
    seen: set[int] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(store.read("AAA", "1d").height)

    reader = threading.Thread(target=read)
    reader.start()
    for rows in range(20, 401, 20):
        store.write("AAA", "1d", bars.head(rows))
    stop.set()
    reader.join()
    assert seen <= {1, *range(20, 401, 20)}
    assert caplog.records == []
