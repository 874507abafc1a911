"""Yahoo by the library yfinance: `yfinance`, for research; Yahoo promises nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from mlengine.errors import BadSetting, UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data.adapters.library import (
    SETTING,
    AdapterOptions,
    Candles,
    LibraryMarketData,
    import_library,
)
from mlengine.stores.market_data.candles import VALUE_KEYS

# How far back Yahoo has bars that are shorter than a day.
_DAYS = {"1m": 7, "5m": 59, "15m": 59, "30m": 59, "1h": 729}


class YfinanceMarketData(LibraryMarketData):
    """Prices adjusted for splits, not for dividends. A request a second: Yahoo blocks for more."""

    kind = "yfinance"
    gap_seconds = 1.0
    intervals: ClassVar = {
        **{name: name for name in ("1m", "5m", "15m", "30m", "1h", "1d")},
        "1w": "1wk",
    }

    def __init__(self, options: AdapterOptions) -> None:
        super().__init__(options)
        self._yfinance = import_library("yfinance", extra="yfinance")
        self._errors = import_library("yfinance.exceptions", extra="yfinance")
        if options.variant:
            raise BadSetting(SETTING, f"yfinance:{options.variant}", "yfinance alone")

    def fetch(self, symbol: str, interval: str, start: datetime, end: datetime) -> Candles:
        """All candles of the range that Yahoo has."""
        if interval in _DAYS:
            start = max(start, datetime.now(UTC) - timedelta(days=_DAYS[interval]))
        with self._refusals(symbol):
            table = self._yfinance.Ticker(symbol).history(
                start=start,
                end=end,
                interval=self.intervals[interval],
                auto_adjust=False,
                actions=False,
                timeout=self.options.timeout_seconds,
                raise_errors=True,
            )
            columns = [table[name.capitalize()].tolist() for name in VALUE_KEYS]
            return [
                {"timestamp": at.isoformat(), **dict(zip(VALUE_KEYS, values, strict=True))}
                for at, *values in zip(table.index, *columns, strict=True)
            ]
        return []

    @contextmanager
    def _refusals(self, symbol: str) -> Iterator[None]:
        """What the library raises, in the platform's words; no prices are no error."""
        errors = self._errors
        try:
            yield
        except errors.YFPricesMissingError:
            return
        except errors.YFTickerMissingError:
            raise UnknownSymbol(symbol) from None
        except errors.YFRateLimitError:
            raise UpstreamUnavailable("Yahoo wants fewer requests", 60) from None
        except errors.YFException as error:
            raise UpstreamInvalid(f"{symbol}: yfinance: {type(error).__name__}") from None
        except OSError:
            raise UpstreamUnavailable("the connection to Yahoo failed") from None
