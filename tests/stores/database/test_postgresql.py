"""A real PostgreSQL server, where one is installed, answers as SQLite does."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.databases import new_database, opened
from tests.platforms import make_platform, settings

from mlengine.bootstrap.control import build_control
from mlengine.bootstrap.platform import Platform
from mlengine.core.features import CORE
from mlengine.core.monitoring.drift.windows import DriftWindow
from mlengine.core.monitoring.event import Event
from mlengine.core.monitoring.skill.report import start_record
from mlengine.core.outcomes.outcome import Outcome
from mlengine.core.predictions.prediction import Prediction
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.database.clock import DatabaseClock, _Reading
from mlengine.stores.database.engine import open_database, writing
from mlengine.stores.database.events import EventStore, insert_event
from mlengine.stores.database.migrate import migrate
from mlengine.stores.database.outbox import Outbox
from mlengine.stores.hooks.delivery_store import Answer, Delivery, DeliveryStore
from mlengine.stores.hooks.hook_store import Hook, HookStore
from mlengine.stores.outcomes.answers import Answer as LiveAnswer
from mlengine.stores.outcomes.scored import ScoredReader
from mlengine.stores.outcomes.skill_store import SkillStore
from mlengine.stores.outcomes.store import OutcomeStore
from mlengine.stores.runs.rows import NewRun

pytest.importorskip("psycopg")

NOW = datetime(2021, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
VERSION = "v9001"
SYMBOLS = ("AAA", "BBB", "CCC", "NONE")


@pytest.fixture
def url(postgres_url: str) -> str:
    """Of a database of the test's own."""
    return postgres_url


def batch(
    platform: Platform, now: datetime, as_of: datetime | None = None
) -> Sequence[tuple[object, ...]]:
    request = PredictionRequest("r", now, as_of=as_of)
    return [
        (each.symbol, each.bars_hash, each.probability_up, each.point_in_time)
        if isinstance(each, Prediction)
        else (each.symbol, each.error_code)
        for each in platform.predict.predict_batch(SYMBOLS, request).results
    ]


def story(platform: Platform, bars: Path) -> dict[str, object]:
    """What a platform says over some hours in which a bar is revised."""
    told: dict[str, object] = {"first": batch(platform, NOW)}
    before = pl.read_parquet(bars)
    revised = pl.when(pl.int_range(pl.len()) == 390).then(pl.col("close") * 1.001)
    after = before.with_columns(revised.otherwise("close"), pl.col("high") * 1.002)
    after.write_parquet(bars)
    told["revised"] = batch(platform, NOW + HOUR)
    told["as of then"] = batch(platform, NOW + 2 * HOUR, as_of=NOW)
    told["as of long ago"] = batch(platform, NOW + 2 * HOUR, as_of=NOW - 150 * 24 * HOUR)
    store, interval = platform.bars.store, platform.bars.interval
    told["recordings"] = store.recording_counts(interval), store.revised_bars(interval)
    told["series"] = {
        symbol: (each.held.arrays.bars_hash, each.series[2:], each.holds_all_recorded)
        for symbol, each in store.newest(SYMBOLS, interval, bars=0).items()
    }
    rows = platform.audit.recent(limit=50).rows
    told["audit"] = [(row.symbol, row.bars_hash, row.score, row.error_code) for row in rows]
    scored = next(row for row in rows if row.ok)
    replay = platform.replay.replay(
        scored.prediction_id, check_upstream=False, actor="test", request_id="r", now=NOW + 3 * HOUR
    )
    told["replay"] = replay.status
    for hours in (3, 4):  # again over rows that may have come late
        platform.monitoring_updates.run(NOW + hours * HOUR)
    drift = platform.drift.drift(window=DriftWindow(bars=250), version="v1", now=NOW)
    counted = platform.drift.store.tallies("v1", since=0, features=len(CORE.names) + 1)
    told["drift"] = drift.status, drift.n_current, drift.through, counted.bins.sum()
    told["cleared"] = platform.audit.clear(actor="test", now=NOW + 3 * HOUR)
    told["afterwards"] = batch(platform, NOW + 3 * HOUR)
    return told


def test_a_platform_on_postgresql_says_what_one_on_sqlite_says(url: str, tmp_path: Path) -> None:
    told = {}
    for database in ({}, {"AUDIT_DATABASE_URL": url}):
        folder = tmp_path / f"platform{len(database)}"
        platform = make_platform(folder, **database)
        try:
            told[len(database)] = story(platform, folder / "bars" / "AAA.parquet")
        finally:
            platform.control.database.dispose()
    assert told[1] == told[0]
    assert told[1]["replay"] == "identical"
    assert told[1]["drift"][:2] == ("insufficient_data", 3)  # type: ignore[index]


def test_a_host_whose_clock_is_wrong_goes_by_that_of_the_server(url: str) -> None:
    engine = open_database(url)
    ahead = DatabaseClock(engine, host=lambda: datetime.now(UTC) + HOUR)
    try:
        assert abs(ahead() - datetime.now(UTC)) < timedelta(seconds=30)
        assert ahead().tzinfo is UTC
        assert ahead.skew_seconds == pytest.approx(3600, abs=30)
    finally:
        engine.dispose()


def test_a_server_that_is_gone_leaves_the_clock_as_it_was_last_read(tmp_path: Path) -> None:
    seconds, engine = [100.0], open_database(f"postgresql+psycopg://x@/x?host={tmp_path}")
    clock = DatabaseClock(engine, host=lambda: NOW, timer=lambda: seconds[0])
    assert (clock(), clock.skew_seconds) == (NOW, None)
    clock._last = _Reading(NOW - HOUR, 100.0, HOUR)
    seconds[0] += 3600.0
    assert (clock(), clock.skew_seconds) == (NOW, 3600.0)


def test_a_host_that_is_far_off_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = DatabaseClock(open_database(f"postgresql+psycopg://x@/x?host={tmp_path}"))
    for lead in (HOUR, HOUR, timedelta(), HOUR):
        clock._keep(_Reading(NOW, 100.0, lead))
    assert [each.message for each in caplog.records] == [
        "this host's clock differs from the database's"
    ] * 2


def test_sqlite_has_no_clock_but_the_hosts(tmp_path: Path) -> None:
    clock = DatabaseClock(open_database(f"sqlite:///{tmp_path}/audit.db"), host=lambda: NOW)
    assert (clock(), clock.skew_seconds) == (NOW, 0.0)


def test_messages_are_numbered_in_the_order_of_commits_and_claimed_once(url: str) -> None:
    migrate(url)
    engine = open_database(url)
    events, hooks, store = EventStore(engine), HookStore(engine), DeliveryStore(engine)
    hook = Hook(id="hook_1", url="https://a.example/", types=(), created_at=NOW, secret="s")
    event = Event(kind="trained", at=NOW, version="v1", actor=None, details={})
    later = threading.Thread(
        target=events.append,
        args=["bars_revised"],
        kwargs={"at": NOW, "version": None, "actor": None, "details": {}},
    )
    try:
        before = Outbox(engine).newest_seq()
        hooks.add(hook, actor="ops")
        with writing(engine) as connection:
            insert_event(connection, event)
            later.start()
            later.join(0.2)
            assert later.is_alive(), "it waits for the first one's commit"
            assert Outbox(engine).newest_seq() == before
        later.join()
        assert [each.type for each in Outbox(engine).after(before, limit=9)] == [
            "model.trained",
            "bars.revised",
        ]
        claimed: list[Delivery] = []
        start = threading.Barrier(6)

        def claim() -> None:
            start.wait()
            claimed.extend(filter(None, [store.claim("hook_1", now=NOW, lease_seconds=60)]))

        threads = [threading.Thread(target=claim) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(each.message.seq for each in claimed) == [before + 1, before + 2]
        store.record(claimed[0], Answer(410), retry_at=None, now=NOW)
        store.record(claimed[1], Answer(200), retry_at=None, now=NOW)
        assert hooks.get("hook_1").disabled_at == NOW
        assert (store.due_hooks(now=NOW), hooks.counts()["hook_1"].delivered) == ([], 1)
        assert store.deliver_again(hooks.get("hook_1"), since=NOW, now=NOW) >= 1
        assert store.prune(before=NOW + HOUR) >= 3
        hooks.remove("hook_1", actor="ops", now=NOW)
    finally:
        engine.dispose()


def test_of_two_alarms_at_once_one_training_comes(url: str, tmp_path: Path) -> None:
    control = build_control(settings(tmp_path, AUDIT_DATABASE_URL=url, RETRAIN_ON="drift"))
    try:
        control.migrate_and_backfill()
        control.retraining.tick(run_id="none", now=NOW)
        control.events.append("drift_alarm", at=NOW, version=None, actor=None, details={})
        state = control.retraining.store.read()
        trigger = control.retraining.store.newest_trigger(["drift_alarm"], after=state.event_seq)
        new = [
            NewRun(run_id=f"r{number}", spec="{}", actor="monitoring", request_id=None)
            for number in range(2)
        ]
        ticks = [control.retraining.store.claim(state, trigger, each, now=NOW) for each in new]
        assert [tick.outcome for tick in ticks] == ["claimed", "taken"]
    finally:
        control.database.dispose()


def test_outcomes_are_counted_there_as_here(url: str, tmp_path: Path) -> None:
    """Figures, dates and how often something was decided, on both databases."""
    found = [counted_outcomes(address) for address in (url, new_database(tmp_path / "audit.db"))]
    assert found[0] == found[1]
    assert found[1][0] == 2


def counted_outcomes(url: str) -> tuple[object, ...]:
    first, moment = datetime(2021, 1, 1, tzinfo=UTC), datetime(2022, 1, 1, tzinfo=UTC)
    migrate(url)
    with opened(url) as engine:
        store, reader = OutcomeStore(engine), ScoredReader(engine)
        days = [first + timedelta(days=n) for n in range(9)]
        answers = [
            (
                LiveAnswer(n + 1, f"p{n}", VERSION, "AAA", "1d", day, day, 0.5, n),
                day,
                day + timedelta(days=n),
            )
            for n, day in enumerate(days)
        ]
        for _ in range(2):
            store.take_in(answers, position=9)
        due = [
            each.pending
            for each in store.due(now=moment, limit=99)
            if each.model_version == VERSION
        ]
        for state, some in (("scored", due[:5]), ("void", due[5:7])):
            decided = [Outcome(each.id, state, None, 1.0, 0.1, 0.1, moment) for each in some]
            store.decide(VERSION, decided, {}, postponed={}, now=moment)
        outcomes = reader.read(VERSION, since=0)
        record = start_record(None, steps_ahead=5)
        written = [
            SkillStore(engine).write(VERSION, record, counted=counted, through=3, event=None)
            for counted in (None, None, 2, 3)
        ]
        return (
            reader.versions()[VERSION],
            reader.first_bar(VERSION, dates=2),
            outcomes.timestamps.tolist(),
            outcomes.labels.tolist(),
            reader.counts(VERSION, since=0),
            reader.pending(VERSION, now=first + timedelta(days=7)),
            reader.open_days(VERSION, after=0),
            written,
        )
