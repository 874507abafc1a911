"""Slices of a bar among workers that race, in both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, insert, select
from tests.databases import NOW, answered, failed, new_database, opened

from mlengine.core.signals.signal import SignalQuery, Slice, Tick
from mlengine.errors import DamagedRow
from mlengine.stores.audit.entries import AuditEntry
from mlengine.stores.audit.retention import AuditRetention
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.migrate import migrate
from mlengine.stores.database.outbox import Outbox
from mlengine.stores.database.tables import predictions, signal_bars, signal_slices, signals
from mlengine.stores.signals.plans import SignalPlans
from mlengine.stores.signals.store import SignalStore, SliceLost

DAY = timedelta(days=1)
TICK = Tick(NOW, NOW - DAY, NOW + DAY)
SYMBOLS = tuple(f"S{number:02d}" for number in range(12))
WORKERS = 6


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield engine


@pytest.fixture
def postgresql(postgres_url: str) -> Iterator[Engine]:
    migrate(postgres_url)
    with opened(postgres_url) as engine:
        yield engine


def plan(engine: Engine, symbols: tuple[str, ...] = SYMBOLS, model: str = "main") -> bool:
    plans = SignalPlans(engine)
    give_up_at, versions = NOW + DAY, ("v1", None)
    return plans.plan(
        model, TICK, versions, symbols, give_up_at=give_up_at, slice_symbols=2, now=NOW
    )


def claim(engine: Engine, holder: str, *, later: timedelta = timedelta(0)) -> Slice | None:
    plans = SignalPlans(engine)
    return plans.claim(holder, models=["main"], now=NOW + later, lease_seconds=10)


def entries(held: Slice) -> list[AuditEntry]:
    numbers = {symbol: 1 + SYMBOLS.index(symbol) for symbol in held.symbols}
    return [answered(numbers[symbol], symbol=symbol) for symbol in held.symbols]


def score_everything(engine: Engine) -> list[str]:
    """By workers that begin at once; what went wrong in them."""
    start, faults = threading.Barrier(WORKERS), list[str]()

    def work(number: int) -> None:
        try:
            start.wait()
            plan(engine)
            while held := claim(engine, f"w{number}"):
                store = SignalStore(AuditStore(engine))
                store.answer(held, entries(held), left=[], look_at=None, now=NOW)
        except Exception as error:
            faults.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_workers_that_race_plan_a_bar_once_and_say_of_each_symbol_once(
    database: str, request: pytest.FixtureRequest
) -> None:
    engine = request.getfixturevalue(database)
    assert score_everything(engine) == []
    with reading(engine) as connection:
        said = list(connection.scalars(select(signals.c.symbol).order_by(signals.c.symbol)))
        audited = connection.scalar(select(func.count()).select_from(predictions))
        (bar,) = connection.execute(select(signal_bars)).all()
        slices = connection.execute(select(signal_slices)).all()
    assert (said, audited) == ([*SYMBOLS], len(SYMBOLS))
    assert (bar.symbols, bar.completed_at) == (len(SYMBOLS), NOW)
    assert {(each.look_at, each.holder, each.symbols) for each in slices} == {(None, None, "[]")}
    (told,) = Outbox(engine).after(0, limit=10)
    details = json.loads(told.body)["data"]["details"]
    assert (told.type, details["symbols"]) == ("signals.ready", len(SYMBOLS))
    panel = SignalStore(AuditStore(engine)).read("main", SignalQuery(), limit=100)
    assert panel["symbol"].to_list() == [*SYMBOLS]
    assert set(panel["score"]) == {0.1 + 0.2}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_slice_that_another_holds_by_now_is_not_written(
    database: str, request: pytest.FixtureRequest
) -> None:
    engine = request.getfixturevalue(database)
    plan(engine, SYMBOLS[:2])
    slow = claim(engine, "slow")
    assert slow is not None
    assert claim(engine, "fast") is None
    plans, store = SignalPlans(engine), SignalStore(AuditStore(engine))
    assert plans.renew(slow, now=NOW + timedelta(seconds=5), lease_seconds=10)
    assert claim(engine, "fast", later=timedelta(seconds=14)) is None
    fast = claim(engine, "fast", later=timedelta(seconds=15))
    assert fast is not None
    assert not plans.renew(slow, now=NOW, lease_seconds=10)
    with pytest.raises(SliceLost):
        store.answer(slow, entries(slow), left=[], look_at=None, now=NOW)
    with reading(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(predictions)) == 0
    store.answer(fast, entries(fast), left=[], look_at=None, now=NOW)
    assert plans.newest("main", limit=5)[0].completed_at == NOW


def test_what_was_said_of_a_bar_is_refused_a_second_time(sqlite: Engine) -> None:
    store = SignalStore(AuditStore(sqlite))
    plan(sqlite, SYMBOLS[:1])
    held = claim(sqlite, "one")
    assert held is not None
    store.answer(held, entries(held), left=held.symbols, look_at=NOW, now=NOW)
    again = claim(sqlite, "one")
    assert again is not None
    with pytest.raises(SliceLost):
        store.answer(again, [answered(99, symbol="S00")], left=[], look_at=None, now=NOW)
    bar = answered(1, symbol="S00").prediction.bar_timestamp
    assert {key.symbol for key in store.said(again, [bar])} == {"S00"}
    assert store.said(again, [NOW]) == set()


def test_a_failure_stands_at_the_bar_that_was_expected(sqlite: Engine) -> None:
    store = SignalStore(AuditStore(sqlite))
    plan(sqlite, ("NOPE",))
    held = claim(sqlite, "one")
    assert held is not None
    assert store.pending("main", SignalQuery()) == 1
    plans = SignalPlans(sqlite)
    assert (plans.overdue(now=NOW), plans.overdue(now=NOW + DAY)) == ({"main": 0}, {"main": 1})
    assert store.pending("main", SignalQuery(symbol="AAA")) == 0
    assert store.pending("main", SignalQuery(since=NOW)) == 0
    assert store.pending("main", SignalQuery(until=NOW - DAY)) == 0
    store.answer(held, [failed(1)], left=[], look_at=None, now=NOW)
    (row,) = store.read("main", SignalQuery(), limit=5).to_dicts()
    assert (row["bar_timestamp"], row["error"]) == (NOW - DAY, "unknown_symbol")
    assert (row["score"], row["usable"], row["reasons"]) == (None, None, None)


def test_lines_keep_their_own(sqlite: Engine) -> None:
    assert plan(sqlite, SYMBOLS[:1])
    assert plan(sqlite, SYMBOLS[:1], "slow")
    assert not plan(sqlite, SYMBOLS[:1], "slow")
    held = SignalPlans(sqlite).claim("one", models=["slow"], now=NOW, lease_seconds=10)
    assert held is not None
    store = SignalStore(AuditStore(sqlite))
    store.answer(held, [answered(1, symbol="S00", model="slow")], left=[], look_at=None, now=NOW)
    assert store.read("main", SignalQuery(), limit=5).is_empty()
    (row,) = store.read("slow", SignalQuery(version="v1"), limit=5).to_dicts()
    assert row["model_version"] == "v1"


def test_a_damaged_row_is_said_to_be_one(sqlite: Engine) -> None:
    row = {
        "model_version": "v1",
        "symbol": "AAA",
        "bar_timestamp": NOW,
        "model": "main",
        "is_champion": True,
        "prediction_id": "p",
        "answered_at": NOW,
    }
    with writing(sqlite) as connection:
        connection.execute(insert(signals).values(row))
        connection.exec_driver_sql("UPDATE signals SET score = 'no number'")
    with pytest.raises(DamagedRow):
        SignalStore(AuditStore(sqlite)).read("main", SignalQuery(), limit=5)


def test_signals_go_with_the_audit(sqlite: Engine) -> None:
    def count(table: object) -> int:
        with reading(sqlite) as connection:
            return connection.scalar(select(func.count()).select_from(table)) or 0  # type: ignore[arg-type]

    assert score_everything(sqlite) == []
    AuditRetention(sqlite).remove(before=NOW, actor="t", at=NOW)
    assert (count(signals), count(signal_bars)) == (len(SYMBOLS), 1)
    AuditRetention(sqlite).remove(before=NOW + timedelta(seconds=4), actor="t", at=NOW)
    assert (count(signals), count(signal_bars), count(signal_slices)) == (len(SYMBOLS) - 3, 0, 0)
    AuditStore(sqlite).clear(actor="t", at=NOW)
    assert count(signals) == 0


def test_a_bar_whose_rows_were_cleared_is_listed_no_more_and_not_scored_again(
    sqlite: Engine,
) -> None:
    def listed() -> list[tuple[int, int]]:
        newest = SignalPlans(sqlite).newest("main", limit=9)
        return [(bar.symbols, bar.pending) for bar in newest]

    assert score_everything(sqlite) == []
    plan(sqlite, model="slow")
    assert listed() == [(len(SYMBOLS), 0)]
    AuditStore(sqlite).clear(actor="t", at=NOW)
    assert (listed(), plan(sqlite)) == ([], False)
    AuditStore(sqlite).clear(actor="t", at=NOW + DAY)
    with reading(sqlite) as connection:
        left = connection.scalars(select(signal_bars.c.model)).all()
        slices = connection.scalar(select(func.count()).select_from(signal_slices))
    assert (left, slices) == (["slow"], len(SYMBOLS) // 2)
    assert plan(sqlite)
    assert listed() == [(len(SYMBOLS), len(SYMBOLS))]
