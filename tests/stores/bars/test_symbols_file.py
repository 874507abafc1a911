from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mlengine.core.calendars.market import Market
from mlengine.core.calendars.named import calendar
from mlengine.errors import CannotStart
from mlengine.stores.bars.symbols_file import parse_symbols, read_symbols, states_markets

HEADER = "symbol,calendar,timezone,currency,from,to,aliases\n"


def test_a_line_says_where_a_symbol_is_traded(tmp_path: Path) -> None:
    path = tmp_path / "symbols.csv"
    path.write_bytes(
        b"\xef\xbb\xbfSymbol, Calendar ,timezone,currency,from,to,aliases,sector\r\n"
        b"7203,XTKS,,JPY,2000-01-04,,7203.T; TYO:7203 |TM.T,cars\r\n"
        b"\r\n"
        b'"BRK B",,America/New_York,USD,,2026-11-27,,\r\n'
        b"BTC/USDT:USDT,24/7\r\n"
    )
    assert read_symbols(path) == {
        "7203": Market(
            "7203",
            calendar("XTKS"),
            None,
            "JPY",
            date(2000, 1, 4),
            None,
            ("7203.T", "TYO:7203", "TM.T"),
        ),
        "BRK B": Market(
            "BRK B", None, ZoneInfo("America/New_York"), "USD", None, date(2026, 11, 27)
        ),
        "BTC/USDT:USDT": Market("BTC/USDT:USDT", calendar("24/7")),
    }


@pytest.mark.parametrize(
    ("line", "column", "value", "expected"),
    [
        ("A,NYSE,,,,,", "calendar", "NYSE", "one of 24/7, 24/5, weekdays, sunday-thursday, XAMS, "),
        ("A,,Mars/Base,,,,", "timezone", "Mars/Base", "a zone such as Asia/Tokyo"),
        ("A,,../passwd,,,,", "timezone", "../passwd", "a zone such as Asia/Tokyo"),
        ("A,,,,01/04/2000,,", "from", "01/04/2000", "a date as YYYY-MM-DD"),
        ("A,,,,,2026-02-30,", "to", "2026-02-30", "a date as YYYY-MM-DD"),
        ("A,,,,2026-02-02,2026-02-01,", "to", "2026-02-01", "a date that is not before 'from'"),
        (",XNYS,,,,,", "symbol", "", "a symbol: 1 to 64"),
        ("-A,XNYS,,,,,", "symbol", "-A", "a symbol: 1 to 64"),
        ("A,,,,,,OTHER", "aliases", "OTHER", "another name than that of line 2"),
        ("OTHER,,,,,,", "symbol", "OTHER", "another name than that of line 2"),
    ],
)
def test_what_is_refused_is_named_with_file_line_column_and_value(
    line: str, column: str, value: str, expected: str
) -> None:
    text = f"{HEADER}OTHER,XNYS,,,,,\n\n{line}\n"
    with pytest.raises(CannotStart) as refusal:
        parse_symbols(text, name="mine.csv")
    start = f"mine.csv, line 4, column {column!r}: {value!r}: expected {expected}"
    assert str(refusal.value).startswith(start)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "mine.csv, line 1: there is no column 'symbol'"),
        (b"ticker,calendar\nA,XNYS\n", "mine.csv, line 1: there is no column 'symbol'"),
        (b"symbol,calendar\nA,XNYS,x,y\n", "mine.csv, line 2: expected 2 cells, there are 4"),
        (b"symbol\n\xff\n", "mine.csv is no text in UTF-8"),
        (None, "mine.csv can't be read: No such file or directory"),
    ],
)
def test_what_is_no_table_of_symbols_says_so(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CannotStart) as refusal:
        read_symbols(path)
    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    ("content", "states"),
    [
        (b"symbol,calendar\n", True),
        (b"SYMBOL,Aliases\n", True),
        (b"symbol,name,sector\n", False),
        (b"symbol,from,to\n", False),
        (b"symbol,timestamp,open,high,low,close,volume\n", False),
        (b"AAPL\nMSFT\n", False),
        (b"\xff\xfe\x00", False),
        (None, False),
    ],
)
def test_a_table_of_somebody_elses_states_no_markets(
    tmp_path: Path, content: bytes | None, states: bool
) -> None:
    path = tmp_path / "symbols.csv"
    if content is not None:
        path.write_bytes(content)
    assert states_markets(path) is states
