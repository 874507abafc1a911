"""Symbols that a source has under another name, over every kind of source."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.factories import random_bars
from tests.upstream import LoopbackUpstream, queries

from mlengine.core.bars.bars import BARS_SCHEMA
from mlengine.core.calendars.market import Market, MarketDirectory
from mlengine.errors import MlengineError, UnknownSymbol, UpstreamInvalid
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.aliases.aliased_source import AliasedMarketData, with_aliases
from mlengine.stores.market_data.files import FilesMarketData
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.market_data.sample import SampleMarketData

START = datetime(2024, 1, 1, tzinfo=UTC)
END = START + timedelta(days=90)
MARKETS = MarketDirectory(
    {
        "7203": Market("7203", aliases=("TYO:7203", "7203.T")),
        "OWN": Market("OWN", aliases=("AAA",)),
        "Apple": Market("Apple", aliases=("AAPL",)),
    }
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("7203.T", "OWN", "AAA", "BBB"):
        bars = random_bars(name, rows=60, start=START).drop("symbol")
        bars.write_csv(tmp_path / f"{name}.csv")
    return tmp_path


@pytest.fixture
def files(folder: Path) -> MarketData:
    return with_aliases(FilesMarketData(folder, markets=MARKETS), MARKETS)


def values(candles: pl.DataFrame) -> pl.DataFrame:
    return candles.drop("symbol").select([name for name in BARS_SCHEMA if name != "symbol"])


def test_a_source_is_asked_for_the_aliases_of_what_it_does_not_know(
    files: MarketData, folder: Path
) -> None:
    candles = files.candles("7203", "1d", start=START, end=END)
    assert candles["symbol"].unique().to_list() == ["7203"]
    plain = FilesMarketData(folder).candles("7203.T", "1d", start=START, end=END)
    assert values(candles).equals(values(plain))
    own = files.candles("OWN", "1d", start=START, end=END)
    of_own = FilesMarketData(folder).candles("OWN", "1d", start=START, end=END)
    assert own.equals(of_own), "the symbol itself comes first"
    with pytest.raises(UnknownSymbol) as refused:
        files.candles("Apple", "1d", start=START, end=END)
    assert refused.value.symbol == "Apple"


def test_a_panel_has_each_symbol_as_alone(files: MarketData) -> None:
    for _ in range(2):  # also once it is known what the source calls them
        panel = files.panel(["7203", "OWN", "BBB", "Apple", "NONE"], "1d", start=START, end=END)
        assert panel is not None
        assert set(panel.refused) == {"Apple", "NONE"}
        assert all(isinstance(each, UnknownSymbol) for each in panel.refused.values())
        for symbol in ("7203", "OWN", "BBB"):
            alone = files.candles(symbol, "1d", start=START, end=END)
            assert panel.candles.filter(pl.col("symbol") == symbol).equals(alone)
    assert files.panel([], "1d", start=START, end=END) is not None


def test_a_symbol_that_can_not_be_read_has_its_own_reason(folder: Path, files: MarketData) -> None:
    (folder / "7203.T.csv").write_text("date,open,high,low,close\nx,1,1,1,1\ny,1,1,1,1\n")
    panel = files.panel(["7203"], "1d", start=START, end=END)
    assert panel is not None
    assert isinstance(panel.refused["7203"], UpstreamInvalid)


def test_a_source_lists_symbols_not_their_aliases(files: MarketData) -> None:
    assert list(files.symbols()) == ["7203", "BBB", "OWN"]
    files.candles("7203", "1d", start=START, end=END)
    assert files.raw_cell("7203.T.csv", 2, "close", "7203") is not None
    assert files.raw_row("7203.T.csv", 1) == "timestamp,open,high,low,close,volume"
    assert files.kind == "files"


def test_actions_of_every_name_of_a_file_are_of_the_symbol(folder: Path, files: MarketData) -> None:
    rows = ("7203.T,2024-02-01,split,2", "7203,2024-03-01,dividend,1", "7203,2024-02-01,split,2")
    (folder / "actions.csv").write_text("\n".join(("symbol,date,kind,value", *rows, "")))
    (stated,) = files.actions(["7203"], now=END).values()
    assert not isinstance(stated, MlengineError)
    found = sorted((each.symbol, str(each.ex_date), each.kind) for each in stated)
    assert found == [("7203", "2024-02-01", "split"), ("7203", "2024-03-01", "dividend")]


def test_a_service_is_asked_by_the_name_that_it_knows() -> None:
    with LoopbackUpstream(random_bars("AAPL", rows=60, start=START)) as upstream:
        service = HttpMarketData(
            upstream.url,
            timeout_seconds=10.0,
            retry_attempts=1,
            retry_backoff_seconds=0.0,
            deadline_seconds=30.0,
        )
        market = with_aliases(service, MARKETS)
        for _ in range(2):
            candles = market.candles("Apple", "1d", start=START, end=END)
            assert candles["symbol"].unique().to_list() == ["Apple"]
            assert candles.height == 60
        asked = queries(upstream.requests, "symbol")
    assert list(dict.fromkeys(asked)) == ["Apple", "AAPL"]
    assert asked.count("Apple") == 1


def test_the_sample_has_aliases_too() -> None:
    sample = SampleMarketData()
    market = with_aliases(sample, MARKETS)
    start, end = datetime(2012, 1, 1, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC)
    candles = market.candles("Apple", "1d", start=start, end=end)
    assert values(candles).equals(values(sample.candles("AAPL", "1d", start=start, end=end)))
    assert candles["symbol"].unique().to_list() == ["Apple"]


def test_a_source_without_aliases_stays_as_it_is() -> None:
    sample = SampleMarketData()
    assert with_aliases(sample, MarketDirectory({"A": Market("A")})) is sample
    assert isinstance(with_aliases(sample, MARKETS), AliasedMarketData)


def test_all_price_choices_are_those_of_the_source(folder: Path, files: MarketData) -> None:
    both = "Date,Open,High,Low,Close,Adj Close,Volume\n2024-01-02,10,12,9,11,5.5,100\n"
    (folder / "BBB.csv").write_text(both)
    files.candles("BBB", "1d", start=START, end=END)
    assert list(files.price_choices()) == ["BBB.csv"]


def test_a_source_without_panels_has_none_by_alias_either() -> None:
    service = HttpMarketData(
        "http://127.0.0.1:1",
        timeout_seconds=1.0,
        retry_attempts=1,
        retry_backoff_seconds=0.0,
        deadline_seconds=1.0,
    )
    assert with_aliases(service, MARKETS).panel(["7203"], "1d", start=START, end=END) is None


def test_the_version_of_the_actions_changes_with_their_file(
    folder: Path, files: MarketData
) -> None:
    before = files.actions_version()
    (folder / "actions.csv").write_text("symbol,date,kind,value\nBBB,2024-02-01,split,2\n")
    assert files.actions_version() != before
    assert files.actions_version() == FilesMarketData(folder).actions_version()


def test_actions_that_can_not_be_read_are_refused_by_symbol(
    folder: Path, files: MarketData
) -> None:
    (folder / "actions.csv").write_text("nothing,of,use\n1,2,3\n")
    (stated,) = files.actions(["7203"], now=END).values()
    assert isinstance(stated, MlengineError)
