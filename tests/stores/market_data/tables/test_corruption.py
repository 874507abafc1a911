"""Torn, joined, doubled and scrambled bytes: refused or counted, never another kind of error."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factories import START, random_bars

from mlengine.core.bars.bars import BARS_SCHEMA
from mlengine.core.bars.cleaning import clean_bars
from mlengine.errors import UnknownSymbol, UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData

EVER = {"start": datetime(1970, 1, 1, tzinfo=UTC), "end": datetime(2100, 1, 1, tzinfo=UTC)}
BARS = random_bars("AAA", rows=30)
WITHOUT_SYMBOL = BARS.drop("symbol")
TEXTS = {
    "iso": WITHOUT_SYMBOL.write_csv().encode(),
    "dates": WITHOUT_SYMBOL.with_columns(pl.col("timestamp").dt.date()).write_csv().encode(),
    "epochs": WITHOUT_SYMBOL.with_columns(pl.col("timestamp").dt.epoch("ms")).write_csv().encode(),
    "quotes": WITHOUT_SYMBOL.write_csv(quote_style="always").encode(),
    "day first": WITHOUT_SYMBOL.write_csv(datetime_format="%d/%m/%Y %H:%M").encode(),
    "further columns": WITHOUT_SYMBOL.with_columns(a=pl.lit(0), b=pl.lit(1)).write_csv().encode(),
}
JUNK = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [
            b"\n",
            b"\n\n",
            b",",
            b'"',
            b"\r",
            b"\0",
            b";",
            b"1e400",
            b"nan",
            b"-",
            b"\xff\xfe",
            b"inf",
        ]
        + [b"timestamp,open,high,low,close,volume\n", b"0", b"1577836800", b"PAR1", b"\x1f\x8b"]
    ),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """One of the texts after a few cuts, insertions and moved pieces."""
    content = draw(st.sampled_from(list(TEXTS.values())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        until = draw(st.integers(at, min(len(content), at + 80)))
        match draw(st.sampled_from(["cut", "insert", "replace", "repeat", "end"])):
            case "cut":
                content = content[:at] + content[until:]
            case "insert":
                content = content[:at] + draw(JUNK) + content[at:]
            case "replace":
                content = content[:at] + draw(JUNK) + content[until:]
            case "repeat":
                content = content[:until] + content[at:]
            case _:
                content = content[:at]
    return content


def read(market: FilesMarketData) -> pl.DataFrame | None:
    try:
        return market.candles("AAA", "1d", **EVER)
    except (UpstreamInvalid, UnknownSymbol):
        return None


@settings(max_examples=200, deadline=None)
@given(content=damaged(), suffix=st.sampled_from(["csv", "csv", "csv", "txt", "parquet", "csv.gz"]))
def test_a_damaged_file_is_refused_or_each_of_its_lines_counts(tmp_path_factory, content, suffix):
    folder = tmp_path_factory.mktemp("damaged")
    (folder / f"AAA.{suffix}").write_bytes(content)
    random_bars("GOOD", rows=20).write_csv(folder / "GOOD.csv")
    market = FilesMarketData(folder)
    candles = read(market)
    assert market.candles("GOOD", "1d", **EVER).height == 20
    assert [name for name, _ in market.refused_files()] in ([], [f"AAA.{suffix}"])
    if candles is None:
        return
    now = START + timedelta(days=9999)
    report = clean_bars(candles, interval="1d", now=now).report
    duplicates = report.mended.get("duplicate", 0)
    assert report.accepted + duplicates + sum(report.dropped.values()) == candles.height
    if candles.height and not content.startswith((b"\xff\xfe", b"\x1f\x8b")):
        line_ends = len(re.findall(b"\r?\r\n|\r(?!$)|\n", content))
        written = line_ends + 1 - candles["line"].min()
        assert candles.height - written in (0, 1)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(list(TEXTS)), data=st.data())
def test_a_file_in_pieces_is_read_as_the_whole_is(tmp_path_factory, name, data):
    folder: Path = tmp_path_factory.mktemp("pieces")
    content = TEXTS[name]
    cuts = sorted(data.draw(st.lists(st.integers(1, len(content)), max_size=5)))
    market = FilesMarketData(folder)
    for end in cuts:
        (folder / "AAA.csv").open("ab").close()
        with (folder / "AAA.csv").open("r+b") as file:
            file.write(content[:end])
        before = read(market)
        if before is not None:
            final = before.filter(pl.col("final").is_null()).select(list(BARS_SCHEMA))
            assert final.equals(BARS.head(final.height))
    (folder / "AAA.csv").open("ab").close()
    with (folder / "AAA.csv").open("r+b") as file:
        file.write(content)
    whole = read(market)
    assert whole is not None
    assert whole.select(list(BARS_SCHEMA)).equals(BARS)
    assert whole["line"].to_list() == list(range(2, 32))


@settings(max_examples=60, deadline=None)
@given(
    at=st.integers(0, 100_000),
    junk=st.binary(max_size=20),
    suffix=st.sampled_from(["parquet", "arrow"]),
)
def test_a_damaged_typed_file_is_refused_or_read(tmp_path_factory, at, junk, suffix):
    folder = tmp_path_factory.mktemp("typed")
    file = folder / f"AAA.{suffix}"
    (WITHOUT_SYMBOL.write_parquet if suffix == "parquet" else WITHOUT_SYMBOL.write_ipc)(file)
    content = file.read_bytes()
    at %= len(content)
    file.write_bytes(content[:at] + junk + content[at + len(junk) :] if junk else content[:at])
    read(FilesMarketData(folder))
