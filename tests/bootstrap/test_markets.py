from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mlengine.bootstrap.markets import load_markets
from mlengine.config import Settings
from mlengine.core.calendars.market import NO_MARKETS, Market
from mlengine.core.calendars.named import calendar
from mlengine.errors import BadSetting, CannotStart

LINE = "symbol,calendar\nBTC-USD,24/7\n"


def test_without_settings_no_market_is_stated() -> None:
    assert load_markets(Settings.from_env({})) == NO_MARKETS


def test_the_file_in_the_folder_of_bars_is_taken_and_another_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "symbols.csv").write_text(LINE)
    (tmp_path / "other.csv").write_text(LINE.replace("24/7", "24/5"))
    environ = {"MARKET_DATA_DIR": str(tmp_path), "MARKET_DATA_CALENDAR": "XNYS"}
    markets = load_markets(Settings.from_env(environ))
    assert markets.market("BTC-USD").calendar is calendar("24/7")
    assert markets.market("AAPL").calendar is calendar("XNYS")
    environ |= {"MARKET_DATA_SYMBOLS_FILE": str(tmp_path / "other.csv")}
    environ |= {"MARKET_DATA_TIMEZONE": "Europe/Berlin"}
    markets = load_markets(Settings.from_env(environ))
    expected = Market("BTC-USD", calendar("24/5"), ZoneInfo("Europe/Berlin"))
    assert markets.market("BTC-USD") == expected


def test_a_list_of_tickers_of_the_same_name_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "symbols.csv").write_text("symbol,name\nAAPL,Apple\n")
    assert load_markets(Settings.from_env({"MARKET_DATA_DIR": str(tmp_path)})).markets == {}


def test_a_file_that_is_set_has_to_be_there(tmp_path: Path) -> None:
    environ = {"MARKET_DATA_SYMBOLS_FILE": str(tmp_path / "none.csv")}
    with pytest.raises(CannotStart, match=r"^none\.csv can't be read"):
        load_markets(Settings.from_env(environ))


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        (
            "MARKET_DATA_CALENDAR",
            "NYSE",
            "expected one of 24/7, 24/5, weekdays, sunday-thursday, XAMS",
        ),
        ("MARKET_DATA_TIMEZONE", "Mars/Base", "expected a zone such as Asia/Tokyo"),
    ],
)
def test_a_name_that_is_none_stops_the_start(variable: str, value: str, expected: str) -> None:
    with pytest.raises(BadSetting, match=f"^{variable}='{value}': {expected}"):
        Settings.from_env({variable: value})
