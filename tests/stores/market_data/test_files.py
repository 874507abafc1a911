from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from tests.factories import START, panel, random_bars
from tests.written_tables import EVER

from mlengine.core.bars.bars import RAW_SCHEMA, VALUES
from mlengine.core.bars.interval_check import interval_mismatches
from mlengine.errors import UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data.files import FilesMarketData

DAY = timedelta(days=1)
COLUMNS = ("symbol", "timestamp", *VALUES)


def ask(directory, symbol: str = "AAA", interval: str = "1d") -> pl.DataFrame:
    return FilesMarketData(directory).candles(
        symbol, interval, start=datetime(1970, 1, 1, tzinfo=UTC), end=START + 5000 * DAY
    )


def test_a_parquet_or_csv_file_named_for_its_symbol_is_found(tmp_path):
    aaa, bbb = random_bars("AAA", rows=20), random_bars("BBB", rows=20)
    aaa.drop("symbol").write_parquet(tmp_path / "AAA.parquet")
    bbb.drop("symbol").write_csv(tmp_path / "BBB.csv")
    assert ask(tmp_path).schema == pl.Schema(RAW_SCHEMA)
    assert ask(tmp_path).select(COLUMNS).equals(aaa)
    assert ask(tmp_path, "BBB").select(COLUMNS).equals(bbb)
    assert FilesMarketData(tmp_path).kind == "files"


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_one_file_may_hold_many_symbols(tmp_path, suffix):
    bars = panel(3, rows=10)
    write = bars.write_parquet if suffix == "parquet" else bars.write_csv
    write(tmp_path / f"all.{suffix}")
    candles = ask(tmp_path, "S01").select(COLUMNS)
    assert candles.equals(bars.filter(pl.col("symbol") == "S01"))
    with pytest.raises(UnknownSymbol):
        ask(tmp_path, "all")


def test_columns_may_be_written_as_yahoo_writes_them(tmp_path):
    (tmp_path / "AAA.csv").write_text(
        "Date,Open,High,Low,Close,Adj Close,Volume\n"
        "2020-01-02,10,12,9,11,5.5,100\n"
        "2020-01-03, 11 ,12,10,n/a,,\n"
    )
    frame = ask(tmp_path)
    assert frame["timestamp"].to_list() == [START + DAY, START + 2 * DAY]
    assert frame["open"].to_list() == [10.0, 11.0]
    assert frame["close"].to_list() == [11.0, None]
    assert frame["volume"].to_list() == [100.0, None]


@pytest.mark.parametrize(
    "timestamps",
    [
        pl.Series([date(2020, 1, 1), date(2020, 1, 2)]),
        pl.Series([datetime(2020, 1, 1), datetime(2020, 1, 2)], dtype=pl.Datetime("ms")),  # noqa: DTZ001
        pl.Series([START, START + DAY], dtype=pl.Datetime("ns", "UTC")).dt.convert_time_zone(
            "America/New_York"
        ),
        pl.Series([1577836800, 1577923200]),
        pl.Series([1577836800000, 1577923200000]),
        pl.Series(["2020-01-01T00:00:00Z", "2020-01-02"]),
    ],
)
def test_timestamps_may_be_of_any_type(tmp_path, timestamps):
    bars = random_bars(rows=2).drop("symbol").with_columns(timestamp=timestamps)
    bars.write_parquet(tmp_path / "AAA.parquet")
    assert ask(tmp_path)["timestamp"].to_list() == [START, START + DAY]


def test_a_file_may_say_what_is_final_and_when_a_bar_closes(tmp_path):
    bars = random_bars(rows=3).drop("symbol")
    flags = pl.Series(["true", "false", None])
    closes = pl.Series(["2020-01-02T00:00:00Z", "", None])
    bars.with_columns(final=flags, close_time=closes).write_csv(tmp_path / "AAA.csv")
    bars.with_columns(final=flags == "true", interval_end=pl.col("timestamp") + DAY).write_parquet(
        tmp_path / "BBB.parquet"
    )
    assert ask(tmp_path)["final"].to_list() == [True, False, None]
    assert ask(tmp_path)["closes_at"].to_list() == [START + DAY, None, None]
    assert ask(tmp_path, "BBB")["final"].to_list() == [True, False, None]
    assert ask(tmp_path, "BBB")["closes_at"].to_list() == [START + i * DAY for i in (1, 2, 3)]


def test_a_row_without_a_readable_start_or_close_has_no_timestamp(tmp_path):
    starts = pl.Series(["2020-01-01", "soon", None, "2020-01-04"])
    closes = pl.Series(["2020-01-02", "2020-01-03", "", "never"])
    bars = random_bars(rows=4).drop("symbol").with_columns(timestamp=starts)
    bars.with_columns(close_time=closes).write_csv(tmp_path / "AAA.csv")
    assert ask(tmp_path)["timestamp"].to_list() == [START, None, None, None]


@pytest.mark.parametrize(
    "start", ["0020-01-02", "020-01-02", "1899-12-31", "2100-01-01", "9999-01-01"]
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_row_out_of_the_years_of_markets_has_no_timestamp(tmp_path, start, suffix):
    starts = pl.Series(["2020-01-01", start, "2020-01-03"])
    bars = random_bars(rows=3).drop("symbol").with_columns(timestamp=starts)
    if suffix == "csv":
        bars.write_csv(tmp_path / "AAA.csv")
    else:
        bars.with_columns(pl.col("timestamp").str.to_date()).write_parquet(tmp_path / "AAA.parquet")
    assert ask(tmp_path)["timestamp"].to_list() == [START, None, START + 2 * DAY]


def test_a_file_without_one_readable_timestamp_is_refused(tmp_path):
    bars = random_bars(rows=2).drop("symbol").with_columns(timestamp=pl.lit("soon"))
    bars.write_csv(tmp_path / "AAA.csv")
    with pytest.raises(UpstreamInvalid, match="not one candle has a readable timestamp"):
        ask(tmp_path)


@pytest.mark.parametrize(
    "symbol", ["ZZZ", "../AAA", "AAA.csv", "", ".", "\0", "x" * 5000, "None", "AAA\n"]
)
def test_a_symbol_that_the_directory_does_not_list_is_unknown(tmp_path, symbol):
    folder = tmp_path / "data"
    folder.mkdir()
    random_bars(rows=3).drop("symbol").write_csv(tmp_path / "AAA.csv")
    random_bars(rows=3).drop("symbol").write_csv(folder / "AAA.csv")
    pl.concat([random_bars("B", rows=3), random_bars("C", rows=1).with_columns(symbol=None)],
              how="vertical_relaxed").write_parquet(folder / "many.parquet")  # fmt: skip
    (folder / "notes.txt").write_text("no bars")
    (folder / "sub.csv").mkdir()
    with pytest.raises(UnknownSymbol):
        ask(folder, symbol)


def test_the_range_takes_its_start_and_leaves_its_end(tmp_path):
    random_bars(rows=10).write_parquet(tmp_path / "all.parquet")
    frame = FilesMarketData(tmp_path).candles("AAA", "1d", start=START + DAY, end=START + 3 * DAY)
    assert frame["timestamp"].to_list() == [START + DAY, START + 2 * DAY]


def test_a_file_that_changes_is_read_again_and_one_that_goes_is_forgotten(tmp_path):
    file = tmp_path / "AAA.parquet"
    market = FilesMarketData(tmp_path)

    def rows() -> int:
        return market.candles("AAA", "1d", start=START, end=START + 99 * DAY).height

    random_bars(rows=10).write_parquet(file)
    assert rows() == 10
    random_bars(rows=12).write_parquet(file)
    os.utime(file, ns=(1, 1))
    assert rows() == 12
    file.unlink()
    with pytest.raises(UnknownSymbol):
        rows()


def test_a_file_is_read_once_and_the_others_not_at_all(tmp_path):
    random_bars(rows=10).drop("symbol").write_parquet(tmp_path / "AAA.parquet")
    (tmp_path / "BBB.csv").write_text("timestamp,open\n1,2,3,4,5\n")
    market = FilesMarketData(tmp_path)
    stamp = (tmp_path / "AAA.parquet").stat()
    first = market.candles("AAA", "1d", start=START, end=START + 99 * DAY)
    (tmp_path / "AAA.parquet").write_bytes(b"x" * stamp.st_size)
    os.utime(tmp_path / "AAA.parquet", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert market.candles("AAA", "1d", start=START, end=START + 99 * DAY).equals(first)


@pytest.mark.parametrize("interval", ["1h", "4h", "1w"])
def test_daily_files_are_no_bars_of_another_interval(tmp_path, interval):
    random_bars(rows=30).write_parquet(tmp_path / "all.parquet")
    (refusal,) = interval_mismatches(ask(tmp_path, interval=interval), interval).values()
    assert f"another interval than {interval}" in refusal.reason


def _is_other(moments: list[datetime], step: timedelta) -> bool:
    """The rule for one symbol, in words: too close, or in nearly all places too far apart."""
    known = sorted(moments)
    gaps = [b - a for a, b in pairwise(known) if b > a]
    closer = sum(gap < 0.6 * step for gap in gaps)
    units = [unit for gap in gaps if (unit := round(gap / step))]
    multiples = max(sum(unit % factor == 0 for unit in units) for factor in (2, 3, 5, 7))
    rare = sum(gap > 5 * step for gap in gaps)
    wide = multiples >= 0.9 * len(gaps) or 2 * rare > len(gaps)
    return (closer >= 2 and closer > 0.1 * len(gaps)) or (len(gaps) >= 5 and wide)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shuffled", [False, True])
def test_the_interval_is_judged_symbol_by_symbol(tmp_path, seed, shuffled):
    rng = np.random.default_rng(seed)
    parts = []
    for i, rows in enumerate([1, 2, 3, 4, 12, 30, 30, 30, 30, 30]):
        odd = rng.random(rows) < rng.choice([0.0, 0.05, 0.1, 0.2, 1.0])
        hours = np.where(odd, rng.choice([0, 1, 12, 21, 22, 30, 36, 37, 48], rows), 24)
        moments = [START + timedelta(hours=int(at)) for at in np.cumsum(hours)]
        parts.append(random_bars(f"S{i}", rows=rows).with_columns(timestamp=pl.Series(moments)))
    whole = pl.concat(parts)
    written = whole.sample(fraction=1.0, shuffle=True, seed=seed) if shuffled else whole
    written.write_parquet(tmp_path / "all.parquet")
    names = [f"S{i}" for i in range(len(parts))]
    answer = FilesMarketData(tmp_path).panel(names, "1d", start=START, end=START + 999 * DAY)
    refused = interval_mismatches(answer.candles, "1d")
    expected = {
        name for name, part in zip(names, parts, strict=True)
        if _is_other(part["timestamp"].to_list(), DAY)
    }  # fmt: skip
    assert refused.keys() == expected
    assert set(answer.candles["symbol"]) == set(names)


def test_symbols_that_lie_scattered_in_a_file_keep_the_order_of_their_rows(tmp_path):
    whole = panel(5, rows=20).sample(fraction=1.0, shuffle=True, seed=2)
    whole.write_parquet(tmp_path / "all.parquet", row_group_size=7)
    market = FilesMarketData(tmp_path)
    candles = market.panel(["S03", "S01"], "1d", start=START, end=START + 99 * DAY).candles
    for symbol in ("S01", "S03"):
        mine = pl.col("symbol") == symbol
        assert candles.filter(mine).select(whole.columns).equals(whole.filter(mine))
        assert ask(tmp_path, symbol).equals(candles.filter(mine))
    assert set(candles["symbol"]) == {"S01", "S03"}


def test_weekends_and_summer_time_are_no_other_interval(tmp_path):
    start = datetime(2020, 1, 1, 5, tzinfo=UTC)
    days = [start + i * DAY - timedelta(hours=i > 80) for i in range(200) if i % 7 < 5]
    bars = random_bars(rows=len(days)).with_columns(timestamp=pl.Series(days))
    bars.write_parquet(tmp_path / "all.parquet")
    assert ask(tmp_path).height == len(days)
    assert interval_mismatches(ask(tmp_path), "1d") == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("AAA.parquet", b""),
        ("AAA.parquet", b"PAR1PAR1"),
        ("AAA.csv", b"date,open,high,low,close,volume\n1,2,3,4,5,6,7,8\n"),
        ("other.csv", b"\xff\xfe\x00"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    random_bars("GOOD", rows=20).write_csv(tmp_path / "GOOD.csv")
    market = FilesMarketData(tmp_path)
    asked = market.panel(["AAA", "GOOD"], "1d", start=START, end=START + 99 * DAY)
    ((refused, reason),) = market.refused_files()
    assert refused == name
    assert reason.startswith(f"the file '{name}' can't be read")
    assert asked.candles.height == 20
    error = UpstreamInvalid if name.startswith("AAA") else UnknownSymbol
    assert {symbol: type(each) for symbol, each in asked.refused.items()} == {"AAA": error}


def test_a_file_without_a_needed_column_is_refused_by_name(tmp_path):
    (tmp_path / "AAA.csv").write_text("date,open,high,low,volume\n2020-01-01,1,1,1,1\n")
    with pytest.raises(UpstreamInvalid, match=r"'AAA\.csv' has no column close or close_price"):
        ask(tmp_path)


def test_a_market_without_volume_needs_no_column_of_it(tmp_path):
    (tmp_path / "AAA.csv").write_text("date,open,high,low,close\n2020-01-01,1,1,1,1\n")
    assert ask(tmp_path)["volume"].to_list() == [None]


def test_an_empty_csv_file_holds_no_symbol(tmp_path):
    (tmp_path / "other.csv").write_bytes(b"")
    with pytest.raises(UnknownSymbol):
        ask(tmp_path)


def test_a_directory_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(UpstreamUnavailable, match="the directory of market data can't be read"):
        ask(tmp_path / "nowhere")


def test_a_panel_holds_what_each_symbol_has_alone(tmp_path):
    panel(3, rows=10).write_parquet(tmp_path / "all.parquet")
    random_bars("S01", rows=12).tail(2).write_csv(tmp_path / "more.csv")
    (tmp_path / "BAD.csv").write_text("date,open\n2020-01-01,1\n")
    market = FilesMarketData(tmp_path)
    asked = ["S02", "NONE", "S01", "BAD"]
    answer = market.panel(asked, "1d", start=START + DAY, end=START + 99 * DAY)
    parts = answer.candles.partition_by("symbol", as_dict=True, maintain_order=True)
    assert list(parts) == [("S01",), ("S02",)]
    for (symbol,), part in parts.items():
        alone = market.candles(symbol, "1d", start=START + DAY, end=START + 99 * DAY)
        assert part.equals(alone)
    assert {symbol: type(error) for symbol, error in answer.refused.items()} == {
        "NONE": UnknownSymbol,
        "BAD": UpstreamInvalid,
    }


def test_a_damaged_file_costs_nothing_where_another_has_its_symbol(tmp_path):
    random_bars("AAA", rows=20).write_parquet(tmp_path / "AAA.parquet")
    (tmp_path / "AAA.csv").write_bytes(b"\xff\xfe\x00")
    assert ask(tmp_path).height == 20


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tickers.csv", "symbol,name,sector\nAAA,Good Corp,Tech\nBAD,Bad Corp,Tech\n"),
        ("members.csv", "symbol,from,to\nAAA,2010-01-01,\n"),
        ("symbols.csv", "symbol,calendar\nAAA,XNYS\n"),
        ("actions.csv", "symbol,date,split\nAAA,2020-01-03,2\n"),
        (".AAA.csv", "half"),
        ("~$AAA.csv", "lock"),
        (".~lock.AAA.csv#", "lock"),
        ("BBB.csv.tmp", "half"),
        ("BBB.csv.part", "half"),
        ("BBB.parquet.crdownload", "half"),
        ("BBB.csv~", "half"),
        ("README.txt", "words, and more words\n"),
    ],
)
def test_what_is_no_file_of_bars_is_passed_over(tmp_path, name, text):
    random_bars("AAA", rows=20).write_csv(tmp_path / "all.csv")
    (tmp_path / name).write_text(text)
    market = FilesMarketData(tmp_path)
    assert market.candles("AAA", "1d", start=START, end=START + 99 * DAY).height == 20
    assert market.refused_files() == []
    with pytest.raises(UnknownSymbol):
        ask(tmp_path, name.partition(".")[0] or "other")


def test_a_file_that_is_no_table_of_bars_costs_itself_alone(tmp_path):
    random_bars("AAA", rows=20).write_csv(tmp_path / "AAA.csv")
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    market = FilesMarketData(tmp_path)
    assert market.candles("AAA", "1d", start=START, end=START + 99 * DAY).height == 20
    with pytest.raises(UpstreamInvalid, match=r"'notes\.csv'"):
        market.candles("notes", "1d", start=START, end=START + 99 * DAY)
    assert [name for name, _ in market.refused_files()] == ["notes.csv"]
    (tmp_path / "notes.csv").unlink()
    assert market.refused_files() == []


@pytest.mark.parametrize("cut", [1, 3, 12])
def test_a_last_line_without_its_end_is_no_bar_until_the_file_is_whole(tmp_path, cut):
    bars = random_bars("AAA", rows=20)
    bars.write_csv(tmp_path / "AAA.csv")
    whole = (tmp_path / "AAA.csv").read_bytes()
    market = FilesMarketData(tmp_path)

    def starts() -> list[datetime]:
        candles = market.candles("AAA", "1d", start=START, end=START + 99 * DAY)
        return [at for at, final in candles.select("timestamp", "final").rows() if final is None]

    (tmp_path / "AAA.csv").write_bytes(whole[:-cut])
    assert starts() == bars["timestamp"].to_list()[:-1]
    (tmp_path / "AAA.csv").write_bytes(whole)
    assert starts() == bars["timestamp"].to_list()


def test_actions_are_those_of_the_file_beside_the_bars_but_for_prices_that_are_adjusted(tmp_path):
    rows = "Date,Open,High,Low,Close,Adj Close,Volume\n2026-01-05,4,4,4,4,1,9\n"
    for symbol in ("A", "B"):
        (tmp_path / f"{symbol}.csv").write_text(rows)
    header = "symbol,date,kind,value,new_symbol\n"
    (tmp_path / "actions.csv").write_text(
        header + "A,2026-01-06,split,4,\nB,2026-01-06,split,4,\nC,2026-01-06,symbol_change,,B\n"
    )
    (tmp_path / "bars.toml").write_text("[files.'B.csv']\nadjusted = true\n")
    stated = FilesMarketData(tmp_path).actions(["A", "B", "X"], now=START)
    assert {s: [each.kind for each in actions] for s, actions in stated.items()} == {
        "A": ["split"],
        "B": ["symbol_change"],
        "X": [],
    }


def test_a_changed_file_of_actions_is_read_again(tmp_path):
    source, path = FilesMarketData(tmp_path), tmp_path / "actions.csv"
    assert source.actions_version() is None
    assert source.actions(["A"], now=START) == {"A": ()}
    path.write_text("symbol,date,kind,value\nA,2026-01-06,split,4\n")
    version = source.actions_version()
    assert source.actions(["A"], now=START)["A"][0].value == 4.0
    path.write_text("symbol,date,kind,value\nA,2026-01-06,split,four\n")
    assert source.actions_version() != version
    assert "line 2, column 'value': 'four'" in str(source.actions(["A"], now=START)["A"])
    path.write_text("")
    assert "there is no column 'symbol'" in str(source.actions(["A"], now=START)["A"])


def test_each_bad_line_of_the_actions_is_listed_with_the_refused_files(tmp_path):
    market = FilesMarketData(tmp_path)
    assert market.refused_files() == []
    path = tmp_path / "actions.csv"
    head, good = "symbol,date,kind,value\n", "AAA,2024-01-02,split,2\n"
    path.write_text(f"{head}{good}AAA,2024-01-03,splt,2\nAAA,soon,split,2\n")
    expected = [("line 3", "'splt'"), ("line 4", "'soon'")]
    for (name, reason), parts in zip(market.refused_files(), expected, strict=True):
        assert name == "actions.csv"
        assert all(part in reason for part in parts)
    path.write_text(head + good + "AAA,soon,split,2\n" * 12)
    assert len(market.refused_files()) == 11
    assert market.refused_files()[-1] == ("actions.csv", "2 further lines")
    path.write_text("symbol,date\n")
    assert market.refused_files() == [], "another's file"
    path.write_text(head + ",soon,split,2\n")
    ((_, reason),) = market.refused_files()
    assert "line 2" in reason
    path.write_text(head + good)
    assert market.refused_files() == []


def test_a_directory_that_is_not_there_has_no_actions_and_no_refused_files(tmp_path):
    source = FilesMarketData(tmp_path / "none")
    assert not any(source.actions(["AAA"], now=START).values())
    assert source.refused_files() == []


def test_actions_are_those_of_the_tickers_without_an_adjusted_close_beside_others(tmp_path):
    head = "Price,Adj Close,Close,High,Low,Open,Close,High,Low,Open\n"
    tickers = "Ticker,AAA,AAA,AAA,AAA,AAA,BBB,BBB,BBB,BBB\nDate,,,,,,,,,\n"
    (tmp_path / "all.csv").write_text(f"{head}{tickers}2024-01-02,5,10,10,10,10,20,20,20,20\n")
    lines = "AAA,2024-01-02,split,2,,\nBBB,2024-01-02,split,2,,\n"
    (tmp_path / "actions.csv").write_text(f"symbol,date,kind,value,announced,new_symbol\n{lines}")
    source = FilesMarketData(tmp_path, adjusted=True)
    closes = source.panel(["AAA", "BBB"], "1d", **EVER).candles["close"].to_list()
    stated = source.actions(["AAA", "BBB"], now=START)
    assert (closes, [len(stated.get(each, ())) for each in ("AAA", "BBB")]) == ([5, 20], [0, 1])


def test_actions_that_can_not_be_read_stay_refused_beside_adjusted_prices(tmp_path):
    (tmp_path / "AAA.csv").write_text(
        "Date,Open,High,Low,Close,Adj Close,Volume\n2020-01-02,10,12,9,11,5.5,100\n"
    )
    (tmp_path / "actions.csv").write_text("nothing,of,use\n1,2,3\n")
    stated = FilesMarketData(tmp_path, adjusted=True).actions(["AAA"], now=START)
    assert isinstance(stated["AAA"], UpstreamInvalid)
