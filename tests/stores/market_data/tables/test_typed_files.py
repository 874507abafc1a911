"""Parquet and Arrow files with every type of time and number that frames have."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from mlengine.core.bars.bars import VALUES
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData

STARTS = [datetime(2024, 1, 1, tzinfo=UTC) + i * timedelta(days=1) for i in range(20)]
FRAME = pl.DataFrame(
    {
        "timestamp": pl.Series(STARTS).dt.replace_time_zone(None),
        "open": [98.5 + i for i in range(20)],
        "high": [101.25 + i for i in range(20)],
        "low": [97.75 + i for i in range(20)],
        "close": [100.5 + i for i in range(20)],
        "volume": [1000 + 7 * i for i in range(20)],
    }
)
AT = pl.col("timestamp")
PRICES = pl.col("open", "high", "low", "close")
EVER = {"start": datetime(1970, 1, 1, tzinfo=UTC), "end": datetime(2100, 1, 1, tzinfo=UTC)}

CHANGES = {
    "naive": FRAME,
    "dates": FRAME.with_columns(AT.cast(pl.Date)),
    "milliseconds": FRAME.with_columns(AT.cast(pl.Datetime("ms"))),
    "nanoseconds": FRAME.with_columns(AT.cast(pl.Datetime("ns"))),
    "zoned": FRAME.with_columns(
        AT.dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    ),
    "epoch s": FRAME.with_columns(AT.dt.epoch("s")),
    "epoch ms": FRAME.with_columns(AT.dt.epoch("ms")),
    "epoch us": FRAME.with_columns(AT.dt.epoch("us")),
    "epoch ns": FRAME.with_columns(AT.dt.epoch("ns")),
    "epoch as float": FRAME.with_columns(AT.dt.epoch("s").cast(pl.Float64)),
    "epoch as unsigned": FRAME.with_columns(AT.dt.epoch("s").cast(pl.UInt32)),
    "epoch as decimal": FRAME.with_columns(AT.dt.epoch("s").cast(pl.Decimal(20, 3))),
    "whole dates": FRAME.with_columns(AT.dt.strftime("%Y%m%d").cast(pl.Int32)),
    "texts": FRAME.with_columns(AT.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
    "categories of texts": FRAME.with_columns(AT.dt.strftime("%Y-%m-%d").cast(pl.Categorical)),
    "index of a frame": FRAME.rename({"timestamp": "__index_level_0__"}),
    "index named Date": FRAME.rename({"timestamp": "Date"}).select(*VALUES, "Date"),
    "decimals": FRAME.with_columns(PRICES.cast(pl.Decimal(20, 8))),
    "single floats": FRAME.with_columns(PRICES.cast(pl.Float32)),
    "unsigned volume": FRAME.with_columns(pl.col("volume").cast(pl.UInt64)),
    "numbers as bytes": FRAME.with_columns(pl.col(VALUES).cast(pl.String).cast(pl.Binary)),
    "numbers as texts": FRAME.with_columns(pl.col(VALUES).cast(pl.String)),
    "category of symbols": FRAME.with_columns(pl.lit("AAA").cast(pl.Categorical).alias("symbol")),
    "nested column beside": FRAME.with_columns(pl.lit([[1, 2]]).alias("notes")),
}


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather"])
@pytest.mark.parametrize("frame", CHANGES.values(), ids=CHANGES.keys())
def test_times_and_numbers_may_be_of_any_type(tmp_path, frame, suffix):
    write = frame.write_parquet if suffix == "parquet" else frame.write_ipc
    write(tmp_path / f"AAA.{suffix}")
    candles = FilesMarketData(tmp_path).candles("AAA", "1d", **EVER)
    assert candles["timestamp"].to_list() == STARTS
    assert candles.select(VALUES).equals(FRAME.select(pl.col(VALUES).cast(pl.Float64)))
    assert candles["line"].to_list() == list(range(1, 21))
    assert candles["file"].unique().to_list() == [f"AAA.{suffix}"]


def test_an_arrow_stream_is_read_as_well(tmp_path):
    FRAME.write_ipc_stream(tmp_path / "AAA.arrow", compat_level=pl.CompatLevel.oldest())
    candles = FilesMarketData(tmp_path).candles("AAA", "1d", **EVER)
    assert candles["timestamp"].to_list() == STARTS


@pytest.mark.parametrize(
    ("frame", "sessions"),
    [
        (CHANGES["dates"], [at.date() for at in STARTS]),
        (CHANGES["whole dates"], [at.date() for at in STARTS]),
        (CHANGES["zoned"], [at.date() - timedelta(days=1) for at in STARTS]),
        (CHANGES["naive"], [None] * 20),
        (CHANGES["texts"], [None] * 20),
        (CHANGES["epoch s"], [None] * 20),
    ],
)
def test_a_session_is_what_a_date_or_a_zone_states(tmp_path, frame, sessions: list[date | None]):
    frame.write_parquet(tmp_path / "AAA.parquet")
    candles = FilesMarketData(tmp_path).candles("AAA", "1d", **EVER)
    assert candles["session"].to_list() == sessions


def test_a_span_of_time_is_no_moment(tmp_path):
    FRAME.with_columns(AT - AT.min()).write_parquet(tmp_path / "AAA.parquet")
    with pytest.raises(UpstreamInvalid, match=r"line 1, column 'timestamp', .*Duration"):
        FilesMarketData(tmp_path).candles("AAA", "1d", **EVER)


def test_a_row_of_a_typed_file_can_be_shown(tmp_path):
    FRAME.write_parquet(tmp_path / "AAA.parquet")
    market = FilesMarketData(tmp_path)
    market.candles("AAA", "1d", **EVER)
    assert market.raw_row("AAA.parquet", 2) == "2024-01-02 00:00:00,99.5,102.25,98.75,101.5,1007"
    assert market.raw_row("AAA.parquet", 0) is market.raw_row("AAA.parquet", 21) is None
    assert market.raw_row("../AAA.parquet", 1) is None


def test_what_is_true_or_false_is_no_volume(tmp_path):
    FRAME.with_columns(pl.lit(value=True).alias("volume")).write_parquet(tmp_path / "AAA.parquet")
    candles = FilesMarketData(tmp_path).candles("AAA", "1d", **EVER)
    assert candles["volume"].null_count() == 20
    assert candles["open"].to_list() == FRAME["open"].to_list()


def test_a_cell_of_a_parquet_file_is_told_by_its_row(tmp_path):
    FRAME.write_parquet(tmp_path / "AAA.parquet")
    source = FilesMarketData(tmp_path)
    source.candles("AAA", "1d", **EVER)
    assert source.raw_cell("AAA.parquet", 2, "open", "AAA") == "99.5"
    assert source.raw_cell("AAA.parquet", 21, "open", "AAA") is None


def test_a_file_that_has_gone_has_no_cells_and_no_rows(tmp_path):
    file = tmp_path / "AAA.csv"
    FRAME.write_csv(file)
    source = FilesMarketData(tmp_path)
    source.candles("AAA", "1d", **EVER)
    assert source.raw_cell("AAA.csv", 2, "open", "AAA") == "98.5"
    file.unlink()
    assert source.raw_cell("AAA.csv", 2, "open", "AAA") is None
    assert source.raw_row("AAA.csv", 2) is None


ODD_TYPES = {
    "symbol": pl.lit([["AAA"]]),
    "final": pl.lit([[True]]),
    "time": pl.lit(timedelta(hours=9)),
    "volume": pl.struct(lots=pl.col("volume")),
}


@pytest.mark.parametrize("name", ODD_TYPES)
def test_a_column_of_a_type_that_says_nothing_costs_its_file_alone(tmp_path, name):
    FRAME.write_parquet(tmp_path / "AAA.parquet")
    odd = FRAME.with_columns(ODD_TYPES[name].alias(name), AT.cast(pl.Date).alias("date"))
    odd.drop("timestamp").write_parquet(tmp_path / "BBB.parquet")
    source = FilesMarketData(tmp_path)
    panel = source.panel(["AAA", "BBB"], "1d", **EVER)
    assert panel.candles.height == 20
    assert [(file, "'BBB.parquet'" in why) for file, why in source.refused_files()] == [
        ("BBB.parquet", True)
    ]
