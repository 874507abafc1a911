from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.factories import START, panel, random_bars
from tests.processes import keep_one_symbol_of_each_panel

from mlengine.core.bars.bars import BARS_SCHEMA, PRICES, RAW_SCHEMA
from mlengine.core.bars.cleaning import clean_bars, clean_panel, from_each_start
from mlengine.core.calendars.market import MarketDirectory

DAY = timedelta(days=1)
NOW = datetime(2024, 6, 1, tzinfo=UTC)
GOOD = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 500.0}


def raw(*rows: dict[str, object]) -> pl.DataFrame:
    """Candles in RAW_SCHEMA: good ones of successive days, but for what `rows` say."""
    full = [
        {"symbol": "AAA", "timestamp": START + i * DAY, **GOOD, **row} for i, row in enumerate(rows)
    ]
    return pl.DataFrame(full, schema=RAW_SCHEMA)


def judge(*rows: dict[str, object], now: datetime = NOW):
    return clean_bars(raw(*rows), interval="1d", now=now)


def test_sane_bars_pass_unchanged():
    bars = random_bars(rows=50)
    clean = clean_bars(
        bars.match_to_schema(RAW_SCHEMA, missing_columns="insert"), interval="1d", now=NOW
    )
    assert clean.frame.equals(bars)
    assert (clean.report.accepted, clean.report.mended, clean.report.dropped) == (50, {}, {})
    assert clean.report.faulty == 0


def test_no_candles_are_no_bars():
    clean = judge()
    assert clean.frame.schema == pl.Schema(BARS_SCHEMA)
    assert clean.report.accepted == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"timestamp": None}, "no_timestamp"),
        ({"close": None}, "not_finite"),
        ({"volume": float("nan")}, "not_finite"),
        ({"high": float("inf")}, "not_finite"),
        ({"low": 0.0}, "not_positive"),
        ({"open": -1.0}, "not_positive"),
        ({"volume": -1.0}, "negative_volume"),
        ({"high": 10.5}, "ohlc_order"),
        ({"low": 10.5}, "ohlc_order"),
        ({"high": 8.0}, "ohlc_order"),
        ({"final": False}, "unfinished"),
        ({"closes_at": NOW + DAY}, "unfinished"),
        ({"timestamp": NOW - DAY / 2}, "unfinished"),
        ({"timestamp": NOW + DAY}, "future"),
        ({"timestamp": NOW + DAY, "final": True}, "future"),
    ],
)
def test_a_bad_candle_is_dropped_for_its_reason(fault, reason):
    clean = judge({}, fault, {})
    assert clean.report.dropped == {reason: 1}
    assert clean.report.accepted == clean.frame.height == 2
    assert clean.report.faulty == (0 if reason == "unfinished" else 1)


def test_a_bar_is_final_at_the_moment_its_interval_ends():
    last = {"timestamp": NOW - DAY}
    assert judge(last, now=NOW).report.accepted == 1
    assert judge(last, now=NOW - timedelta(microseconds=1)).report.dropped == {"unfinished": 1}


def test_its_own_word_decides_before_the_interval_does():
    early = {"timestamp": NOW - DAY / 2}
    assert judge({**early, "final": True}).report.accepted == 1
    assert judge({**early, "closes_at": NOW}).report.accepted == 1
    assert judge({**early, "final": True, "closes_at": NOW + DAY}).report.accepted == 1


def test_a_bar_is_known_from_its_close_on_or_once_it_was_called_final_before():
    half = timedelta(hours=12)
    clean = judge({}, {"closes_at": START + DAY + half}, {"timestamp": NOW - half, "final": True})
    known_at = pl.Series(clean.arrays.known_at).cast(clean.frame["timestamp"].dtype)
    assert known_at.to_list() == [START + DAY, START + DAY + half, NOW]


def test_of_equal_bars_the_one_that_was_known_first_counts():
    half = timedelta(hours=12)
    clean = judge({}, {"timestamp": START, "closes_at": START + half})
    assert clean.report.mended == {"duplicate": 1}
    assert clean.arrays.last_known_at == START + half


def test_a_day_without_trade_keeps_its_bar():
    assert judge({"volume": 0.0}).report.accepted == 1


def test_rounding_widens_high_and_low():
    clean = judge({"high": 11.0 * (1 - 5e-7)}, {"low": 10.0 * (1 + 5e-7)}, {})
    assert clean.report.mended == {"ohlc_rounding": 2}
    assert clean.frame["high"].to_list() == [11.0, 12.0, 12.0]
    assert clean.frame["low"].to_list() == [9.0, 10.0, 9.0]


def test_equal_duplicates_are_merged_and_disorder_is_sorted():
    clean = judge({}, {}, {"timestamp": START}, {"timestamp": START - DAY})
    assert clean.report.mended == {"duplicate": 1, "reordered": 1}
    assert clean.frame["timestamp"].to_list() == [START - DAY, START, START + DAY]


def test_negative_zero_volume_is_no_other_value():
    clean = judge({"volume": 0.0}, {"timestamp": START, "volume": -0.0})
    assert clean.report.mended == {"duplicate": 1}
    alone = judge({"volume": -0.0}).frame["volume"][0]
    assert math.copysign(1.0, alone) == 1.0


def test_bars_that_contradict_each_other_are_all_dropped():
    clean = judge(
        {},
        {},
        {"timestamp": START, "close": 10.5},
        {"timestamp": START},
        {"timestamp": START - DAY},
    )
    assert clean.frame["timestamp"].to_list() == [START - DAY, START + DAY]
    assert clean.report.dropped == {"conflicting": 2}
    assert clean.report.mended == {"duplicate": 1, "reordered": 1}
    assert (clean.report.accepted, clean.report.faulty) == (2, 2)


def test_a_bad_or_unfinished_twin_is_no_conflict():
    clean = judge({}, {"timestamp": START, "close": None}, {"timestamp": START, "final": False})
    assert clean.report.dropped == {"not_finite": 1, "unfinished": 1}
    assert clean.report.accepted == 1


def test_many_symbols_are_judged_as_each_alone():
    faulty = raw({}, {"close": None}, {"volume": -1.0}, {"timestamp": START}, {"final": False})
    candles = {
        "BBB": faulty,
        "AAA": faulty.reverse(),
        "CCC": faulty.filter(pl.col("close").is_null()),
        "DDD": raw({}, {"timestamp": START, "volume": 1.0}, {}),
    }
    named = [part.with_columns(symbol=pl.lit(symbol)) for symbol, part in candles.items()]
    judged = clean_panel(pl.concat(named), interval="1d", now=NOW)
    assert list(judged) == list(candles)
    for part in named:
        symbol, alone = part["symbol"][0], clean_bars(part, interval="1d", now=NOW)
        assert judged[symbol].frame.equals(alone.frame)
        assert judged[symbol].report == alone.report
    assert judged["AAA"].report.mended == {"duplicate": 1}
    assert judged["CCC"].report.dropped == {"not_finite": 1}
    assert judged["DDD"].report.dropped == {"conflicting": 2}
    assert judged["DDD"].report.accepted == 1


@pytest.mark.parametrize("order", ["as written", "reversed", "shuffled", "one duplicate"])
def test_the_order_of_candles_changes_no_bar(order):
    """In order they take a shorter way, which must say the same."""
    written = panel(6, rows=40).match_to_schema(RAW_SCHEMA, missing_columns="insert")
    given = {
        "as written": written,
        "reversed": written.reverse(),
        "shuffled": written.sample(fraction=1.0, shuffle=True, seed=1),
        "one duplicate": pl.concat([written, written.slice(57, 1)]),
    }[order]
    judged = clean_panel(given, interval="1d", now=NOW)
    for bars in written.partition_by("symbol"):
        symbol = bars["symbol"][0]
        assert judged[symbol].frame.equals(bars.select(list(BARS_SCHEMA)))
        assert judged[symbol].report.accepted == 40
    mended = {symbol: dict(each.report.mended) for symbol, each in judged.items()}
    assert mended["S01"].get("duplicate", 0) == (order == "one duplicate")
    assert any("reordered" in each for each in mended.values()) == (
        order in ("reversed", "shuffled")
    )


def test_a_conflict_between_neighbours_in_order_is_seen():
    judged = judge({}, {"timestamp": START, "close": 10.5}, {"timestamp": START + DAY})
    assert judged.report.dropped == {"conflicting": 2}
    assert judged.frame["timestamp"].to_list() == [START + DAY]


def test_a_symbol_that_is_kept_does_not_keep_its_panel_in_memory():
    done = subprocess.run(
        [sys.executable, "-m", keep_one_symbol_of_each_panel.__name__],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 150.0  # each panel has 14 MB, and twice that with its columns


def test_a_symbol_that_states_no_volume_at_all_has_none_to_trade():
    raw = pl.concat([random_bars("AAA", rows=5), random_bars("BBB", rows=5)]).match_to_schema(
        RAW_SCHEMA, missing_columns="insert"
    )
    silent = pl.col("symbol") == "AAA"
    blank = raw.with_columns(pl.when(~silent).then("volume").alias("volume"))
    clean = clean_panel(blank, interval="1d", now=NOW)
    assert clean["AAA"].arrays.values[4].tolist() == [0.0] * 5
    one = blank.with_row_index().with_columns(pl.when(pl.col("index") != 7).then("volume"))
    assert dict(clean_panel(one, interval="1d", now=NOW)["BBB"].report.dropped) == {"not_finite": 1}


def test_prices_of_any_sign_are_taken_where_they_are_admitted():
    raw = random_bars("AAA", rows=50).with_columns(pl.col(PRICES) - 100.0)
    raw = raw.match_to_schema(RAW_SCHEMA, missing_columns="insert")
    refused = clean_bars(raw, interval="1d", now=NOW)
    assert set(refused.report.dropped) == {"not_positive"}
    spreads = MarketDirectory(negative_prices=True)
    taken = clean_bars(raw, interval="1d", now=NOW, markets=spreads)
    assert (taken.arrays.rows, dict(taken.report.dropped), dict(taken.report.mended)) == (
        50,
        {},
        {},
    )


def test_candles_of_many_symbols_are_taken_from_the_start_of_each_on():
    day = timedelta(days=1)
    moments = [NOW, NOW + day, None, NOW + 2 * day]
    rows = {"symbol": ["A"] * 4 + ["B"] * 4 + ["A"], "timestamp": [*moments, *moments, NOW]}
    frame = pl.DataFrame(rows, schema=dict(list(RAW_SCHEMA.items())[:2]))
    kept = from_each_start(frame, {"A": NOW + day, "B": NOW + 2 * day})
    assert kept.rows() == [("A", NOW + day), ("A", None), ("A", NOW + 2 * day)] + [
        ("B", None), ("B", NOW + 2 * day)]  # fmt: skip
    assert from_each_start(frame, {"A": NOW, "B": NOW}) is frame
    assert from_each_start(frame.head(0), {"A": NOW, "B": NOW + day}).is_empty()


def test_zeros_before_the_first_bar_are_of_no_market():
    """Services fill the time before a listing; later zeros are lost bars."""
    zero = dict.fromkeys(GOOD, 0.0)
    clean = judge(zero, zero, {}, zero, {})
    assert clean.report.dropped == {"not_listed": 2, "not_positive": 1}
    assert clean.arrays.rows == 2
    assert judge(zero).report.dropped == {"not_positive": 1}
