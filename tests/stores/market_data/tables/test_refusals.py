"""What a file leaves open, or has wrong: refused or dropped with its place, never guessed."""

from __future__ import annotations

import gzip
from datetime import date

import polars as pl
import pytest
from tests.written_tables import (
    DAYS,
    ROWS,
    dated,
    epochs,
    lines,
    read,
    rows,
)

from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.tables.text import text_head
from mlengine.stores.system.table_files import UnreadableFile

PLAIN = lines(dated(), "Date,Open,High,Low,Close,Volume")


def test_a_volume_that_no_symbol_chooses_is_refused_by_its_columns(tmp_path):
    head = "date,open,high,low,close,Volume BTC,Volume USDT"
    (tmp_path / "AAA.csv").write_text(lines([(*row, 1.0) for row in dated()], head))
    with pytest.raises(UpstreamInvalid, match=r"'Volume BTC' or 'Volume USDT'.*columns.volume"):
        read(tmp_path)
    (tmp_path / "bars.toml").write_text('columns.volume = "Volume BTC"\n')
    assert rows(read(tmp_path)) == ROWS


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


def test_a_currency_may_stand_behind_its_number(tmp_path):
    table = [(f"{day}", *(f"{value:.2f} €".replace(".", ",") for value in row[:4]), int(row[4]))
             for day, row in zip(DAYS, ROWS, strict=True)]  # fmt: skip
    (tmp_path / "AAA.csv").write_text(lines(table, "Date;Open;High;Low;Close;Volume", ";"))
    assert rows(read(tmp_path)) == ROWS


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
    text = PLAIN.replace("2025-01-02,", '"2025-01-02,')
    (tmp_path / "AAA.csv").write_text(text)
    candles = read(tmp_path)
    assert candles.height == 20
    assert candles["timestamp"].null_count() <= 1


def test_what_is_no_text_is_refused_with_its_line(tmp_path):
    text = PLAIN.replace("Volume", "Volume,Name").encode().split(b"\n")
    text[7] += b",Caf\xe9"
    (tmp_path / "AAA.csv").write_bytes(b"\n".join(text))
    with pytest.raises(UpstreamInvalid, match="can't be read: line 8 is no text in UTF-8"):
        read(tmp_path)


def test_a_doubtful_comma_is_named_by_the_column_that_it_stands_in(tmp_path):
    table = [(f"{day}", "1250", *['"1,250"'] * 3, 7) for day in DAYS]
    (tmp_path / "AAA.csv").write_text(lines(table, "Date,Open,High,Low,Close,Volume"))
    with pytest.raises(UpstreamInvalid, match="line 2, column 'High', value '1,250'"):
        read(tmp_path)


def test_a_text_that_is_no_utf_8_is_refused_with_its_line(tmp_path):
    (tmp_path / "AAA.csv.gz").write_bytes(gzip.compress(PLAIN.encode() + b"\xff\xfe\xfd\n"))
    with pytest.raises(UpstreamInvalid, match=r"'AAA.csv.gz' can't be read: line 22 is no text"):
        read(tmp_path)


def test_twelve_values_of_which_some_are_no_numbers_are_no_klines(tmp_path):
    table = [(f"{day}", *row, 1, 1, 1, 1, 1, 1) for day, row in zip(DAYS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(table))
    with pytest.raises(UpstreamInvalid, match="has no header"):
        read(tmp_path)


def test_stated_columns_that_no_separator_gives_are_refused(tmp_path):
    names = ["date", "open", "high", "low", "close", "volume", "note"]
    (tmp_path / "bars.toml").write_text(f"columns = {names}\n")
    (tmp_path / "AAA.csv").write_text("2024-01-01 1 2 1 1 5 x y\n2024-01-02 1 2 1 1 5 x y\n")
    with pytest.raises(UpstreamInvalid, match=r"AAA\.csv"):
        read(tmp_path)


def test_a_line_being_written_that_says_no_price_costs_no_other(tmp_path):
    (tmp_path / "AAA.csv").write_text(PLAIN + "x,y,z,y,z,")
    assert rows(read(tmp_path)) == ROWS


def test_a_text_that_is_not_there_is_unreadable(tmp_path):
    with pytest.raises(UnreadableFile):
        text_head(tmp_path / "none.csv")


def test_a_line_being_written_that_has_but_a_separator_costs_no_other(tmp_path):
    (tmp_path / "AAA.csv").write_text(PLAIN + ",")
    assert rows(read(tmp_path)) == ROWS


def test_a_bar_that_may_be_final_or_not_is_refused_with_its_place(tmp_path):
    flagged = [(*row, "no" if i == 19 else "yes") for i, row in enumerate(dated())]
    head = "Date,Open,High,Low,Close,Volume,Final"
    (tmp_path / "AAA.csv").write_text(lines([*flagged, head.split(",")], head))
    assert read(tmp_path)["final"].to_list()[:20] == [True] * 19 + [False]
    flagged[7] = (*flagged[7][:-1], "partly")
    (tmp_path / "AAA.csv").write_text(lines(flagged, head))
    message = r"line 9, column 'Final', value 'partly': it is neither true nor false"
    with pytest.raises(UpstreamInvalid, match=message):
        read(tmp_path)
    (tmp_path / "bars.toml").write_text('columns.final = ""\n')
    assert read(tmp_path)["final"].null_count() == 20


@pytest.mark.parametrize(
    "name", ["Total Traded Quantity", "AskVolume", "Up", "成交量", "Stücke", "Объём"]
)
def test_a_column_that_may_be_the_volume_makes_no_market_without_one(tmp_path, name):
    (tmp_path / "AAA.csv").write_text(lines(dated(), f"Date,Open,High,Low,Close,{name}"))
    with pytest.raises(UpstreamInvalid, match=f"is its volume '{name}'.*columns.volume"):
        read(tmp_path)
    (tmp_path / "bars.toml").write_text(f'columns.volume = "{name}"\n')
    assert rows(read(tmp_path)) == ROWS
    (tmp_path / "bars.toml").write_text('columns.volume = ""\n')
    assert read(tmp_path)["volume"].null_count() == len(DAYS)


def test_a_stated_format_of_dates_holds_beside_a_column_of_times(tmp_path):
    table = [(f"{day:%d%m%y}", "093000", *row) for day, row in zip(DAYS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(table, "Date;Time;Open;High;Low;Close;Vol", ";"))
    with pytest.raises(UpstreamInvalid, match=r"value '271224'.*bars.toml can state date_format"):
        read(tmp_path)
    (tmp_path / "bars.toml").write_text('date_format = "%d%m%y"\n')
    starts = read(tmp_path)["timestamp"]
    assert starts.dt.date().to_list() == DAYS
    assert set(starts.dt.strftime("%H:%M").to_list()) == {"09:30"}


def test_prices_in_fractions_are_no_thousands(tmp_path):
    """102'16 is 102 and a half; an apostrophe that groups stands before three digits."""
    table = [(f"{day}", *[f"{102 + i}'16"] * 4, 7) for i, day in enumerate(DAYS)]
    (tmp_path / "AAA.csv").write_text(lines(table, "Date,Open,High,Low,Close,Volume"))
    with pytest.raises(UpstreamInvalid, match=r"line 2, column 'Open', value \"102'16\": it is no"):
        read(tmp_path)
    for sign in ("'", " ", "\u202f"):
        table = [(f"{day}", *[f"1{sign}234{sign}567.25"] * 4, 7) for day in DAYS]
        (tmp_path / "AAA.csv").write_text(lines(table, "Date,Open,High,Low,Close,Volume"))
        assert set(read(tmp_path)["open"].to_list()) == {1234567.25}


def test_rows_that_all_lack_the_last_cell_are_refused(tmp_path):
    """An `Adj Close` that only the header has would make the volume one, and leave none."""
    head = "Date,Open,High,Low,Close,Adj Close,Volume"
    (tmp_path / "AAA.csv").write_text(lines(dated(), head))
    with pytest.raises(UpstreamInvalid, match="line 2 has 6 cells, where the header has 7"):
        read(tmp_path)
    (tmp_path / "AAA.csv").write_text(lines(dated(), "Date,Open,High,Low,Close,Volume,"))
    assert rows(read(tmp_path)) == ROWS
