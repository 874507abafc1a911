from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from mlengine.core.bars.bars import VALUES, BarArrays, BarsReport, CleanBars
from mlengine.core.bars.jumps import repeat_a_bar
from mlengine.core.bars.quality import (
    SeriesQuality,
    assess,
    have_usual_values,
    suspect_reasons,
)
from mlengine.core.calendars.expected import usual_longest_gap
from mlengine.core.calendars.market import Market
from mlengine.core.calendars.named import calendar
from mlengine.stores.market_data.sample import SampleMarketData, find_sample_file
from mlengine.stores.system.table_files import read_csv

NOW = datetime(2026, 11, 28, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NEW_YORK, TOKYO = ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo")
Prices = dict[str, np.ndarray]
UNLISTED = Market("AAA")


def walk(count: int, *, seed: int = 1, volatility: float = 0.012) -> Prices:
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, volatility, count)
    closes = 100 * np.exp(np.cumsum(moves))
    opens = closes * np.exp(-moves + rng.normal(0, volatility / 4, count))
    above = np.exp(np.abs(rng.normal(0, volatility / 3, (2, count))))
    volumes = 1e6 * np.exp(rng.normal(0, 0.4, count))
    return {
        "open": opens,
        "high": np.maximum(opens, closes) * above[0],
        "low": np.minimum(opens, closes) / above[1],
        "close": closes,
        "volume": volumes,
    }


def bars_of(moments: list[datetime], prices: Prices | None = None, **report: object) -> CleanBars:
    columns = prices or walk(len(moments))
    frame = pl.DataFrame({"symbol": "AAA", "timestamp": moments, **columns})
    dropped = dict(report.get("dropped", {}))  # type: ignore[call-overload]
    return CleanBars(BarArrays.of(frame), BarsReport(len(moments), {}, dropped))


def check(
    bars: CleanBars,
    interval: str = "1d",
    *,
    named: str | None = None,
    window_bars: int = 64,
    label_bars: int = 5,
    market: Market = UNLISTED,
) -> SeriesQuality:
    return assess(
        "AAA",
        bars,
        interval=interval,
        market=replace(market, calendar=calendar(named) if named else None),
        window_bars=window_bars,
        label_bars=label_bars,
        now=NOW,
    )


def weekdays(count: int) -> list[datetime]:
    days = (NOW - (i + 1) * DAY for i in range(2 * count))
    return [day for day in days if day.weekday() < 5][:count][::-1]


def every(step: timedelta, count: int) -> list[datetime]:
    return [NOW - (count - i) * step for i in range(count)]


def session(zone: ZoneInfo, step: timedelta, *hours: tuple[float, float], days: int = 60):
    moments = []
    for day in weekdays(days):
        for begin, end in hours:
            local = day.replace(tzinfo=zone) + begin * HOUR
            moments += [local + i * step for i in range(int((end - begin) * HOUR / step))]
    return [moment.astimezone(UTC) for moment in moments]


def with_few_trades(moments: list[datetime]) -> list[datetime]:
    traded = np.random.default_rng(4).random(len(moments)) > 0.4
    return [moment for moment, has_trade in zip(moments, traded, strict=True) if has_trade]


OK: dict[str, tuple[str, str | None, Callable[[], list[datetime]]]] = {
    "weekdays": ("1d", None, lambda: weekdays(500)),
    "sessions of New York": ("1d", "XNYS", lambda: [
        datetime(day.year, day.month, day.day, tzinfo=UTC)
        for day in calendar("XNYS").sessions((NOW - 900 * DAY).date(), (NOW - DAY).date())
    ]),
    "sessions of Shanghai, nothing named": ("1d", None, lambda: [
        datetime(day.year, day.month, day.day, tzinfo=UTC)
        for day in calendar("XSHG").sessions((NOW - 900 * DAY).date(), (NOW - DAY).date())
    ]),
    "around the clock": ("5m", None, lambda: every(5 * MINUTE, 4000)),
    "minutes of New York": ("1m", None, lambda: session(NEW_YORK, MINUTE, (9.5, 16))),
    "a break at noon": ("5m", None, lambda: session(TOKYO, 5 * MINUTE, (9, 11.5), (12.5, 15.5))),
    "hours of New York": ("1h", None, lambda: session(NEW_YORK, HOUR, (9.5, 16))),
    "hours of New York, of which few are in winter": (
        "1h", None, lambda: session(NEW_YORK, HOUR, (9.5, 16), days=110)[:-28],
    ),
    "minutes of New York with few trades": (
        "1m", None, lambda: with_few_trades(session(NEW_YORK, MINUTE, (9.5, 16), days=20)),
    ),
    "futures that pause for an hour a day": (
        "5m", "24/5", lambda: session(NEW_YORK, 5 * MINUTE, (-6, 17), days=3),
    ),
    "weeks": ("1w", None, lambda: every(7 * DAY, 300)),
    "one bar": ("1d", None, lambda: weekdays(1)),
}  # fmt: skip


@pytest.mark.parametrize("case", OK)
def test_ordinary_series_are_ok(case):
    interval, named, moments = OK[case]
    quality = check(bars_of(moments()), interval, named=named)
    assert (quality.status, quality.reasons, quality.hole_count) == ("ok", (), 0)
    assert quality.calendar_is_inferred == (named is None)


def test_half_days_and_a_holiday_are_no_holes():
    moments = session(NEW_YORK, 5 * MINUTE, (9.5, 16))
    holiday, half = moments[0].date() + 8 * DAY, moments[0].date() + 22 * DAY
    kept = [m for m in moments if m.date() != holiday and not (m.date() == half and m.hour >= 18)]
    assert len(kept) < len(moments) - 78
    assert check(bars_of(kept), "5m").status == "ok"


def test_real_prices_are_ok_whatever_they_lived_through():
    market = SampleMarketData()
    for symbol in ("AAPL", "GOOG", "IBM", "MSFT", "FB"):
        frame = market.candles(symbol, "1d", start=datetime(1970, 1, 1, tzinfo=UTC), end=NOW)
        clean = CleanBars(BarArrays.of(frame), BarsReport(frame.height, {}, {}))
        for named in (None, "XNYS"):
            quality = check(clean, named=named)
            assert (quality.status, quality.reasons, quality.jumps) == ("ok", (), [])


def test_real_splits_that_are_not_adjusted_for_are_found():
    raw = read_csv(find_sample_file())
    splits = {}
    for (symbol,), part in raw.partition_by("Ticker", as_dict=True).items():
        frame = part.select(
            pl.col("Ticker").alias("symbol"),
            pl.col("Date").str.to_datetime(time_unit="us", time_zone="UTC").alias("timestamp"),
            *(pl.col(name.title()).cast(pl.Float64).alias(name) for name in VALUES),
        ).sort("timestamp")
        quality = check(CleanBars(BarArrays.of(frame), BarsReport(frame.height, {}, {})))
        splits[symbol] = [str(jump.timestamp.date()) for jump in quality.jumps]
        assert (quality.status == "suspect") == bool(splits[symbol])
        assert {jump.kind for jump in quality.jumps} <= {"split"}
    expected = {"AAPL": ["2000-06-21", "2005-02-28"], "MSFT": ["2003-02-18"]}
    assert splits == {symbol: expected.get(symbol, []) for symbol in splits}


@pytest.mark.parametrize("ratio", [4.0, 1.5, 20.0, 0.1])
def test_a_split_of_price_and_volume_is_an_unexplained_jump(ratio):
    prices = walk(600)
    for name in VALUES:
        prices[name][560:] *= ratio if name == "volume" else 1 / ratio
    quality = check(bars_of(weekdays(600), prices))
    assert quality.reasons == ("unexplained_jump",)
    (jump,) = quality.jumps
    assert (jump.kind, jump.timestamp) == ("split", weekdays(600)[560])
    assert jump.ratio == pytest.approx(1 / ratio, rel=0.05)


@pytest.mark.parametrize("ratio", [4.0, 0.1])
def test_a_calm_split_is_an_unexplained_jump_whatever_the_volume(ratio):
    prices = walk(600)
    for name in ("open", "high", "low", "close"):
        prices[name][560:] /= ratio
    assert check(bars_of(weekdays(600), prices)).reasons == ("unexplained_jump",)
    prices["high"][560] *= 1.3
    assert check(bars_of(weekdays(600), prices)).status == "ok", "news moves the price on"


def test_a_crash_is_no_split():
    prices = walk(600)
    for name in ("open", "high", "low", "close"):
        prices[name][560:] *= 0.5
    prices["high"][560] *= 1.15
    prices["volume"][560:] *= np.linspace(12, 3, 40)
    assert check(bars_of(weekdays(600), prices)).status == "ok"


@pytest.mark.parametrize("rows", [[300, 585], [300, 301, 302], [599]])
def test_hundredfold_prices_are_unexplained_jumps(rows):
    prices = walk(600)
    for name in ("open", "high", "low", "close"):
        prices[name][rows] *= 100
    quality = check(bars_of(weekdays(600), prices))
    assert quality.reasons == ("unexplained_jump",)
    assert weekdays(600)[rows[0]] in [jump.timestamp for jump in quality.jumps]


@pytest.mark.parametrize("factor", [5, 10, 50])
def test_a_single_wrong_price_within_a_bar_is_an_unexplained_jump(factor):
    prices = walk(600)
    prices["low"][580] /= factor
    quality = check(bars_of(weekdays(600), prices))
    assert [jump.timestamp for jump in quality.jumps] == [weekdays(600)[580]]


def in_another_unit(prices: Prices, rows: slice, factor: float, *names: str) -> Prices:
    for name in names or ("open", "high", "low", "close"):
        prices[name][rows] *= factor
    return prices


OTHER_UNITS = {
    "ten times from a day on": (slice(500, None), 10.0, ()),
    "a tenth from a day on": (slice(500, None), 0.1, ()),
    "an eighth, and the volume stays": (slice(500, None), 0.125, ()),
    "ten times for weeks": (slice(500, 515), 10.0, ()),
    "ten times in the newest bar": (slice(599, None), 10.0, ()),
    "a close with a digit too many": (slice(500, 501), 10.0, ("high", "close")),
    "a close with a digit too few": (slice(500, 501), 0.1, ("low", "close")),
    "the newest close with a digit too many": (slice(599, None), 10.0, ("high", "close")),
    "the newest close with a digit too few": (slice(599, None), 0.1, ("low", "close")),
    "a high with a digit too many": (slice(500, 501), 10.0, ("high",)),
}


@pytest.mark.parametrize(("row", "factor"), [(500, 0.06), (599, 0.4), (599, 3.0)])
def test_a_close_far_from_the_open_is_news_while_it_may_be(row, factor):
    """Seventeen to one within a day and no way back; at once, a half more of what is usual."""
    prices = walk(600)
    for name in ("open", "high", "low", "close"):
        prices[name][row + 1 :] *= factor
    for name in ("close", "low" if factor < 1 else "high"):
        prices[name][row] *= factor
    assert check(bars_of(weekdays(600), prices)).status == "ok"


@pytest.mark.parametrize("name", OTHER_UNITS)
def test_prices_in_another_unit_are_an_unexplained_jump(name):
    """The bar moves as usual, which that of a crash does not; volume says nothing of it."""
    rows, factor, names = OTHER_UNITS[name]
    quality = check(bars_of(weekdays(600), in_another_unit(walk(600), rows, factor, *names)))
    assert quality.reasons == ("unexplained_jump",)
    first = weekdays(600)[rows.start]
    assert quality.jumps[0].timestamp == first
    assert quality.jumps[0].ratio == pytest.approx(factor, rel=0.05)


def test_a_fall_to_a_fifth_with_the_range_of_one_is_news():
    prices = walk(600)
    for price in prices.values():
        price[500:] *= 0.2
    prices["volume"][500:] *= 40
    prices["high"][500] *= 1.4
    assert check(bars_of(weekdays(600), prices)).status == "ok"


def test_an_outage_and_bars_that_are_lost_here_and_there_are_seen():
    rng, moments = np.random.default_rng(3), every(5 * MINUTE, 4000)
    kept = [m for i, m in enumerate(moments) if not 3404 <= i < 3980 and rng.random() > 0.1]
    quality = check(bars_of(kept), "5m")
    assert quality.reasons == ("bars_missing", "hole_in_window")
    assert quality.calendar == "24/7"
    span = moments.index(kept[-1]) - moments.index(kept[0]) + 1
    assert quality.missing_bars == span - len(kept)
    assert (quality.hole_count, quality.labels_across_holes) == (1, 5)
    (hole,) = quality.holes
    assert hole.missing_bars == moments.index(hole.end) - moments.index(hole.start) - 1
    assert check(bars_of(kept), "5m", window_bars=10).reasons == ("bars_missing", "hole_in_history")


def test_forty_days_without_a_bar_are_a_hole_and_a_holiday_is_none():
    days = weekdays(500)
    assert check(bars_of([*days[:440], *days[447:]])).status == "ok"
    quality = check(bars_of([*days[:440], *days[468:]]))
    assert quality.reasons == ("hole_in_window",)
    assert check(bars_of([*days[:440], *days[447:]]), named="XNYS").reasons == ("hole_in_window",)


def test_lost_rows_are_suspect_and_mostly_lost_ones_refused():
    days = weekdays(100)
    assert check(bars_of(days, dropped={"not_finite": 2})).status == "ok"
    assert (
        check(bars_of(days, dropped={"unfinished": 1, "off_grid": 40, "not_listed": 900})).status
        == "ok"
    )
    assert check(bars_of(days, dropped={"not_finite": 9})).reasons == ("bars_dropped",)
    assert check(bars_of(days, dropped={"not_positive": 101})).status == "refused"
    assert check(bars_of([], dropped={"not_positive": 3})).status == "refused"


def test_volume_that_ends_is_lost_and_volume_that_never_was_is_not():
    prices = walk(200)
    prices["volume"][170:] = 0
    quality = check(bars_of(weekdays(200), prices))
    assert (quality.reasons, quality.zero_volume_share) == (("no_volume",), 0.15)
    prices["volume"][:] = 0
    assert check(bars_of(weekdays(200), prices)).status == "ok"


def test_weekends_that_were_filled_repeat_a_bar():
    prices, days = walk(280), every(DAY, 280)
    for row in range(1, 280):
        if days[row].weekday() > 4:
            for name in VALUES:
                prices[name][row] = prices[name][row - 1]
    bars = bars_of(days, prices)
    assert check(bars).reasons == ("repeated_bars",)
    assert suspect_reasons(bars, 64, interval="1d", market=UNLISTED) == ("repeated_bars",)
    prices["volume"] *= [day.weekday() < 5 for day in days]
    assert check(bars_of(days, prices)).reasons == ()


@pytest.mark.parametrize(("times", "reasons"), [(4, ()), (5, ("repeated_bars",))])
def test_a_feed_that_is_stuck_repeats_a_bar(times, reasons):
    prices = walk(200)
    for name in VALUES:
        prices[name][150 : 150 + times] = prices[name][149 + times]
    bars = bars_of(weekdays(200), prices)
    assert check(bars).reasons == reasons
    assert suspect_reasons(bars, 64, interval="1d", market=UNLISTED) == reasons
    windows = bars.arrays.values[None, :, -64:]
    assert have_usual_values(windows)[0] == (not reasons)
    assert not repeat_a_bar(windows[:, :, :4])[0]


def test_bars_without_trade_are_alike():
    prices = walk(200)
    for name in VALUES:
        prices[name][150:160] = 0 if name == "volume" else prices["close"][149]
    assert check(bars_of(weekdays(200), prices)).status == "ok"


def test_a_window_is_suspect_for_what_lies_in_it():
    prices = walk(600)
    prices["low"][500] /= 50
    bars = bars_of(weekdays(600), prices)
    for rows, reasons in ((200, ("unexplained_jump",)), (80, ())):
        assert suspect_reasons(bars, rows, interval="1d", market=UNLISTED) == reasons


@pytest.mark.parametrize("weeks", [1, 3])
def test_a_hole_in_a_window_is_seen_by_what_is_usual_before_it(weeks):
    moments = every(5 * MINUTE, 2016 * weeks)
    holed = [*moments[: -20 - 576], *moments[-20:]]
    assert suspect_reasons(bars_of(holed), 64, interval="5m", market=UNLISTED) == (
        "bars_missing", "hole_in_window",
    )  # fmt: skip
    assert suspect_reasons(bars_of(holed), 20, interval="5m", market=UNLISTED) == ()


@pytest.mark.parametrize(("named", "lost"), [("24/7", 10), ("24/7", 90), (None, 10), (None, 30)])
def test_the_only_hole_of_few_bars_is_not_the_usual_gap(named, lost):
    moments = every(MINUTE, 100 + lost)
    holed = bars_of([*moments[:80], *moments[-20:]])
    market = replace(UNLISTED, calendar=calendar(named) if named else None)
    assert "hole_in_window" in suspect_reasons(holed, 64, interval="1m", market=market)


def test_the_only_outage_of_a_series_is_not_the_usual_gap():
    moments = session(NEW_YORK, 5 * MINUTE, (9.5, 16))
    quality = check(bars_of([*moments[:-28], *moments[-20:]]), "5m")
    assert quality.reasons == ("hole_in_window",)
    assert (quality.calendar, quality.holes[0].missing_bars) == ("weekdays", 8)


@pytest.mark.parametrize("zone", [NEW_YORK, TOKYO])
def test_the_first_bars_of_a_market_with_breaks_have_no_hole(zone):
    hours = ((9, 11.5), (12.5, 15.5)) if zone is TOKYO else ((9.5, 16),)
    moments = session(zone, 5 * MINUTE, *hours, days=3)
    for end in range(70, len(moments), 7):
        bars = bars_of(moments[end - 70 : end])
        assert suspect_reasons(bars, 64, interval="5m", market=UNLISTED) == ()


def test_minutes_of_rare_trades_are_not_lost():
    rng, moments = np.random.default_rng(1), every(MINUTE, 6000)
    rare = [moments[row] for row in sorted(rng.choice(6000, 900, replace=False))]
    assert check(bars_of(rare), "1m").status == "ok"
    assert suspect_reasons(bars_of(rare), 64, interval="1m", market=UNLISTED) == ()


def test_a_feed_that_ended_shows_by_its_calendar():
    assert check(bars_of(weekdays(50)[:-3])).missed_bars == 3


def test_nothing_is_missing_before_the_first_day_or_after_the_last_one() -> None:
    days = weekdays(400)
    holed = bars_of([*days[:40], *days[80:300], *days[340:]])
    listed = Market("AAA", first=days[60].date(), last=days[320].date(), currency="JPY")
    everywhere, bounded = (
        check(holed, named="weekdays"),
        check(holed, named="weekdays", market=listed),
    )
    assert (everywhere.missing_bars, bounded.missing_bars) == (80, 0)
    assert everywhere.hole_count == bounded.hole_count == 2, "windows and labels lead over them"
    assert "bars_missing" in everywhere.reasons
    assert "bars_missing" not in bounded.reasons
    assert (everywhere.currency, bounded.currency) == (None, "JPY")
    window = {"interval": "1d", "market": replace(listed, calendar=calendar("weekdays"))}
    assert "bars_missing" not in suspect_reasons(holed, 100, **window)
    window["market"] = replace(listed, calendar=calendar("weekdays"), first=None, last=None)
    assert "bars_missing" in suspect_reasons(holed, 100, **window)


def test_a_delisted_symbol_misses_no_bars() -> None:
    days = weekdays(400)
    ended = bars_of(days[:300])
    assert check(ended, named="weekdays").missed_bars == 100
    market = Market("AAA", last=days[299].date())
    assert check(ended, named="weekdays", market=market).missed_bars == 0
    later = Market("AAA", last=days[302].date())
    assert check(ended, named="weekdays", market=later).missed_bars == 3


def test_bars_of_a_wrong_zone_are_no_thin_market() -> None:
    """Hours of New York that pass for UTC: five of seven lie before the session opens."""
    days = calendar("XNYS").sessions(date(2026, 8, 3), date(2026, 10, 30))
    hours = [datetime(d.year, d.month, d.day, 9, 30, tzinfo=UTC) + i * HOUR
             for d in days for i in range(7)]  # fmt: skip
    asked = {"interval": "1h", "market": replace(UNLISTED, calendar=calendar("XNYS"))}
    assert suspect_reasons(bars_of(hours[-64:]), 64, **asked) == ("bars_missing",)
    early = [datetime(d.year, d.month, d.day, 4, tzinfo=NEW_YORK) + i * HOUR
             for d in days for i in range(16)]  # fmt: skip
    assert suspect_reasons(bars_of(early[-64:]), 64, **asked) == ()


@pytest.mark.parametrize(
    ("hours", "zone", "reasons", "gap"),
    [
        ((9.5, 16), NEW_YORK, (), 0),
        ((9.5, 16), UTC, ("bars_missing",), 0),  # of New York, called UTC
        ((9.5, 16), ZoneInfo("America/Chicago"), ("bars_missing",), 0),  # an hour later
        ((9.5, 16), ZoneInfo("America/Halifax"), ("bars_missing",), 0),
        ((9.5, 16 + 5 / 60), NEW_YORK, (), 0),  # with a closing auction
        ((11, 16), NEW_YORK, (), 18),  # traded from eleven on
        ((4, 20), NEW_YORK, (), 0),
    ],
)
def test_a_window_beside_the_session_lacks_its_bars(hours, zone, reasons, gap):
    """Within a day it has no gap; and what the session lacks each day is not what is usual."""
    days = [day for day in weekdays(8) if day.date() < date(2026, 11, 26)]
    step = timedelta(minutes=5)
    moments = [
        datetime(day.year, day.month, day.day, tzinfo=zone) + minutes * MINUTE
        for day in days
        for minutes in range(int(hours[0] * 60), int(hours[1] * 60), 5)
    ]
    bars = bars_of([moment.astimezone(UTC) for moment in moments])
    market = Market("AAA", calendar=calendar("XNYS"))
    assert suspect_reasons(bars, 60, interval="5m", market=market) == reasons
    assert usual_longest_gap(bars.arrays.starts, calendar("XNYS"), step) == gap
