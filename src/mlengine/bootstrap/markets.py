"""Which markets the settings and the file of symbols name."""

from pathlib import Path

from mlengine.config import Settings
from mlengine.core.calendars.market import MarketDirectory
from mlengine.core.calendars.named import calendar
from mlengine.stores.bars.symbols_file import read_symbols, states_markets

SYMBOLS_FILE = "symbols.csv"


def load_markets(settings: Settings) -> MarketDirectory:
    """Raises CannotStart for a file of symbols that is refused."""
    path, name = _symbols_file(settings), settings.market_data_calendar
    return MarketDirectory(
        read_symbols(path) if path else {},
        calendar(name) if name else None,
        settings.market_data_timezone,
        settings.market_data_negative_prices,
    )


def _symbols_file(settings: Settings) -> Path | None:
    if settings.market_data_symbols_file or not settings.market_data_dir:
        return settings.market_data_symbols_file
    path = settings.market_data_dir / SYMBOLS_FILE
    return path if states_markets(path) else None
