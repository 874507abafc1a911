from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
from tests.databases import bar_store
from tests.factories import START, random_bars

from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.recorded import RecordedWindow
from mlengine.core.timestamps import microseconds
from mlengine.stores.bars.recorded_windows import RecordedWindowReader
from mlengine.stores.bars.store import BarStore
from mlengine.stores.bars.stored import UpstreamBars
from mlengine.stores.database.engine import writing

DAY = timedelta(days=1)
NOW = START + 400 * DAY


def record(store: BarStore, bars: pl.DataFrame, now: datetime) -> RecordedWindow:
    """Record an answer; returns the window of its symbol's last twenty bars."""
    final = BarArrays.of(bars.with_columns((pl.col("timestamp") + DAY).alias("known_at")))
    answer = UpstreamBars(final, bars["timestamp"].min(), now)
    recorded = store.record({bars["symbol"][0]: answer}, "1d", seen_at=now)
    stored = recorded.bars[bars["symbol"][0]]
    return window(stored.held.arrays.rows, stored)


def window(end: int, stored, rows: int = 20) -> RecordedWindow:
    arrays = stored.held.arrays
    moment = stored.window_recorded_by(end - rows, end)
    return RecordedWindow(arrays.symbol, "1d", int(arrays.starts[end - 1]), rows, moment)


def read(store: BarStore, *windows: RecordedWindow) -> list[pl.DataFrame | None]:
    found = RecordedWindowReader(store.engine).read(windows)
    return [None if each is None else each.frame() for each in found]


def test_each_window_is_as_it_was_whatever_was_revised_since(tmp_path):
    store, bars = bar_store(tmp_path), random_bars(rows=60)
    steps = [
        (bars.head(50), NOW),
        (bars.head(51), NOW),
        (bars.head(51).with_columns(pl.col("close") * 1.01), NOW),
        (bars.head(52).with_columns(pl.col("close") * 1.02), NOW),
        (bars.head(52).filter(pl.col("timestamp") != START + 40 * DAY), NOW),
        (bars.head(52), NOW + DAY),
        (bars, NOW - DAY),
    ]
    windows = [record(store, answer, now) for answer, now in steps]
    expected = [answer.tail(20) for answer, _ in steps]
    assert [a.equals(b) for a, b in zip(read(store, *windows), expected, strict=True)] == [True] * 7


def test_many_recordings_that_are_merged_leave_each_window(tmp_path):
    store, bars = bar_store(tmp_path), random_bars(rows=90)
    windows = [record(store, bars.head(50 + n), NOW + n * DAY) for n in range(40)]
    for n, each in enumerate(read(store, *windows)):
        assert each is not None
        assert each.equals(bars[30 + n : 50 + n])


def test_a_window_that_spans_more_than_usual_is_found(tmp_path):
    store, bars = bar_store(tmp_path), random_bars(rows=40)
    gap = pl.when(pl.int_range(pl.len()) > 30).then(pl.lit(900 * DAY)).otherwise(pl.lit(0 * DAY))
    sparse = bars.with_columns(pl.col("timestamp") + gap)
    (found,) = read(store, record(store, sparse, NOW + 900 * DAY))
    assert found is not None
    assert found.equals(sparse.tail(20))


def test_there_is_no_window_of_what_is_not_recorded(tmp_path):
    store, bars = bar_store(tmp_path), random_bars(rows=30)
    last = record(store, bars, NOW)
    day = microseconds(START + DAY) - microseconds(START)
    others = [
        last._replace(symbol="NONE"),
        last._replace(interval="1h"),
        last._replace(rows=31),
        last._replace(last_start=last.last_start + day),
        last._replace(last_start=last.last_start - 15 * day),
        last._replace(recorded_by=last.recorded_by - 1),
    ]
    assert read(store, *others) == [None] * 6
    assert read(store) == []
    with writing(store.engine) as connection:
        connection.exec_driver_sql("UPDATE bar_segments SET payload = 'x'")
    assert read(store, last) == [None]


def test_what_was_read_of_the_past_is_no_window(tmp_path):
    store, bars = bar_store(tmp_path), random_bars(rows=30)
    record(store, bars, NOW)
    past = store.known_at(["AAA"], "1d", NOW - 200 * DAY, bars=20)["AAA"]
    assert past.window_recorded_by(0, 20) is None


def test_a_window_of_the_sample_is_found_beside_bars_of_another_source(tmp_path):
    store, bars = bar_store(tmp_path), random_bars(rows=50)
    of_sample = record(replace(store, of_sample=True), bars, NOW)
    others = random_bars(rows=50, seed=9)
    of_another = record(store, others, NOW + DAY)
    first, second = read(store, of_sample, of_another)
    assert first is not None
    assert first.equals(bars.tail(20))
    assert second is not None
    assert second.equals(others.tail(20))
