from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.candles import (
    between,
    parse_candles,
    parse_flag,
    parse_number,
    parse_timestamp,
)

JAN2 = datetime(2024, 1, 2, tzinfo=UTC)
CANDLE = {"timestamp": "2024-01-02", "open": 1, "high": 4, "low": 0.5, "close": 2, "volume": 9}


def parse(*candles: object, **envelope: object) -> pl.DataFrame:
    answer = {"symbol": "AAA", "interval": "1d", "candles": list(candles), **envelope}
    return parse_candles(answer, symbol="AAA", interval="1d")


@pytest.mark.parametrize(
    "said",
    [
        "2024-01-02T00:00:00Z",
        "2024-01-02T00:00:00",
        "2024-01-02 00:00:00.000",
        "2024-01-02T01:00:00+01:00",
        "2024-01-01T19:00:00-05:00",
        " 2024-01-02 ",
        "20240102",
        1704153600,
        1704153600.0,
        1704153600000,
        "1704153600",
        "1704153600000",
        "1704153600.0",
    ],
)
def test_a_moment_is_read_in_every_shape(said):
    assert parse_timestamp(said) == JAN2


def test_fractions_of_a_second_are_kept():
    half = datetime(2024, 1, 2, 0, 0, 0, 500_000, tzinfo=UTC)
    assert parse_timestamp(1704153600.5) == parse_timestamp("1704153600500") == half
    assert parse_timestamp("2024-01-02T00:00:00.5Z") == half


@pytest.mark.parametrize(
    "said",
    [None, "", "yesterday", "2024-13-01", "12345", True, 1e300, "9" * 16, [], {}, "٢٠٢٤-٠١-٠٢",
     "0001-01-01T00:00:00+14:00"],
)  # fmt: skip
def test_what_is_no_moment_is_none(said):
    assert parse_timestamp(said) is None


@pytest.mark.parametrize(
    ("said", "number"),
    [(3, 3.0), (2.5, 2.5), ("2.5", 2.5), (" -1e3 ", -1000.0), (".5", 0.5), ("1.", 1.0)],
)
def test_a_number_may_come_as_text(said, number):
    assert parse_number(said) == number


@pytest.mark.parametrize("said", [None, True, "", "nan", "Infinity", "1,5", "0x10", "1_0", "٣", []])
def test_what_is_no_number_is_none(said):
    assert parse_number(said) is None


def test_a_number_beyond_floats_is_infinite_and_so_dropped_later():
    assert parse_number("1e999") == float("inf")


@pytest.mark.parametrize(
    ("said", "flag"),
    [
        (True, True),
        ("False", False),
        (1, True),
        (0, False),
        (None, None),
        (" yes", True),
        ("0.0", False),
        ("", None),
    ],
)
def test_a_flag_is_true_false_or_not_said(said, flag):
    assert parse_flag(said) is flag


def test_a_candle_that_may_be_final_or_not_refuses_the_answer():
    with pytest.raises(UpstreamInvalid, match="neither true nor false: 'partly'"):
        parse({**CANDLE, "final": "partly"})


@pytest.mark.parametrize(
    ("name", "value"), [("volume", "1.2M"), ("close", "1,234.50"), ("open", True)]
)
def test_a_column_without_one_number_refuses_the_answer(name, value):
    """A volume that can't be read is not that of a market without any."""
    with pytest.raises(UpstreamInvalid, match=f"not one {name} is a number, such as .*{value}"):
        parse({**CANDLE, name: value})
    for blank in (None, "", "N/A", float("nan")):
        assert parse({**CANDLE, name: blank}).height == 1


def test_names_that_are_not_of_the_contract_are_refused_where_they_may_be_meant():
    titled = {"timestamp": "2024-01-02", **{name.title(): 1 for name in ("open", "high")}}
    with pytest.raises(UpstreamInvalid, match=r"have no open; is that 'Open'\?"):
        parse(titled)
    prices = {name: value for name, value in CANDLE.items() if name != "volume"}
    for name in ("vol", "baseVolume", "qty", "Traded Shares"):
        with pytest.raises(UpstreamInvalid, match=f"is that '{name}'"):
            parse({**prices, name: 7})
    assert parse({**prices, "volatility": 7})["volume"].to_list() == [None]


def test_a_candle_of_another_ticker_and_an_answer_with_an_error_are_refused():
    with pytest.raises(UpstreamInvalid, match="another symbol than asked: 'BBB'"):
        parse({**CANDLE, "ticker": "BBB"})
    with pytest.raises(UpstreamInvalid, match="states an error"):
        parse_candles({"error": "limit", "candles": [CANDLE]}, symbol="AAA", interval="1d")


@pytest.mark.parametrize(
    ("asked", "stated"),
    [
        ("BTC/USDT", "BTCUSDT"),
        ("BTC-USD", "btc/usd"),
        ("EURUSD", "EUR/USD"),
        ("BRK.B", "BRK-B"),
        ("BRK.B", " brk b "),
        ("7203", 7203),
    ],
)
def test_a_symbol_may_be_written_otherwise(asked, stated):
    answer = {"symbol": stated, "candles": [{**CANDLE, "ticker": stated}]}
    assert parse_candles(answer, symbol=asked, interval="1d")["symbol"].to_list() == [asked]


@pytest.mark.parametrize(
    ("asked", "stated"),
    [
        ("AB.TO", "ABTO"),
        ("BRK.B", "BRKB"),
        ("BRK.B", "BRK.A"),
        ("AAA", "AA-A"),
        ("BTC/USD", "BTCUSDT"),
        ("AAA", ["AAA"]),
        ("1", True),
    ],
)
def test_another_symbol_is_none_that_is_written_otherwise(asked, stated):
    with pytest.raises(UpstreamInvalid, match="another symbol than asked"):
        parse_candles({"symbol": stated, "candles": [CANDLE]}, symbol=asked, interval="1d")


@pytest.mark.parametrize(
    ("interval", "stated"),
    [
        *(("1d", each) for each in ("1D", "D", "1Day", "daily", "24h", "P1D", 1440, "86400")),
        *(("1h", each) for each in ("60m", "1Hour", "PT1H", "hourly", "60min", 60, 3600)),
        *(("5m", each) for each in ("5Min", "5 minutes", "PT5M", "300")),
        ("1w", "1wk"),
    ],
)
def test_an_interval_may_be_written_otherwise(interval, stated):
    answer = {"interval": stated, "candles": [CANDLE]}
    assert parse_candles(answer, symbol="AAA", interval=interval).height == 1


@pytest.mark.parametrize(
    ("interval", "stated"),
    [
        ("1m", "1M"),
        ("1m", "M"),
        ("1d", "1h"),
        ("1d", "1mo"),
        ("1h", "30m"),
        ("1d", "raw"),
        ("1w", 5),
    ],
)
def test_another_interval_is_none_that_is_written_otherwise(interval, stated):
    with pytest.raises(UpstreamInvalid, match="another interval than asked"):
        parse_candles({"interval": stated, "candles": [CANDLE]}, symbol="AAA", interval=interval)


@pytest.mark.parametrize("start", ["timestamp", "interval_start", "time", "datetime"])
def test_every_alias_is_understood(start):
    long = {
        start: "2024-01-02T00:00:00Z",
        **{f"{name}_price": CANDLE[name] for name in ("open", "high", "low", "close")},
        "volume_sum": "9",
        "trades": 3,
    }
    assert parse(long).drop("session").equals(parse(CANDLE).drop("session"))


def test_numbers_of_one_answer_are_of_one_unit():
    days = [1704153600 + 86400 * day for day in range(3)]
    for ticks in (10**3, 10**6, 10**9):
        frame = parse(*({**CANDLE, "timestamp": day * ticks} for day in days))
        assert frame["timestamp"].to_list() == [JAN2 + timedelta(days=day) for day in range(3)]
    with pytest.raises(UpstreamInvalid, match="several units"):
        parse(*({**CANDLE, "timestamp": day * 10 ** (3 + 3 * (day // 86400 % 2))} for day in days))


def test_a_number_that_is_no_time_among_texts_costs_its_candle():
    frame = parse(CANDLE, {**CANDLE, "timestamp": 7})
    assert frame["timestamp"].to_list() == [JAN2, None]


@pytest.mark.parametrize(
    ("start", "session"),
    [
        ("2024-01-02", date(2024, 1, 2)),
        ("20240102", date(2024, 1, 2)),
        (20240102, date(2024, 1, 2)),
        ("2024-01-02T00:00:00+09:00", date(2024, 1, 2)),
        ("2024-01-02T00:00:00Z", None),
        ("2024-01-02T00:00:00", None),
        (1704153600, None),
    ],
)
def test_the_session_is_the_date_that_a_start_states_itself(start, session):
    assert parse({**CANDLE, "timestamp": start})["session"].to_list() == [session]


def test_a_bare_list_is_an_answer_and_so_is_an_empty_one():
    bare = parse_candles([CANDLE], symbol="AAA", interval="1d")
    assert bare.equals(parse(CANDLE))
    assert bare.schema == pl.Schema(RAW_SCHEMA)
    assert parse().schema == pl.Schema(RAW_SCHEMA)


def test_a_candle_may_say_when_it_closes_and_whether_it_is_final():
    frame = parse({**CANDLE, "final": False}, {**CANDLE, "close_time": 1704239999999},
                  {**CANDLE, "interval_end": "2024-01-03", "final": True})  # fmt: skip
    assert frame["final"].to_list() == [False, None, True]
    closes = datetime(2024, 1, 2, 23, 59, 59, 999_000, tzinfo=UTC)
    assert frame["closes_at"].to_list() == [None, closes, datetime(2024, 1, 3, tzinfo=UTC)]


def test_a_candle_whose_start_or_close_can_not_be_read_has_no_timestamp():
    frame = parse(CANDLE, {**CANDLE, "timestamp": "soon"}, {**CANDLE, "close_time": "soon"})
    assert frame["timestamp"].to_list() == [JAN2, None, None]
    assert between(frame, start=JAN2, end=JAN2 + timedelta(days=1)).height == 3
    assert between(frame, start=JAN2 + timedelta(days=1), end=JAN2).height == 2


@pytest.mark.parametrize(
    "start", ["0020-01-02", "1899-12-31T00:00:00Z", "2100-01-01", "9999-12-31"]
)
def test_a_start_out_of_the_years_of_markets_is_none(start):
    assert parse(CANDLE, {**CANDLE, "timestamp": start})["timestamp"].to_list() == [JAN2, None]


def test_an_unreadable_or_missing_number_is_null_for_the_verdict():
    frame = parse({**CANDLE, "open": "n/a"}, {"time": "2024-01-02"})
    assert frame["open"].to_list() == [None, None]
    assert frame["close"].to_list() == [2.0, None]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Exceeded the daily hits limit", "no list of candles"),
        ({"error": "x"}, "no list of candles"),
        ({"candles": {}}, "no list of candles"),
        (None, "no list of candles"),
        ([[1, 2, 3]], "a candle is not an object"),
        ([{**CANDLE, "timestamp": "soon"}], "not one candle has a readable timestamp"),
        ([{"open": 1}, {"time": "soon"}], "not one candle has a readable timestamp"),
        ([{**CANDLE, "close_time": "soon"}], "not one candle has a readable timestamp"),
        ({"symbol": "BBB", "candles": []}, "another symbol"),
        ({"interval": "1h", "candles": []}, "another interval"),
        ({"interval": "1M", "candles": []}, "another interval"),
        ({"interval": "2d", "candles": []}, "another interval"),
        ([{**CANDLE, "symbol": "BBB"}], "another symbol"),
        ([{**CANDLE, "interval": "1h"}], "another interval"),
    ],
)
def test_what_is_no_answer_to_the_question_is_refused(answer, reason):
    with pytest.raises(UpstreamInvalid, match=reason):
        parse_candles(answer, symbol="AAA", interval="1d")


@pytest.mark.parametrize(
    "stated",
    [
        {"status": "error"},
        {"s": "error"},
        {"code": 429},
        {"code": "50011", "msg": "Too Many Requests"},
        {"success": False},
        {"Note": "5 calls a minute"},
        {"Information": "25 requests a day"},
        {"errors": ["EAPI:Rate limit exceeded"]},
        {"message": "API rate limit exceeded"},
    ],
)
def test_an_error_in_place_of_candles_is_no_end_of_them(stated):
    (key, *_) = stated
    with pytest.raises(UpstreamInvalid, match=f"states an error in its '{key}'"):
        parse_candles({**stated, "candles": []}, symbol="AAA", interval="1d")
    assert (
        "error" in stated
        or parse_candles({**stated, "candles": [CANDLE]}, symbol="AAA", interval="1d").height
    ), "candles are what was asked for, whatever stands beside them"


@pytest.mark.parametrize(
    "stated",
    [
        {"status": "ok", "code": 0, "msg": ""},
        {"code": "200000"},
        {"code": "00000", "msg": "success"},
        {"error": None, "errors": [], "success": True, "message": "no data in this range"},
    ],
)
def test_an_empty_answer_of_success_has_no_candles(stated):
    assert parse_candles({**stated, "candles": []}, symbol="AAA", interval="1d").is_empty()


@pytest.mark.parametrize("price", ["1,024.65", "97,78"])
def test_a_comma_in_one_price_refuses_the_answer(price):
    with pytest.raises(UpstreamInvalid, match=f"the comma may .*: the close '{price}'"):
        parse({**CANDLE, "close": "999.5"}, {**CANDLE, "close": price})


def test_a_time_of_another_name_is_named():
    with pytest.raises(UpstreamInvalid, match=r"have no timestamp; is that 'date'?"):
        parse_candles([{"date": "2024-01-02", "close": 1}], symbol="AAA", interval="1d")


def test_the_upstream_may_write_the_symbol_in_its_own_case():
    assert parse(symbol="aaa").height == 0
    assert parse(CANDLE, symbol=None, interval=None)["symbol"].to_list() == ["AAA"]
