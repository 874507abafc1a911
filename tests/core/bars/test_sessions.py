from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from mlengine.core.bars.bars import RAW_SCHEMA, TIMESTAMP, CleanBars
from mlengine.core.bars.cleaning import clean_panel
from mlengine.core.bars.sessions import undated_days, with_session_times
from mlengine.core.calendars.market import NO_MARKETS, Market, MarketDirectory
from mlengine.core.calendars.named import calendar

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NEW_YORK, TOKYO = ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo")
# Over the end of summer time in New York.
DAYS = [day for i in range(60) if (day := date(2026, 9, 21) + i * DAY).weekday() < 5]


def candles(
    symbol: str,
    moments: list[datetime],
    *,
    sessions: list[date] | None = None,
    closes_at: list[datetime] | None = None,
) -> pl.DataFrame:
    """Sane candles of different prices at those moments."""
    prices = [100.0 + i for i in range(len(moments))]
    columns = {
        "symbol": [symbol] * len(moments),
        "timestamp": moments,
        **dict.fromkeys(("open", "high", "low", "close", "volume"), prices),
        "closes_at": closes_at,
        "session": sessions,
    }
    stated = {name: values for name, values in columns.items() if values is not None}
    frame = pl.DataFrame(stated, schema_overrides=RAW_SCHEMA)
    return frame.match_to_schema(RAW_SCHEMA, missing_columns="insert")


def local(days: list[date], zone: ZoneInfo, hour: int = 0) -> list[datetime]:
    return [datetime(d.year, d.month, d.day, hour, tzinfo=zone).astimezone(UTC) for d in days]


def midnights(days: list[date]) -> list[datetime]:
    return [datetime(d.year, d.month, d.day, tzinfo=UTC) for d in days]


def clean(
    raw: pl.DataFrame, *, markets: MarketDirectory = NO_MARKETS, interval: str = "1d"
) -> CleanBars:
    (bars,) = clean_panel(raw, interval=interval, now=NOW, markets=markets).values()
    return bars


def known(bars: CleanBars) -> list[datetime]:
    return pl.Series(bars.arrays.known_at).cast(TIMESTAMP).to_list()


def test_midnights_of_tokyo_and_new_york_are_one_session_date_by_what_they_state():
    raw = pl.concat(
        candles(symbol, local(DAYS, zone), sessions=DAYS)
        for symbol, zone in (("J", TOKYO), ("U", NEW_YORK))
    )
    bars = clean_panel(raw, interval="1d", now=NOW)
    assert bars["J"].frame["timestamp"].to_list() == midnights(DAYS)
    assert bars["U"].frame["timestamp"].to_list() == midnights(DAYS)
    assert known(bars["J"]) == [moment + DAY for moment in local(DAYS, TOKYO)]
    assert known(bars["U"]) == [moment + DAY for moment in local(DAYS, NEW_YORK)]


def test_a_session_date_that_is_not_stated_is_that_of_the_start_in_the_symbols_timezone():
    markets = MarketDirectory(
        {"J": Market("J", timezone=TOKYO)}, default_timezone=NEW_YORK
    )  # fmt: skip
    raw = pl.concat([candles("J", local(DAYS, TOKYO)), candles("U", local(DAYS, NEW_YORK, 18))])
    bars = clean_panel(raw, interval="1d", now=NOW, markets=markets)
    assert bars["J"].frame["timestamp"].to_list() == midnights(DAYS)
    assert bars["U"].frame["timestamp"].to_list() == midnights(DAYS)
    in_utc = clean_panel(raw, interval="1d", now=NOW)
    assert in_utc["J"].frame["timestamp"].to_list() == midnights([d - DAY for d in DAYS])


def test_a_bare_date_served_as_midnight_utc_is_that_date_in_every_timezone():
    markets = MarketDirectory(default_timezone=NEW_YORK)
    bars = clean(candles("U", midnights(DAYS)), markets=markets)
    assert bars.frame["timestamp"].to_list() == midnights(DAYS)


def test_weeks_have_a_session_date_as_well():
    mondays = [day for day in DAYS if day.weekday() == 0]
    bars = clean(candles("U", local(mondays, NEW_YORK), sessions=mondays), interval="1w")
    assert bars.frame["timestamp"].to_list() == midnights(mondays)
    assert known(bars) == [moment + 7 * DAY for moment in local(mondays, NEW_YORK)]


def test_a_running_session_east_of_utc_is_unfinished_and_not_of_the_future():
    sydney = ZoneInfo("Australia/Sydney")
    tomorrow = [date(2026, 11, 29)]
    bars = clean(candles("A", local(tomorrow, sydney), sessions=tomorrow))
    assert bars.report.dropped == {"future": 1}
    today = datetime(2026, 11, 28, 20, tzinfo=UTC)
    raw = candles("A", local(tomorrow, sydney), sessions=tomorrow)
    (bars,) = clean_panel(raw, interval="1d", now=today).values()
    assert bars.report.dropped == {"unfinished": 1}


def test_an_exchanges_close_makes_a_day_final_and_a_stated_close_comes_first():
    markets = MarketDirectory(default_calendar=calendar("XNYS"))
    closes = local(DAYS, NEW_YORK, 16)
    for moments in (midnights(DAYS), local(DAYS, NEW_YORK), closes):
        bars = clean(candles("U", moments), markets=markets)
        assert bars.frame["timestamp"].to_list() == midnights(DAYS)
        assert known(bars) == closes
    later = [close + HOUR for close in closes]
    stated = clean(candles("U", midnights(DAYS), closes_at=later), markets=markets)
    assert known(stated) == later


def test_an_exchanges_close_ends_its_last_hour_and_its_week():
    markets = MarketDirectory({"U": Market("U", calendar("XNYS"))})
    half_past = [
        datetime(2026, 11, day, hour, 30, tzinfo=NEW_YORK).astimezone(UTC)
        for day in (25, 27) for hour in range(9, 13)
    ]  # fmt: skip
    expected = [moment + HOUR for moment in half_past]
    expected[-1] = datetime(2026, 11, 27, 18, tzinfo=UTC)  # a half day
    assert known(clean(candles("U", half_past), markets=markets, interval="1h")) == expected
    week = clean(candles("U", midnights([date(2026, 11, 16)])), markets=markets, interval="1w")
    assert known(week) == [datetime(2026, 11, 20, 21, tzinfo=UTC)]


def test_a_stamp_after_the_close_of_a_half_day_is_no_contradiction():
    markets = MarketDirectory(default_calendar=calendar("XNYS"))
    moment = datetime(2026, 11, 27, 21, tzinfo=UTC)
    bars = clean(candles("U", [moment]), markets=markets)
    assert (bars.report.dropped, known(bars)) == ({}, [moment])


def test_trading_around_the_clock_ends_a_bar_with_its_interval():
    markets = MarketDirectory(default_calendar=calendar("24/7"))
    moments = [moment + 6 * HOUR for moment in midnights(DAYS)]
    assert known(clean(candles("B", moments), markets=markets)) == [m + DAY for m in moments]


@pytest.mark.parametrize("instead", [False, True])
def test_the_running_row_of_a_day_is_no_second_bar_of_it(instead):
    """The service's newest row has the moment of the request for its time."""
    moments = local(DAYS, NEW_YORK)
    running = datetime(2026, 11, 5, 15, 12, 4, tzinfo=NEW_YORK).astimezone(UTC)
    days = [day for day in DAYS if day <= date(2026, 11, 5)]
    moments = moments[: len(days)]
    if instead:
        days, moments = days[:-1], moments[:-1]
    raw = candles("U", [*moments, running], sessions=[*days, date(2026, 11, 5)])
    bars = clean(raw)
    assert bars.report.dropped == {"off_grid": 1}
    assert bars.frame["timestamp"].to_list() == midnights(days)


def test_the_running_row_at_a_full_quarter_is_off_the_grid_beside_the_row_of_its_day():
    moments = local(DAYS, NEW_YORK)
    raw = candles("U", [*moments, moments[-1] + 15 * HOUR], sessions=[*DAYS, DAYS[-1]])
    assert clean(raw).report.dropped == {"off_grid": 1}


def test_summer_time_and_the_closes_of_half_days_are_on_the_grid():
    closes = local(DAYS, NEW_YORK, 16)
    closes[7] -= 3 * HOUR
    bars = clean(candles("U", closes))
    assert bars.report.dropped == {}
    assert bars.frame["timestamp"].to_list() == midnights(DAYS)


def test_an_odd_second_is_off_the_grid_of_minutes():
    start = datetime(2026, 11, 5, 14, tzinfo=UTC)
    moments = [start + i * timedelta(minutes=5) for i in range(60)]
    odd = candles("U", [*moments, moments[-1] + timedelta(minutes=2, seconds=4)])
    assert clean(odd, interval="5m").report.dropped == {"off_grid": 1}
    all_odd = candles("U", [moment + timedelta(seconds=59) for moment in moments])
    assert clean(all_odd, interval="5m").report.dropped == {}


@pytest.mark.parametrize("weekday", [0, 4, 6])
@pytest.mark.parametrize("hour", [0, 5])
def test_the_running_row_of_a_week_is_no_second_bar_of_it(weekday, hour):
    """A week that begins late, after a holiday, is the only bar of it."""
    first = date(2024, 1, 1) + timedelta(days=weekday)
    weeks = [first + timedelta(weeks=i) for i in range(30)]
    weeks[12] += timedelta(days=1)
    starts = [start + timedelta(hours=hour) for start in midnights(weeks)]
    running = starts[-1] + timedelta(days=3)
    bars = clean(candles("U", [*starts, running]), interval="1w")
    assert (bars.arrays.rows, bars.report.dropped) == (30, {"off_grid": 1})
    assert pl.Series(bars.arrays.starts).cast(TIMESTAMP).dt.date().to_list() == weeks


def test_times_that_have_no_grid_are_left_alone():
    moments = [m + (i * i % 83) * timedelta(minutes=7) for i, m in enumerate(midnights(DAYS))]
    assert clean(candles("U", moments)).report.dropped == {}


def test_two_stamps_of_one_session_are_merged_or_contradict_each_other():
    naive, stated = midnights(DAYS), local(DAYS, NEW_YORK)
    equal = pl.concat([candles("U", naive, sessions=DAYS), candles("U", stated, sessions=DAYS)])
    bars = clean(equal)
    assert bars.report.mended["duplicate"] == len(DAYS)
    assert bars.arrays.rows == len(DAYS)
    assert known(bars) == [moment + DAY for moment in naive]
    other = equal.with_columns(pl.col("volume") + pl.int_range(pl.len()) // len(DAYS))
    assert clean(other).report.dropped == {"conflicting": 2 * len(DAYS)}


def test_a_close_before_the_start_is_a_contradiction():
    closes = [moment - HOUR for moment in midnights(DAYS)]
    raw = candles("U", midnights(DAYS), closes_at=closes)
    assert clean(raw).report.dropped == {"closes_before_start": len(DAYS)}


@pytest.mark.parametrize(
    "zone", ["Europe/London", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland"]
)
def test_days_that_begin_on_sunday_evening_need_a_timezone(zone: str) -> None:
    """They are those of a Monday somewhere; in London only while it is summer."""
    frame = candles("AAA", local(DAYS, ZoneInfo(zone)))
    (refusal,) = undated_days(frame, "1d", NO_MARKETS).values()
    assert "AAA has days that begin on Sundays" in str(refusal)
    assert "MARKET_DATA_TIMEZONE" in str(refusal)
    stated = MarketDirectory(default_timezone=ZoneInfo(zone))
    assert undated_days(frame, "1d", stated) == {}
    assert undated_days(frame, "1w", NO_MARKETS) == {}
    assert undated_days(candles("AAA", frame["timestamp"].to_list(), sessions=DAYS), "1d",
                        NO_MARKETS) == {}  # fmt: skip


def test_days_that_begin_in_the_evening_at_home_are_of_the_day_after() -> None:
    """Futures open on Sundays at five in Chicago, for the session of Monday."""
    chicago, riyadh = ZoneInfo("America/Chicago"), ZoneInfo("Asia/Riyadh")
    opens = [moment - 7 * HOUR for moment in local(DAYS, chicago)]
    markets = MarketDirectory(
        {
            "CL": Market("CL", timezone=chicago),
            "CLE": Market("CLE", timezone=ZoneInfo("Africa/Johannesburg")),
            "SR": Market("SR", timezone=riyadh),
        }
    )
    sundays = [day - DAY for day in DAYS]
    frame = pl.concat(
        [
            candles("CL", opens),
            candles("CLE", opens),
            candles("SR", [moment + 10 * HOUR for moment in local(sundays, riyadh)]),
        ]
    )
    (refusal,) = undated_days(frame, "1d", markets).values()
    assert "CL has days that begin on Sundays" in str(refusal)
    assert "in America/Chicago these are evenings" in str(refusal)
    placed = with_session_times(frame, interval="1d", markets=markets)
    assert placed.filter(pl.col("symbol") == "CLE")["timestamp"].dt.date().to_list() == DAYS


def test_days_of_new_york_and_of_crypto_need_none() -> None:
    closes = candles("AAA", local(DAYS, NEW_YORK, 16))
    every_day = [datetime(2026, 9, 1, 16, tzinfo=UTC) + i * DAY for i in range(60)]
    sundays = candles("BBB", [datetime(2026, 11, 1, 22, tzinfo=UTC)])
    for frame in (closes, candles("AAA", every_day), sundays, candles("AAA", midnights(DAYS))):
        assert undated_days(frame, "1d", NO_MARKETS) == {}
