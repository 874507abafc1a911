"""Files of other kinds and in other letters: read by what says how, or refused in plain words."""

from __future__ import annotations

import bz2
import io
import lzma
import os
import zipfile
from datetime import date, time

import polars as pl
import pytest
from tests.written_tables import DAYS, ROWS, dated, lines, read, rows

from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData

HEAD = "Date,Open,High,Low,Close,Volume"
PLAIN = lines(dated(), HEAD)


def refusal(folder, symbol="AAA"):
    with pytest.raises(UpstreamInvalid) as raised:
        read(folder, symbol=symbol)
    return raised.value.reason


def test_what_is_no_file_costs_its_own_symbol_and_is_listed(tmp_path):
    (tmp_path / "AAA.csv").write_text(PLAIN)
    (tmp_path / "LINK.csv").symlink_to("AAA.csv")
    (tmp_path / "DIR.csv").mkdir()
    (tmp_path / "LOOP.csv").symlink_to("LOOP.csv")
    (tmp_path / "GONE.csv").symlink_to("nowhere.csv")
    os.mkfifo(tmp_path / "PIPE.csv")
    listed = dict(FilesMarketData(tmp_path).refused_files())
    assert listed == {
        "DIR.csv": "the file 'DIR.csv' is a folder; only files are read, and those of one folder",
        "LOOP.csv": "the file 'LOOP.csv' is a link that leads nowhere",
        "GONE.csv": "the file 'GONE.csv' is a link that leads nowhere",
        "PIPE.csv": "the file 'PIPE.csv' is no ordinary file",
    }
    assert rows(read(tmp_path)) == rows(read(tmp_path, symbol="LINK")) == ROWS
    assert refusal(tmp_path, "LOOP") == listed["LOOP.csv"]
    (tmp_path / "GONE.csv").unlink()
    (tmp_path / "GONE.csv").write_text(PLAIN)
    assert rows(read(tmp_path, symbol="GONE")) == ROWS


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    (tmp_path / "AAA.csv").write_text(PLAIN)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert refusal(tmp_path) == "the file 'AAA.csv' can't be read: it is not allowed"


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("AAA.csv", PLAIN)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("AAA.csv.xz", lzma.compress(PLAIN.encode()), "is packed or a workbook; unpack it"),
        ("AAA.zip", zipped(), "is packed or a workbook; unpack it"),
        ("AAA.xlsx", zipped(), "save it as CSV"),
        ("AAA.parquet.gz", b"\x1f\x8b", "is packed or a workbook; unpack it"),
        ("AAA.pkl", b"\x80\x04", "is a .pkl file, which is not read; save it as .csv or .parquet"),
        ("AAA.pq", b"PAR1", "save it as .csv or .parquet"),
        ("AAA.csv", zipped(), "is a ZIP archive or a workbook"),
        ("AAA.csv", bz2.compress(PLAIN.encode()), "is packed by bzip2"),
        ("AAA.csv", b"<!DOCTYPE html>\n<html><title>Sign in</title>", "is HTML or XML"),
        ("AAA.csv", PLAIN.encode("utf-16-le"), "bars.toml can state encoding"),
        ("AAA.csv", "銘柄\n日付,始値,高値".encode("shift-jis"), "bars.toml can state encoding"),
        ("AAA.csv", b"Datum;Hoch;Tief\n", r"'Datum, Hoch, Tief' \(bars.toml can name them"),
        ("AAA.txt", PLAIN.replace(",", "  ").encode(), "has blanks between its columns"),
        ("AAA.csv", f"{HEAD}\n".encode(), "has a header and no rows"),
        ("AAA.csv.gz", b"\x1f\x8b\x08\x00", "it is cut short, or damaged"),
    ],
)
def test_what_is_no_table_is_refused_by_what_it_is(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UpstreamInvalid, match=rf"'{name}' .*{words}"):
        read(tmp_path)


def test_prose_with_words_of_a_header_is_passed_over(tmp_path):
    (tmp_path / "AAA.csv").write_text(PLAIN)
    prose = "the low and the high of a day may stand before the open and after the close\n"
    (tmp_path / "notes.txt").write_text(prose)
    source = FilesMarketData(tmp_path)
    assert (source.refused_files(), source.symbols()) == ([], ["AAA"])


LETTERS = {"cp1252": "Séance", "utf-16-le": "Séance", "shift-jis": "日付"}


@pytest.mark.parametrize("encoding", LETTERS)
def test_an_encoding_can_be_stated(tmp_path, encoding):
    text = lines([(*row, LETTERS[encoding]) for row in dated()], f"{HEAD},{LETTERS[encoding]}")
    (tmp_path / "AAA.csv").write_bytes(text.encode(encoding))
    assert "encoding" in refusal(tmp_path)
    (tmp_path / "bars.toml").write_text(f'encoding = "{encoding}"\n')
    source = FilesMarketData(tmp_path)
    assert rows(read(tmp_path)) == ROWS
    assert source.refused_files() == []


@pytest.mark.parametrize("encoding", ["hex", "nonsense", ""])
def test_an_encoding_that_is_none_refuses_the_folder(tmp_path, encoding):
    (tmp_path / "AAA.csv").write_text(PLAIN)
    (tmp_path / "bars.toml").write_text(f'encoding = "{encoding}"\n')
    assert "encoding" in refusal(tmp_path)


def test_lines_may_end_with_a_carriage_return_alone(tmp_path):
    (tmp_path / "AAA.csv").write_bytes(PLAIN.replace("\n", "\r").encode())
    assert rows(read(tmp_path)) == ROWS


def test_days_of_a_spreadsheet_are_read_where_that_is_stated(tmp_path):
    serials = [((day - date(1899, 12, 30)).days, *row) for day, row in zip(DAYS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(serials, HEAD))
    assert "bars.toml can state unit, such as unit = 'excel'" in refusal(tmp_path)
    (tmp_path / "bars.toml").write_text('unit = "excel"\n')
    assert read(tmp_path)["session"].to_list() == DAYS
    hours = [(f"{serial + 0.6041666667}", *row) for serial, *row in serials]
    (tmp_path / "AAA.csv").write_text(lines(hours, HEAD))
    times = read(tmp_path)["timestamp"]
    assert times.dt.date().to_list() == DAYS
    assert set(times.dt.time().to_list()) == {time(14, 30)}


def test_two_columns_of_one_name_are_refused_where_they_differ(tmp_path):
    head = "Date,Open,High,Low,Close,Close,Volume"
    twice = [(*row[:5], row[4], row[5]) for row in dated()]
    (tmp_path / "AAA.csv").write_text(lines(twice, head))
    assert rows(read(tmp_path)) == ROWS
    other = [(*row[:5], row[4] / 2, row[5]) for row in dated()]
    (tmp_path / "AAA.csv").write_text(lines(other, head))
    assert "has two columns 'Close', the columns 5 and 6, which differ" in refusal(tmp_path)
    names = '"date", "open", "high", "low", "close", "half", "volume"'
    (tmp_path / "bars.toml").write_text(f"columns = [{names}]\n")
    assert rows(read(tmp_path)) == ROWS


def test_dots_that_may_group_thousands_are_refused_with_their_place(tmp_path):
    """All prices over a thousand and no volume of a million: 1.234 may be either."""
    table = [
        (f"{day}", *(f"{int(price * 20):,}".replace(",", ".") for price in row[:4]), "12.345")
        for day, row in zip(DAYS, ROWS, strict=True)
    ]
    (tmp_path / "AAA.csv").write_text(lines(table, HEAD.replace(",", ";"), ";"))
    message = r"'AAA.csv', line 2, column 'Volume', value '12.345': is its dot .* Set decimal"
    with pytest.raises(UpstreamInvalid, match=message):
        read(tmp_path)
    (tmp_path / "bars.toml").write_text('decimal = ","\n')
    assert read(tmp_path)["volume"].to_list() == [12_345.0] * len(DAYS)
    (tmp_path / "bars.toml").write_text('decimal = "."\n')
    assert read(tmp_path)["volume"].to_list() == [12.345] * len(DAYS)


@pytest.mark.parametrize("by_ticker", [False, True])
def test_columns_that_pandas_names_for_price_and_ticker_are_of_each_ticker(tmp_path, by_ticker):
    columns: dict[str, object] = {}
    for ticker, factor in (("AAA", 1), ("BBB", 2)):
        for i, price in enumerate(("Open", "High", "Low", "Close", "Volume")):
            pair = (ticker, price) if by_ticker else (price, ticker)
            columns[str(pair)] = [row[i] * factor for row in ROWS]
    pl.DataFrame({**columns, "Date": DAYS}).write_parquet(tmp_path / "download.parquet")
    source = FilesMarketData(tmp_path)
    assert source.symbols() == ["AAA", "BBB"]
    assert rows(read(tmp_path)) == ROWS
    doubled = [tuple(value * 2 for value in row) for row in ROWS]
    assert rows(read(tmp_path, symbol="BBB")) == doubled
    assert source.raw_cell("download.parquet", 3, "close", "BBB") == str(doubled[2][3])


def test_the_index_of_a_frame_may_stand_last_and_have_no_name(tmp_path):
    table = dict(zip(("open", "high", "low", "close", "volume"), zip(*ROWS, strict=True),
                     strict=True))  # fmt: skip
    frame = pl.DataFrame({**table, "__index_level_0__": DAYS})
    frame.write_parquet(tmp_path / "AAA.parquet")
    assert rows(read(tmp_path)) == ROWS


def test_a_zone_of_the_file_gives_its_days_their_dates(tmp_path):
    clocks = [(f"{day} 00:00:00", *row) for day, row in zip(DAYS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(clocks, HEAD))
    (tmp_path / "bars.toml").write_text('zone = "Asia/Tokyo"\n')
    assert read(tmp_path)["session"].to_list() == DAYS
