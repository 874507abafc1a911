from __future__ import annotations

import logging
import sqlite3
import threading
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from sqlalchemy import func, select
from tests.databases import bar_store
from tests.factories import START, random_bars

from mlengine.core.bars.bars import BARS_SCHEMA, BarArrays
from mlengine.errors import DamagedRow, DatabaseUnavailable
from mlengine.stores.bars.store import BarStore
from mlengine.stores.bars.stored import UpstreamBars
from mlengine.stores.database.engine import open_database, reading, writing
from mlengine.stores.database.events import EventStore
from mlengine.stores.database.tables import bar_segments

DAY = timedelta(days=1)
NOW = START + 400 * DAY


def final(bars: pl.DataFrame) -> BarArrays:
    """Bars as a fetch brings them: known a day after their start."""
    return BarArrays.of(bars.with_columns((pl.col("timestamp") + DAY).alias("known_at")))


def write(store: BarStore, bars: pl.DataFrame, *, now: datetime = NOW) -> int:
    """Record an answer with all bars from its first one on; returns how many are not as before."""
    answer = UpstreamBars(final(bars), bars["timestamp"].min(), now)
    recorded = store.record({bars["symbol"][0]: answer}, "1d", seen_at=now)
    return recorded.new + sum(recorded.revised.values())


def read(store: BarStore, symbol: str, interval: str = "1d") -> pl.DataFrame:
    stored = store.newest([symbol], interval, bars=0)
    if symbol not in stored:
        return pl.DataFrame(schema=BARS_SCHEMA)
    return stored[symbol].held.arrays.frame()


def known_at(store: BarStore, moment: datetime, *, bars: int = 0) -> pl.DataFrame:
    return store.known_at(["AAA"], "1d", moment, bars=bars)["AAA"].held.arrays.frame()


def segments(store: BarStore) -> int:
    with reading(store.engine) as connection:
        return connection.scalar(select(func.count()).select_from(bar_segments))


def test_written_bars_are_read_back_and_listed(tmp_path):
    store = bar_store(tmp_path)
    bars = random_bars("BTC/USD", rows=30)
    assert store.recording_counts("1d") == {}
    assert write(store, bars) == 30
    assert write(store, random_bars("AAA", rows=1)) == 1
    assert read(store, "BTC/USD").equals(bars)
    assert store.recording_counts("1d") == {"AAA": 1, "BTC/USD": 1}
    assert store.recording_counts("1h") == {}


@pytest.mark.parametrize("symbol", ["NONE", "../AAA", "AAA.parquet", "x" * 5000, "\0", ""])
def test_a_symbol_without_bars_has_none(tmp_path, symbol):
    store = bar_store(tmp_path)
    write(store, random_bars("AAA", rows=1))
    bars = read(store, symbol)
    assert bars.is_empty()
    assert bars.schema == pl.Schema(BARS_SCHEMA)
    assert read(store, "AAA", "1h").is_empty()


def test_a_second_fetch_adds_what_is_new(tmp_path, caplog):
    store = bar_store(tmp_path)
    bars = random_bars(rows=30)
    write(store, bars.head(20))
    assert write(store, bars.tail(20)) == 10
    assert write(store, bars) == 0
    assert read(store, "AAA").equals(bars)
    assert caplog.records == []


def test_revised_bars_replace_the_old_and_are_told(tmp_path, caplog):
    store = bar_store(tmp_path)
    bars = random_bars(rows=10)
    write(store, bars)
    revised = bars.with_columns(pl.col("close") * 0.99)
    assert write(store, revised.tail(4), now=NOW + DAY) == 4
    assert read(store, "AAA").equals(pl.concat([bars.head(6), revised.tail(4)]))
    [record] = caplog.records
    assert (record.message, record.symbol, record.revised) == ("stored bars revised", "AAA", 4)
    [event] = EventStore(store.engine).page("bars_revised", 9, None).rows
    assert event.at == NOW + DAY
    assert event.details == {"interval": "1d", "bars": 4, "symbols": {"AAA": 4}}


def test_what_was_known_before_a_revision_stays(tmp_path):
    store = bar_store(tmp_path)
    bars = random_bars(rows=10)
    write(store, bars)
    write(store, bars.with_columns(pl.col("close") * 0.99), now=NOW + DAY)
    assert known_at(store, NOW).equals(bars)
    assert known_at(store, NOW + DAY - DAY / 9).equals(bars)
    assert known_at(store, NOW + DAY).equals(read(store, "AAA"))
    assert known_at(store, START + 5 * DAY, bars=3).equals(bars[2:5]), "history is as first seen"


def test_a_bar_that_came_late_was_not_known_before(tmp_path):
    store = bar_store(tmp_path)
    bars = random_bars(rows=12)
    gap, now = bars.filter(pl.col("timestamp") != START + 9 * DAY), START + 11 * DAY
    write(store, gap.head(10), now=now)
    write(store, gap.head(11), now=now + DAY)
    assert write(store, bars, now=now + 2 * DAY) == 1
    assert known_at(store, now).equals(gap.head(10))
    assert known_at(store, now + DAY).equals(gap)
    assert known_at(store, now + 2 * DAY).equals(bars)


def test_a_bar_that_was_taken_back_is_no_more_and_was_there_before(tmp_path):
    store = bar_store(tmp_path)
    bars = random_bars(rows=10)
    fewer = pl.concat([bars.head(4), bars.tail(5)])
    write(store, bars)
    assert write(store, fewer, now=NOW + DAY) == 1
    assert read(store, "AAA").equals(fewer)
    assert known_at(store, NOW).equals(bars)
    assert write(store, bars, now=NOW + 2 * DAY) == 1
    assert read(store, "AAA").equals(bars)
    assert known_at(store, NOW + DAY).equals(fewer)


def test_an_answer_that_ends_sooner_takes_no_newer_bar_back(tmp_path):
    store = bar_store(tmp_path)
    bars = random_bars(rows=10)
    write(store, bars)
    assert write(store, bars.head(6), now=NOW + DAY) == 0
    assert read(store, "AAA").equals(bars)
    other = bars.head(6).with_columns(pl.col("close") * 0.99)
    assert write(store, other, now=NOW + 2 * DAY) == 10, "unless it is of other prices"
    assert read(store, "AAA").equals(other)


def test_older_history_is_of_the_prices_that_it_came_with(tmp_path):
    store = bar_store(tmp_path)
    bars = random_bars(rows=20)
    adjusted = bars.with_columns(pl.col("open", "high", "low", "close") / 2)
    write(store, bars.tail(8))
    write(store, adjusted, now=NOW + DAY)
    assert known_at(store, NOW, bars=8).equals(bars.tail(8))
    assert known_at(store, NOW, bars=9).equals(adjusted.tail(9)), "no window mixes the two"
    view = store.known_at(["AAA"], "1d", NOW, bars=9)["AAA"].held
    assert view.latest_first_seen(0, 9) > view.latest_first_seen(5, 9) > 0


def test_where_nobody_looked_bars_count_from_when_they_were_final(tmp_path):
    store = bar_store(tmp_path)
    bars, now = random_bars(rows=40), START + 20 * DAY
    write(store, bars.head(20), now=now)
    write(store, bars, now=now + 20 * DAY)
    assert known_at(store, now).equals(bars.head(20))
    assert known_at(store, now + 5 * DAY).equals(bars.head(25))
    write(store, random_bars(rows=41), now=now + 20.5 * DAY)
    assert known_at(store, now + 20.4 * DAY).equals(bars)


def test_bars_after_a_stretch_that_was_never_asked_for_stand_alone(tmp_path):
    store = bar_store(tmp_path)
    bars = random_bars(rows=100)
    write(store, bars.head(20), now=START + 20 * DAY)
    write(store, bars.tail(20), now=START + 100 * DAY)
    assert read(store, "AAA").equals(bars.tail(20))
    assert known_at(store, START + 50 * DAY).is_empty()
    write(store, bars, now=START + 100 * DAY)
    assert read(store, "AAA").equals(bars)
    assert known_at(store, START + 50 * DAY).equals(bars.head(50))
    assert known_at(store, START + 20 * DAY).equals(bars.head(20))


def test_small_segments_are_merged_and_lose_nothing(tmp_path):
    store = bar_store(tmp_path)
    bars = random_bars(rows=120)
    for rows in range(20, 121):
        revised = bars.head(rows).with_columns(pl.col("volume") + rows // 50)
        write(store, revised, now=START + rows * DAY)
        assert segments(store) <= 16 + 5, "those since the last merge, and one of each size"
    for rows in range(20, 121):
        expected = bars.head(rows).with_columns(pl.col("volume") + rows // 50)
        assert known_at(store, START + rows * DAY).equals(expected)
        assert known_at(store, START + rows * DAY, bars=5).equals(expected.tail(5))


def test_bars_are_written_anew_only_as_often_as_their_segment_doubles(tmp_path):
    store = bar_store(tmp_path)
    bars = random_bars(rows=400)
    sizes = set()
    for rows in range(200, 401):
        write(store, bars.head(rows), now=START + rows * DAY)
        with reading(store.engine) as connection:
            sizes.add(connection.scalar(select(func.max(bar_segments.c.rows))))
    assert sizes <= {200, *range(260, 401)}, "the first is merged once others have half its rows"
    assert segments(store) <= 16 + 5
    assert read(store, "AAA").equals(bars)


def test_long_histories_are_cut_and_their_end_is_read_alone(tmp_path):
    store = bar_store(tmp_path)
    bars = random_bars(rows=40_000, start=START - 40_000 * DAY, volatility=0.0001)
    write(store, bars)
    assert segments(store) == 3
    newest = store.newest(["AAA"], "1d", bars=64)["AAA"].held
    assert newest.arrays.rows == 40_000 - 2 * 16_384
    assert newest.arrays.frame().equals(bars.tail(newest.arrays.rows))
    more = store.newest(["AAA"], "1d", bars=8_000)["AAA"].held
    assert more.arrays.rows == 40_000 - 16_384
    assert read(store, "AAA").equals(bars)
    assert known_at(store, NOW - 500 * DAY, bars=64).height == 64


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more"])
def test_damaged_bars_are_told_and_fetched_anew(tmp_path, caplog, content):
    store = bar_store(tmp_path)
    bars = random_bars(rows=10)
    write(store, bars)
    with sqlite3.connect(tmp_path / "audit.db") as connection:
        connection.execute("UPDATE bar_segments SET payload = ?", [content])
    connection.close()
    assert read(store, "AAA").is_empty()
    assert caplog.records[0].message == "stored bars unreadable"
    assert write(store, bars) == 10
    assert read(store, "AAA").equals(bars)


def test_a_file_of_other_columns_is_damaged_too(tmp_path, caplog):
    store = bar_store(tmp_path)
    write(store, random_bars(rows=2))
    with sqlite3.connect(tmp_path / "audit.db") as connection:
        connection.execute("UPDATE bar_segments SET rows = 3")
    connection.close()
    assert read(store, "AAA").is_empty()
    assert caplog.records[0].levelno == logging.WARNING


def test_a_failed_write_leaves_the_old_bars_and_no_rubbish(tmp_path):
    store = bar_store(tmp_path)
    write(store, random_bars(rows=2))
    with sqlite3.connect(tmp_path / "audit.db") as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON bar_series BEGIN SELECT RAISE(FAIL, 'no'); END"
        )
    connection.close()
    with pytest.raises(Exception, match="no"):
        write(store, random_bars(rows=3))
    assert segments(store) == 1
    assert read(store, "AAA").equals(random_bars(rows=2))


def test_a_database_that_is_gone_says_so(tmp_path):
    store = BarStore(open_database(f"sqlite:///{tmp_path}/nowhere/audit.db"))
    with pytest.raises(DatabaseUnavailable):
        store.newest(["AAA"], "1d", bars=1)
    with pytest.raises(DatabaseUnavailable):
        write(store, random_bars(rows=2))


def test_many_symbols_are_recorded_at_once(tmp_path):
    store = bar_store(tmp_path)
    frames = {f"S{n}": random_bars(f"S{n}", rows=80) for n in range(40)}
    base = {}
    for rows in (60, 61, 80):
        now = START + rows * DAY
        answers = {
            symbol: UpstreamBars(
                final(bars[rows - 60 : rows] if n % 2 else bars.head(rows)),
                START + (rows - 60) * DAY if n % 2 else START,
                now,
                base=base.get(symbol) if n % 3 else None,
            )
            for n, (symbol, bars) in enumerate(frames.items())
        }
        recorded = store.record(answers, "1d", seen_at=now)
        base = recorded.bars
        assert recorded.revised == {}
        newest = store.newest(list(frames), "1d", bars=60)
        for symbol, bars in frames.items():
            for held in (newest[symbol].held, base[symbol].held):
                assert held.tail(60).arrays.frame().equals(bars[rows - 60 : rows])
                assert np.all(held.first_seen > 0)


def test_two_writers_lose_no_bar_of_each_other(tmp_path):
    store = bar_store(tmp_path)
    bars = random_bars(rows=80)
    write(store, bars.gather_every(79))
    parts = [pl.concat([bars.head(n), bars.tail(1)]) for n in range(1, 80, 10)]
    threads = [threading.Thread(target=write, args=(store, part)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with_all = {moment for part in parts for moment in part["timestamp"]}
    seen = set()
    with reading(store.engine) as connection:
        for first, last, rows in connection.execute(
            select(bar_segments.c["first_start", "last_start", "rows"])
        ):
            seen |= {first, last} if rows else set()
    assert seen <= {int(moment.timestamp() * 1e6) for moment in with_all}
    assert known_at(store, NOW).height >= 2
    assert write(store, bars) + read(store, "AAA").height >= 80
    assert read(store, "AAA").equals(bars)


def test_a_reader_never_sees_a_torn_file(tmp_path, caplog):
    store = bar_store(tmp_path)
    bars = random_bars(rows=400)
    write(store, bars.head(1))
    stop = threading.Event()
    seen: set[int] = set()

    def look() -> None:
        while not stop.is_set():
            seen.add(read(store, "AAA").height)

    reader = threading.Thread(target=look)
    reader.start()
    for rows in range(20, 401, 20):
        write(store, bars.head(rows))
    stop.set()
    reader.join()
    assert seen <= {1, *range(20, 401, 20)}
    assert caplog.records == []


@pytest.mark.parametrize("damage", [{"recordings": -1}, {"report": b"x"}])
def test_a_series_with_values_that_nobody_wrote_is_a_damaged_row(tmp_path, damage):
    store = bar_store(tmp_path)
    write(store, random_bars("AAA", rows=3))
    with writing(store.engine) as connection:
        for name, value in damage.items():
            connection.exec_driver_sql(f"UPDATE bar_series SET {name} = ?", (value,))  # noqa: S608
    with pytest.raises(DamagedRow):
        read(store, "AAA")


def test_bars_of_the_sample_are_kept_apart_from_those_of_any_other_source(tmp_path):
    store = bar_store(tmp_path)
    sample, bars = replace(store, of_sample=True), random_bars("AAA", rows=30, seed=2)
    write(sample, random_bars("AAA", rows=90, seed=1))
    write(store, bars, now=NOW + DAY)
    assert read(store, "AAA").equals(bars)
    assert read(sample, "AAA").height == 90
    assert known_at(store, NOW + DAY).equals(bars)
    assert (store.recording_counts("1d"), store.revised_bars("1d")) == ({"AAA": 1}, {"AAA": 0})
