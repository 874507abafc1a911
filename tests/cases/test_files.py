"""Files as people have them: read alike however they are written, or refused by name."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from tests.cases.world import Row, World, assert_equal_features, csv_text, steps, walk, weekdays

NEW_YORK = ZoneInfo("America/New_York")
DAYS = weekdays(400)
ROWS = walk(400)
LAST = f"{DAYS[-1]}T00:00:00Z"

OCLHV = "Date,Open,High,Low,Close,Volume"


def lines(write: Callable[..., str], rows: list[Row] = ROWS) -> str:
    return "".join(f"{write(day, *row)}\n" for day, row in zip(DAYS, rows, strict=True))


@pytest.fixture
def plain(world: World) -> World:
    """The same bars in the plainest way, to compare with."""
    world.csv("PLAIN.csv", DAYS, ROWS)
    return world


@pytest.mark.parametrize(
    "head",
    [
        "Price,Close,High,Low,Open,Volume\nTicker,X,X,X,X,X\nDate,,,,,\n",
        "Date,Close,High,Low,Open,Volume\n,X,X,X,X,X\n",
    ],
)
def test_01_headers_of_two_and_three_lines(plain: World, head: str) -> None:
    plain.write("X.csv", head + lines(lambda t, o, h, lo, c, v: f"{t},{c},{h},{lo},{o},{v}"))
    assert_equal_features(plain, "PLAIN", "X")


def test_02_midnights_with_an_offset_are_their_own_dates(plain: World) -> None:
    midnights = [datetime(d.year, d.month, d.day, tzinfo=NEW_YORK).isoformat(sep=" ") for d in DAYS]
    header = "Date,Open,High,Low,Close,Volume"
    plain.csv("NYA.csv", midnights, ROWS, header)
    for day in (DAYS[-5], DAYS[-4], DAYS[-1]):
        assert plain.predict("NYA", as_of=day)["bar_timestamp"] == f"{day}T00:00:00Z"
        assert plain.predict("PLAIN", as_of=day)["bar_timestamp"] == f"{day}T00:00:00Z"
    assert_equal_features(plain, "PLAIN", "NYA")


def test_04_null_rows_are_dropped(plain: World) -> None:
    def write(t: object, o: float, h: float, lo: float, c: float, v: float) -> str:
        if DAYS.index(t) % 50 == 10:  # type: ignore[arg-type]
            return f"{t},null,null,null,null,null,null"
        return f"{t},{o},{h},{lo},{c},{c},{v}"

    plain.write("NUL.csv", "Date,Open,High,Low,Close,Adj Close,Volume\n" + lines(write))
    assert plain.predict("NUL")["bar_timestamp"] == LAST
    assert len(plain.features("NUL", limit=5000)) == 400 - 8 - 63


@pytest.mark.parametrize("beside", [True, False])
def test_05_a_live_row_is_no_second_bar_of_its_day(world: World, beside: bool) -> None:
    days = DAYS if beside else DAYS[:-1]
    body = "".join(
        f"{t} 00:00:00-05:00,{o},{h},{lo},{c},{v}\n"
        for t, (o, h, lo, c, v) in zip(days, ROWS, strict=False)
    )
    o, h, lo, c, v = ROWS[len(days) - 1]
    live = f"{days[-1]} 15:12:04-05:00,{o},{h},{lo},{c},{v // 3}\n"
    world.write("LIV.csv", "Date,Open,High,Low,Close,Volume\n" + body + live)
    rows = world.features("LIV", limit=3)
    assert [row["timestamp"][:10] for row in rows] == [str(day) for day in days[-3:]]
    assert rows[-1]["return_1"] != 0.0


def test_07_binance_klines_without_a_header(plain: World) -> None:
    def write(t: object, o: float, h: float, lo: float, c: float, v: float) -> str:
        us = int(datetime(t.year, t.month, t.day, tzinfo=UTC).timestamp()) * 10**6  # type: ignore[attr-defined]
        return f"{us},{o!r},{h!r},{lo!r},{c!r},{v},{us + 86399999999},1.0,5,0.5,0.5,0"

    plain.write("DOGEUSDT.csv", lines(write))
    assert_equal_features(plain, "PLAIN", "DOGEUSDT")


def test_08_milliseconds_and_then_microseconds(world: World) -> None:
    rows = walk(1000, start=40000)
    last = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    stamps = [last - timedelta(days=999 - back) for back in range(1000)]
    for name, start in (("BTCUSDT", "open_time"), ("ETHUSDT", "timestamp")):
        text = f"{start},open,high,low,close,volume,close_time,quote_volume,count\n"
        for t, (o, h, lo, c, v) in zip(stamps, rows, strict=True):
            unit = 10**6 if t >= stamps[500] else 10**3
            begins, ends = int(t.timestamp()) * unit, int(t.timestamp() + 86400) * unit - 1
            text += f"{begins},{o},{h},{lo},{c},{v},{ends},1,5\n"
        world.write(f"{name}.csv", text)
        status, body = world.get("/features", symbol=name, limit=5000)
        if status == 200:
            assert len(body["features"]) == 1000 - 63
            assert body["features"][-1]["timestamp"][:10] == str(last.date())
        else:
            assert "microseconds" in body["detail"]


def test_09_a_file_of_many_volumes_costs_no_other_symbol(world: World) -> None:
    head = "unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT,tradecount\n"
    body = "".join(
        f"{int(datetime(t.year, t.month, t.day, tzinfo=UTC).timestamp() * 1000)},{t} 00:00:00,"
        f"BTC/USDT,{o},{h},{lo},{c},{v},{v * c:.2f},77\n"
        for t, (o, h, lo, c, v) in reversed(list(zip(DAYS, ROWS, strict=True)))
    )
    world.csv("PLAIN.csv", DAYS, ROWS)
    world.write("CDD_B.csv", head + body)
    assert world.predict("GOOD")["bar_timestamp"] == LAST
    assert_equal_features(world, "PLAIN", "BTC/USDT")
    world.write("CDD_A.csv", "https://www.example.test/data\n" + head + body)
    assert world.predict("GOOD")["bar_timestamp"] == LAST
    assert_equal_features(world, "PLAIN", "BTC/USDT")


def test_10_dollars_and_american_dates(plain: World) -> None:
    def text(header: str, pattern: str) -> str:
        rows = [
            f"{t:{pattern}},${c!r},{v},${o!r},${h!r},${lo!r}"
            for t, (o, h, lo, c, v) in zip(DAYS, ROWS, strict=True)
        ]
        return "\n".join([header, *reversed(rows), ""])

    plain.write("NDQ_A.csv", text("Date,Close/Last,Volume,Open,High,Low", "%m/%d/%Y"))
    plain.write("NDQ_B.csv", text("Date,Close,Volume,Open,High,Low", "%m/%d/%Y"))
    plain.write("NDQ_C.csv", text("Date,Close,Volume,Open,High,Low", "%Y-%m-%d"))
    assert_equal_features(plain, "PLAIN", "NDQ_A", "NDQ_B", "NDQ_C")


def test_10_dates_that_can_be_read_both_ways_are_refused(world: World) -> None:
    days = [day for day in weekdays(900) if day.day <= 12]
    body = csv_text([f"{day:%d/%m/%Y}" for day in days], walk(len(days)))
    world.write("DMY.csv", body)
    detail = world.refusal("DMY")["detail"]
    assert "DMY.csv" in detail
    assert f"{days[0]:%d/%m/%Y}" in detail


def test_11_decimal_commas_and_thousands(world: World) -> None:
    rows = walk(400, start=1500)
    rounded = [tuple(round(x, 2) for x in row[:4]) + (row[4],) for row in rows]
    world.csv("PLAIN.csv", DAYS, rounded)  # type: ignore[arg-type]

    def comma(x: float) -> str:
        return f"{x:.2f}".replace(".", ",")

    semicolons = "Date;Open;High;Low;Close;Volume\n"
    quoted = "Date,Open,High,Low,Close,Volume\n"
    for t, (o, h, lo, c, v) in zip(DAYS, rows, strict=True):
        semicolons += f"{t};{comma(o)};{comma(h)};{comma(lo)};{comma(c)};{v}\n"
        quoted += f'{t},"{comma(o)}","{comma(h)}","{comma(lo)}","{comma(c)}",{v}\n'
    world.write("EUR_A.csv", semicolons)
    world.write("EUR_B.csv", quoted)
    assert_equal_features(world, "PLAIN", "EUR_A", "EUR_B")


def test_11_thousands_that_begin_in_the_middle(world: World) -> None:
    rows = walk(400, start=985, drift=0.0004)
    rounded = [tuple(round(x, 2) for x in row[:4]) + (row[4],) for row in rows]
    world.csv("PLAIN.csv", DAYS, rounded)  # type: ignore[arg-type]
    text = OCLHV + "\n"
    for t, (o, h, lo, c, v) in zip(DAYS, rows, strict=True):
        text += f'{t},"{o:,.2f}","{h:,.2f}","{lo:,.2f}","{c:,.2f}",{v}\n'
    world.write("EUR_C.csv", text)
    assert_equal_features(world, "PLAIN", "EUR_C")
    assert len(world.features("EUR_C", limit=5000)) == 400 - 63


def test_12_a_file_from_excel(plain: World) -> None:
    body = csv_text([f'"{t}"' for t in DAYS], ROWS, '"Date","Open","High","Low","Close","Volume"')
    plain.write("BOM.csv", b"\xef\xbb\xbf" + body.replace("\n", "\r\n").encode())
    assert_equal_features(plain, "PLAIN", "BOM")


def test_13_stooq_bulk_files(plain: World) -> None:
    head = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
    body = lines(lambda t, o, h, lo, c, v: f"AAPX.US,D,{t:%Y%m%d},000000,{o},{h},{lo},{c},{v},0")
    plain.write("aapx.us.txt", head + body)
    assert_equal_features(plain, "PLAIN", "AAPX.US")


METATRADER: dict[str, tuple[str, Callable[..., str]]] = {
    "MT_A": (
        "Date,Time,Open,High,Low,Close,Volume",
        lambda t, o, h, lo, c, v: f"{t:%Y.%m.%d},{t:%H:%M},{o},{h},{lo},{c},{v}",
    ),
    "MT_B": (
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
        lambda t, o, h, lo, c, v: f"{t:%Y.%m.%d}\t{t:%H:%M:%S}\t{o}\t{h}\t{lo}\t{c}\t{v}\t0\t3",
    ),
    "MT_C": (
        "date,time,open,high,low,close,volume",
        lambda t, o, h, lo, c, v: f"{t:%Y-%m-%d},{t:%H:%M:%S},{o},{h},{lo},{c},{v}",
    ),
    "MT_D": (
        "date,time,open,high,low,close,volume",
        lambda t, o, h, lo, c, v: f"{t:%Y%m%d},{t:%H%M%S}000,{o},{h},{lo},{c},{v}",
    ),
}


@pytest.mark.parametrize("name", METATRADER)
def test_14_date_and_time_in_two_columns(world: World, name: str) -> None:
    world.interval = "1h"
    stamps, rows = steps(400, timedelta(hours=1)), walk(400, volatility=0.003)
    world.csv("PLAIN.csv", [t.isoformat() for t in stamps], rows)
    header, write = METATRADER[name]
    body = [write(t, *row) for t, row in zip(stamps, rows, strict=True)]
    world.write(f"{name}.csv", "\n".join([header, *body, ""]))
    assert_equal_features(world, "PLAIN", name)


def test_15_dates_as_whole_numbers(plain: World) -> None:
    columns = dict(
        zip(("open", "high", "low", "close", "volume"), zip(*ROWS, strict=True), strict=True)
    )
    dates = {"date": [int(f"{day:%Y%m%d}") for day in DAYS]}
    pl.DataFrame({**dates, **columns}).write_parquet(plain.bars / "IBI.parquet")
    plain.csv("IBS.csv", dates["date"], ROWS, "date,open,high,low,close,volume")
    assert_equal_features(plain, "PLAIN", "IBI", "IBS")


def test_16_a_zone_by_name(plain: World) -> None:
    stamps = [f"{day:%Y%m%d} 09:30:00 US/Eastern" for day in DAYS]
    plain.csv("IBZ.csv", stamps, ROWS, "date,open,high,low,close,volume")
    assert_equal_features(plain, "PLAIN", "IBZ")


def test_17_polygon_day_files(plain: World) -> None:
    other = walk(400, seed=5)
    for number, t in enumerate(DAYS):
        ns = int(datetime(t.year, t.month, t.day, 5, tzinfo=UTC).timestamp()) * 10**9
        text = "ticker,volume,open,close,high,low,window_start,transactions\n"
        for symbol, (o, h, lo, c, v) in (("PLG", ROWS[number]), ("PLH", other[number])):
            text += f"{symbol},{v},{o!r},{c!r},{h!r},{lo!r},{ns},321\n"
        plain.write(f"{t}.csv.gz", gzip.compress(text.encode()))
    assert plain.predict("GOOD")["bar_timestamp"] == LAST
    assert_equal_features(plain, "PLAIN", "PLG")


def test_21_a_file_that_is_being_written_costs_itself_alone(world: World) -> None:
    whole = io.BytesIO()
    pl.read_csv(world.bars / "GOOD.csv", try_parse_dates=True).write_parquet(whole)
    content = whole.getvalue()
    for length in (0, 4, len(content) // 2, len(content) - 1):
        world.write("OTHER.parquet", content[:length])
        assert world.predict("GOOD")["bar_timestamp"] == LAST
        assert "OTHER.parquet" in world.refusal("OTHER")["detail"] or length == 0
        assert world.refusal("NOPE")["code"] == "unknown_symbol"
    world.train("GOOD", activate="never")
    world.write("OTHER.parquet", content)
    assert world.predict("OTHER")["bar_timestamp"] == LAST


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tickers.csv", b"symbol,name,sector\nGOOD,Good Corp,Tech\nBAD,Bad Corp,Tech\n"),
        ("members.csv", b"symbol,from,to\nGOOD,2010-01-01,\n"),
        ("notes.csv", b"a,b\n1,2\n"),
        ("README.csv", b"caf\xe9,\xfc\n"),
        ("orders.csv", b"symbol,time,price\nGOOD,2026-01-02,3\n"),
        (".GOOD.csv.swp", b"b0VIM"),
        ("~$GOOD.csv", b"x"),
        ("GOOD.csv.tmp", b"timestamp,open\n"),
    ],
)
def test_22_another_file_beside_the_bars(world: World, name: str, content: bytes) -> None:
    world.write(name, content)
    assert world.predict("GOOD")["bar_timestamp"] == LAST
    assert world.refusal("NOPE")["code"] == "unknown_symbol"
    assert world.train("GOOD", activate="never")["data"]["skipped_symbols"] == []


@pytest.mark.parametrize("cut", [1, 3, 7, 15])
def test_23_a_last_line_without_an_end_is_no_bar(world: World, cut: int) -> None:
    whole = csv_text(DAYS, ROWS)
    world.write("LIVE.csv", whole[:-1][:-cut])
    assert world.predict("LIVE")["bar_timestamp"][:10] == str(DAYS[-2])
    world.write("LIVE.csv", whole)
    assert world.predict("LIVE")["bar_timestamp"] == LAST


def test_24_a_header_that_comes_again(plain: World) -> None:
    text = ""
    for number, (t, row) in enumerate(zip(DAYS, ROWS, strict=True)):
        text += "date,open,high,low,close,volume\n" if number % 100 == 0 else ""
        text += f"{t}," + ",".join(map(repr, row)) + "\n"
        text += "\n" if number % 100 == 50 else ""
    plain.write("APP.csv", text)
    assert_equal_features(plain, "PLAIN", "APP")


def test_25_empty_files_concern_their_symbol_alone(world: World) -> None:
    world.write("EMP.csv", "")
    world.write("HDR.csv", "date,open,high,low,close,volume\n")
    assert world.predict("GOOD")["bar_timestamp"] == LAST
    world.refusal("EMP")
    world.refusal("HDR")


def parquet_types(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    at, prices = pl.col("timestamp"), pl.col("open", "high", "low", "close")
    return {
        "PDEC": frame.with_columns(prices.cast(pl.Decimal(30, 18))),
        "PDATE": frame.with_columns(at.cast(pl.Date)),
        "PNSTZ": frame.with_columns(
            at.cast(pl.Datetime("ns")).dt.replace_time_zone("America/New_York")
        ),
        "PMS": frame.with_columns(at.dt.epoch("ms")),
        "PUS": frame.with_columns(at.dt.epoch("us")),
        "PNS": frame.with_columns(at.dt.epoch("ns")),
        "PU64": frame.with_columns(pl.col("volume").cast(pl.UInt64)),
        "PIDX": frame.rename({"timestamp": "__index_level_0__"}),
        "PSTRTS": frame.with_columns(at.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
    }


TYPES = ("PDEC", "PDATE", "PNSTZ", "PMS", "PUS", "PNS", "PU64", "PIDX", "PSTRTS")


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_27_columns_of_any_type(plain: World, name: str, suffix: str) -> None:
    frame = pl.read_csv(plain.bars / "PLAIN.csv", try_parse_dates=True).with_columns(
        pl.col("timestamp").cast(pl.Datetime("us")), pl.col("volume").cast(pl.Int64)
    )
    typed = parquet_types(frame)[name]
    path = plain.bars / f"{name}.{suffix}"
    typed.write_parquet(path) if suffix == "parquet" else typed.write_ipc(path)
    assert_equal_features(plain, "PLAIN", name)


def test_28_tickers_that_look_like_something_else(world: World) -> None:
    symbols = ["NA", "NAN", "TRUE", "7203", "000001", "null", "inf", "1e5"]
    days, text = weekdays(200), "Ticker,Date,Open,High,Low,Close,Volume\n"
    for seed, symbol in enumerate(symbols):
        for t, row in zip(days, walk(200, seed=seed), strict=True):
            text += f"{symbol},{t}," + ",".join(map(repr, row)) + "\n"
    world.write("many.csv", text)
    whole = pl.read_csv(io.StringIO(text), infer_schema=False)
    numbered = whole.filter(pl.col("Ticker") == "7203").with_columns(pl.lit(9984).alias("Ticker"))
    numbered.write_parquet(world.bars / "jp.parquet")
    for symbol in [*symbols, "9984"]:
        assert world.predict(symbol)["symbol"] == symbol
    assert world.train(*symbols, activate="never")["data"]["symbols"] == sorted(symbols)


def test_43_a_line_that_is_appended_is_seen(world: World) -> None:
    world.csv("LIVE.csv", DAYS[:-1], ROWS[:-1])
    assert world.predict("LIVE")["bar_timestamp"][:10] == str(DAYS[-2])
    with (world.bars / "LIVE.csv").open("a") as file:
        file.write(f"{DAYS[-1]}," + ",".join(map(repr, ROWS[-1])) + "\n")
    assert world.predict("LIVE")["bar_timestamp"] == LAST
