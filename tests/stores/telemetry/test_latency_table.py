from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.databases import new_database, opened

from mlengine.core.telemetry.latency_slots import (
    RouteSketch,
    RouteSketches,
    StageSketch,
    merge,
    stage_latencies,
)
from mlengine.errors import DamagedRow
from mlengine.stores.telemetry.latency_table import KEPT_FOR, LatencyTable

BEYOND = '{"/p": {"answers": [1, 0, 0], "stages": {"total": [1.0, 431, [1, 2]]}}}'
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NOON = datetime(2024, 5, 31, 12, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield engine


@pytest.fixture
def table(engine: Engine) -> LatencyTable:
    return LatencyTable(engine)


def some(count: int, *, bucket: int = 100, longest_ms: float = 3.0) -> RouteSketches:
    stage = StageSketch(longest_ms=longest_ms)
    stage.counts[bucket] = count
    return {"/predict": RouteSketch(count, 1, 0, {"total": stage})}


def everything(table: LatencyTable) -> RouteSketches:
    slots = table.read(since=NOON - KEPT_FOR, until=NOON + KEPT_FOR)
    return merge(slot.sketches for slot in slots)


def test_a_minute_is_written_anew_as_it_goes_on(table: LatencyTable) -> None:
    table.write("a", {NOON: some(3)})
    table.write("a", {NOON: some(5), NOON + MINUTE: some(1)})
    table.write("b", {NOON: some(7)})
    found = everything(table)["/predict"]
    assert (found.answers, found.errors) == (13, 4 - 1)
    assert found.stages["total"].counts[100] == 13
    assert found.stages["total"].counts.sum() == 13


def test_a_window_has_every_slot_that_it_touches(table: LatencyTable) -> None:
    for minutes in range(4):
        table.write("a", {NOON + minutes * MINUTE: some(10**minutes)})
    since, until = NOON + 1.5 * MINUTE, NOON + 3 * MINUTE
    slots = table.read(since=since, until=until)
    assert [slot.sketches["/predict"].answers for slot in slots] == [10, 100]


def test_minutes_become_hours_without_a_loss(table: LatencyTable, engine: Engine) -> None:
    for minutes in range(0, 150, 10):
        table.write("a", {NOON + minutes * MINUTE: some(2)})
        table.write("b", {NOON + minutes * MINUTE: some(3, bucket=200, longest_ms=9.0)})
    before = stage_latencies(everything(table))
    assert before[-1].count == 75
    assert table.oldest_minute() == NOON
    assert table.roll_up(before=NOON + 2 * HOUR) == 24
    assert stage_latencies(everything(table)) == before
    assert table.oldest_minute() == NOON + 2 * HOUR
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM request_latencies")) == 2 + 6
    table.write("a", {NOON + MINUTE: some(4)})  # by whoever was cut off until then
    table.roll_up(before=NOON + 2 * HOUR)
    assert stage_latencies(everything(table))[-1].count == before[-1].count + 4


def test_what_is_older_than_a_month_goes(table: LatencyTable) -> None:
    table.write("a", {NOON: some(1)})
    table.roll_up(before=NOON + KEPT_FOR)
    assert everything(table)["/predict"].answers == 1
    table.roll_up(before=NOON + KEPT_FOR + HOUR)
    assert everything(table) == {}


@pytest.mark.parametrize(
    "lie",
    ["x", "[]", "1", "{}x", '{"/predict": 1}', '{"/p": {"answers": [1], "stages": {}}}', BEYOND],
)
def test_a_row_that_lies_is_told(table: LatencyTable, engine: Engine, lie: str) -> None:
    table.write("a", {NOON: some(1)})
    with engine.begin() as connection:
        connection.execute(text("UPDATE request_latencies SET sketches = :lie"), {"lie": lie})
    with pytest.raises(DamagedRow):
        everything(table)
