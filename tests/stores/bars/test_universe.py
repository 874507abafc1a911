from datetime import date

import pytest

from mlengine.errors import TrainingFailed
from mlengine.stores.bars.universe import parse_universe, read_universe


def _read(tmp_path, text):
    path = tmp_path / "members.csv"
    path.write_text(text)
    return read_universe(path)


def test_a_universe_is_symbols_and_dates_and_a_blank_end_is_open(tmp_path):
    universe = _read(
        tmp_path, "note,symbol,from,to\nx,AAA,2020-01-01,2020-12-31\n,BBB, 2021-02-03 ,\n"
    )
    assert universe.members.rows() == [
        ("AAA", date(2020, 1, 1), date(2020, 12, 31)),
        ("BBB", date(2021, 2, 3), None),
    ]


def test_a_symbol_may_leave_and_come_back(tmp_path):
    text = "symbol,from,to\nAAA,2020-01-01,2020-01-31\nAAA,2020-05-01,\n"
    assert _read(tmp_path, text).members.height == 2


def test_its_digest_is_that_of_the_file(tmp_path):
    universe = _read(tmp_path, "symbol,from,to\nAAA,2020-01-01,\n")
    assert parse_universe(universe.content, name="again").sha256 == universe.sha256


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no CSV table"),
        ("symbol,from\nAAA,2020-01-01\n", "needs the columns symbol, from, to"),
        ("symbol,from,to\n", "has no members"),
        ("symbol,from,to\nAAA,2020-01-01,\n,2020-01-01,\n", "line 3"),
        ("symbol,from,to\nAAA,,\n", "line 2"),
        ("symbol,from,to\nAAA,01/02/2020,\n", "line 2"),
        ("symbol,from,to\nAAA,2020-01-01,soon\n", "line 2"),
        ("symbol,from,to\nAAA,2020-01-02,2020-01-01\n", "line 2"),
    ],
)
def test_a_bad_file_is_refused_by_its_line(tmp_path, text, said):
    with pytest.raises(TrainingFailed, match=rf"TRAIN_UNIVERSE_FILE: members\.csv.*{said}"):
        _read(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(TrainingFailed, match=r"none\.csv: No such file"):
        read_universe(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00symbol")
    with pytest.raises(TrainingFailed, match=r"bytes\.csv"):
        read_universe(tmp_path / "bytes.csv")
