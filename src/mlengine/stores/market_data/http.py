"""The `http` upstream: any service that speaks the candle contract."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import orjson
import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.timestamps import rfc3339
from mlengine.errors import UnknownSymbol, UpstreamInvalid
from mlengine.stores.market_data.candles import between, parse_candles
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.market_data.transport import Transport

_BODY_LIMIT_BYTES = 64 * 2**20


class HttpMarketData:
    """Pages through `GET {base_url}/candles`; one deadline holds for all pages and retries."""

    kind = "http"

    def __init__(
        self,
        base_url: str,
        *,
        timeout_seconds: float,
        retry_attempts: int,
        retry_backoff_seconds: float,
        deadline_seconds: float,
        page_size: int = 1000,
        body_limit_bytes: int = _BODY_LIMIT_BYTES,
    ) -> None:
        self._transport = Transport(
            f"{base_url.rstrip('/')}/candles",
            timeout_seconds,
            retry_attempts,
            retry_backoff_seconds,
            body_limit_bytes,
        )
        self._deadline_seconds = deadline_seconds
        self._page_size = page_size

    def deadline(self) -> Deadline:
        """`deadline_seconds` from now."""
        return Deadline.after(self._deadline_seconds)

    def candles(
        self,
        symbol: str,
        interval: str,
        *,
        start: datetime,
        end: datetime,
        deadline: Deadline | None = None,
    ) -> pl.DataFrame:
        """Every candle with `start <= timestamp < end`, as served; see MarketData."""
        ends_at = (deadline or self.deadline()).ends_at
        candles, since = pl.DataFrame(schema=RAW_SCHEMA), start
        while True:
            page = between(self._page(symbol, interval, since, end, ends_at), start=start, end=end)
            newest, newest_before = _newest(page), _newest(candles)
            candles = pl.concat([candles, _without_repeated(page, candles)])
            if newest is None or (newest_before is not None and newest <= newest_before):
                return candles
            if newest + INTERVALS[interval] >= end:
                return candles
            since = newest

    def panel(
        self, symbols: Sequence[str], interval: str, *, start: datetime, end: datetime
    ) -> None:
        """None: each symbol is a request of its own."""

    def _page(
        self, symbol: str, interval: str, since: datetime, end: datetime, ends_at: float
    ) -> pl.DataFrame:
        query = {
            "symbol": symbol,
            "interval": interval,
            "start": rfc3339(since.replace(microsecond=0)),
            "end": rfc3339(_whole_second_from(end)),
            "limit": str(self._page_size),
        }
        body = self._transport.get(query, ends_at=ends_at)
        if body is None:
            raise UnknownSymbol(symbol)
        return parse_candles(_decoded(body), symbol=symbol, interval=interval)


def _decoded(body: bytes) -> object:
    try:
        decoded: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UpstreamInvalid("the answer is not JSON") from None
    return decoded


def _newest(page: pl.DataFrame) -> datetime | None:
    newest = page["timestamp"].max()
    return newest if isinstance(newest, datetime) else None


def _without_repeated(page: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Without the candles that an inclusive `start` brings a second time, unchanged."""
    return page.join(before, on=page.columns, how="anti", nulls_equal=True, maintain_order="left")


def _whole_second_from(moment: datetime) -> datetime:
    """The first whole second at or after `moment`; some services read no fractions."""
    return (moment + timedelta(microseconds=999_999)).replace(microsecond=0)
