"""Series as markets make them: sessions, zones, holes, splits, dead feeds, missing volume."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from tests.cases.world import Row, World, steps, walk, weekdays

NEW_YORK, TOKYO = ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DATES = "Date,Open,High,Low,Close,Volume"


def z(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def test_18_local_times_are_of_the_zone_that_is_set(world: World) -> None:
    """Hourly bars over the end of summer time, in local time without an offset."""
    world.interval = "1h"
    end = datetime(2025, 11, 20, tzinfo=UTC)
    stamps, rows = steps(1200, HOUR, end=end), walk(1200, volatility=0.003)
    local = [f"{t.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}" for t in stamps]
    world.csv("LOC.csv", local, rows, "datetime,open,high,low,close,volume")
    world.csv("OFS.csv", [t.isoformat() for t in stamps], rows)
    world.configure(MARKET_DATA_TIMEZONE="America/New_York")
    for hours in (0, 7, 10, 400):
        at = z(end - hours * HOUR)
        local_answer, utc = (world.predict(symbol, as_of=at) for symbol in ("LOC", "OFS"))
        assert local_answer["bar_timestamp"] == utc["bar_timestamp"]
        assert local_answer["probability_up"] == utc["probability_up"]
    assert world.features("LOC", limit=5000) == world.features("OFS", limit=5000)


def midnights(days: list[date], zone: ZoneInfo) -> list[str]:
    return [datetime(d.year, d.month, d.day, tzinfo=zone).isoformat(sep=" ") for d in days]


def test_19_tokyo_and_new_york_stand_in_one_panel(world: World) -> None:
    days = weekdays(500)
    symbols = [f"{market}{number}" for market in "JU" for number in range(6)]
    for seed, symbol in enumerate(symbols):
        zone = TOKYO if symbol[0] == "J" else NEW_YORK
        world.csv(f"{symbol}.csv", midnights(days, zone), walk(500, seed=seed), DATES)
    version = world.train(*symbols, activate="never")
    assert version["metrics"]["ic"]["value"] is not None, version["metrics"]["ic"]
    ranked = world.train(*symbols, activate="never", objective="return", label="cs_zscore")
    assert ranked["data"]["symbols"] == sorted(symbols)
    stamps = [[row["timestamp"] for row in world.features(s, limit=5)] for s in ("J0", "U0")]
    assert stamps[0] == stamps[1] == [f"{day}T00:00:00Z" for day in days[-5:]]
    monday = next(row for row in world.features("J0", limit=5) if is_monday(row["timestamp"]))
    assert monday["weekday_sin"] == pytest.approx(0.7818314824680298)


def is_monday(stamp: str) -> bool:
    return date.fromisoformat(stamp[:10]).weekday() == 0


NAMES = [
    "^GSPC",
    "^VIX",
    "M&M.NS",
    "BRK.B",
    "BRK-B",
    "BRK/B",
    "BTC/USDT",
    "BTC/USDT:USDT",
    "EURUSD=X",
    "ES=F",
    "7203.T",
    "C:EURUSD",
    "aapl",
    "$SPX",
    "IE000GUOATN7.SG",
    "DX-Y.NYB",
    "0P0000UF8O.TO",
    "@ES",
    "SPX_PE.US",
    "ABC+D",
    "1INCH/USDT",
    "ÅLFA.ST",
    "AAPL240621C00190000",
    "BTC-27DEC24-100000-C",
    "CL*1",
] + ["BRK B", "NIFTY 50"]


def test_29_every_ticker_is_asked_for_alike(world: World) -> None:
    days, text = weekdays(120), "symbol,timestamp,open,high,low,close,volume\n"
    for seed, name in enumerate(NAMES):
        for t, row in zip(days, walk(120, seed=seed), strict=True):
            text += f'"{name}",{t},' + ",".join(map(repr, row)) + "\n"
    world.write("many.csv", text)
    for name in NAMES:
        assert world.predict(name)["symbol"] == name
    status, body = world.post("/predict/batch", {"symbols": NAMES})
    assert (status, body["summary"]["failed"]) == (200, 0), body
    assert sorted(world.train(*NAMES, activate="never")["data"]["symbols"]) == sorted(NAMES)
    status, body = world.post("/admin/train", {"symbols": NAMES})
    assert (status, body["code"]) != (422, "invalid_request"), body
    world.configure(TRAIN_SYMBOLS=",".join(NAMES))
    assert world._settings().train.symbols == tuple(NAMES)


def test_31_a_market_without_volume_has_a_usable_model(world: World) -> None:
    symbols = ["EURUSD=X", "USDJPY=X"]
    for seed, symbol in enumerate(symbols):
        rows = walk(600, seed=seed, start=1.1, volatility=0.004)
        world.csv(f"{symbol}.csv", weekdays(600), [(*row[:4], 0) for row in rows], DATES)
    world.model = False
    world.configure(ENV="production", TRAIN_SYMBOLS=",".join(symbols))
    version = world.train(activate="always")
    assert not [name for name in version["feature_set"]["features"] if name.startswith("volume")]
    answer = world.predict("EURUSD=X")
    assert (answer["usable"], answer["reasons"]) == (True, [])


@pytest.mark.parametrize("empty", [True, False])
def test_32_no_volume_is_said_or_does_without(world: World, empty: bool) -> None:
    rows = walk(600, start=1.1, volatility=0.004)
    header = DATES if empty else DATES.removesuffix(",Volume")
    lines = [
        f"{t}," + ",".join(map(repr, row[:4])) for t, row in zip(weekdays(600), rows, strict=True)
    ]
    world.write("EURUSD.csv", "\n".join([header, *(line + "," * empty for line in lines), ""]))
    answer = world.predict("EURUSD")
    assert answer["bar_timestamp"][:10] == str(weekdays(1)[0])


def test_36_one_bad_symbol_of_many_is_skipped_by_name(world: World) -> None:
    good = [f"OK{number}" for number in range(4)]
    for seed, symbol in enumerate(good):
        world.csv(f"{symbol}.csv", weekdays(300), walk(300, seed=seed))
    world.csv("BADP.csv", weekdays(300), [(0, 0, 0, 0, row[4]) for row in walk(300)])
    world.write("BADC.csv", "Datum,Eroeffnung,Hoch,Tief,Schluss\n2024-01-02,1,1,1,1\n")
    version = world.train(*good, "BADP", "BADC", activate="never")
    skipped = {each["symbol"]: each["reason"] for each in version["data"]["skipped_symbols"]}
    assert set(skipped) == {"BADP", "BADC"}
    assert "not_positive" in skipped["BADP"]
    assert "BADC.csv" in skipped["BADC"]
    _, body = world.post("/predict/batch", {"symbols": [*good, "BADP", "BADC"]})
    assert [each["status"] for each in body["results"]] == ["ok"] * 4 + ["error"] * 2
    assert "BADP" in body["results"][4]["error"]["detail"]


@pytest.mark.parametrize(("interval", "step"), [("1h", HOUR), ("1m", MINUTE)])
def test_38_a_dead_feed_of_round_the_clock_is_stale_within_three_bars(
    world: World, interval: str, step: timedelta
) -> None:
    friday = datetime(2025, 11, 21, 23, tzinfo=UTC)
    world.interval = interval
    stamps = [t.isoformat() for t in steps(20_000 if interval == "1m" else 1500, step, end=friday)]
    world.csv("BTC-USD.csv", stamps, walk(len(stamps), start=60000, volatility=0.003))
    world.configure(ENV="production")
    fresh = world.predict("BTC-USD", as_of=z(friday))
    assert (fresh["stale"], "bar_too_old" in fresh["reasons"]) == (False, False)
    for bars in (3, 30, 48):
        assert world.predict("BTC-USD", as_of=z(friday + bars * step))["stale"], bars
    answer = world.predict("BTC-USD", as_of=z(friday + 72 * step))
    assert (answer["stale"], answer["usable"]) == (True, False)


def test_39_a_hole_in_the_window_is_said_and_crosses_no_label(world: World) -> None:
    step = timedelta(minutes=5)
    world.interval = "5m"
    stamps, rows = steps(4000, step), walk(4000, volatility=0.002)
    rng = np.random.default_rng(3)
    hole = range(4000 - 20 - 576, 4000 - 20)
    kept = [n for n in range(4000) if n not in hole and rng.random() > 0.1]
    world.csv("GAP.csv", [stamps[n].isoformat() for n in kept], [rows[n] for n in kept])
    answer = world.predict("GAP")
    assert {"hole_in_window", "bars_missing"} & set(answer["reasons"]), answer["reasons"]
    status, quality = world.get("/bars/quality", symbol="GAP")
    assert (status, quality["status"]) == (200, "suspect")


def split(rows: list[Row], at: int, ratio: float) -> list[Row]:
    return [
        (*(price / ratio for price in row[:4]), row[4] * ratio) if n >= at else row
        for n, row in enumerate(rows)
    ]  # type: ignore[misc]


@pytest.mark.parametrize("calendar", ["24/7", ""])
def test_39_a_hole_is_seen_by_the_first_question(world: World, calendar: str) -> None:
    """Where no more bars are at hand than a window needs, the hole is not what is usual."""
    world.interval = "1m"
    world.configure(MARKET_DATA_CALENDAR=calendar, REFUSE_SUSPECT_BARS="true")
    day = weekdays(1)[0]
    stamps = steps(130, MINUTE, end=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
    kept = [*stamps[:80], *stamps[110:]]
    world.csv("BTC.csv", kept, walk(100, volatility=0.001))
    body = world.predict("BTC")
    assert (body["usable"], "hole_in_window" in body["reasons"]) == (False, True)


def test_40_a_split_that_nobody_announced_is_reported(world: World) -> None:
    days, rows = weekdays(600), walk(600)
    world.csv("SPLT.csv", days, split(rows, 560, 4))
    hundredfold = [
        (*(p * 100 for p in row[:4]), row[4]) if n in (300, 585) else row
        for n, row in enumerate(rows)
    ]
    world.csv("PENCE.csv", days, hundredfold)  # type: ignore[arg-type]
    world.configure(ENV="production")
    for symbol in ("SPLT", "PENCE"):
        answer = world.predict(symbol)
        assert "unexplained_jump" in answer["reasons"], (symbol, answer["reasons"])
        assert answer["usable"] is False
    assert "unexplained_jump" not in world.predict("GOOD")["reasons"]


def test_42_an_illiquid_minute_series_is_accepted(world: World) -> None:
    world.interval = "1m"
    stamps, rows = steps(6000, MINUTE), walk(6000, volatility=0.001)
    rng = np.random.default_rng(1)
    picked, n = [], 0
    while n < 6000:
        picked.append(n)
        n += int(rng.choice((2, 3, 4, 7, 11)))
    world.csv("ILQ.csv", [stamps[n].isoformat() for n in picked], [rows[n] for n in picked])
    sparse = sorted(rng.choice(6000, 900, replace=False).tolist())
    world.csv("ILQ2.csv", [stamps[n].isoformat() for n in sparse], [rows[n] for n in sparse])
    for symbol, last in (("ILQ", picked[-1]), ("ILQ2", sparse[-1])):
        assert world.predict(symbol)["bar_timestamp"] == z(stamps[last])


def new_york_sessions(*times: tuple[int, int], count: int = 120) -> list[datetime]:
    return [
        datetime(d.year, d.month, d.day, hour, minute, tzinfo=NEW_YORK)
        for d in weekdays(count)[:-1]
        for hour, minute in times
    ]


def fx_four_hours() -> list[datetime]:
    """From Sunday to Friday 17:00 in New York, over both changes of its clock."""
    first = datetime(2025, 1, 5, 17, tzinfo=NEW_YORK)
    local = [first + timedelta(hours=4 * n) for n in range(6 * 330)]
    weekend = {(4, 17), (4, 21), (6, 1), (6, 5), (6, 9), (6, 13)}
    return [
        t.astimezone(UTC)
        for t in local
        if t.weekday() != 5 and (t.weekday(), t.hour) not in weekend
    ]


def weeks(first: datetime) -> list[datetime]:
    return [first + timedelta(weeks=n) for n in range(200)]


GRIDS = {
    "H0930": (
        "1h",
        lambda: new_york_sessions(
            (9, 30), (10, 30), (11, 30), (12, 30), (13, 30), (14, 30), (15, 30)
        ),
    ),
    "NSE15": (
        "15m",
        lambda: new_york_sessions((9, 15), (9, 30), (9, 45), (10, 0), (10, 15), (10, 30)),
    ),
    "FX4H": ("4h", fx_four_hours),
    "S4H": ("4h", lambda: new_york_sessions((9, 30), (13, 30))),
    "WSUN": ("1w", lambda: weeks(datetime(2021, 1, 3, tzinfo=UTC))),
    "WMON": ("1w", lambda: weeks(datetime(2021, 1, 4, tzinfo=UTC))),
}


@pytest.mark.parametrize("name", GRIDS)
def test_44_odd_grids_are_accepted(world: World, name: str) -> None:
    interval, make = GRIDS[name]
    world.interval = interval
    stamps = make()
    world.csv(f"{name}.csv", [t.isoformat() for t in stamps], walk(len(stamps), volatility=0.005))
    assert world.predict(name)["bar_timestamp"] == z(stamps[-1])


def test_45_negative_prices_are_refused_or_asked_for(world: World) -> None:
    rng, level, rows = np.random.default_rng(1), 0.0, []
    for _ in range(600):
        opened, level = level, level + float(rng.normal(0, 0.5))
        rows.append((opened, max(opened, level) + 0.1, min(opened, level) - 0.1, level, 1000.0))
    world.csv("SPREAD.csv", weekdays(600), rows)
    status, body = world.get("/predict", symbol="SPREAD")
    assert status != 200 or "bars_dropped" in body["reasons"], body


def test_45_negative_prices_are_admitted_by_a_setting(world: World) -> None:
    rng, level, rows = np.random.default_rng(1), 0.0, []
    for _ in range(600):
        opened, level = level, level + float(rng.normal(0, 0.5))
        rows.append((opened, max(opened, level) + 0.1, min(opened, level) - 0.1, level, 1000.0))
    world.csv("SPREAD.csv", weekdays(600), rows)
    world.configure(MARKET_DATA_NEGATIVE_PRICES="true")
    assert world.train("SPREAD", activate="never")["data"]["bars_report"]["dropped"] == {}


def test_46_a_stated_close_is_when_the_bar_is_known(world: World) -> None:
    """The bar of a session that closed 90 minutes ago, live and as of 45 minutes ago."""
    now = datetime.now(UTC).replace(microsecond=0, second=0)
    lines = []
    for n, row in enumerate(walk(400)):
        start = now - timedelta(hours=8) - timedelta(days=399 - n)
        close = start + timedelta(hours=6.5)
        lines.append(f"{start.isoformat()},{close.isoformat()}," + ",".join(map(repr, row)))
    header = "timestamp,close_time,open,high,low,close,volume"
    world.write("CLT.csv", "\n".join([header, *lines, ""]))
    live = world.predict("CLT")
    earlier = world.predict("CLT", as_of=z(now - timedelta(minutes=45)))
    before = world.predict("CLT", as_of=z(now - timedelta(minutes=120)))
    assert earlier["bar_timestamp"] == live["bar_timestamp"]
    assert earlier["probability_up"] == live["probability_up"]
    assert before["bar_timestamp"] < live["bar_timestamp"]
    status, body = world.post(f"/predictions/{live['prediction_id']}/replay", {})
    assert (status, body["status"]) == (200, "identical")


def test_46_a_final_bar_is_known_since_it_was_seen(world: World) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    lines = []
    for n, row in enumerate(walk(400)):
        start = now - timedelta(hours=8) - timedelta(days=399 - n)
        lines.append(f"{start.isoformat()},true," + ",".join(map(repr, row)))
    world.write("FIN.csv", "\n".join(["timestamp,final,open,high,low,close,volume", *lines, ""]))
    live = world.predict("FIN")
    again = world.predict("FIN", as_of=live["as_of"])
    assert again["bar_timestamp"] == live["bar_timestamp"]
    assert again["probability_up"] == live["probability_up"]


def test_74_features_without_values_are_null_and_never_nan(world: World) -> None:
    world.csv(
        "FXA.csv", weekdays(400), [(*row[:4], 0) for row in walk(400, start=1.1, volatility=0.004)]
    )
    status, _ = world.get("/features", symbol="FXA", limit=5)
    assert status == 200
    text = world.client.get("/features?symbol=FXA&limit=5").get_data(as_text=True)
    assert "NaN" not in text
    assert "Infinity" not in text
