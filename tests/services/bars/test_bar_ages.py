from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.databases import bar_store
from tests.factories import random_bars
from tests.patience import patience
from tests.upstream import Fault, LoopbackUpstream, queries

from mlengine.core.calendars.age import BarAge
from mlengine.core.calendars.market import NO_MARKETS, Market, MarketDirectory
from mlengine.core.calendars.named import calendar
from mlengine.services.bars import bar_ages as module
from mlengine.services.bars.bar_ages import BarAgeService
from mlengine.services.bars.service import BarService
from mlengine.stores.market_data.deadline import NEVER, Deadline
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.system.dependency_states import DependencyStates

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# A Saturday; the feeds end before it.
SATURDAY = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as running:
        yield running


def hourly(days: int, symbol: str = "AAA") -> pl.DataFrame:
    return random_bars(symbol, rows=days * 24, interval="1h", start=SATURDAY - days * DAY)


def make_service(
    upstream: LoopbackUpstream, folder: Path, interval: str, markets: MarketDirectory = NO_MARKETS
) -> BarService:
    upstream.interval = interval
    market = HttpMarketData(
        upstream.url,
        timeout_seconds=2,
        retry_attempts=0,
        retry_backoff_seconds=0,
        deadline_seconds=5.0,
    )
    return BarService(market, bar_store(folder), interval, 5.0, DependencyStates(), markets=markets)


def age(bar_ages: BarAgeService, moment: datetime, *, start: datetime = SATURDAY - HOUR) -> BarAge:
    return bar_ages.age("AAA", start, moment=moment, now=moment, deadline=NEVER)


@pytest.mark.parametrize("interval", ["1m", "1h"])
def test_a_feed_that_never_sleeps_is_stale_with_the_third_bar(
    upstream: LoopbackUpstream, tmp_path: Path, interval: str
) -> None:
    width = MINUTE if interval == "1m" else HOUR
    rows = 10 * DAY // width
    upstream.serve(random_bars(rows=rows, interval=interval, start=SATURDAY - rows * width))
    service = make_service(upstream, tmp_path, interval)
    window = service.window("AAA", bars=64, as_of=None, now=SATURDAY).bars
    ages = [
        service.bar_ages.age(
            "AAA",
            window.last_timestamp,
            moment=moment,
            now=moment,
            starts=window.starts,
            deadline=NEVER,
        )
        for moment in (SATURDAY + n * width for n in range(5))
    ]
    assert [each.is_stale for each in ages] == [False, False, False, True, True]
    assert [each.bars for each in ages[3:]] == [3, 4]


def test_bars_that_span_a_weekend_need_no_others(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    upstream.serve(hourly(60))
    service = make_service(upstream, tmp_path, "1h")
    service.window("AAA", bars=500, as_of=None, now=SATURDAY)
    asked = len(upstream.requests)
    found = service.bar_ages.age_at_hand(
        "AAA", SATURDAY - HOUR, moment=SATURDAY + 5 * HOUR, now=SATURDAY + 5 * HOUR
    )
    assert found is not None
    assert found.is_stale
    assert len(upstream.requests) == asked


def test_nothing_is_fetched_for_a_bar_that_is_not_late(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    bar_ages = make_service(upstream, tmp_path, "1h").bar_ages
    assert not age(bar_ages, SATURDAY + HOUR).is_stale
    assert upstream.requests == []


def test_nine_days_are_fetched_once_where_less_is_at_hand(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    upstream.serve(hourly(30))
    bar_ages = make_service(upstream, tmp_path, "1h").bar_ages
    late = SATURDAY + 10 * HOUR
    at_hand = {"moment": late, "now": late}
    assert bar_ages.age_at_hand("AAA", SATURDAY - HOUR, **at_hand) is None
    with ThreadPoolExecutor(8) as threads:
        ages = list(threads.map(lambda _: age(bar_ages, late), range(16)))
    assert {each.is_stale for each in ages} == {True}
    assert queries(upstream.requests, "start") == ["2026-11-19T00:00:00Z"]
    known = bar_ages.age_at_hand("AAA", SATURDAY - HOUR, **at_hand)
    assert known is not None
    assert known.is_stale


@pytest.mark.parametrize("status", [404, 500])
def test_what_cannot_be_had_is_not_asked_for_again_at_once(
    upstream: LoopbackUpstream, tmp_path: Path, status: int
) -> None:
    upstream.always = Fault(status=status, body=b"")
    bar_ages = make_service(upstream, tmp_path, "1h").bar_ages
    assert not age(bar_ages, SATURDAY + 10 * HOUR).is_stale, "a long weekend is possible"
    assert not age(bar_ages, SATURDAY + 10 * HOUR).is_stale
    assert len(upstream.requests) == 1
    upstream.always = None
    upstream.serve(hourly(30))
    assert age(bar_ages, SATURDAY + 10 * HOUR + MINUTE).is_stale


def test_nothing_is_fetched_while_the_upstream_is_down(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    upstream.serve(hourly(3))
    service = replace(make_service(upstream, tmp_path, "1h"), max_stale_seconds=DAY.total_seconds())
    service.window("AAA", bars=20, as_of=None, now=SATURDAY)
    late = SATURDAY + 10 * HOUR
    upstream.always = Fault(status=503)
    assert service.window("AAA", bars=20, as_of=None, now=late).origin.upstream_age_seconds
    asked = len(upstream.requests)
    assert not age(service.bar_ages, late).is_stale
    assert len(upstream.requests) == asked
    upstream.always = None
    upstream.serve(hourly(30))
    assert age(service.bar_ages, late + 5 * timedelta(seconds=1)).is_stale


def test_nothing_is_fetched_once_the_deadline_is_over(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    upstream.serve(hourly(30))
    bar_ages = make_service(upstream, tmp_path, "1h").bar_ages
    late = SATURDAY + 10 * HOUR
    over = bar_ages.age("AAA", SATURDAY - HOUR, moment=late, now=late, deadline=Deadline.after(0))
    assert not over.is_stale
    assert upstream.requests == []
    assert age(bar_ages, late).is_stale


def test_a_share_over_a_long_weekend_is_not_stale(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    """Its hours, Monday a holiday: 88 hours without a bar."""
    bars = hourly(40)
    at = pl.col("timestamp")
    session = at.dt.hour().is_between(14, 20) & (at.dt.weekday() <= 5)
    upstream.serve(bars.filter(session))
    bar_ages = make_service(upstream, tmp_path, "1h").bar_ages
    last = SATURDAY - 4 * HOUR
    tuesday = SATURDAY + 3 * DAY + 14 * HOUR
    assert not age(bar_ages, tuesday, start=last).is_stale
    assert age(bar_ages, tuesday + DAY, start=last).is_stale


def test_a_named_calendar_holds_whatever_the_bars_suggest(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    upstream.serve(hourly(30))
    markets = MarketDirectory({"AAA": Market("AAA", calendar("XNYS"))})
    bar_ages = make_service(upstream, tmp_path, "1h", markets).bar_ages
    last = datetime(2026, 11, 27, 17, 30, tzinfo=UTC)
    monday = datetime(2026, 11, 30, 14, 30, tzinfo=UTC)
    assert not age(bar_ages, monday + 2 * HOUR, start=last).is_stale
    assert upstream.requests == []
    assert age(bar_ages, monday + 3 * HOUR, start=last).is_stale


def test_a_series_that_is_traded_now_and_then_is_stale_by_its_own_gaps(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    minutes = random_bars(rows=20 * 24 * 60, interval="1m", start=SATURDAY - 20 * DAY)
    rows = np.cumsum(np.random.default_rng(3).integers(5, 30, minutes.height))
    rows = np.append(rows[rows < minutes.height - 5], minutes.height - 1)
    upstream.serve(minutes[rows])
    bar_ages = make_service(upstream, tmp_path, "1m").bar_ages
    last = SATURDAY - MINUTE
    assert not age(bar_ages, SATURDAY + 45 * MINUTE, start=last).is_stale
    assert age(bar_ages, SATURDAY + 65 * MINUTE, start=last).is_stale


def test_recorded_bars_need_no_others(upstream: LoopbackUpstream, tmp_path: Path) -> None:
    upstream.serve(hourly(30))
    service = make_service(upstream, tmp_path, "1h")
    service.ingest("AAA", now=SATURDAY)
    upstream.always = Fault(status=500, body=b"")
    asked = len(upstream.requests)
    assert age(service.bar_ages, SATURDAY + 10 * HOUR).is_stale
    assert len(upstream.requests) == asked


def test_without_a_deadline_no_ages_are_told_where_bars_have_to_be_fetched(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    upstream.serve(hourly(3))
    service = make_service(upstream, tmp_path, "1h")
    windows = {"AAA": service.window("AAA", bars=20, as_of=None, now=SATURDAY).bars}
    late, asked = SATURDAY + 10 * HOUR, len(upstream.requests)
    assert service.bar_ages.ages(windows, moment=late, now=late, deadline=None) is None
    assert len(upstream.requests) == asked
    soon = service.bar_ages.ages(windows, moment=SATURDAY, now=SATURDAY, deadline=None)
    assert soon is not None
    assert not soon["AAA"].is_stale


def test_late_bars_of_one_start_and_cadence_have_one_age(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    symbols = ("AAA", "BBB", "CCC")
    upstream.serve(pl.concat([hourly(10, symbol) for symbol in symbols]))
    service, late = make_service(upstream, tmp_path, "1h"), SATURDAY + 10 * HOUR
    windows = {
        symbol: service.window(symbol, bars=20, as_of=None, now=SATURDAY).bars for symbol in symbols
    }
    windows["CCC"] = windows["CCC"].slice(0, 19)
    for _ in range(2):
        ages = service.bar_ages.ages(windows, moment=late, now=late, deadline=NEVER)
        assert ages is not None
        assert ages["AAA"].is_stale
        assert ages["AAA"] is ages["BBB"]
        assert ages["CCC"].start == ages["AAA"].start - HOUR


class HeldSource:
    """Answers what another source does, once it is let go."""

    def __init__(self, source: HttpMarketData) -> None:
        self._source = source
        self.asked, self.let_go = threading.Event(), threading.Event()

    def deadline(self) -> Deadline:
        return self._source.deadline()

    def candles(self, *args: Any, **options: Any) -> pl.DataFrame:
        self.asked.set()
        assert self.let_go.wait(patience(20))
        return self._source.candles(*args, **{**options, "deadline": self.deadline()})


def test_nobody_waits_for_the_bars_of_another_beyond_the_own_deadline(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    upstream.serve(hourly(30))
    service = make_service(upstream, tmp_path, "1h")
    held = HeldSource(service.source)  # type: ignore[arg-type]
    bar_ages = replace(service.bar_ages, source=held)  # type: ignore[arg-type]
    late, soon = SATURDAY + 10 * HOUR, Deadline.after(0)
    with ThreadPoolExecutor(1) as threads:
        patient = threads.submit(age, bar_ages, late)
        assert held.asked.wait(patience(20))
        hasty = bar_ages.age("AAA", SATURDAY - HOUR, moment=late, now=late, deadline=soon)
        held.let_go.set()
        assert not hasty.is_stale, "nothing but weekdays was known"
        assert patient.result().is_stale


def test_only_so_many_symbols_are_kept_in_mind(
    upstream: LoopbackUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_SYMBOLS", 2)
    upstream.serve(pl.concat([hourly(10, symbol) for symbol in ("AAA", "BBB", "CCC")]))
    bar_ages, late = make_service(upstream, tmp_path, "1h").bar_ages, SATURDAY + 10 * HOUR
    asked = []
    for symbol in ("AAA", "BBB", "AAA", "CCC", "AAA"):
        before = len(upstream.requests)
        found = bar_ages.age(symbol, SATURDAY - HOUR, moment=late, now=late, deadline=NEVER)
        assert found.is_stale
        asked.append(len(upstream.requests) - before)
    assert asked == [1, 1, 0, 1, 1]
