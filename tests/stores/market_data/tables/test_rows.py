"""Rows that are none, headers among them, and cells of databases and spreadsheets."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from tests.written_tables import DAYS, EVER, MIDNIGHTS, ROWS, dated, lines, read, rows

from mlengine.core.bars.cleaning import clean_bars
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData

HEADER = "Date,Open,High,Low,Close,Volume"
BLANK_END = ",,,,,\r\n" * 300


def refusal(folder, interval="1d"):
    with pytest.raises(UpstreamInvalid) as refused:
        read(folder, interval=interval)
    return refused.value.reason


@pytest.mark.parametrize(
    "text",
    [
        lines(dated(), HEADER).replace("\n", "\r\n") + BLANK_END,
        lines(dated(), HEADER).replace("\n", "\n\n"),
        "\n\n" + lines(dated(), HEADER) + "\n" * 50,
    ],
    ids=["spreadsheet", "double-spaced", "ends"],
)
def test_blank_rows_are_no_rows(tmp_path, text):
    """Not even lost ones: a table is not refused for the paper below it."""
    (tmp_path / "AAA.csv").write_text(text, newline="")
    assert rows(read(tmp_path)) == ROWS
    assert read(tmp_path)["timestamp"].to_list() == MIDNIGHTS


def test_a_few_lines_without_anything_are_counted(tmp_path):
    (tmp_path / "AAA.csv").write_text(lines(dated()[:10], HEADER) + "\n" + lines(dated()[10:]))
    assert read(tmp_path)["timestamp"].to_list() == [*MIDNIGHTS[:10], None, *MIDNIGHTS[10:]]


def test_blank_rows_of_a_typed_file_are_no_rows(tmp_path):
    frame = pl.DataFrame(dated(), orient="row", schema=HEADER.split(","))
    blank = pl.DataFrame({name: [None] * 40 for name in frame.columns}, schema=frame.schema)
    pl.concat([frame, blank]).write_parquet(tmp_path / "AAA.parquet")
    assert rows(read(tmp_path)) == ROWS


def test_blank_rows_keep_the_lines_of_others_and_ragged_ones_are_lost(tmp_path):
    text = lines(dated()[:10], HEADER) + ",,,,,\n,,,,,\n" + "2025-01-06,1,2\n" + lines(dated()[10:])
    (tmp_path / "AAA.csv").write_text(text)
    candles = read(tmp_path)
    assert candles["line"].to_list() == [*range(2, 12), *range(14, 25)]
    report = clean_bars(candles, interval="1d", now=datetime(2026, 1, 1, tzinfo=UTC)).report
    assert report.dropped == {"no_timestamp": 1}


def test_blank_rows_between_tickers_are_none_of_theirs(tmp_path):
    header = "Date" + ",AAA" * 5 + ",BBB" * 5
    names = "Ticker" + ",Open,High,Low,Close,Volume" * 2
    cells = [(day, *row, *row) for day, row in zip(DAYS, ROWS, strict=True)]
    text = names.replace("Ticker", "Date") + "\n" + header.replace("Date", "Ticker") + "\n"
    (tmp_path / "all.csv").write_text(text + lines(cells) + ("," * 10 + "\n") * 3)
    assert rows(read(tmp_path)) == ROWS


@pytest.mark.parametrize("units", [",USD,USD,USD,USD,shares", ",EUR,EUR,EUR,EUR,EUR"])
def test_a_line_of_units_names_no_tickers(tmp_path, units):
    (tmp_path / "AAA.csv").write_text(f"{HEADER}\n{units}\n" + lines(dated()))
    candles = read(tmp_path)
    assert rows(candles)[1:] == ROWS
    assert candles["timestamp"].to_list() == [None, *MIDNIGHTS]


@pytest.mark.parametrize(
    "header",
    [
        "Date,Open,High,Low,Close,Adj Close,Volume",
        "Date,Open,High,Low,Close",
        "Date,Close,Open,High,Low,Volume,Adj Close",
    ],
)
@pytest.mark.parametrize("end", ["\n", ""])
def test_a_header_of_other_columns_within_a_file_is_refused_with_its_line(tmp_path, header, end):
    """Also one that follows a row without an end."""
    before = lines(dated()[:12], HEADER).removesuffix("\n") + end
    after = "".join(f"{day}{',1.0' * header.count(',')}\n" for day in DAYS[12:])
    (tmp_path / "AAA.csv").write_text(f"{before}{header}\n{after}")
    line = 14 if end else 13
    words = f"line {line} has a header of other columns than the first; split the file there"
    assert words in refusal(tmp_path)


def test_a_header_of_other_columns_that_is_appended_is_refused(tmp_path):
    path = tmp_path / "AAA.csv"
    path.write_text(lines(dated(), HEADER))
    source = FilesMarketData(tmp_path)
    assert source.candles("AAA", "1d", **EVER).height == len(DAYS)
    with path.open("a") as file:
        file.write("Date,Open,High,Low,Close,Adj Close,Volume\n2025-02-03,1,1,1,1,1,1\n")
    os.utime(path, (path.stat().st_mtime - 60,) * 2)
    with pytest.raises(UpstreamInvalid, match="line 22 has a header of other columns"):
        source.candles("AAA", "1d", **EVER)


@pytest.mark.parametrize("header", [f"{HEADER},", f"1000{HEADER}"])
def test_the_same_header_within_a_file_is_one_row_less(tmp_path, header):
    (tmp_path / "AAA.csv").write_text(
        lines(dated(), HEADER) + "2025-01-17,1,1,1,1," * ("1000" in header) + header + "\n"
    )
    assert rows(read(tmp_path))[:20] == ROWS


@pytest.mark.parametrize("form", ["%Y-%d-%m", "%Y/%d/%m", "%Y.%d.%m %H:%M"])
def test_a_day_between_year_and_month_is_no_month(tmp_path, form):
    (tmp_path / "AAA.csv").write_text(lines(dated(form=form), HEADER))
    reason = refusal(tmp_path)
    place = f"the file 'AAA.csv', line 2, column 'Date', value '{DAYS[0]:{form}}'"
    assert f"{place}: is its day between year and month?" in reason
    assert "Set date_format in bars.toml" in reason
    (tmp_path / "bars.toml").write_text(f"date_format = '{form}'\n")
    assert read(tmp_path)["timestamp"].to_list() == MIDNIGHTS


def test_one_date_that_never_was_costs_its_row_alone(tmp_path):
    (tmp_path / "AAA.csv").write_text(lines([*dated(), ("2025-13-01", *ROWS[0])], HEADER))
    assert read(tmp_path)["timestamp"].to_list() == [*MIDNIGHTS, None]


@pytest.mark.parametrize(("ticks", "first"), [(1, "36000"), (1000, "36000000")])
def test_seconds_since_midnight_are_no_time_of_the_day(tmp_path, ticks, first):
    """36000 is ten o'clock, and no four of the morning less a minute."""
    cells = [(DAYS[0], (34_200 + 900 * i) * ticks, *row) for i, row in enumerate(ROWS)]
    (tmp_path / "AAA.csv").write_text(lines(cells, HEADER.replace("Date", "Date,Time")))
    reason = refusal(tmp_path, "15m")
    assert "the file 'AAA.csv', line 3, column 'Time', value '35100" in reason or first in reason
    assert "is no time of the day in digits" in reason
    assert "columns.time = ''" in reason


def test_a_damaged_time_of_the_day_costs_its_row_alone(tmp_path):
    cells = [(DAYS[0], 900 + i, *row) for i, row in enumerate(ROWS)]
    cells[7] = (DAYS[0], 999, *ROWS[7])
    (tmp_path / "AAA.csv").write_text(lines(cells, HEADER.replace("Date", "Date,Time")))
    assert read(tmp_path, interval="1m")["timestamp"].null_count() == 1


@pytest.mark.parametrize(("yes", "no"), [("t", "f"), ("Y", "N"), ("True", "False")])
def test_flags_are_those_of_databases_too(tmp_path, yes, no):
    cells = [(*row, no if i == 19 else yes) for i, row in enumerate(dated())]
    (tmp_path / "AAA.csv").write_text(lines(cells, f"{HEADER},is_final"))
    assert read(tmp_path)["final"].to_list() == [True] * 19 + [False]


@pytest.mark.parametrize("unknown", ["\\N", "<NA>", "N.A.", "(null)", ".", "#NV", "#VALUE!", "—"])
def test_a_volume_that_is_unknown_throughout_is_none(tmp_path, unknown):
    cells = [(*row[:-1], unknown) for row in dated()]
    (tmp_path / "AAA.csv").write_text(lines(cells, HEADER))
    assert read(tmp_path)["volume"].null_count() == len(ROWS)
    assert rows(read(tmp_path).drop("volume").with_columns(volume=0.0)) == [
        (*r[:4], 0.0) for r in ROWS
    ]


def test_a_volume_in_words_is_refused_with_the_setting_that_decides(tmp_path):
    (tmp_path / "AAA.csv").write_text(lines([(*row[:-1], "1.2 Mio") for row in dated()], HEADER))
    reason = refusal(tmp_path)
    assert "the file 'AAA.csv', line 2, column 'Volume', value '1.2 Mio': it is no number" in reason
    assert "columns.volume, or '' for none" in reason


@pytest.mark.parametrize(
    "name", ["Asset_ID", "stock_id", "instrument_token", "Expiry", "expiration date", "maturity"]
)
def test_what_tells_rows_apart_may_be_their_symbol(tmp_path, name):
    cells = [(day, i // 10, *row) for i, (day, row) in enumerate(zip(DAYS, ROWS, strict=True))]
    (tmp_path / "AAA.csv").write_text(lines(cells, HEADER.replace("Date", f"Date,{name}")))
    assert f"are its symbols in the column '{name}'?" in refusal(tmp_path)
    (tmp_path / "bars.toml").write_text("columns = { symbol = '' }\n")
    assert rows(read(tmp_path)) == ROWS


@pytest.mark.parametrize("name", ["id", "trade_id", "Stock Splits", "asset class", "contracts"])
def test_what_counts_rows_is_no_symbol(tmp_path, name):
    cells = [(day, i, *row) for i, (day, row) in enumerate(zip(DAYS, ROWS, strict=True))]
    (tmp_path / "AAA.csv").write_text(lines(cells, HEADER.replace("Date", f"Date,{name}")))
    assert rows(read(tmp_path)) == ROWS


def test_september_has_two_abbreviations(tmp_path):
    days = [date(2024, 8, 25) + timedelta(days=i) for i in range(20)]
    text = lines(
        [(f'"{day:%b %d, %Y}"', *row) for day, row in zip(days, ROWS, strict=True)], HEADER
    )
    (tmp_path / "AAA.csv").write_text(text.replace("Sep ", "Sept "))
    assert read(tmp_path)["timestamp"].dt.date().to_list() == days


def test_an_index_that_is_empty_is_no_time(tmp_path):
    cells = [("", f"{day}T00:00:00Z", *row) for day, row in zip(DAYS, ROWS, strict=True)]
    header = HEADER.replace("Date", ",_time")
    (tmp_path / "AAA.csv").write_text(lines(cells, header))
    assert read(tmp_path)["timestamp"].to_list() == MIDNIGHTS
    (tmp_path / "AAA.csv").write_text(lines(cells, header.replace("_time", "_when")))
    assert "has no column timestamp" in refusal(tmp_path)


NAMES = ("Open", "High", "Low", "Close", "Volume", "Adjusted")


@pytest.mark.parametrize("form", ["{0}.{1}", "{1}_{0}", "{0} {1}", "{1} {0}"])
@pytest.mark.parametrize(
    ("file", "symbol"), [("AAA", "AAA"), ("BRK-B", "BRK.B"), ("%5EGSPC", "GSPC")]
)
def test_columns_may_have_the_symbol_in_their_names(tmp_path, form, file, symbol):
    header = ",".join(["", *(form.format(symbol, name) for name in NAMES)])
    cells = [(*row, row[4] / 2) for row in dated()]
    (tmp_path / f"{file}.csv").write_text(lines(cells, header))
    name = file.replace("%5E", "^")
    assert rows(read(tmp_path, name)) == ROWS
    halves = FilesMarketData(tmp_path, adjusted=True).candles(name, "1d", **EVER)
    assert halves["close"].to_list() == [row[3] / 2 for row in ROWS]
    source = FilesMarketData(tmp_path)
    source.candles(name, "1d", **EVER)
    assert source.raw_cell(f"{file}.csv", 2, "close", name) == str(ROWS[0][3])


def test_columns_of_a_typed_file_may_have_it_as_well(tmp_path):
    schema = ["Date", *(f"{name}_AAA" for name in NAMES[:5])]
    pl.DataFrame(dated(), orient="row", schema=schema).write_parquet(tmp_path / "AAA.parquet")
    assert rows(read(tmp_path)) == ROWS


@pytest.mark.parametrize("form", ["bid_{1}", "{1}_usd", "BBB.{1}"])
def test_columns_of_something_else_than_the_symbol_are_refused(tmp_path, form):
    header = ",".join(["Date", *(form.format("AAA", name) for name in NAMES[:5])])
    (tmp_path / "AAA.csv").write_text(lines(dated(), header))
    assert "has no column of prices in its header" in refusal(tmp_path)
    names = {name.lower(): form.format("AAA", name) for name in NAMES[:5]}
    named = ", ".join(f"{role} = '{name}'" for role, name in names.items())
    (tmp_path / "bars.toml").write_text(f"columns = {{ {named} }}\n")
    assert rows(read(tmp_path)) == ROWS


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_that_are_stated_are_those_of_the_file(tmp_path, suffix):
    schema = ["Date", *(f"AAA.{name}" for name in NAMES[:5])]
    frame = pl.DataFrame(dated(), orient="row", schema=schema)
    if suffix == "csv":
        frame.write_csv(tmp_path / "AAA.csv")
    else:
        frame.write_parquet(tmp_path / "AAA.parquet")
    named = ", ".join(f"{name.lower()} = 'AAA.{name}'" for name in NAMES[:5])
    (tmp_path / "bars.toml").write_text(f"columns = {{ {named} }}\n")
    assert rows(read(tmp_path)) == ROWS


def test_a_column_whose_role_is_stated_is_not_asked_for_as_a_symbol(tmp_path):
    (tmp_path / "AAA.csv").write_text(lines(dated(), HEADER.replace("Date", "Delivery Day")))
    (tmp_path / "bars.toml").write_text("columns = { timestamp = 'Delivery Day' }\n")
    assert read(tmp_path)["timestamp"].to_list() == MIDNIGHTS
