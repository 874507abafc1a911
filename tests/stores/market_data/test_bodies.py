"""Answers that are more than was asked for, or that would take longer than there is time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import polars as pl
import pytest
from tests.factories import START, random_bars
from tests.patience import patience
from tests.upstream import Fault, LoopbackUpstream, iso

from mlengine.errors import UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data.candles import candle_frame
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.market_data.http import HttpMarketData

DAY = timedelta(days=1)
NOON = timedelta(hours=12)
CANDLE = {"open": 1.5, "high": 1.5, "low": 1.5, "close": 1.5, "volume": 1}


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream(random_bars(rows=400)) as running:
        yield running


def candles(upstream: LoopbackUpstream, days: int = 200, **chosen: float) -> int:
    market = HttpMarketData(
        upstream.url,
        timeout_seconds=2,
        retry_attempts=0,
        retry_backoff_seconds=0,
        **{"deadline_seconds": 4, **chosen},
    )
    return market.candles("AAA", "1d", start=START, end=START + days * DAY + NOON).height


def seconds_apart(count: int) -> list[dict[str, Any]]:
    return [{"timestamp": iso(START + timedelta(seconds=n)), **CANDLE} for n in range(count)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (orjson.dumps(seconds_apart(2_100)), "holds 2100 candles, where 1000 were asked for"),
        (orjson.dumps(seconds_apart(40_000)), "longer than 64320 values"),
        (b"[" + b"{}," * 5_000_000 + b"{}]", "longer than 64320 values"),
        (b"[" + b" " * 20_000_000 + b"]", "longer than 1094656 bytes"),
    ],
    ids=["candles", "many candles", "empty objects", "white space"],
)
def test_a_body_far_beyond_the_page_is_refused_at_once(upstream, body, reason):
    upstream.always = Fault(body=body)
    began = time.monotonic()
    with pytest.raises(UpstreamInvalid, match=reason):
        candles(upstream)
    assert time.monotonic() - began < patience(2.0)


def test_pages_that_go_on_and_on_are_left(upstream):
    def page(answer: dict[str, Any]) -> dict[str, Any]:
        first = START + timedelta(minutes=len(upstream.requests))
        times = [iso(first + timedelta(seconds=n / 100)) for n in range(1_000)]
        return {**answer, "candles": [{"timestamp": time, **CANDLE} for time in times]}

    upstream.envelope = page
    with pytest.raises(UpstreamInvalid, match="go on and on"):
        candles(upstream, deadline_seconds=60)


def test_what_is_not_parsed_by_the_deadline_is_given_up():
    began = time.monotonic()
    with pytest.raises(UpstreamUnavailable, match="before the deadline"):
        candle_frame(seconds_apart(20_000), symbol="AAA", deadline=Deadline.after(0.05))
    assert time.monotonic() - began < patience(1.0)


@pytest.mark.parametrize("member", ["symbol", "interval"])
@pytest.mark.parametrize("value", ["", "BBB", 0, 5, 1.5, True, False, [], ["AAA"], {}, {"AAA": 1}])
def test_another_symbol_or_interval_of_any_type_is_refused(upstream, member, value):
    for envelope in (
        lambda answer: {**answer, member: value},
        lambda answer: {"candles": [{**each, member: value} for each in answer["candles"]]},
    ):
        upstream.envelope = envelope
        with pytest.raises(UpstreamInvalid, match=f"another {member} than asked"):
            candles(upstream)


@pytest.mark.parametrize("days", [99, 100, 200])
def test_a_page_that_holds_the_whole_range_is_the_only_one(upstream, days):
    assert candles(upstream, days) == days + 1
    assert len(upstream.requests) == 1


def test_a_weekend_at_the_ends_of_the_range_costs_no_further_call():
    week = random_bars(rows=400).filter(pl.col("timestamp").dt.weekday() <= 5)
    with LoopbackUpstream(week) as upstream:
        monday = datetime(2020, 9, 7, tzinfo=UTC)
        market = HttpMarketData(
            upstream.url,
            timeout_seconds=2,
            retry_attempts=0,
            retry_backoff_seconds=0,
            deadline_seconds=4,
        )
        for start in range(7):
            frame = market.candles("AAA", "1d", start=START + start * DAY, end=monday + NOON)
            expected = week["timestamp"].is_between(START + start * DAY, monday + NOON).sum()
            assert frame.height == expected
        # A page of a round number of candles may be cut off there.
        assert len(upstream.requests) <= 7 + 2


@pytest.mark.parametrize("cap", [50, 99, 128])
def test_a_service_that_caps_its_pages_is_still_asked_on(upstream, cap):
    upstream.page_limit = cap
    assert candles(upstream) == 201


@pytest.mark.parametrize("cap", [37, 53, 77, 99, 100, 101])
@pytest.mark.parametrize("further", range(6))
def test_a_service_that_caps_its_pages_at_any_size_loses_no_newest_bar(cap, further):
    """The weekend at the end of a page that was cut off looks like the weekends in it."""
    week = random_bars(rows=400).filter(pl.col("timestamp").dt.weekday() <= 5)
    with LoopbackUpstream(week) as upstream:
        upstream.page_limit = cap
        market = HttpMarketData(
            upstream.url,
            timeout_seconds=2,
            retry_attempts=0,
            retry_backoff_seconds=0,
            deadline_seconds=4,
        )
        for rows in (cap, cap + further, cap - 1, cap, cap + further):
            end = week["timestamp"][rows - 1] + DAY
            frame = market.candles("AAA", "1d", start=START, end=end)
            assert frame["timestamp"].to_list() == week["timestamp"][:rows].to_list()
