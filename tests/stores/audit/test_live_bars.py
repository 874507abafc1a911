from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.databases import NOW, answered, failed, new_database, opened, window_of

from mlengine.stores.audit.store import AuditStore

DAY = timedelta(days=1)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield engine


def newest(symbol: str, *, day: int = 0) -> object:
    return window_of(symbol, day=day)["timestamp"][-1]


def test_the_newest_bar_of_each_symbol_and_this_interval_is_known(engine: Engine) -> None:
    store = AuditStore(engine)
    store.append([answered(1, day=4), answered(2, day=2), answered(3, symbol="BBB"), failed(4)])
    store.append([answered(5, symbol="CCC", interval="1h")])
    last_bars = AuditStore(engine).last_live_bars("1d", now=NOW)
    assert last_bars == {"AAA": newest("AAA", day=4), "BBB": newest("BBB")}


def test_what_was_asked_about_the_past_does_not_count(engine: Engine) -> None:
    past = {"as_of": NOW - 9 * DAY}
    AuditStore(engine).append(
        [answered(1, day=2), answered(2, day=4, **past), answered(3, symbol="BBB", **past)]
    )
    assert AuditStore(engine).last_live_bars("1d", now=NOW) == {"AAA": newest("AAA", day=2)}


def test_a_bar_counts_once_anyone_asked_about_the_present(engine: Engine) -> None:
    past = {"as_of": NOW - 9 * DAY}
    AuditStore(engine).append([answered(1, **past), answered(2), answered(3, **past)])
    assert AuditStore(engine).last_live_bars("1d", now=NOW) == {"AAA": newest("AAA")}


@pytest.mark.parametrize(("before_the_request", "counts"), [(DAY, False), (DAY / 2, True)])
def test_the_present_reaches_back_for_less_than_a_bar(
    engine: Engine, before_the_request: timedelta, counts: bool
) -> None:
    as_of = NOW + timedelta(seconds=1) - before_the_request
    AuditStore(engine).append([answered(1, as_of=as_of)])
    assert bool(AuditStore(engine).last_live_bars("1d", now=NOW)) is counts


def test_who_was_not_asked_for_weeks_is_known_still(engine: Engine) -> None:
    store, later = AuditStore(engine), NOW + 20 * DAY
    store.append([answered(1, symbol="OLD"), answered(2, symbol="ASKED")])
    store.append([replace(answered(3, symbol="ASKED", day=15, as_of=later), at=later)])
    assert store.last_live_bars("1d", now=later) == {
        "ASKED": newest("ASKED", day=15),
        "OLD": newest("OLD"),
    }
    assert store.last_prediction_at(now=later) == later
    assert store.last_prediction_at(now=later + 20 * DAY) == later
