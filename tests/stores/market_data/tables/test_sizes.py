from __future__ import annotations

import gzip
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factories import START, random_bars

from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData
from mlengine.stores.market_data.tables.arrow_rows import arrow_rows
from mlengine.stores.market_data.tables.sizes import require_size, zstd_bytes
from mlengine.stores.system.table_files import UnreadableFile

MEGABYTE = 2**20
BARS = random_bars(rows=200)


def candles(folder: Path, most_bytes: int = MEGABYTE) -> pl.DataFrame:
    source = FilesMarketData(folder, most_bytes=most_bytes)
    return source.candles("AAA", "1d", start=START, end=BARS["timestamp"].max())


def rows_of_one_value(rows: int) -> pl.DataFrame:
    names = ("timestamp", "open", "high", "low", "close", "volume")
    return pl.DataFrame({name: pl.Series([1.0]).new_from_index(0, rows) for name in names})


@pytest.mark.parametrize(
    "name", ["AAA.parquet", "AAA.arrow", "AAA.feather", "AAA.csv.gz", "AAA.csv.zst"]
)
def test_a_few_bytes_that_hold_much_are_refused_before_they_are_unpacked(tmp_path, name):
    file, many = tmp_path / name, rows_of_one_value(200_000)
    if name.endswith(".parquet"):
        many.write_parquet(file)
    elif name.endswith((".arrow", ".feather")):
        many.write_ipc(file, compression="zstd")
    elif name.endswith(".gz"):
        file.write_bytes(gzip.compress(b"date,open\n" + b"0" * 2 * MEGABYTE))
    else:
        pl.DataFrame({"date": ["0" * 2 * MEGABYTE]}).write_csv(file, compression="zstd")
    assert file.stat().st_size < MEGABYTE // 4
    with pytest.raises(UpstreamInvalid, match=f"{name}.* more than MARKET_DATA_MAX_MB allows"):
        candles(tmp_path)


def test_a_large_plain_file_is_refused(tmp_path):
    (tmp_path / "AAA.csv").write_bytes(BARS.write_csv().encode() + b"\n" * MEGABYTE)
    with pytest.raises(UpstreamInvalid, match="MARKET_DATA_MAX_MB"):
        candles(tmp_path)


@pytest.mark.parametrize(
    "name", ["AAA.parquet", "AAA.arrow", "AAA.csv", "AAA.csv.gz", "AAA.csv.zst"]
)
def test_what_a_file_of_bars_holds_is_within_the_limit(tmp_path, name):
    file = tmp_path / name
    if name.endswith(".parquet"):
        BARS.write_parquet(file)
    elif name.endswith(".arrow"):
        BARS.write_ipc(file, compression="lz4")
    elif name.endswith(".gz"):
        file.write_bytes(gzip.compress(BARS.write_csv().encode()))
    else:
        BARS.write_csv(file, compression="zstd" if name.endswith(".zst") else "uncompressed")
    assert candles(tmp_path).height == 199


def test_members_of_gzip_count_together(tmp_path):
    (tmp_path / "AAA.csv.gz").write_bytes(gzip.compress(b"0" * 300_000) * 4)
    with pytest.raises(UpstreamInvalid, match="MARKET_DATA_MAX_MB"):
        require_size(tmp_path / "AAA.csv.gz", MEGABYTE)
    require_size(tmp_path / "AAA.csv.gz", 2 * MEGABYTE)


@settings(deadline=None)
@given(
    st.integers(0, 300),
    st.sampled_from(["uncompressed", "lz4", "zstd"]),
    st.booleans(),
    st.integers(1, 4),
)
def test_rows_of_arrow_are_those_that_are_read(rows, compression, stream, columns):
    frame = pl.DataFrame({f"c{n}": [float(n)] * rows for n in range(columns)})
    buffer = io.BytesIO()
    write = frame.write_ipc_stream if stream else frame.write_ipc
    write(buffer, compression=compression)
    assert arrow_rows(buffer.getvalue()) == (rows, columns)


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans(), st.integers(0, 1_000))
def test_damage_is_unreadable_or_small(tmp_path_factory, junk, is_file, cut):
    buffer = io.BytesIO()
    BARS.head(5).write_ipc(buffer, compression="lz4")
    content = buffer.getvalue()
    damaged = content[:cut] + junk + content[cut + len(junk) :] if is_file else junk
    for name in ("A.arrow", "A.csv.zst", "A.csv.gz"):
        file = tmp_path_factory.mktemp("damaged") / name
        prefix = {"A.csv.zst": b"\x28\xb5\x2f\xfd", "A.csv.gz": b"\x1f\x8b"}.get(name, b"")
        file.write_bytes(prefix + damaged)
        try:
            require_size(file, MEGABYTE)
        except (UnreadableFile, UpstreamInvalid):
            continue


@settings(deadline=None)
@given(st.lists(st.text("abc\n", max_size=300), max_size=20))
def test_zstd_unpacks_to_no_more_than_its_headers_say(texts):
    buffer = io.BytesIO()
    frame = pl.DataFrame({"a": texts}, schema={"a": pl.String})
    frame.write_csv(buffer, compression="zstd")
    plain = frame.write_csv().encode()
    assert len(plain) <= zstd_bytes(buffer.getvalue()) <= len(plain) + 2 * 128 * 1024


def test_a_frame_of_zstd_that_is_to_be_skipped_counts_for_nothing():
    buffer = io.BytesIO()
    pl.DataFrame({"a": ["b" * 500]}).write_csv(buffer, compression="zstd")
    skipped = (0x184D2A50).to_bytes(4, "little") + (3).to_bytes(4, "little") + b"xyz"
    assert zstd_bytes(skipped) == 0
    assert zstd_bytes(skipped + buffer.getvalue()) == zstd_bytes(buffer.getvalue())


def test_a_batch_of_less_than_no_rows_is_damaged():
    buffer = io.BytesIO()
    rows_of_one_value(12_345).write_ipc_stream(buffer)
    count, less = (n.to_bytes(8, "little", signed=True) for n in (12_345, -12_345))
    with pytest.raises(ValueError, match="-12345"):
        arrow_rows(buffer.getvalue().replace(count, less))


def test_a_footer_that_names_more_than_the_file_holds_is_damaged():
    buffer = io.BytesIO()
    pl.DataFrame({f"c{n}": [1.0] for n in range(7)}).write_ipc(buffer)
    content = buffer.getvalue()
    footer = len(content) - 10 - int.from_bytes(content[-10:-6], "little")
    many = content[footer:].replace(b"\7\0\0\0", b"\7\0\0\x7f")
    assert arrow_rows(content) == (1, 7)
    with pytest.raises(ValueError, match=str(0x7F000007)):
        arrow_rows(content[:footer] + many)
