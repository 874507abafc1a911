"""Stocks by the library alpaca-py: `alpaca`, or `alpaca:iex` and `alpaca:sip` for a feed."""

from datetime import datetime
from functools import partial
from typing import ClassVar

from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import BadSetting, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data.adapters.library import (
    SETTING,
    AdapterOptions,
    Candles,
    LibraryMarketData,
    import_library,
)
from mlengine.stores.market_data.candles import VALUE_KEYS

_UNITS = {"m": "Minute", "h": "Hour", "d": "Day", "w": "Week"}


class AlpacaMarketData(LibraryMarketData):
    """Raw prices. The library follows the pages and waits after a 429; two hundred a minute."""

    kind = "alpaca"
    gap_seconds = 0.3
    intervals: ClassVar = {name: name for name in INTERVALS}

    def __init__(self, options: AdapterOptions) -> None:
        super().__init__(options)
        key, colon, secret = (options.api_key or "").partition(":")
        if not colon:
            raise BadSetting("MARKET_DATA_API_KEY", "…", "KEY:SECRET, for alpaca")
        if options.variant:
            feeds = import_library("alpaca.data.enums", extra="alpaca").DataFeed
            names = [feed.value for feed in feeds]
            if options.variant not in names:
                expected = f"alpaca, or alpaca:FEED with one of {', '.join(names)}"
                raise BadSetting(SETTING, f"alpaca:{options.variant}", expected)
        stock = import_library("alpaca.data.historical.stock", extra="alpaca")
        self._requests = import_library("alpaca.data.requests", extra="alpaca")
        self._timeframe = import_library("alpaca.data.timeframe", extra="alpaca")
        self._errors = import_library("alpaca.common.exceptions", extra="alpaca")
        self._client = stock.StockHistoricalDataClient(key, secret, url_override=options.base_url)
        # The library sets no time-out: a request could last for ever.
        session = self._client._session
        session.request = partial(session.request, timeout=options.timeout_seconds)

    def fetch(self, symbol: str, interval: str, start: datetime, end: datetime) -> Candles:
        """All candles of the range."""
        unit = self._timeframe.TimeFrameUnit[_UNITS[interval[-1]]]
        request = self._requests.StockBarsRequest(
            symbol_or_symbols=symbol,
            timeframe=self._timeframe.TimeFrame(int(interval[:-1]), unit),
            start=start,
            end=end,
            adjustment="raw",
            feed=self.options.variant or None,
        )
        try:
            bars = self._client.get_stock_bars(request).data.get(symbol, [])
        except self._errors.APIError as error:
            status = error.status_code
            if status is None or status == 429 or status >= 500:
                raise UpstreamUnavailable(f"alpaca answered with status {status}") from None
            reason = f"{symbol}: alpaca answered with status {status}"
            raise UpstreamInvalid(reason, is_refusal=True) from None
        except OSError:
            raise UpstreamUnavailable("the connection to alpaca failed") from None
        return [
            {"timestamp": bar.timestamp.isoformat(), **{n: getattr(bar, n) for n in VALUE_KEYS}}
            for bar in bars
        ]
