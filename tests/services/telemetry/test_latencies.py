from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine
from tests.databases import new_database, opened

from mlengine.core.telemetry.families import HTTP_DURATION, HTTP_REQUESTS, PREDICTION_STAGES
from mlengine.core.telemetry.latency_slots import RouteSketches, StageLatency
from mlengine.services.predictions.prediction_counts import PredictionCounts
from mlengine.services.telemetry.latencies import LatencyRollUp, LatencyService
from mlengine.services.telemetry.latency_recorder import LatencyRecorder
from mlengine.services.telemetry.timed_cache import TimedCache
from mlengine.stores.telemetry.counters import Counters
from mlengine.stores.telemetry.latency_table import LatencyTable

NOW = datetime(2024, 5, 31, 12, 30, 20, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened(new_database(tmp_path / "audit.db"), busy_timeout_seconds=0.05) as engine:
        yield engine


class Worker:
    """One of several, with counters, and the table of all."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.counters = Counters()
        self.table = LatencyTable(engine)
        counts = PredictionCounts(self.counters)
        self.recorder = LatencyRecorder(self.counters, counts, self.table, name)

    def answer(self, milliseconds: float, *, status: int = 200, route: str = "/models") -> None:
        self.counters.count(HTTP_REQUESTS, route, "GET", str(status)).add()
        self.counters.sketch(HTTP_DURATION, route, "GET").observe(milliseconds)

    def told(self, *, now: datetime = NOW, window: int = 3600) -> dict[str, StageLatency]:
        service = LatencyService(self.table, self.recorder)  # that has read nothing yet
        lines = service.latency(window_seconds=window, now=now).routes
        return {f"{line.route} {line.stage}": line for line in lines}


def test_quantiles_are_of_all_workers_and_within_their_error(engine: Engine) -> None:
    one, two = Worker(engine, "one"), Worker(engine, "two")
    latencies = np.random.default_rng(1).lognormal(1.5, 1.0, 2_000)
    for number, milliseconds in enumerate(latencies.tolist()):
        (one, two)[number % 2].answer(milliseconds, status=(200, 404, 200, 503)[number % 4])
    one.recorder.flush(NOW)
    line = two.told()["/models total"]
    assert line.count == 2_000
    assert (line.error_rate, line.server_error_rate) == (0.5, 0.25)
    assert line.max_ms == latencies.max()
    for share, told in ((0.5, line.p50_ms), (0.9, line.p90_ms), (0.99, line.p99_ms)):
        assert told == pytest.approx(np.quantile(latencies, share), rel=0.025)
    two.recorder.flush(NOW)
    assert LatencyService(two.table).latency(window_seconds=60, now=NOW).routes == (line,)


def test_no_request_is_told_twice_or_lost_as_minutes_go_by(engine: Engine) -> None:
    worker, other = Worker(engine, "a"), Worker(engine, "b")
    for number in range(40):
        now = NOW + number * 13 * SECOND
        worker.answer(5.0 + number)
        if number % 3 == 0:
            worker.recorder.flush(now)
        assert worker.told(now=now)["/models total"].count == number + 1
    worker.recorder.flush(now)
    line = other.told(now=now)["/models total"]
    assert (line.count, line.max_ms) == (40, 44.0)


def test_what_others_wrote_is_read_every_five_seconds_and_nothing_is_told_twice(
    engine: Engine,
) -> None:
    one, two = Worker(engine, "one"), Worker(engine, "two")
    clock = [0.0]
    cache = TimedCache[RouteSketches](5.0, timer=lambda: clock[0])
    service = LatencyService(one.table, one.recorder, cache)

    def count(now: datetime) -> int:
        (line,) = service.latency(window_seconds=600, now=now).routes
        return line.count

    one.answer(1.0)
    assert count(NOW) == 1
    for worker in (one, two):
        worker.answer(2.0)
        worker.recorder.flush(NOW)
    assert count(NOW) == 2, "its own at once"
    one.answer(2.0)
    assert count(NOW + MINUTE) == 4, "as its own minute is the table's then"
    clock[0] = 5.0
    assert count(NOW + MINUTE) == 4


def test_a_window_ends(engine: Engine) -> None:
    worker = Worker(engine, "a")
    worker.answer(5.0)
    worker.recorder.flush(NOW)
    assert worker.told(now=NOW + 10 * MINUTE, window=60) == {}
    assert worker.told(now=NOW + 10 * MINUTE, window=660)["/models total"].count == 1


def test_predictions_have_their_stages_reached_or_not(engine: Engine) -> None:
    worker = Worker(engine, "a")
    worker.answer(5.0, route="/predict", status=422)
    worker.counters.sketch(PREDICTION_STAGES, "/predict", "bars").observe(2.0)
    told = worker.told()
    assert list(told) == [f"/predict {stage}" for stage in ("bars", "features", "model", "total")]
    assert (told["/predict bars"].count, told["/predict bars"].error_rate) == (1, 1.0)
    unreached = told["/predict model"]
    assert (unreached.count, unreached.p50_ms, unreached.max_ms) == (0, None, None)


def test_a_table_that_can_not_be_written_gets_all_later(engine: Engine, tmp_path: Path) -> None:
    worker = Worker(engine, "a")
    worker.answer(5.0)
    with closing(sqlite3.connect(tmp_path / "audit.db")) as holder:
        holder.execute("BEGIN IMMEDIATE")
        worker.recorder.flush(NOW)
        worker.answer(6.0)
        assert worker.told(now=NOW + MINUTE)["/models total"].count == 2
    worker.recorder.flush(NOW + 2 * MINUTE)
    assert Worker(engine, "b").told(now=NOW + 2 * MINUTE)["/models total"].count == 2


def test_preflights_and_heads_say_nothing_of_latency(engine: Engine) -> None:
    worker = Worker(engine, "a")
    for method in ("OPTIONS", "HEAD"):
        worker.counters.count(HTTP_REQUESTS, "/models", method, "200").add()
        worker.counters.sketch(HTTP_DURATION, "/models", method).observe(1.0)
    assert worker.told() == {}


def test_the_step_rolls_up_what_is_two_hours_old_and_says_when_more_is_due(engine: Engine) -> None:
    worker, step = Worker(engine, "a"), LatencyRollUp(LatencyTable(engine))
    assert step.run(NOW) is None
    for hours in range(4):
        worker.answer(5.0)
        worker.recorder.flush(NOW - hours * HOUR)
    due = NOW.replace(minute=0, second=0) + HOUR
    assert step.run(NOW) == due, "that of the hour that began two hours and a half ago"
    assert worker.table.oldest_minute() == (NOW - 2 * HOUR).replace(second=0)
    assert step.run(NOW) == due
    assert worker.told(window=86_400)["/models total"].count == 4
