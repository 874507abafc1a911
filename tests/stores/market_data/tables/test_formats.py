"""Files as the world's exporters write them, each with the values that stand in it."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime

import polars as pl
import pytest
from tests.written_tables import (
    DAYS,
    EVER,
    HOUR,
    HOURS,
    MIDNIGHTS,
    ROWS,
    dated,
    epochs,
    lines,
    read,
    rows,
)

from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData

CSV_FILES = {
    "plain": lines(dated(), "Date,Open,High,Low,Close,Volume"),
    "yfinance flat": lines(
        [(*row, 0.0, 0.0) for row in dated()],
        "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits",
    ),
    "yfinance of two lines": lines(
        dated("chlov"), "Date,Close,High,Low,Open,Volume\n,AAA,AAA,AAA,AAA,AAA"
    ),
    "yfinance of three lines": lines(
        dated("chlov"),
        "Price,Close,High,Low,Open,Volume\nTicker,AAA,AAA,AAA,AAA,AAA\nDate,,,,,",
    ),
    "index without a name": lines(dated(), ",open,high,low,close,volume"),
    "stooq daily": lines(dated(), "Date,Open,High,Low,Close,Volume").replace("\n", "\r\n"),
    "alphavantage": lines(dated(), "timestamp,open,high,low,close,volume"),
    "alphavantage frame": lines(dated(), "date,1. open,2. high,3. low,4. close,5. volume"),
    "nasdaq": lines(
        [
            (f"{day:%m/%d/%Y}", f"${c:.2f}", f"{v:.0f}", f"${o:.2f}", f"${h:.2f}", f"${low:.2f}")
            for day, (o, h, low, c, v) in zip(DAYS, ROWS, strict=True)
        ],
        "Date,Close/Last,Volume,Open,High,Low",
    ),
    "bloomberg": lines(dated(), "Date,PX_OPEN,PX_HIGH,PX_LOW,PX_LAST,PX_VOLUME"),
    "databento": lines(dated(), "ts_event,open,high,low,close,volume"),
    "day first": lines(dated(form="%d/%m/%Y"), "Date,Open,High,Low,Close,Volume"),
    "names of months": lines(dated(form="%d-%b-%Y"), "Date,Open,High,Low,Close,Volume"),
    "quoted names of months": lines(dated(form='"%b %d, %Y"'), "Date,Open,High,Low,Close,Volume"),
    "dotted years": lines(dated(form="%Y.%m.%d"), "Date,Open,High,Low,Close,Volume"),
    "whole numbers": lines(dated(form="%Y%m%d"), "date,open,high,low,close,volume"),
    "binance klines": lines(
        [
            (at * 1000, *row, at * 1000 + 86_399_999_999, 1.0, 5, 0.5, 0.5, 0)
            for at, row in zip(epochs(1000), ROWS, strict=True)
        ]
    ),
    "binance with a header": lines(
        [
            (at, *row, at + 86_399_999, 1.0, 5, 0.5, 0.5, 0)
            for at, row in zip(epochs(1000), ROWS, strict=True)
        ],
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,a,b,ignore",
    ),
    "klines in ms, then us": lines(
        [
            (at * k, *row, (at + 86_400_000) * k - 1, 1.0, 5, 0.5, 0.5, 0)
            for at, row in zip(epochs(1000), ROWS, strict=True)
            for k in [1000 if at >= 1735689600000 else 1]
        ],
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,a,b,ignore",
    ),
    "semicolon and decimal comma": lines(
        [(row[0], *(str(x).replace(".", ",") for x in row[1:])) for row in dated()],
        "Date;Open;High;Low;Close;Volume",
        ";",
    ),
    "quoted decimal comma": lines(
        [(row[0], *(f'"{x}"'.replace(".", ",") for x in row[1:])) for row in dated()],
        "Date,Open,High,Low,Close,Volume",
    ),
    "preface": "https://www.example.test/data\n" + lines(dated(), "date,open,high,low,close,vol"),
    "blank lines and headers": lines(dated(), "date,open,high,low,close,volume").replace(
        "2025-01-01", "\ndate,open,high,low,close,volume\n\n2025-01-01"
    ),
    "byte order mark": "\ufeff" + lines(dated(), '"Date","Open","High","Low","Close","Volume"'),
}


@pytest.mark.parametrize("text", CSV_FILES.values(), ids=CSV_FILES.keys())
def test_a_text_file_of_daily_bars_is_read_as_it_comes(tmp_path, text):
    (tmp_path / "AAA.csv").write_bytes(text.encode())
    candles = read(tmp_path).drop_nulls("timestamp").sort("timestamp")
    assert candles["timestamp"].to_list() == MIDNIGHTS
    assert rows(candles) == ROWS
    written = text.split("\n")
    market = FilesMarketData(tmp_path)
    market.candles("AAA", "1d", **EVER)
    for line, close in candles.select("line", "close").rows():
        assert f"{close:g}" in written[line - 1].replace(",", ".").replace("$", "")
        assert market.raw_row("AAA.csv", line) == written[line - 1].rstrip("\r")
    assert market.raw_row("AAA.csv", 0) is market.raw_row("AAA.csv", 99) is None


def test_investing_com_writes_volumes_in_thousands_and_millions(tmp_path):
    (tmp_path / "AAA.csv").write_text(
        '"Date","Price","Open","High","Low","Vol.","Change %"\n'
        '"11/27/2024","1,234.50","1,200.25","1,240.00","1,199.00","1.25M","2.1%"\n'
        '"11/26/2024","998.50","990.25","999.00","989.75","975.50K","-0.1%"\n'
    )
    assert rows(read(tmp_path)) == [
        (1200.25, 1240.0, 1199.0, 1234.5, 1_250_000.0),
        (990.25, 999.0, 989.75, 998.5, 975_500.0),
    ]


def test_a_volume_may_have_its_unit_in_brackets(tmp_path):
    head = "Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency),Weighted_Price"
    table = [(at, *row, 1.0, 2.0) for at, row in zip(epochs(1), ROWS, strict=True)]
    (tmp_path / "BTCUSD.csv").write_text(lines(table, head))
    assert rows(read(tmp_path, "BTCUSD")) == ROWS


def test_tickers_may_stand_above_the_names_of_columns(tmp_path):
    table = [(*row, *(value * 2 for value in row[1:])) for row in dated()]
    head = f"Ticker,{'AAA,' * 5}{','.join(['BBB'] * 5)}\nPrice{',Open,High,Low,Close,Volume' * 2}"
    (tmp_path / "download.csv").write_text(lines(table, f"{head}\nDate{',' * 10}"))
    assert rows(read(tmp_path)) == ROWS
    assert rows(read(tmp_path, "BBB")) == [tuple(2 * value for value in row) for row in ROWS]


def test_tickers_may_stand_above_columns_without_a_word(tmp_path):
    for tickers in (1, 2):
        table = [(*row, *(value * 2 for value in row[1:])) for row in dated()]
        names = ",Open,High,Low,Close,Volume" * tickers
        above = ",AAA" * 5 + ",BBB" * 5 * (tickers - 1)
        head = f"{above}\n{names}\nDate{',' * 5 * tickers}"
        cells = [row[: 1 + 5 * tickers] for row in table]
        (tmp_path / "download.csv").write_text(lines(cells, head))
        assert rows(read(tmp_path)) == ROWS
    assert rows(read(tmp_path, "BBB")) == [tuple(2 * value for value in row) for row in ROWS]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8"])
def test_metatrader_has_date_and_time_apart(tmp_path, encoding):
    table = [
        (f"{at:%Y.%m.%d}", f"{at:%H:%M:%S}", *row[:4], f"{row[4]:.0f}", 0, 3)
        for at, row in zip(HOURS, ROWS, strict=True)
    ]
    header = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
    (tmp_path / "AAA.csv").write_bytes(lines(table, header, "\t").encode(encoding))
    candles = read(tmp_path, interval="1h")
    assert candles["timestamp"].to_list() == HOURS
    assert rows(candles) == ROWS


@pytest.mark.parametrize(
    ("date_form", "time_form"),
    [("%Y.%m.%d", "%H:%M"), ("%Y-%m-%d", "%H:%M:%S"), ("%Y%m%d", "%H%M%S000"), ("%Y%m%d", "%H%M")],
)
def test_a_time_of_the_day_goes_with_its_date(tmp_path, date_form, time_form):
    table = [
        (f"{at:{date_form}}", f"{at:{time_form}}", *row)
        for at, row in zip(HOURS, ROWS, strict=True)
    ]
    (tmp_path / "AAA.csv").write_text(lines(table, "Date,Time,Open,High,Low,Close,Volume"))
    candles = read(tmp_path, interval="1h")
    assert candles["timestamp"].to_list() == HOURS
    assert candles["session"].null_count() == len(HOURS)


def test_stooq_in_bulk_names_its_symbols_in_a_text_file(tmp_path):
    head = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
    table = [("AAA.US", "D", f"{day:%Y%m%d}", "000000", *row, 0)
             for day, row in zip(DAYS, ROWS, strict=True)]  # fmt: skip
    (tmp_path / "aaa.us.txt").write_text(lines(table, head))
    candles = read(tmp_path, "AAA.US")
    assert candles["timestamp"].to_list() == MIDNIGHTS
    assert rows(candles) == ROWS


def test_cryptodatadownload_states_two_volumes(tmp_path):
    table = [
        (at, f"{day} 00:00:00", "BTC/USDT", *row, row[4] * row[3], 77)
        for at, day, row in zip(epochs(1000), DAYS, ROWS, strict=True)
    ]
    head = "unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT,tradecount"
    text = "https://www.example.test/data\n" + lines(table[::-1], head)
    (tmp_path / "Exchange_BTCUSDT_d.csv").write_text(text)
    candles = read(tmp_path, "BTC/USDT").sort("timestamp")
    assert candles["timestamp"].to_list() == MIDNIGHTS
    assert rows(candles) == ROWS


def test_polygon_has_a_file_a_day_of_all_tickers(tmp_path):
    head = "ticker,volume,open,close,high,low,window_start,transactions"
    for day, (o, h, low, c, v) in zip(DAYS, ROWS, strict=True):
        at = datetime(day.year, day.month, day.day, 5, tzinfo=UTC)
        table = [(name, v, o, c, h, low, int(at.timestamp()) * 10**9, 3) for name in ("AAA", "B")]
        (tmp_path / f"{day}.csv.gz").write_bytes(gzip.compress(lines(table, head).encode()))
    candles = read(tmp_path)
    assert candles["timestamp"].to_list() == [at + 5 * HOUR for at in MIDNIGHTS]
    assert rows(candles) == ROWS
    assert FilesMarketData(tmp_path).symbols() == ["AAA", "B"]


def test_a_frame_of_many_tickers_has_them_above_its_columns(tmp_path):
    table = [(*row, *(value * 2 for value in row[1:])) for row in dated("chlov")]
    fields = "Close,High,Low,Open,Volume"
    head = f"Price,{fields},{fields}\nTicker,{'AAA,' * 5}{','.join(['BBB'] * 5)}\nDate" + "," * 10
    (tmp_path / "download.csv").write_text(lines(table, head))
    assert rows(read(tmp_path)) == ROWS
    assert rows(read(tmp_path, "BBB")) == [tuple(2 * value for value in row) for row in ROWS]
    assert read(tmp_path, "BBB")["line"].to_list() == list(range(4, 24))


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_a_packed_file_is_read_and_one_cut_short_is_refused(tmp_path, packed):
    text = CSV_FILES["plain"].encode()
    content = gzip.compress(text)
    if packed == "zst":
        buffer = io.BytesIO()
        pl.read_csv(text, infer_schema=False).write_csv(buffer, compression="zstd")
        content = buffer.getvalue()
    (tmp_path / f"AAA.csv.{packed}").write_bytes(content)
    assert rows(read(tmp_path)) == ROWS
    (tmp_path / f"AAA.csv.{packed}").write_bytes(content[:-9])
    with pytest.raises(UpstreamInvalid, match=f"'AAA.csv.{packed}' can't be read"):
        read(tmp_path)


def test_a_cell_that_is_no_number_is_named_as_it_is_written(tmp_path):
    plain = "Date,Open,High,Low,Close,Volume\n2024-01-02,1,1,1,1,\n2024-01-03,2,2,2,12x3,5\n"
    (tmp_path / "AAA.csv").write_text(plain)
    names, tickers = ",Open,High,Low,Close" * 2, ",AAA" * 4 + ",BBB" * 4
    wide = f"Price{names}\nTicker{tickers}\nDate{',' * 8}\n"
    cells = "2024-01-02,1,1,1,1,2,2,2,2\n2024-01-03,1,1,1,1,2,2,2,soon\n"
    (tmp_path / "wide.csv").write_text(wide + cells)
    market = FilesMarketData(tmp_path)
    market.panel(["AAA", "BBB"], "1d", **EVER)
    assert market.raw_cell("AAA.csv", 3, "close", "AAA") == "12x3"
    assert market.raw_cell("AAA.csv", 3, "timestamp", "AAA") == "2024-01-03"
    assert market.raw_cell("wide.csv", 5, "close", "BBB") == "soon"
    assert market.raw_cell("wide.csv", 5, "close", "AAA") == "1"
    nothing = [("AAA.csv", 2, "volume"), ("AAA.csv", 9, "close"), ("AAA.csv", 3, "session")]
    for file, line, column in (*nothing, ("AAA.csv", 3, "closes_at"), ("B.csv", 3, "close")):
        assert market.raw_cell(file, line, column, "AAA") is None


def test_adjusted_prices_are_taken_where_a_setting_says_so(tmp_path):
    halves = [(*row[:5], row[4] / 2, row[5]) for row in dated()]
    head = "Date,Open,High,Low,Close,Adj Close,Volume"
    (tmp_path / "AAA.csv").write_text(lines(halves, head))
    raw, adjusted = FilesMarketData(tmp_path), FilesMarketData(tmp_path, adjusted=True)
    assert rows(raw.candles("AAA", "1d", **EVER)) == ROWS
    expected = [(o / 2, h / 2, low / 2, c / 2, v) for o, h, low, c, v in ROWS]
    assert rows(adjusted.candles("AAA", "1d", **EVER)) == expected
    assert (raw.price_choices(), adjusted.price_choices()) == (
        {"AAA.csv": "raw"},
        {"AAA.csv": "adjusted"},
    )
    (tmp_path / "bars.toml").write_text("adjusted = true\n")
    assert rows(raw.candles("AAA", "1d", **EVER)) == expected


def test_blanks_around_a_symbol_are_none_of_it(tmp_path):
    table = [(" AAA ", *row) for row in dated()]
    (tmp_path / "all.csv").write_text(lines(table, "Symbol,Date,Open,High,Low,Close,Volume"))
    candles = read(tmp_path)
    assert candles["symbol"].unique().to_list() == ["AAA"]
    assert rows(candles) == ROWS


def test_dates_in_three_formats_are_read_in_one_column(tmp_path):
    forms = ("%Y-%m-%d", "%Y.%m.%d", "%d-%b-%Y")
    table = [
        (f"{day:{forms[i % 3]}}", *row) for i, (day, row) in enumerate(zip(DAYS, ROWS, strict=True))
    ]
    (tmp_path / "AAA.csv").write_text(lines(table, "Date,Open,High,Low,Close,Volume"))
    candles = read(tmp_path)
    assert rows(candles) == ROWS
    assert candles["timestamp"].dt.date().to_list() == [
        datetime(day.year, day.month, day.day, tzinfo=UTC).date() for day in DAYS
    ]


def test_a_stated_format_may_have_an_offset(tmp_path):
    (tmp_path / "bars.toml").write_text("date_format = '%Y/%m/%dT%H:%M:%S%z'\n")
    (tmp_path / "AAA.csv").write_text(
        lines(dated(form="%Y/%m/%dT02:00:00+0200"), "Date,Open,High,Low,Close,Volume")
    )
    candles = read(tmp_path)
    assert rows(candles) == ROWS
    assert {at.hour for at in candles["timestamp"]} == {0}


def test_bare_dates_among_moments_end_at_the_midnight_after_them(tmp_path):
    (tmp_path / "bars.toml").write_text("stamp = 'end'\nzone = 'UTC'\n")
    (tmp_path / "AAA.csv").write_text(
        "Date,Open,High,Low,Close,Volume\n2024-01-01,1,1,1,1,1\n2024-01-02,1,1,1,1,1\n"
        "2024-01-04 00:00,1,1,1,1,1\n"
    )
    candles = FilesMarketData(tmp_path).candles("AAA", "1d", **EVER)
    assert [at.day for at in candles["timestamp"]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("before", "at"),
    [
        ("2024-02-29 23:00", "2024-02-29 24:00"),
        ("2024-02-29T23:00:00Z", "2024-02-29T24:00:00Z"),
        ("29.02.2024 23:00:00.000", "29.02.2024 24:00:00.000"),
        ("20240229 230000", "20240229 240000"),
        ("20240229 2300", "20240229 2400"),
    ],
)
def test_the_end_of_a_day_is_the_midnight_of_the_next(tmp_path, before, at):
    (tmp_path / "bars.toml").write_text("zone = 'UTC'\n")
    (tmp_path / "AAA.csv").write_text(
        f"Date,Open,High,Low,Close,Volume\n{before},1,1,1,1,1\n{at},1,1,1,2,1\n"
    )
    candles = FilesMarketData(tmp_path).candles("AAA", "1h", **EVER)
    assert candles["timestamp"].to_list() == [
        datetime(2024, 2, 29, 23, tzinfo=UTC),
        datetime(2024, 3, 1, tzinfo=UTC),
    ]


@pytest.mark.parametrize("at", ["2024-02-29 24:01", "2024-02-29 25:00", "2024-02-30 24:00"])
def test_other_hours_beyond_a_day_are_no_moment(tmp_path, at):
    (tmp_path / "bars.toml").write_text("zone = 'UTC'\n")
    (tmp_path / "AAA.csv").write_text(
        "Date,Open,High,Low,Close,Volume\n"
        f"2024-02-29 22:00,1,1,1,1,1\n2024-02-29 23:00,1,1,1,1,1\n{at},1,1,1,2,1\n"
    )
    candles = FilesMarketData(tmp_path).candles("AAA", "1h", **EVER)
    assert candles["timestamp"].drop_nulls().len() == 2
