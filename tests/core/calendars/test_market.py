from datetime import date
from zoneinfo import ZoneInfo

from mlengine.core.calendars.market import NO_MARKETS, Market, MarketDirectory
from mlengine.core.calendars.named import calendar

BERLIN, TOKYO = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo")


def test_without_a_file_nothing_is_stated() -> None:
    assert NO_MARKETS.market("AAPL") == Market("AAPL")
    assert NO_MARKETS.canonical("AAPL") == "AAPL"


def test_an_alias_has_the_market_of_its_symbol() -> None:
    sony = Market("6758", calendar("XTKS"), TOKYO, "JPY", date(2000, 1, 4), None, ("6758.T",))
    directory = MarketDirectory({"6758": sony})
    assert directory.canonical("6758.T") == "6758"
    assert directory.market("6758.T") == directory.market("6758") == sony


def test_the_timezone_is_the_symbols_then_the_exchanges_then_the_default() -> None:
    markets = {
        "A": Market("A", calendar("XTKS"), BERLIN),
        "B": Market("B", calendar("XTKS")),
        "C": Market("C", calendar("24/7")),
    }
    directory = MarketDirectory(markets, calendar("XNYS"), BERLIN)
    zones = {symbol: directory.market(symbol).timezone for symbol in "ABCD"}
    assert zones == {"A": BERLIN, "B": TOKYO, "C": BERLIN, "D": ZoneInfo("America/New_York")}
    assert directory.market("D").calendar is calendar("XNYS")
