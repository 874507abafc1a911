"""Exchanges of crypto-currencies by the library ccxt: `ccxt:binance`, `ccxt:kraken` and others."""

from datetime import datetime, timedelta
from typing import ClassVar

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.timestamps import EPOCH
from mlengine.errors import BadSetting, UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data.adapters.library import (
    SETTING,
    AdapterOptions,
    Candles,
    LibraryMarketData,
    import_library,
)

_NAMES = ("timestamp", "open", "high", "low", "close", "volume")
Rows = list[list[float]]

_MILLISECOND = timedelta(milliseconds=1)


class CcxtMarketData(LibraryMarketData):
    """Pages of so many candles before a moment, the newest first: exchanges differ in the rest.

    The library keeps to the rate limit of each exchange by itself.
    """

    kind = "ccxt"
    paging = "range"
    intervals: ClassVar = {name: name for name in INTERVALS}

    def __init__(self, options: AdapterOptions) -> None:
        super().__init__(options)
        self._ccxt = import_library("ccxt", extra="ccxt")
        if options.variant not in self._ccxt.exchanges:
            raise BadSetting(SETTING, f"ccxt:{options.variant}", "ccxt:EXCHANGE, as ccxt names it")
        self._exchange = getattr(self._ccxt, options.variant)(
            {"enableRateLimit": True, "timeout": int(options.timeout_seconds * 1000)}
        )
        spot = (getattr(self._exchange, "features", None) or {}).get("spot") or {}
        self._cap = int((spot.get("fetchOHLCV") or {}).get("limit") or options.page_size)

    def fetch(self, symbol: str, interval: str, start: datetime, end: datetime) -> Candles:
        """The last candles before `end`, a page of them in as many requests as it takes."""
        step = INTERVALS[interval] // _MILLISECOND
        until = (end - EPOCH) // _MILLISECOND
        since = max((start - EPOCH) // _MILLISECOND, until - self.options.page_size * step)
        candles: list[dict[str, object]] = []
        while since < until:
            rows = self._request(symbol, interval, since)
            served = [row for row in rows if since <= row[0] < until]
            if rows and not served:
                self._require_depth(symbol, interval, rows)
                break
            candles += [dict(zip(_NAMES, row, strict=False)) for row in served]
            # Some exchanges give nothing where the first candles after a moment are later.
            since = int(max((row[0] for row in served), default=since + self._cap * step)) + 1
        return candles

    def _require_depth(self, symbol: str, interval: str, rows: Rows) -> None:
        """That later candles, given for an earlier range, are not just the newest it ever gives."""
        if len(rows) not in range(self._cap - 1, self._cap + 2):
            return
        newest = int(max(row[0] for row in rows))
        if not any(row[0] > newest for row in self._request(symbol, interval, newest + 1)):
            raise UpstreamInvalid(
                f"{self.options.variant} gives the newest {len(rows)} candles of {symbol} whatever "
                "range is asked for, so that there may be others before: ask for fewer bars"
            )

    def _request(self, symbol: str, interval: str, since: int) -> Rows:
        errors = self._ccxt
        try:
            rows: Rows = self._exchange.fetch_ohlcv(symbol, interval, since, self.options.page_size)
        except errors.BadSymbol:
            raise UnknownSymbol(symbol) from None
        except errors.NetworkError as error:
            raise UpstreamUnavailable(f"ccxt: {type(error).__name__}") from None
        except errors.BaseError as error:
            reason = f"{symbol}: ccxt refused it: {type(error).__name__}"
            raise UpstreamInvalid(reason, is_refusal=True) from None
        return rows
