"""Columns and lines that are something else than they seem: refused, or taken for that."""

from __future__ import annotations

import os
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from tests.written_tables import DAYS, EVER, HOURS, ROWS, dated, epochs, lines, read, rows

from mlengine.errors import UnknownSymbol, UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData

HEAD = "Date,Open,High,Low,Close,Volume"
PLAIN = lines(dated(), HEAD)


def refusal(folder, symbol="AAA", interval="1d"):
    with pytest.raises(UpstreamInvalid) as raised:
        read(folder, symbol=symbol, interval=interval)
    return raised.value.reason


NAMES = ("Name", "code", "Symbol Name", "stock_code", "ISIN", "Contract", "Pair", "股票代码")


@pytest.mark.parametrize("name", NAMES)
def test_symbols_under_another_name_are_never_one_series(tmp_path, name):
    """One after the other, so that no two bars of a date differ."""
    table = [(*row, "AAA" if i < 10 else "BBB") for i, row in enumerate(dated())]
    (tmp_path / "all.csv").write_text(lines(table, f"{HEAD},{name}"))
    assert f"are its symbols in the column '{name}'?" in refusal(tmp_path, "all")
    (tmp_path / "bars.toml").write_text(f'columns.symbol = "{name}"\n')
    assert rows(read(tmp_path)) == ROWS[:10]
    assert rows(read(tmp_path, "BBB")) == ROWS[10:]
    (tmp_path / "bars.toml").write_text('columns.symbol = ""\n')
    assert rows(read(tmp_path, "all")) == ROWS


@pytest.mark.parametrize("name", ["ts_code", "#RIC", "tic"])
def test_symbols_have_many_names(tmp_path, name):
    (tmp_path / "all.csv").write_text(
        lines([(*row, "600519.SH") for row in dated()], f"{HEAD},{name}")
    )
    assert rows(read(tmp_path, "600519.SH")) == ROWS


def test_a_name_that_is_always_the_same_says_nothing_of_symbols(tmp_path):
    (tmp_path / "AAA.csv").write_text(
        lines([(*row, "Alpha Co") for row in dated()], f"{HEAD},Name")
    )
    assert rows(read(tmp_path)) == ROWS


def test_rows_that_name_no_symbol_are_not_lost_in_silence(tmp_path):
    """As tables of a spreadsheet have it, whose cells were one."""
    table = [("AAA" if i == 0 else "", *row) for i, row in enumerate(dated())]
    (tmp_path / "all.csv").write_text(lines(table, f"Symbol,{HEAD}"))
    fault = dict(FilesMarketData(tmp_path).refused_files()).get("all.csv")
    assert fault is None  # not read yet
    source = FilesMarketData(tmp_path)
    assert source.symbols() == []
    assert "line 3, column 'Symbol', value 'None': names no symbol" in source.refused_files()[0][1]
    none = [("", *row) for row in dated()]
    (tmp_path / "all.csv").write_text(lines(none, f"Symbol,{HEAD}"))
    assert "nor does any other (bars.toml: columns.symbol = '')" in refusal(tmp_path, "all")
    named = [("AAA", *row) for row in dated()]
    (tmp_path / "all.csv").write_text(
        lines([*named, ("", "Total", 1, 1, 1, 1, 1)], f"Symbol,{HEAD}")
    )
    assert rows(read(tmp_path)) == ROWS


OTHER_HEADERS = {
    "Date,Close,High,Low,Open,Volume": "line 12, column 'Open', value 'Close'",
    "Date,Open,High,Low,Volume,Close": "line 12, column 'Close', value 'Volume'",
    "Date,Open,High,Low,Adj Close,Volume": "line 12, column 'Close', value 'Adj Close'",
}


@pytest.mark.parametrize("header", OTHER_HEADERS)
def test_a_second_header_in_another_order_is_refused_with_its_line(tmp_path, header):
    (tmp_path / "AAA.csv").write_text(lines(dated()[:10], HEAD) + lines(dated()[10:], header))
    reason = refusal(tmp_path)
    assert f"{OTHER_HEADERS[header]}: a header in another order than the first" in reason
    (tmp_path / "AAA.csv").write_text(lines(dated()[:10], HEAD) + lines(dated()[10:], HEAD.upper()))
    assert rows(read(tmp_path).drop_nulls("timestamp")) == ROWS


def test_prices_in_billionths_are_refused(tmp_path):
    head = "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume"
    table = [
        (at, 35, 1, 32, *(round(price * 1e9) for price in row[:4]), int(row[4]))
        for at, row in zip(epochs(10**9), ROWS, strict=True)
    ]
    (tmp_path / "AAA.csv").write_text(lines(table, head))
    reason = "line 2, column 'open', value '98500000000.0': prices in billionths"
    assert reason in refusal(tmp_path)
    table = [(at, 35, 1, 32, *row) for at, row in zip(epochs(10**9), ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(table, head))
    assert rows(read(tmp_path)) == ROWS


def test_a_volume_of_minus_one_throughout_is_none(tmp_path):
    (tmp_path / "AAA.csv").write_text(lines([(*row[:5], -1) for row in dated()], HEAD))
    assert read(tmp_path)["volume"].null_count() == len(ROWS)
    one = [(*row[:5], -1 if i == 0 else 5) for i, row in enumerate(dated())]
    (tmp_path / "AAA.csv").write_text(lines(one, HEAD))
    assert read(tmp_path)["volume"].to_list() == [-1.0] + [5.0] * 19


@pytest.mark.parametrize("name", ["complete", "confirm", "is_closed", "isFinal", "Finished"])
def test_a_bar_that_is_not_complete_is_not_final(tmp_path, name):
    table = [(*row, 0 if i == 19 else 1) for i, row in enumerate(dated())]
    (tmp_path / "AAA.csv").write_text(lines(table, f"{HEAD},{name}"))
    assert read(tmp_path)["final"].to_list() == [True] * 19 + [False]


@pytest.mark.parametrize("folder", ["symbol=AAA", "daily"])
def test_a_folder_of_folders_is_no_empty_one(tmp_path, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "symbols.csv").write_text("symbol,calendar\nAAA,XNYS\n")
    (tmp_path / folder / "AAA.csv").write_text(PLAIN)
    words = f"the file {folder!r} is a folder; only files are read, and those of one folder"
    assert FilesMarketData(tmp_path).refused_files() == [(folder, words)]
    (tmp_path / "AAA.csv").write_text(PLAIN)
    listed = dict(FilesMarketData(tmp_path).refused_files())
    assert listed == ({folder: words} if "=" in folder else {})
    assert rows(read(tmp_path)) == ROWS


def test_a_name_from_a_mac_is_that_of_its_symbol(tmp_path):
    (tmp_path / f"{unicodedata.normalize('NFD', 'ÅLFA.ST')}.csv").write_text(PLAIN)
    assert rows(read(tmp_path, "ÅLFA.ST")) == ROWS


def test_a_text_that_is_a_table_without_prices_is_listed(tmp_path):
    head = "date\touvert\thaut\tbas\tclot\tvol"
    (tmp_path / "AAA.txt").write_text(lines(dated(), head, "\t"))
    (tmp_path / "notes.txt").write_text(
        "one, two, three, four, five\nand six, seven, eight, nine, ten\n"
    )
    ((file, reason),) = FilesMarketData(tmp_path).refused_files()
    assert (file, "has no column of prices in its header: 'date, ouvert, haut" in reason) == (
        "AAA.txt",
        True,
    )
    with pytest.raises(UnknownSymbol):
        read(tmp_path, "notes")


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("\n", "\r\r\n"),
        PLAIN[:400] + PLAIN[400:].replace("\n", "\r"),
        PLAIN[:400].replace("\n", "\r") + PLAIN[400:].replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r", 1),
    ],
    ids=["two returns", "feeds, then returns", "returns, then both", "header alone"],
)
def test_lines_may_end_in_several_ways(tmp_path, text):
    (tmp_path / "AAA.csv").write_bytes(text.encode())
    assert rows(read(tmp_path)) == ROWS


def test_appended_lines_may_end_otherwise(tmp_path):
    (tmp_path / "AAA.csv").write_text(lines(dated()[:10], HEAD))
    source = FilesMarketData(tmp_path)
    assert source.candles("AAA", "1d", **EVER).height == 10
    with (tmp_path / "AAA.csv").open("ab") as file:
        file.write(lines(dated()[10:]).replace("\n", "\r").encode() + b"\n")
    assert rows(source.candles("AAA", "1d", **EVER).drop_nulls("timestamp")) == ROWS


def test_a_return_whose_line_feed_is_still_to_come_ends_no_line(tmp_path):
    (tmp_path / "AAA.csv").write_bytes(PLAIN.replace("\n", "\r\n")[:-1].encode())
    assert read(tmp_path)["final"].to_list() == [None] * 19 + [False]


@pytest.mark.parametrize("digits", ["%H%M", "%H%M%S"])
@pytest.mark.parametrize("first", [3, 10])
def test_a_time_of_the_day_in_digits_is_read_like_those_before_it(tmp_path, digits, first):
    """Of `100` alone nobody knows whether it is one o'clock or a minute past midnight."""
    starts = [datetime(2024, 5, 6, 23, 54, tzinfo=UTC) + timedelta(minutes=i) for i in range(20)]
    table = [
        (f"{at:%Y%m%d}", int(f"{at:{digits}}"), *row) for at, row in zip(starts, ROWS, strict=True)
    ]
    (tmp_path / "AAA.csv").write_text(lines(table[:first], "Date,Time,Open,High,Low,Close,Volume"))
    source = FilesMarketData(tmp_path)
    assert source.candles("AAA", "1m", **EVER)["timestamp"].to_list() == starts[:first]
    with (tmp_path / "AAA.csv").open("a") as file:
        file.write(lines(table[first:]))
    assert source.candles("AAA", "1m", **EVER)["timestamp"].to_list() == starts


def test_digits_that_grow_have_the_whole_file_read_anew(tmp_path):
    starts = [datetime(2024, 5, 6, tzinfo=UTC) + timedelta(minutes=10 * i) for i in range(20)]
    table = [
        (f"{at:%Y%m%d}", int(f"{at:%H%M%S}"), *row) for at, row in zip(starts, ROWS, strict=True)
    ]
    (tmp_path / "AAA.csv").write_text(lines(table[:3], "Date,Time,Open,High,Low,Close,Volume"))
    source = FilesMarketData(tmp_path)
    source.candles("AAA", "1m", **EVER)
    with (tmp_path / "AAA.csv").open("a") as file:
        file.write(lines(table[3:]))
    assert source.candles("AAA", "1m", **EVER)["timestamp"].to_list() == starts


LATER = {
    "another name": ([(*row, "AAA") for row in dated()], "BBB", "its symbols in the column 'Name'"),
    "a volume after all": ([(*row[:5], -1, "AAA") for row in dated()], "AAA", None),
}


@pytest.mark.parametrize("name", LATER)
def test_what_is_appended_may_show_that_the_rows_before_were_mistaken(tmp_path, name):
    table, last, words = LATER[name]
    (tmp_path / "AAA.csv").write_text(lines(table[:10], f"{HEAD},Name"))
    source = FilesMarketData(tmp_path)
    assert source.candles("AAA", "1d", **EVER).height == 10
    further = [(*row[:5], 7, last) for row in table[10:]]
    with (tmp_path / "AAA.csv").open("a") as file:
        file.write(lines(further))
    os.utime(tmp_path / "AAA.csv", (1e9, 1e9))  # nobody is writing it any more
    if words is None:
        assert source.candles("AAA", "1d", **EVER)["volume"].to_list() == [-1.0] * 10 + [7.0] * 10
        return
    with pytest.raises(UpstreamInvalid, match=words):
        source.candles("AAA", "1d", **EVER)


def test_a_ticker_lacks_the_days_of_others_and_no_bars(tmp_path):
    """A stock has no weekends, a coin beside it has; a day that nobody has is a loss."""
    empty = [""] * 5
    table = [
        (day, *(row if day.weekday() < 5 else empty), *row)
        for day, row in zip(DAYS, ROWS, strict=True)
    ]
    names = f"Price{',Open,High,Low,Close,Volume' * 2}"
    head = f"{names}\nTicker{',AAA' * 5}{',BBB' * 5}\nDate{',' * 10}"
    table[3] = (DAYS[3], "n/a", *empty[1:], *ROWS[3])
    table[7] = (DAYS[7], *empty, *empty)
    (tmp_path / "all.csv").write_text(lines(table, head))
    weekdays = [day for day in DAYS if day.weekday() < 5]
    assert read(tmp_path)["timestamp"].dt.date().to_list() == weekdays
    assert read(tmp_path)["open"].null_count() == 2
    assert read(tmp_path, "BBB")["open"].null_count() == 1


NUMBERS = {
    "as in India": ("1,23,456.50", 123456.5, "12,34,567", 1234567.0),
    "rupees": ("₹1,234.50", 1234.5, "1,234,567", 1234567.0),
    "won": ("₩71,000", 71000.0, "12,345,678", 12345678.0),
    "exponents": ("1.2345e+02", 123.45, "6.460550e+05", 646055.0),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_as_the_world_writes_them(tmp_path, name):
    price, value, volume, shares = NUMBERS[name]
    table = [(day, *[f'"{price}"'] * 4, f'"{volume}"') for day in DAYS]
    (tmp_path / "AAA.csv").write_text(lines(table, HEAD))
    assert set(rows(read(tmp_path))) == {(value,) * 4 + (shares,)}


ZONE_COLUMNS = {
    "tz": "America/New_York",
    "Time Zone": "America/New_York",
    "GMT Offset": "-5",
    "exchange_timezone": "Asia/Tokyo",
}
INTRADAY = [(f"{at:%Y-%m-%d %H:%M:%S}", *row) for at, row in zip(HOURS, ROWS, strict=True)]


@pytest.mark.parametrize("name", ZONE_COLUMNS)
def test_a_zone_that_stands_beside_the_times_is_not_passed_over(tmp_path, name):
    head, value = f"{HEAD},{name}", ZONE_COLUMNS[name]
    (tmp_path / "AAA.csv").write_text(lines([(*row, value) for row in INTRADAY], head))
    words = f"line 2, column {name!r}, value {value!r}: is this the zone of its times?"
    assert words in refusal(tmp_path, interval="1h")
    (tmp_path / "bars.toml").write_text('zone = "UTC"\n')
    assert read(tmp_path, interval="1h")["timestamp"].to_list() == HOURS
    (tmp_path / "bars.toml").unlink()
    for cells in ([(*row, "UTC") for row in INTRADAY], [(*row, value) for row in dated()]):
        (tmp_path / "AAA.csv").write_text(lines(cells, head))
        assert rows(read(tmp_path)) == ROWS


def test_local_times_are_of_a_zone_that_is_set(tmp_path):
    (tmp_path / "AAA.csv").write_text(lines(INTRADAY, HEAD.replace("Date", "Local time")))
    assert "column 'Local time', value '2024-12-27 09:00:00': which zone" in refusal(
        tmp_path, interval="1h"
    )
    (tmp_path / "bars.toml").write_text('zone = "UTC"\n')
    assert read(tmp_path, interval="1h")["timestamp"].to_list() == HOURS


@pytest.mark.parametrize("name", ["Adj. Close (USD)", "Closing Price Adj.", "Adj. Last"])
def test_an_adjusted_close_of_another_name_is_asked_for_where_it_is_wanted(tmp_path, name):
    halves = [(*row, row[4] / 2, row[4]) for row in dated()]
    (tmp_path / "AAA.csv").write_text(lines(halves, f"{HEAD},{name},Unadjusted Close"))
    assert rows(read(tmp_path)) == ROWS
    (tmp_path / "bars.toml").write_text("adjusted = true\n")
    assert f"is its adjusted close '{name}'?" in refusal(tmp_path)
    text = "adjusted = true\ncolumns.adjusted_close = "
    (tmp_path / "bars.toml").write_text(f"{text}'{name}'\n")
    assert read(tmp_path)["close"].to_list() == [row[3] / 2 for row in ROWS]
    (tmp_path / "bars.toml").write_text(f"{text}''\n")
    assert rows(read(tmp_path)) == ROWS


def test_whoever_names_the_prices_names_the_volume_too(tmp_path):
    head = "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Obrot"
    (tmp_path / "AAA.csv").write_text(lines(dated(), head))
    roles = zip(("date", "open", "high", "low", "close"), head.split(","), strict=False)
    stated = "".join(f"columns.{role} = '{name}'\n" for role, name in roles)
    (tmp_path / "bars.toml").write_text(stated)
    assert "is its volume 'Obrot'?" in refusal(tmp_path)
    (tmp_path / "bars.toml").write_text(f"{stated}columns.volume = 'Obrot'\n")
    assert rows(read(tmp_path)) == ROWS
    (tmp_path / "AAA.csv").write_text(lines([row[:5] for row in dated()], head[:-6]))
    (tmp_path / "bars.toml").write_text(stated)
    assert read(tmp_path)["volume"].null_count() == len(ROWS)
