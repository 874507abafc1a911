"""The `http` upstream: any service that gives candles as JSON."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from mlengine.core.bars.actions import StatedAction
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.timestamps import rfc3339
from mlengine.errors import MlengineError, UnknownSymbol, UpstreamInvalid
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.actions.service import fetch_actions
from mlengine.stores.market_data.candles import parse_candles
from mlengine.stores.market_data.credentials import NO_CREDENTIALS, Credentials
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.market_data.decoding import decode_json
from mlengine.stores.market_data.paging import PageReader, RangeRefused
from mlengine.stores.market_data.transport import BadAnswer, Transport

log = logging.getLogger(__name__)

_BODY_LIMIT_BYTES = 64 * 2**20
_LOGGED_BYTES = 200
# A service answers so where the range, or the page size, is more than it takes.
_REFUSES_RANGE = frozenset({400, 422})


class HttpMarketData(MarketData):
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
        credentials: Credentials = NO_CREDENTIALS,
    ) -> None:
        self._transport = Transport(
            base_url.rstrip("/"),
            timeout_seconds,
            retry_attempts,
            retry_backoff_seconds,
            body_limit_bytes,
            credentials,
        )
        self._deadline_seconds = deadline_seconds
        self._page_size = page_size
        self._empty: dict[tuple[str, str], tuple[datetime, datetime]] = {}

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
        pages = _Pages(self._transport, symbol, interval, self._page_size, ends_at)
        empty = self._empty.get((symbol, interval))
        reader = PageReader(pages.ask, INTERVALS[interval], empty)
        try:
            candles = reader.candles(start, end)
        except RangeRefused as refusal:
            raise UpstreamInvalid(
                f"{refusal}; if pages are too long for it, set MARKET_DATA_PAGE_SIZE"
            ) from None
        if reader.empty is not None:
            self._empty[symbol, interval] = reader.empty
        return candles

    def panel(
        self, symbols: Sequence[str], interval: str, *, start: datetime, end: datetime
    ) -> None:
        """None: each symbol is a request of its own."""

    def actions(
        self, symbols: Sequence[str], *, now: datetime, deadline: Deadline | None = None
    ) -> dict[str, Sequence[StatedAction] | MlengineError]:
        """What the service says of each symbol at `{base_url}/actions`; see MarketData."""
        ends_at = (deadline or self.deadline()).ends_at
        stated: dict[str, Sequence[StatedAction] | MlengineError] = {}
        for symbol in symbols:
            try:
                stated[symbol] = fetch_actions(self._transport, symbol, now=now, ends_at=ends_at)
            except MlengineError as error:
                stated[symbol] = error
        return stated


@dataclass
class _Pages:
    """The pages of one symbol, one after another."""

    transport: Transport
    symbol: str
    interval: str
    size: int
    ends_at: float
    count: int = field(default=0, init=False)
    is_known: bool = field(default=False, init=False)

    def ask(self, start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        """What the service serves for that range; raises RangeRefused where it says it can't."""
        self.count += 1
        query = {
            "symbol": self.symbol,
            "interval": self.interval,
            "start": rfc3339(start.replace(microsecond=0)),
            "end": rfc3339(_whole_second_from(end)),
            "limit": str(limit or self.size),
        }
        try:
            body = self.transport.get("/candles", query, ends_at=self.ends_at)
        except BadAnswer as bad:
            reason = self._refuse(bad.reason, bad.body)
            raise (
                RangeRefused(reason) if bad.status in _REFUSES_RANGE else UpstreamInvalid(reason)
            ) from None
        if body is None and not self.is_known:
            raise UnknownSymbol(self.symbol)
        self.is_known = True
        try:
            payload = decode_json(b"[]" if body is None else body)
            return parse_candles(payload, symbol=self.symbol, interval=self.interval)
        except UpstreamInvalid as refusal:
            raise UpstreamInvalid(self._refuse(refusal.reason, body or b"")) from None

    def _refuse(self, reason: str, body: bytes) -> str:
        """The reason with symbol and page, once it is logged with how the answer begins."""
        text = self.transport.credentials.redact(body[: 4 * _LOGGED_BYTES].decode(errors="replace"))
        facts = {"symbol": self.symbol, "interval": self.interval, "page": self.count}
        extra = {**facts, "reason": reason, "answer": text[:_LOGGED_BYTES]}
        log.warning("upstream answer refused", extra=extra)
        return f"{self.symbol}, page {self.count}: {reason}"


def _whole_second_from(moment: datetime) -> datetime:
    """The first whole second at or after `moment`; some services read no fractions."""
    return (moment + timedelta(microseconds=999_999)).replace(microsecond=0)
