"""Files as the world's exporters write them, each with the values that stand in it."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from mlengine.core.bars.bars import VALUES
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
DAYS = [date(2024, 12, 27) + i * DAY for i in range(20)]
MIDNIGHTS = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in DAYS]
HOURS = [datetime(2024, 12, 27, 9, tzinfo=UTC) + i * HOUR for i in range(20)]
# open, high, low, close, volume
ROWS = [(98.5 + i, 101.25 + i, 97.75 + i, 100.5 + i, 1000.0 + 7 * i) for i in range(20)]
EVER = {"start": datetime(1970, 1, 1, tzinfo=UTC), "end": datetime(2100, 1, 1, tzinfo=UTC)}


def read(folder: Path, symbol: str = "AAA", interval: str = "1d") -> pl.DataFrame:
    return FilesMarketData(folder).candles(symbol, interval, **EVER)


def rows(candles: pl.DataFrame) -> list[tuple[float, ...]]:
    return candles.select(VALUES).rows()


def lines(cells: Sequence[Sequence[object]], header: str = "", separator: str = ",") -> str:
    body = "".join(separator.join(map(str, row)) + "\n" for row in cells)
    return (header + "\n" if header else "") + body


def reordered(order: str) -> list[tuple[float, ...]]:
    """Each row's values in the order of these initials."""
    return [tuple(row["ohlcv".index(initial)] for initial in order) for row in ROWS]


def dated(order: str = "ohlcv", form: str = "%Y-%m-%d") -> list[tuple[object, ...]]:
    return [(f"{day:{form}}", *row) for day, row in zip(DAYS, reordered(order), strict=True)]


def epochs(scale: int) -> list[int]:
    return [int(at.timestamp()) * scale for at in MIDNIGHTS]


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


def test_a_volume_that_no_symbol_chooses_is_refused_by_its_columns(tmp_path):
    head = "date,open,high,low,close,Volume BTC,Volume USDT"
    (tmp_path / "AAA.csv").write_text(lines([(*row, 1.0) for row in dated()], head))
    with pytest.raises(UpstreamInvalid, match=r"'Volume BTC' or 'Volume USDT'.*columns.volume"):
        read(tmp_path)
    (tmp_path / "bars.toml").write_text('columns.volume = "Volume BTC"\n')
    assert rows(read(tmp_path)) == ROWS


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


def test_dates_with_an_offset_are_sessions_of_their_own_date(tmp_path):
    zone = ZoneInfo("America/New_York")
    days = [date(2024, 10, 25) + i * DAY for i in range(20)]
    starts = [datetime(day.year, day.month, day.day, tzinfo=zone) for day in days]
    table = [(at.isoformat(sep=" "), *row, 0.0) for at, row in zip(starts, ROWS, strict=True)]
    head = "Date,Open,High,Low,Close,Volume,Dividends"
    (tmp_path / "AAA.csv").write_text(lines(table, head))
    candles = read(tmp_path)
    assert candles["timestamp"].to_list() == starts
    assert candles["session"].to_list() == days
    assert rows(candles) == ROWS


def test_interactive_brokers_names_the_zone_of_each_row(tmp_path):
    zone = ZoneInfo("US/Eastern")
    starts = [datetime(2024, 10, 25, 9, 30, tzinfo=zone) + i * DAY for i in range(20)]
    table = [(f"{at:%Y%m%d %H:%M:%S} US/Eastern", *row)
             for at, row in zip(starts, ROWS, strict=True)]  # fmt: skip
    (tmp_path / "AAA.csv").write_text(lines(table, "date,open,high,low,close,volume"))
    candles = read(tmp_path)
    assert candles["timestamp"].to_list() == [at.astimezone(UTC) for at in starts]
    assert candles["session"].to_list() == [at.date() for at in starts]


def test_thousands_are_grouped_only_from_a_thousand_on(tmp_path):
    table = [(f"{day}", *(f'"{900 + value:,.2f}"' for value in row[:4]), f'"{row[4]:,.0f}"')
             for day, row in zip(DAYS, ROWS, strict=True)]  # fmt: skip
    (tmp_path / "AAA.csv").write_text(lines(table, "Date,Open,High,Low,Close,Volume"))
    assert rows(read(tmp_path)) == [(*(900 + value for value in row[:4]), row[4]) for row in ROWS]


def test_a_dot_groups_thousands_where_a_comma_is_the_decimal_sign(tmp_path):
    swapped = str.maketrans(",.", ".,")
    table = [(f"{day}", *(f"{1900 + value:,.2f}".translate(swapped) for value in row[:4]),
              f"{row[4]:,.0f}".translate(swapped))
             for day, row in zip(DAYS, ROWS, strict=True)]  # fmt: skip
    (tmp_path / "AAA.csv").write_text(lines(table, "Date;Open;High;Low;Close;Volume", ";"))
    assert rows(read(tmp_path)) == [(*(1900 + value for value in row[:4]), row[4]) for row in ROWS]


def test_a_comma_that_may_be_either_is_refused_with_its_place(tmp_path):
    table = [(f"{day}", *['"1,250"'] * 4, 7) for day in DAYS]
    (tmp_path / "AAA.csv").write_text(lines(table, "Date,Open,High,Low,Close,Volume"))
    message = r"'AAA.csv', line 2, column 'Open', value '1,250'.*decimal in bars.toml"
    with pytest.raises(UpstreamInvalid, match=message):
        read(tmp_path)
    (tmp_path / "bars.toml").write_text('decimal = "."\n')
    assert read(tmp_path)["open"].to_list() == [1250.0] * 20
    (tmp_path / "bars.toml").write_text('["files"."A*.csv"]\ndecimal = ","\n')
    assert read(tmp_path)["open"].to_list() == [1.25] * 20


def test_days_that_may_be_months_are_refused_with_their_place(tmp_path):
    days = [date(2024, month, month + 1) for month in range(1, 11)]
    table = [(f"{day:%d/%m/%Y}", *row) for day, row in zip(days, ROWS, strict=False)]
    (tmp_path / "AAA.csv").write_text(lines(table, "Date,Open,High,Low,Close,Volume"))
    message = r"'AAA.csv', line 2, column 'Date', value '02/01/2024'.*date_format in bars.toml"
    with pytest.raises(UpstreamInvalid, match=message):
        read(tmp_path)
    (tmp_path / "bars.toml").write_text('date_format = "%d/%m/%Y"\n')
    assert read(tmp_path)["session"].to_list() == days


def test_days_in_both_places_are_refused(tmp_path):
    table = [(text, *ROWS[0]) for text in ("27/12/2024", "12/28/2024")]
    (tmp_path / "AAA.csv").write_text(lines(table, "Date,Open,High,Low,Close,Volume"))
    with pytest.raises(UpstreamInvalid, match="line 3, column 'Date', value '12/28/2024'"):
        read(tmp_path)


def test_units_in_no_order_are_refused_with_their_place(tmp_path):
    mixed = [at if i % 2 else at * 1000 for i, at in enumerate(epochs(1000))]
    table = [(at, *row) for at, row in zip(mixed[::-1] + mixed, ROWS * 2, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(table, "timestamp,open,high,low,close,volume"))
    with pytest.raises(UpstreamInvalid, match=r"'AAA.csv', line 3, column 'timestamp', value '17"):
        read(tmp_path)


def test_prices_that_are_no_numbers_are_refused_with_their_place(tmp_path):
    table = [(row[0], *row[1:4], "closed", row[5]) for row in dated()]
    (tmp_path / "AAA.csv").write_text(lines(table, "Date,Open,High,Low,Close,Volume"))
    with pytest.raises(UpstreamInvalid, match="line 2, column 'Close', value 'closed'"):
        read(tmp_path)


def test_a_file_without_a_header_is_refused_unless_its_columns_are_named(tmp_path):
    (tmp_path / "AAA.csv").write_text(lines(dated(form="%Y%m%d 000000"), "", ";"))
    with pytest.raises(UpstreamInvalid, match=r"'AAA.csv' has no header.*bars.toml"):
        read(tmp_path)
    names = ["date", "open", "high", "low", "close", "volume"]
    (tmp_path / "bars.toml").write_text(f"columns = {names}\n")
    assert rows(read(tmp_path)) == ROWS
    assert read(tmp_path)["line"].to_list() == list(range(1, 21))


def test_a_line_of_another_length_is_no_bar(tmp_path):
    text = lines(
        [(*row, 0, 0) for row in dated()], "date,open,high,low,close,volume,dividends,splits"
    ).split("\n")
    text[5] += "," + text[6]
    text[9] = text[9][: text[9].rindex(",0,0") - 2]
    (tmp_path / "AAA.csv").write_text("\n".join(text))
    candles = read(tmp_path)
    assert candles.filter(pl.col("timestamp").is_null())["line"].to_list() == [6, 10]
    assert candles.height == 20


def test_a_quote_that_nothing_ends_swallows_no_line(tmp_path):
    text = CSV_FILES["plain"].replace("2025-01-02,", '"2025-01-02,')
    (tmp_path / "AAA.csv").write_text(text)
    candles = read(tmp_path)
    assert candles.height == 20
    assert candles["timestamp"].null_count() <= 1


def test_the_hour_that_comes_twice_is_told_by_the_order_of_its_rows(tmp_path):
    zone = ZoneInfo("America/New_York")
    starts = [datetime(2024, 11, 2, 20, tzinfo=UTC) + i * timedelta(minutes=30) for i in range(40)]
    text = lines(
        [(f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}", *ROWS[0]) for at in starts],
        "datetime,open,high,low,close,volume",
    )
    (tmp_path / "AAA.csv").write_text(text)
    (tmp_path / "bars.toml").write_text('zone = "America/New_York"\n')
    assert read(tmp_path, interval="30m")["timestamp"].to_list() == starts
    head, *body = text.splitlines()
    (tmp_path / "AAA.csv").write_text("\n".join([head, *body[::-1], ""]))
    assert read(tmp_path, interval="30m")["timestamp"].to_list() == starts[::-1]


def test_an_hour_that_came_once_or_never_has_no_moment(tmp_path):
    texts = ["2024-11-03 00:00", "2024-11-03 01:00", "2024-11-03 03:00", "2024-03-10 02:30"]
    table = [(text, *ROWS[0]) for text in texts]
    (tmp_path / "AAA.csv").write_text(lines(table, "datetime,open,high,low,close,volume"))
    (tmp_path / "bars.toml").write_text('zone = "America/New_York"\n')
    known = [at and at.hour for at in read(tmp_path, interval="1h")["timestamp"]]
    assert known == [4, None, 8, None]


def test_stamps_may_be_those_of_the_close(tmp_path):
    (tmp_path / "bars.toml").write_text('stamp = "end"\nzone = "America/New_York"\n')
    table = [(f"{day}T16:00:00", *row) for day, row in zip(DAYS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(table, "timestamp,open,high,low,close,volume"))
    daily = read(tmp_path)
    closes = [at + 21 * HOUR for at in MIDNIGHTS]
    assert daily["closes_at"].to_list() == closes
    assert daily["session"].to_list() == DAYS
    hourly = read(tmp_path, interval="1h")
    assert hourly["timestamp"].to_list() == [at - HOUR for at in closes]
    (tmp_path / "AAA.csv").write_text(lines(dated(), "date,open,high,low,close,volume"))
    assert read(tmp_path)["session"].to_list() == DAYS
    assert read(tmp_path, interval="1w")["session"].to_list() == [day - 6 * DAY for day in DAYS]


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
