from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factories import START, random_bars

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.core.timestamps import EPOCH
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.paging import PageReader, RangeRefused

DAY = timedelta(days=1)
BARS = random_bars(rows=250).match_to_schema(RAW_SCHEMA, missing_columns="insert")
END = START + 250 * DAY

Ask = Callable[[datetime, datetime, int | None], pl.DataFrame]


class Service:
    """What a service gives for a range, and the ranges that it was asked for."""

    def __init__(self, answer: Ask) -> None:
        self.answer = answer
        self.asked: list[tuple[datetime, datetime, int | None]] = []

    def ask(self, start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        self.asked.append((start, end, limit))
        return self.answer(start, end, limit)

    def candles(self, start: datetime = EPOCH, end: datetime = END) -> pl.DataFrame:
        return PageReader(self.ask, DAY).candles(start, end)


def between(start: datetime, end: datetime) -> pl.DataFrame:
    return BARS.filter(pl.col("timestamp").is_between(start, end, closed="left"))


def oldest(size: int) -> Ask:
    return lambda start, end, limit: between(start, end).head(limit or size)


def newest(size: int) -> Ask:
    return lambda start, end, limit: between(start, end).tail(limit or size)


@pytest.mark.parametrize(
    "answer",
    [
        oldest(100),
        oldest(1000),
        newest(100),
        newest(1000),
        lambda *asked: newest(100)(*asked).reverse(),
        lambda _, end, __: between(EPOCH, end).tail(72),
        lambda start, _, limit: between(start, END).head(limit or 40),
        lambda start, end, limit: between(start, end + DAY).head(limit or 1000),
    ],
    ids=[
        "oldest first",
        "oldest first, one page",
        "newest first, ascending",
        "newest first, one page",
        "newest first, descending",
        "always so many before the end",
        "end not looked at",
        "end inclusive",
    ],
)
def test_every_order_of_pages_is_followed_to_both_ends(answer: Ask) -> None:
    assert Service(answer).candles().equals(BARS)


def test_a_candle_of_the_future_on_each_page_ends_no_range() -> None:
    """It is of no use, and says nothing of how far the others reach."""
    stray = BARS.tail(1).with_columns(timestamp=pl.lit(END + 9 * DAY, BARS["timestamp"].dtype))
    service = Service(lambda *asked: pl.concat([oldest(100)(*asked), stray]))
    assert service.candles().equals(BARS)


def test_a_range_that_one_page_covers_is_asked_once() -> None:
    service = Service(newest(100))
    assert service.candles(END - 30 * DAY).equals(BARS.tail(30))
    assert len(service.asked) == 1


def test_the_newest_of_a_service_that_ignores_the_range_are_not_the_whole() -> None:
    service = Service(lambda *_: BARS.tail(72))
    assert service.candles(END - 50 * DAY).equals(BARS.tail(50))
    with pytest.raises(UpstreamInvalid, match=r"the same 72 candles .* before 2020-06-27"):
        service.candles()
    with pytest.raises(UpstreamInvalid, match="the same 72 candles"):
        service.candles(START, START + 30 * DAY)


def test_a_candle_that_is_new_between_two_pages_says_nothing_of_their_order() -> None:
    def grows(start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        return between(start, min(end, END - DAY / len(service.asked))).tail(100)

    service = Service(grows)
    assert service.candles()["timestamp"].min() == START


def test_a_refused_range_is_asked_from_a_nearer_start_on_and_then_before_it() -> None:
    def answer(start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        if end - start > 100 * DAY:
            raise RangeRefused("too long")
        return oldest(40)(start, end, limit)

    service = Service(answer)
    with pytest.raises(RangeRefused):
        service.candles()
    assert [round((end - start) / DAY) for start, end, _ in service.asked[1:]] == [
        *(7300, 3650, 1825, 730, 365),
    ]


def test_ranges_of_a_year_reach_back_to_the_first_candle() -> None:
    def answer(start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        if end - start > 400 * DAY:
            raise RangeRefused("too long")
        return oldest(40)(start, end, limit)

    service = Service(answer)
    assert service.candles(end=END + 500 * DAY).equals(BARS)
    assert len(service.asked) < 25


def test_starts_before_the_service_are_narrowed_to_where_it_begins() -> None:
    def answer(start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        if start < START:
            raise RangeRefused("before the service began")
        return oldest(40)(start, end, limit)

    candles = Service(answer).candles(end=END + 300 * DAY)
    assert candles.height >= 250 - 7


@st.composite
def services(draw: st.DrawFn) -> Ask:
    """A service of any manners, with gaps in its bars."""
    kept = draw(st.lists(st.integers(0, 249), min_size=1, max_size=60, unique=True))
    bars = BARS[sorted(kept)]
    cap, slack = draw(st.integers(2, 80)), draw(st.sampled_from([timedelta(), DAY / 2, DAY]))
    newest_first, descending = draw(st.booleans()), draw(st.booleans())
    takes_start, takes_end, takes_limit = (draw(st.booleans()) for _ in range(3))

    def answer(start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        at = pl.col("timestamp")
        page = bars.filter(at >= start) if takes_start or not newest_first else bars
        page = page.filter(at < end + slack) if takes_end else page
        size = min(cap, limit or cap) if takes_limit else cap
        page = page.tail(size) if newest_first else page.head(size)
        return page.reverse() if descending else page

    answer.bars = bars  # type: ignore[attr-defined]
    return answer


@settings(max_examples=150, deadline=None)
@given(services(), st.integers(0, 249), st.integers(1, 250), st.booleans())
def test_no_service_gets_a_part_of_its_candles_taken_for_the_whole(
    answer: Ask, first: int, days: int, from_epoch: bool
) -> None:
    start = EPOCH if from_epoch else START + first * DAY
    end = START + (first + days) * DAY
    expected = answer.bars.filter(  # type: ignore[attr-defined]
        pl.col("timestamp").is_between(start, end, closed="left")
    )
    try:
        candles = Service(answer).candles(start, end)
    except UpstreamInvalid:
        return
    assert candles.equals(expected)


def test_a_service_that_refuses_older_ranges_keeps_what_it_gave() -> None:
    def answer(start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        if end < END:
            raise RangeRefused
        return newest(72)(start, end, limit)

    service = Service(answer)
    candles = PageReader(service.ask, DAY).candles(START, END)
    assert candles["timestamp"].to_list() == BARS["timestamp"].tail(72).to_list()
    assert len(service.asked) > 1


def test_a_range_as_long_as_a_page_is_asked_where_longer_ones_are_refused() -> None:
    def answer(start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        if end - start > 30 * DAY:
            raise RangeRefused("too long")
        return between(start, end).reverse()

    service = Service(answer)
    reader = PageReader(service.ask, DAY, page_span=29 * DAY)
    assert reader.candles(EPOCH, END + 20 * DAY).equals(BARS)
    assert len(service.asked) < 30


@pytest.mark.parametrize(("closed", "expected"), [(13, 250 - 13), (60, 100)])
def test_a_closure_ends_no_history_that_is_read_week_by_week(closed: int, expected: int) -> None:
    open_bars = pl.concat([BARS.head(150 - closed), BARS.tail(100)])

    def answer(start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        if end - start > 7 * DAY:
            raise RangeRefused("too long")
        return open_bars.filter(pl.col("timestamp").is_between(start, end, closed="left"))

    reader = PageReader(Service(answer).ask, DAY, page_span=7 * DAY)
    assert reader.candles(EPOCH, END).height == expected


def in_whole_days(bars: pl.DataFrame, size: int) -> Ask:
    """The newest of a range that begins and ends with the days of its moments."""
    day = pl.col("timestamp").dt.date()

    def answer(start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        return bars.filter(day.is_between(start.date(), end.date())).tail(limit or size)

    return answer


@pytest.mark.parametrize("size", [5, 100, 1000])
def test_a_service_that_is_asked_for_whole_days_begins_with_its_first_candle(size: int) -> None:
    hours = [START + day * DAY + hour * DAY / 24 for day in range(9) for hour in range(14, 21)]
    bars = BARS.head(63).with_columns(timestamp=pl.Series(hours, dtype=BARS["timestamp"].dtype))
    service = Service(in_whole_days(bars, size))
    reader = PageReader(service.ask, DAY / 24, resolution=DAY)
    start = START - 30 * DAY
    if size < 7:
        with pytest.raises(UpstreamInvalid, match="the same 5 candles"):
            reader.candles(start, hours[-1] + DAY / 24)
    else:
        assert reader.candles(start, hours[-1] + DAY / 24).height == 63


@pytest.mark.parametrize("size", [100, 1000])
def test_nothing_older_is_asked_of_a_service_that_begins_with_the_oldest(size: int) -> None:
    service = Service(oldest(size))
    start = START - 30 * DAY
    candles = PageReader(service.ask, DAY, paging="range", order="oldest_first").candles(start, END)
    assert candles["timestamp"].to_list() == BARS["timestamp"].to_list()
    assert all(end == END for _, end, _ in service.asked)


def test_pages_older_than_the_first_end_where_the_range_begins() -> None:
    service = Service(newest(50))
    start = START + 10 * DAY
    candles = PageReader(service.ask, DAY).candles(start, END)
    assert candles["timestamp"].to_list() == BARS["timestamp"].slice(10).to_list()


def test_a_range_refused_amid_its_pages_leaves_no_gap() -> None:
    def answer(start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        if start < START + 100 * DAY and end < END - 60 * DAY:
            raise RangeRefused
        return newest(50)(start, end, limit)

    with pytest.raises(RangeRefused):
        PageReader(Service(answer).ask, DAY).candles(START, END)
