from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tests.databases import new_database

from mlengine.bootstrap import MARKET_DATA_GROUP
from mlengine.bootstrap.market_data import open_market_data
from mlengine.bootstrap.markets import load_markets
from mlengine.bootstrap.stores import open_bars
from mlengine.config import Settings
from mlengine.errors import BadSetting
from mlengine.stores.database.engine import open_database
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.adapters.library import AdapterOptions
from mlengine.stores.system.dependency_states import DependencyStates
from mlengine.stores.telemetry.counters import Counters

Opened = Callable[..., MarketData]

OWN = """
from mlengine.stores.market_data.sample import SampleMarketData

class Own(SampleMarketData):
    kind = "own"

    def __init__(self, options):
        super().__init__()
        self.options = options

class Half:
    kind = "half"

    def __init__(self, options):
        self.deadline = None
"""


@pytest.fixture
def opened(make_settings: Callable[..., Settings]) -> Opened:
    def opens(**environ: str) -> MarketData:
        settings = make_settings(**environ)
        return open_market_data(settings, load_markets(settings))

    return opens


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with adapters of its own."""
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    names = "own = mine_market:Own\nhalf = mine_market:Half\nlost = mine_market:Lost\n"
    (info / "entry_points.txt").write_text(f"[{MARKET_DATA_GROUP}]\n{names}")
    module = ModuleType("mine_market")
    exec(OWN, vars(module))  # noqa: S102 - written above
    monkeypatch.setitem(sys.modules, "mine_market", module)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_an_adapter_of_ones_own_is_opened_with_what_is_set(opened: Opened) -> None:
    market = opened(MARKET_DATA_ADAPTER="own:fast", MARKET_DATA_API_KEY="s3cret")
    options: AdapterOptions = market.options  # type: ignore[attr-defined]
    assert (market.kind, options.variant, options.api_key) == ("own", "fast", "s3cret")
    assert "s3cret" not in repr(options)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        ("half", "a subclass of MarketData, which has .*candles, panel"),
        ("lost", "a factory that can be imported"),
        ("nowhere", "one of alpaca, ccxt, half, lost, own, yfinance"),
    ],
)
def test_an_adapter_that_is_none_is_refused(opened: Opened, adapter: str, expected: str) -> None:
    with pytest.raises(BadSetting, match=f"MARKET_DATA_ADAPTER='{adapter}': .*{expected}"):
        opened(MARKET_DATA_ADAPTER=adapter)


def test_the_kind_is_the_name_of_the_adapter(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(MARKET_DATA_ADAPTER="ccxt:binance", MARKET_DATA_DIR="/data")
    assert settings.market_data_kind == "ccxt"


def test_a_shape_that_sends_a_key_needs_one(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "upstream.toml").write_text('shape = "finnhub"')
    environ = {
        "MARKET_DATA_BASE_URL": "http://127.0.0.1:9",
        "MARKET_DATA_UPSTREAM_FILE": str(tmp_path / "upstream.toml"),
    }
    with pytest.raises(BadSetting, match="MARKET_DATA_API_KEY"):
        opened(**environ)
    assert opened(**environ, MARKET_DATA_API_KEY="s3cret").kind == "http"


def test_bars_of_the_sample_are_recorded_apart_from_those_of_files(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    def records_sample(**environ: str) -> bool:
        settings = make_settings(**environ)
        database = open_database(new_database(tmp_path / "audit.db"))
        return open_bars(settings, DependencyStates(), database, Counters(tmp_path)).store.of_sample

    assert records_sample(MARKET_DATA_DIR=str(tmp_path)) is False
    assert records_sample(MARKET_DATA_DIR="") is True
