from __future__ import annotations

from datetime import date

import pytest

from mlengine.core.actions.actions import StatedAction
from mlengine.core.actions.kinds import DIVIDEND, SPLIT, SYMBOL_CHANGE
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.actions.file import parse_actions, read_actions

HEADER = "symbol,date,kind,value,announced,new_symbol\n"


def parse(text: str, header: str = HEADER):
    return parse_actions(header + text, name="actions.csv")


def test_splits_dividends_and_changes_of_symbols_are_read():
    table = parse(
        "AAPL,2020-08-31,split,4,2020-07-30,\n"
        "AAPL,2020-08-07,Dividend,0.82,,\n"
        "\n"
        "FB,2022-06-09,symbol_change,,2022-05-31,META\n"
    )
    assert table.refused == {}
    assert table.actions == {
        "AAPL": (
            StatedAction("AAPL", date(2020, 8, 31), SPLIT, 4.0, announced=date(2020, 7, 30)),
            StatedAction("AAPL", date(2020, 8, 7), DIVIDEND, 0.82),
        ),
        "META": (
            StatedAction(
                "META", date(2022, 6, 9), SYMBOL_CHANGE, 1.0, "FB", announced=date(2022, 5, 31)
            ),
        ),
    }


def test_four_columns_in_any_order_and_case_are_enough():
    table = parse(
        "4,split,2020-08-31,AAPL", header="\ufeffValue,KIND, date ,Symbol\n".lstrip("\ufeff")
    )
    assert table.actions["AAPL"][0].value == 4.0


def test_what_is_repeated_counts_once_and_dividends_of_one_day_add_up():
    table = parse(
        "A,2020-08-31,split,4,,\n"
        "A,2020-08-31,split,4,2020-08-01,\n"
        "A,2020-08-31,dividend,1,,\n"
        "A,2020-08-31,dividend,1,,\n"
        "A,2020-08-31,dividend,0.5,,\n"
    )
    assert [(each.kind, each.value) for each in table.actions["A"]] == [(SPLIT, 4), (DIVIDEND, 1.5)]


@pytest.mark.parametrize(
    ("line", "column", "value"),
    [
        ("A,2020-08-31,splt,4,,", "kind", "splt"),
        ("A,31.08.2020,split,4,,", "date", "31.08.2020"),
        ("A,2020-02-30,split,4,,", "date", "2020-02-30"),
        ("A,,split,4,,", "date", ""),
        ("A,2020-08-31,split,4:1,,", "value", "4:1"),
        ("A,2020-08-31,split,0,,", "value", "0"),
        ("A,2020-08-31,split,,,", "value", ""),
        ("A,2020-08-31,split,1e999,,", "value", "1e999"),
        ("A,2020-08-31,dividend,-1,,", "value", "-1"),
        ("A,2020-08-31,dividend,nan,,", "value", "nan"),
        ('A,2020-08-31,dividend,"0,82",,', "value", "0,82"),
        ("A,2020-08-31,split,4,yesterday,", "announced", "yesterday"),
        ("A,2020-08-31,symbol_change,,,", "new_symbol", ""),
        ("A,2020-08-31,symbol_change,,,A", "new_symbol", "A"),
        ("A,2020-08-31,split,4,,,7", "new_symbol", "7"),
    ],
)
def test_a_line_that_is_refused_names_line_column_and_value_and_costs_its_symbol_alone(
    line, column, value
):
    table = parse(f"B,2020-01-02,split,2,,\n{line}\n")
    assert set(table.refused) == {"A"}
    assert f"actions.csv, line 3, column {column!r}: {value!r}: expected " in str(
        table.refused["A"]
    )
    assert table.actions["B"][0].value == 2.0


def test_two_splits_of_one_day_are_refused():
    table = parse("A,2020-08-31,split,4,,\nA,2020-08-31,split,5,,\n")
    assert (
        "line 3, column 'value': '5.0': expected one split of A a day" in table.refused["A"].reason
    )


def test_a_line_that_names_no_symbol_is_refused_for_all():
    with pytest.raises(UpstreamInvalid, match="line 2, column 'symbol'"):
        parse(",2020-08-31,split,4,,\n")


@pytest.mark.parametrize("header", ["", "symbol,date,kind\n", "ticker,date,kind,value\n"])
def test_a_file_without_a_column_is_refused(header):
    with pytest.raises(UpstreamInvalid, match=r"actions\.csv, line 1: there is no column"):
        parse("A,2020-08-31,split,4\n", header=header)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b'symbol,date,kind,value\n"' + b"x" * 200_000]
)
def test_what_is_no_text_and_no_csv_is_refused(tmp_path, content):
    path = tmp_path / "actions.csv"
    path.write_bytes(content)
    with pytest.raises(UpstreamInvalid, match=r"actions\.csv is no"):
        read_actions(path)


def test_a_file_from_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "actions.csv"
    path.write_bytes(b"\xef\xbb\xbfsymbol,date,kind,value\r\nA,2020-08-31,split,4\r\n")
    assert read_actions(path).actions["A"][0].value == 4.0
