from __future__ import annotations

import gzip
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlengine.core.bars.bars import RAW_SCHEMA, VALUES
from mlengine.core.bars.cleaning import clean_bars
from mlengine.errors import UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data.sample import (
    SampleMarketData,
    find_sample_file,
    read_sample,
    split_ratio,
)

START = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 1, 1, tzinfo=UTC)
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


@pytest.fixture(scope="module")
def sample() -> SampleMarketData:
    return SampleMarketData()


@pytest.fixture(scope="module")
def source() -> pl.DataFrame:
    return pl.read_csv(find_sample_file(), try_parse_dates=True)


def whole(sample: SampleMarketData, symbol: str) -> pl.DataFrame:
    return sample.candles(symbol, "1d", start=START, end=NOW)


def days(frame: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    return frame.filter(pl.col("timestamp").dt.date().is_between(first, last))


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_row_of_the_file_is_a_sane_bar(sample, source, symbol):
    raw = whole(sample, symbol)
    clean = clean_bars(raw, interval="1d", now=NOW)
    assert raw.schema == pl.Schema(RAW_SCHEMA)
    assert clean.report.accepted == source.filter(pl.col("Ticker") == symbol).height
    assert (clean.report.dropped, clean.report.mended) == ({}, {})


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_closes_are_the_adjusted_closes_of_the_file(sample, source, symbol):
    expected = source.filter(pl.col("Ticker") == symbol)["Adj Close"]
    assert ((whole(sample, symbol)["close"] / expected - 1).abs() < 1e-12).all()


@pytest.mark.parametrize(
    ("symbol", "ex_day"),
    [("AAPL", date(2000, 6, 21)), ("AAPL", date(2005, 2, 28)), ("MSFT", date(2003, 2, 18))],
)
def test_a_split_leaves_no_jump_in_the_price(sample, symbol, ex_day):
    around = days(whole(sample, symbol), ex_day - timedelta(days=6), ex_day)
    assert 0.9 < around["open"][-1] / around["close"][-2] < 1.1


def shares(sample: SampleMarketData, source: pl.DataFrame, symbol: str) -> list[float]:
    """By how much volume was multiplied, run by run, oldest first."""
    traded = source.filter(pl.col("Ticker") == symbol)["Volume"]
    return (whole(sample, symbol)["volume"] / traded).rle().struct.field("value").to_list()


def test_volume_before_a_split_counts_in_the_shares_after_it(sample, source):
    assert shares(sample, source, "AAPL") == [4.0, 2.0, 1.0]
    assert shares(sample, source, "MSFT") == [2.0, 1.0]
    volume = dict(whole(sample, "AAPL").select(pl.col("timestamp").dt.date(), "volume").iter_rows())
    assert volume[date(2000, 6, 20)] == 4 * 4_476_700
    assert volume[date(2000, 6, 21)] == 2 * 4_375_000
    assert volume[date(2005, 2, 25)] == 2 * 16_348_400
    assert volume[date(2005, 2, 28)] == 11_635_900


@pytest.mark.parametrize("symbol", ["FB", "GOOG", "IBM"])
def test_volume_stays_where_there_was_no_split(sample, source, symbol):
    assert shares(sample, source, symbol) == [1.0]


@pytest.mark.parametrize(
    ("jump", "ratio"),
    [
        (2.0, 2),
        (2.012, 2),
        (7.0, 7),
        (1.5, 1.5),
        (1 / 3, 1 / 3),
        (0.1, 0.1),
        (1.0, 1),
        (1.0085, 1),
        (1.11245, 1),
        (0.97, 1),
        (float("nan"), 1),
    ],
)
def test_a_dividend_is_no_split(jump, ratio):
    assert split_ratio(jump) == pytest.approx(ratio)


def test_the_range_takes_its_start_and_leaves_its_end(sample):
    start, end = datetime(2013, 2, 27, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC)
    frame = sample.candles("IBM", "1d", start=start, end=end)
    assert frame["timestamp"].to_list() == [start, start + timedelta(days=1)]


def test_unknown_symbols_and_other_intervals_are_refused(sample):
    with pytest.raises(UnknownSymbol, match="'aapl'"):
        whole(sample, "aapl")
    with pytest.raises(UpstreamInvalid, match="the sample has daily bars only"):
        sample.candles("AAPL", "1h", start=START, end=NOW)
    assert sample.kind == "sample"


def test_finding_the_prices_imports_nothing(sample):
    assert find_sample_file().name == "stocks.csv.gz"
    assert whole(sample, "FB").height
    assert "bokeh_sampledata" not in sys.modules


@pytest.mark.parametrize("package", ["no_such_package", "json", "sys"])
def test_without_the_package_one_sentence_says_what_to_do(package):
    with pytest.raises(UpstreamUnavailable, match="pip install --no-deps bokeh-sampledata"):
        find_sample_file(package)


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"a,b\n1,2\n", mtime=0)])
def test_a_damaged_file_is_refused(tmp_path, content):
    file = tmp_path / "stocks.csv.gz"
    file.write_bytes(content)
    with pytest.raises(UpstreamInvalid, match="the file of sample prices can't be read"):
        SampleMarketData(file).candles("AAPL", "1d", start=START, end=NOW)


def test_a_split_with_the_dividend_of_the_same_day_is_found(tmp_path):
    file = tmp_path / "stocks.csv"
    file.write_text(
        "Ticker,Date,Open,High,Low,Close,Volume,Adj Close\n"
        "X,2001-01-03,30,31,29,30,300,29.9\n"
        "X,2001-01-02,90,93,87,90,100,29.7\n"
    )
    frame = read_sample(file)["X"]
    assert frame["volume"].to_list() == [300.0, 300.0]
    assert frame["high"].to_list() == pytest.approx([93 * 29.7 / 90, 31 * 29.9 / 30])


def test_many_threads_read_the_file_once(tmp_path):
    file = tmp_path / "stocks.csv.gz"
    file.write_bytes(Path(find_sample_file()).read_bytes())
    sample = SampleMarketData(file)
    frames: list[pl.DataFrame] = []
    threads = [
        threading.Thread(target=lambda: frames.append(whole(sample, "IBM"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.unlink()
    assert all(frame.select(VALUES).equals(frames[0].select(VALUES)) for frame in frames)
    assert whole(sample, "AAPL").height == 3270
