"""Files that somebody writes to while they are read."""

import gzip
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.factories import START, panel, random_bars

from mlengine.core.bars.bars import BARS_SCHEMA
from mlengine.errors import UnknownSymbol, UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData
from mlengine.stores.market_data.tables import text_file
from mlengine.stores.market_data.tables.settings import TableSettings
from mlengine.stores.system.table_files import UnreadableFile

EVER = {"start": datetime(1970, 1, 1, tzinfo=UTC), "end": datetime(2100, 1, 1, tzinfo=UTC)}
DAY = timedelta(days=1)


@pytest.fixture
def bytes_parsed(monkeypatch) -> list[int]:
    """How many bytes each reading of a text parsed."""
    sizes: list[int] = []
    read_text = text_file.read_text

    def counted(content, *args):
        sizes.append(len(content))
        return read_text(content, *args)

    monkeypatch.setattr(text_file, "read_text", counted)
    return sizes


def append(file: Path, text: str) -> None:
    with file.open("a") as opened:
        opened.write(text)


def body(bars: pl.DataFrame) -> str:
    return bars.write_csv(include_header=False)


@pytest.mark.parametrize("symbols", [1, 3])
def test_only_what_was_appended_is_parsed(tmp_path, bytes_parsed, symbols):
    whole = panel(symbols, rows=60).sort("timestamp", maintain_order=True)
    file = tmp_path / "all.csv"
    whole.head(30 * symbols).write_csv(file)
    market = FilesMarketData(tmp_path)
    for rows in range(30 * symbols, 60 * symbols, symbols):
        step = whole.slice(rows, symbols)
        append(file, body(step))
        candles = market.candles("S00", "1d", **EVER)
        expected = whole.head(rows + symbols).filter(pl.col("symbol") == "S00")
        assert candles.select(list(BARS_SCHEMA)).equals(expected)
        assert bytes_parsed.pop() < 500 * symbols or rows == 30 * symbols
    assert candles["line"].to_list() == list(range(2, 60 * symbols + 2, symbols))


def test_a_torn_line_is_unfinished_and_read_once_it_is_whole(tmp_path, bytes_parsed):
    bars = random_bars("AAA", rows=31)
    file = tmp_path / "AAA.csv"
    bars.head(30).write_csv(file)
    market = FilesMarketData(tmp_path)
    assert market.candles("AAA", "1d", **EVER).height == 30
    line = body(bars.tail(1))
    for cut in range(1, len(line) - 1):
        append(file, line[cut - 1])
        candles = market.candles("AAA", "1d", **EVER)
        final = candles.filter(pl.col("final").is_null())
        assert final.select(list(BARS_SCHEMA)).equals(bars.head(30))
        torn = candles.filter(pl.col("final").is_not_null())
        assert torn.height <= 1
        assert torn["timestamp"].to_list() in ([], [bars["timestamp"][30]])
    append(file, line[-2:])
    candles = market.candles("AAA", "1d", **EVER)
    assert candles.select(list(BARS_SCHEMA)).equals(bars)
    assert candles["final"].null_count() == 31
    assert max(bytes_parsed[1:]) < 200


@pytest.mark.parametrize("change", ["first", "last", "middle", "replaced", "shorter", "other rows"])
def test_a_file_that_did_not_only_grow_is_read_as_a_whole(tmp_path, change):
    bars = random_bars("AAA", rows=3000)
    file = tmp_path / "AAA.csv"
    bars.head(2900).write_csv(file)
    market = FilesMarketData(tmp_path)
    market.candles("AAA", "1d", **EVER)
    if change == "replaced":
        (tmp_path / "new").write_text(bars.write_csv())
        os.replace(tmp_path / "new", file)
    elif change == "shorter":
        bars = bars.head(10)
        file.write_text(bars.write_csv())
        os.utime(file, (1, 1))
    elif change == "other rows":
        bars = bars.reverse()
        file.write_text(bars.write_csv())
    else:
        row = {"first": 0, "middle": 1500, "last": 2899}[change]
        bars = bars.with_row_index().with_columns(
            volume=pl.when(pl.col("index") == row).then(7.0).otherwise("volume")
        )
        bars = bars.drop("index")
        file.write_text(bars.write_csv())
    assert market.candles("AAA", "1d", **EVER).select(list(BARS_SCHEMA)).equals(bars)


@pytest.mark.parametrize(
    ("further", "expected"),
    [
        ('2020-01-03,"1,002.5",1003.5,1001.5,1002.5,5\n', [1002.5]),
        ("1577923200,2,2,2,2,2\n", [None]),
        ("2020-01-03,2,2,2,2,2\n2020-01-04,3,3,3,3,3,3\n", [2.0, None]),
        ("\n", [None]),
    ],
)
def test_what_a_tail_leaves_in_doubt_the_whole_file_decides(tmp_path, further, expected):
    head = "date,open,high,low,close,volume\n2020-01-01,1.5,1.5,1.5,1.5,1\n"
    (tmp_path / "AAA.csv").write_text(head)
    (tmp_path / "BBB.csv").write_text(head + further)
    market = FilesMarketData(tmp_path)
    market.candles("AAA", "1d", **EVER)
    append(tmp_path / "AAA.csv", further)
    grown = market.candles("AAA", "1d", **EVER)
    columns = ["timestamp", "open", "high", "low", "close", "volume", "session", "line"]
    assert grown.select(columns).equals(market.candles("BBB", "1d", **EVER).select(columns))
    values = [row[1] if row[0] else None for row in grown.select("timestamp", "open").rows()[1:]]
    assert values == expected


def test_a_damaged_file_is_refused_to_the_symbols_that_it_had(tmp_path):
    panel(2, rows=20).write_parquet(tmp_path / "all.parquet")
    market = FilesMarketData(tmp_path)
    assert market.candles("S01", "1d", **EVER).height == 20
    (tmp_path / "all.parquet").write_bytes(b"PAR1")
    os.utime(tmp_path / "all.parquet", (1, 1))
    with pytest.raises(UpstreamInvalid, match=r"'all.parquet' can't be read"):
        market.candles("S01", "1d", **EVER)
    panel(2, rows=25).write_parquet(tmp_path / "all.parquet")
    assert market.candles("S01", "1d", start=START, end=START + 99 * DAY).height == 25


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_that_is_being_written_anew_is_what_it_was(tmp_path, suffix):
    bars = random_bars("AAA", rows=30)
    file = tmp_path / f"AAA.{suffix}"

    def write(frame: pl.DataFrame) -> bytes:
        frame.write_csv(file) if suffix == "csv" else frame.write_parquet(file)
        return file.read_bytes()

    longer = write(bars)
    write(bars.head(25))
    market = FilesMarketData(tmp_path)
    for size in (0, 10, 40, 700, len(longer)):
        market.candles("AAA", "1d", **EVER)
        file.write_bytes(longer[:size])
        candles = market.candles("AAA", "1d", **EVER)
        final = candles.filter(pl.col("final").is_null())
        assert final.height == (30 if size == len(longer) else 25)
        assert market.refused_files() == []
    file.write_bytes(longer[:40])
    os.utime(file, (1, 1))
    with pytest.raises((UpstreamInvalid, UnknownSymbol)):
        market.candles("AAA", "1d", **EVER)


def test_a_line_that_stays_without_an_end_is_named(tmp_path):
    file = tmp_path / "AAA.csv"
    random_bars("AAA", rows=20).write_csv(file)
    append(file, "AAA,2020-02-01,1,2")
    market = FilesMarketData(tmp_path)
    assert market.candles("AAA", "1d", **EVER)["line"].to_list()[-1] == 22
    assert market.refused_files() == []
    os.utime(file, (1, 1))
    market.candles("AAA", "1d", **EVER)
    ((name, reason),) = market.refused_files()
    assert name == "AAA.csv"
    assert reason.startswith("the file 'AAA.csv', line 22, value 'AAA,2020-02-01,1,2': ")
    append(file, ",1,2,9\n")
    market.candles("AAA", "1d", **EVER)
    assert market.refused_files() == []


def test_what_is_refused_is_said_also_while_a_file_is_read(tmp_path):
    (tmp_path / "notes.csv").write_text("a,b\n")
    market = FilesMarketData(tmp_path)
    ((name, _),) = market.refused_files()
    with market._lock:
        assert [name for name, _ in market.refused_files()] == [name]


def test_a_blank_line_below_tickers_is_no_name_of_an_index(tmp_path):
    (tmp_path / "AAA.csv").write_text(
        "Ticker,AAA,AAA,AAA,AAA\nDate,Open,High,Low,Close\n\n2024-01-02,1,1,1,1\n"
    )
    candles = FilesMarketData(tmp_path).candles("AAA", "1d", **EVER)
    assert candles["line"].to_list() == [3, 4]
    assert candles["close"].to_list() == [None, 1.0]


def reader(file: Path, size: int) -> text_file.TextReader:
    return text_file.TextReader(file, size, "AAA", TableSettings(), lambda _: None)


def test_a_text_that_has_shrunk_or_gone_since_it_was_looked_at_is_unreadable(tmp_path):
    file = tmp_path / "AAA.csv"
    random_bars(rows=5).drop("symbol").write_csv(file)
    size = file.stat().st_size
    assert sum(block.candles.height for block in reader(file, size).read().blocks) == 5
    with pytest.raises(UnreadableFile):
        reader(file, size + 1).read()
    file.unlink()
    with pytest.raises(UnreadableFile):
        reader(file, size).read()


def test_what_was_appended_to_a_compressed_text_is_read_with_the_whole(tmp_path):
    file = tmp_path / "AAA.csv.gz"
    file.write_bytes(gzip.compress(random_bars(rows=5).drop("symbol").write_csv().encode()))
    whole = reader(file, file.stat().st_size)
    assert whole.read_appended(whole.read()) is None


LOOK_UNTIL_TOLD = """
import select, sys
from contextlib import suppress
from pathlib import Path
from mlengine.errors import MlengineError
from mlengine.stores.market_data.tables.header import file_format
from mlengine.stores.market_data.tables.settings import TableSettings
from mlengine.stores.system.table_files import UnreadableFile

looks = 0
print("looking", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    with suppress(MlengineError, UnreadableFile):
        file_format(Path(sys.argv[1]), TableSettings())
    looks += 1
print(looks)
"""


def test_a_parquet_file_that_is_rewritten_in_place_kills_nobody_who_looks_at_it(tmp_path):
    # To read a part of a mapped file that is cut off by then ends the process with SIGBUS.
    file = tmp_path / "AAA.parquet"
    random_bars(rows=50_000).write_parquet(file, compression="uncompressed")
    content = file.read_bytes()
    looking = subprocess.Popen(
        [sys.executable, "-c", LOOK_UNTIL_TOLD, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert looking.stdout
    assert looking.stdout.readline() == "looking\n"
    for _ in range(100):
        with file.open("r+b") as opened:
            opened.truncate(0)
            opened.write(content)
    looks, _ = looking.communicate("enough")
    assert looking.returncode == 0
    assert int(looks) > 0
