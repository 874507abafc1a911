"""A corpus of bad bars: nothing bad is accepted, nothing is invented, nothing is left uncounted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlengine.core.bars.bars import PRICES, RAW_SCHEMA, VALUES, AffectedCandle
from mlengine.core.bars.cleaning import clean_panel
from mlengine.core.bars.interval_check import interval_mismatches
from mlengine.core.calendars.market import NO_MARKETS, MarketDirectory
from mlengine.core.calendars.named import calendar

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
STEPS = {"1m": timedelta(minutes=1), "1h": HOUR, "1d": DAY, "1w": 7 * DAY}
MARKETS = {
    "none": NO_MARKETS,
    "New York": MarketDirectory(default_timezone=ZoneInfo("America/New_York")),
    "XNYS": MarketDirectory(default_calendar=calendar("XNYS")),
    "XTKS": MarketDirectory(default_calendar=calendar("XTKS")),
    "24/7": MarketDirectory(default_calendar=calendar("24/7")),
}
Row = dict[str, Any]

# Each takes a sane row and makes it one that must not become a bar, and says for what reason.
INJURIES: dict[str, Callable[[Row], Row]] = {
    "no_timestamp": lambda row: {**row, "timestamp": None},
    "future": lambda row: {**row, "timestamp": NOW + 3 * DAY},
    "far future": lambda row: {**row, "timestamp": datetime(9999, 12, 31, tzinfo=UTC)},
    "unfinished": lambda row: {**row, "final": False},
    "closes later": lambda row: {**row, "closes_at": NOW + HOUR},
    "closes_before_start": lambda row: {**row, "closes_at": row["timestamp"] - HOUR},
    "a price that is no number": lambda row: {**row, "close": None},
    "NaN": lambda row: {**row, "open": float("nan")},
    "1e400": lambda row: {**row, "high": float("1e400")},
    "no volume": lambda row: {**row, "volume": None},
    "zero": lambda row: {**row, "low": 0.0},
    "negative": lambda row: {**row, "open": -row["open"]},
    "negative volume": lambda row: {**row, "volume": -row["volume"]},
    "high below": lambda row: {**row, "high": row["low"] * 0.9},
    "low above": lambda row: {**row, "low": row["high"] * 1.1},
}

injuries = st.lists(st.tuples(st.integers(0, 79), st.sampled_from([*INJURIES])), max_size=8)
rows_drawn = st.lists(st.integers(0, 79), max_size=6)


def sane_rows(symbol: str, step: timedelta, *, seed: int, shift: timedelta) -> list[Row]:
    """Eighty of them, over the ends of summer time; each has a volume that no other has."""
    rng = np.random.default_rng(seed)
    first = NOW.replace(hour=0) - DAY - 81 * step + shift
    prices = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, 80)))
    rows = []
    for i, price in enumerate(prices.tolist()):
        stamps = {"symbol": symbol, "timestamp": first + i * step, "file": "a.csv", "line": i + 2}
        values = {"open": price, "high": price * 1.01, "low": price * 0.99, "close": price}
        rows.append({**stamps, **values, "volume": 1000.0 + i})
    return rows


def raw_of(rows: list[Row]) -> pl.DataFrame:
    whole = [{**dict.fromkeys(RAW_SCHEMA), **row} for row in rows]
    return pl.DataFrame(whole, schema=RAW_SCHEMA, orient="row")


@settings(deadline=None, max_examples=60)
@given(
    interval=st.sampled_from([*STEPS]),
    market=st.sampled_from([*MARKETS]),
    shift=st.sampled_from([0, 5, 13, -9]),
    injured=injuries,
    lost=rows_drawn,
    repeated=rows_drawn,
    contradicted=rows_drawn,
    seed=st.integers(0, 9),
    order=st.sampled_from(["as written", "backwards", "shuffled"]),
)
def test_bad_bars_are_counted_and_never_accepted(
    interval, market, shift, injured, lost, repeated, contradicted, seed, order
):
    rows = sane_rows("AAA", STEPS[interval], seed=seed, shift=shift * HOUR)
    faults = dict(injured)
    injured_rows = [INJURIES[name](rows[i]) for i, name in faults.items() if i not in lost]
    sane = [row for i, row in enumerate(rows) if i not in lost and i not in faults]
    copies = [rows[i] for i in repeated if rows[i] in sane]
    twins = [
        {**row, "close": row["close"] * 1.005} for row in sane if row["line"] - 2 in contradicted
    ]
    given_rows = [*sane, *injured_rows, *copies, *twins]
    if order != "as written":
        given_rows.reverse()
    if order == "shuffled":
        given_rows = [
            given_rows[i] for i in np.random.default_rng(seed).permutation(len(given_rows))
        ]
    others = sane_rows("BBB", STEPS[interval], seed=seed + 1, shift=0 * HOUR)
    raw = raw_of([*given_rows, *others])
    cleaned = clean_panel(raw, interval=interval, now=NOW, markets=MARKETS[market])
    report, arrays = cleaned["AAA"].report, cleaned["AAA"].arrays

    assert report.rows_read == len(given_rows)
    assert report.accepted == arrays.rows == cleaned["AAA"].frame.height
    assert set(report.examples) >= report.dropped.keys() - {"unfinished"}
    assert (np.diff(arrays.starts) > 0).all()
    moment = (NOW - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert (arrays.known_at <= moment).all()
    assert np.isfinite(arrays.values).all()
    prices = arrays.values[:4]
    assert (prices > 0).all()
    assert (arrays.values[1] == prices.max(axis=0)).all()
    assert (arrays.values[2] == prices.min(axis=0)).all()
    agreed = [row for row in sane if row["line"] - 2 not in contradicted]
    accepted = {tuple(values) for values in arrays.values.T.tolist()}
    assert accepted == {tuple(row[name] for name in VALUES) for row in agreed}
    assert cleaned["BBB"].report.accepted == cleaned["BBB"].report.rows_read == len(others)


@pytest.mark.parametrize("name", [*INJURIES])
def test_each_bad_bar_is_dropped_with_its_place_and_what_shows_it(name):
    rows = sane_rows("AAA", DAY, seed=1, shift=0 * HOUR)
    rows[40] = INJURIES[name](rows[40])
    report = clean_panel(raw_of(rows), interval="1d", now=NOW)["AAA"].report
    assert report.accepted == 79
    if "unfinished" in report.dropped:
        assert report.examples == {}
        return
    (example,) = report.examples.values()
    assert (example.file, example.line) == ("a.csv", 42)
    assert example.column is not None
    served = rows[40][example.column]
    text = served.isoformat() if isinstance(served, datetime) else str(served)
    assert example.value == (None if served is None else text)


def test_what_is_mended_has_an_example_as_well():
    rows = sane_rows("AAA", DAY, seed=1, shift=0 * HOUR)
    rows[3]["high"] = max(rows[3][name] for name in PRICES) * (1 - 1e-7)
    rows[3]["open"] = rows[3]["close"] = rows[3]["high"] * (1 + 1e-7)
    given_rows = [*rows, {**rows[5], "file": "b.csv", "line": 9}, rows.pop(7)]
    report = clean_panel(raw_of(given_rows), interval="1d", now=NOW)["AAA"].report
    assert report.rows_read == len(given_rows)
    assert report.examples["ohlc_rounding"].line == 5
    assert report.examples["ohlc_rounding"].column == "high"
    assert report.examples["duplicate"] == AffectedCandle(
        "a.csv", 7, "timestamp", rows[5]["timestamp"].isoformat()
    )


@settings(deadline=None, max_examples=30)
@given(
    interval=st.sampled_from([*STEPS]),
    factor=st.sampled_from([1 / 1000, 1 / 60, 1 / 24, 1 / 7, 7, 24, 60, 1000]),
    seed=st.integers(0, 9),
)
def test_moments_read_in_another_unit_are_of_another_interval(interval, factor, seed):
    rows = sane_rows("AAA", STEPS[interval], seed=seed, shift=0 * HOUR)
    first = rows[0]["timestamp"] - timedelta(days=20_000)
    stretched = [
        {**row, "timestamp": first + (row["timestamp"] - rows[0]["timestamp"]) * factor}
        for row in rows
    ]
    assert "AAA" in interval_mismatches(raw_of(stretched), interval)
