"""The `http` upstream: any service that gives candles as JSON, by the contract or by its shape."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from mlengine.core.actions.actions import StatedAction
from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import MlengineError, UnknownSymbol, UpstreamInvalid
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.actions.service import fetch_actions
from mlengine.stores.market_data.credentials import NO_CREDENTIALS, Credentials
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.market_data.decoding import decode_json
from mlengine.stores.market_data.paging import PageReader, RangeRefused
from mlengine.stores.market_data.shapes.reading import is_unknown_symbol, next_page, read_answer
from mlengine.stores.market_data.shapes.shape import ServiceShape
from mlengine.stores.market_data.transport import BadAnswer, Transport

log = logging.getLogger(__name__)

_BODY_LIMIT_BYTES = 64 * 2**20
_LOGGED_BYTES = 200
_CONTRACT = ServiceShape()
# A service answers so where the range, or the page size, is more than it takes.
_REFUSES_RANGE = frozenset({400, 422})


class HttpMarketData(MarketData):
    """Pages through the answers of a service; one deadline holds for all pages and retries."""

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
        shape: ServiceShape = _CONTRACT,
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
        self._shape = shape
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
        shape = self._shape
        pages = _Pages(self._transport, shape, symbol, interval, self._page_size, ends_at)
        empty = self._empty.get((symbol, interval))
        reader = PageReader(pages.ask, INTERVALS[interval], empty, shape.paging, shape.order)
        try:
            candles = reader.candles(start, end)
        except RangeRefused as refusal:
            raise UpstreamInvalid(
                f"{refusal}; if pages are too long for it, set MARKET_DATA_PAGE_SIZE",
                is_refusal=True,
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
        """What the service says of each symbol at `{base_url}/actions`; see MarketData.

        One of another shape has no such address.
        """
        if self._shape.path != _CONTRACT.path:
            return dict.fromkeys(symbols, ())
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
    shape: ServiceShape
    symbol: str
    interval: str
    size: int
    ends_at: float
    count: int = field(default=0, init=False)
    is_known: bool = field(default=False, init=False)

    def ask(self, start: datetime, end: datetime, limit: int | None) -> pl.DataFrame:
        """What the service serves for that range; raises RangeRefused where it says it can't."""
        key = self.transport.credentials.key
        path, query = self.shape.request(
            self.symbol, self.interval, start, end, limit=limit or self.size, key=key
        )
        page, following = self._page(path, query)
        pages, passed = [page], set[str]()
        while following is not None and following not in passed:
            passed.add(following)
            page, following = self._page(*self.shape.next_request(path, query, following))
            pages.append(page)
        return pl.concat(pages)

    def _page(self, path: str, query: Mapping[str, str]) -> tuple[pl.DataFrame, str | None]:
        """The candles of one answer, and what it calls the page after it."""
        self.count += 1
        try:
            body = self.transport.get(path, query, ends_at=self.ends_at)
        except BadAnswer as bad:
            if is_unknown_symbol(bad.body, self.shape):
                raise UnknownSymbol(self.symbol) from None
            reason = self._refuse(bad.reason, bad.body)
            if bad.status in _REFUSES_RANGE:
                raise RangeRefused(reason) from None
            raise UpstreamInvalid(reason, is_refusal=bad.status != 200) from None
        if body is None and not self.is_known:
            raise UnknownSymbol(self.symbol)
        self.is_known = True
        if body is None:
            return pl.DataFrame(schema=RAW_SCHEMA), None
        try:
            payload = decode_json(body)
            candles = read_answer(
                payload, shape=self.shape, symbol=self.symbol, interval=self.interval
            )
        except UpstreamInvalid as refusal:
            raise UpstreamInvalid(self._refuse(refusal.reason, body)) from None
        return candles, next_page(payload, self.shape, self.symbol)

    def _refuse(self, reason: str, body: bytes) -> str:
        """The reason with symbol and page, once it is logged with how the answer begins."""
        text = self.transport.credentials.redact(body[: 4 * _LOGGED_BYTES].decode(errors="replace"))
        facts = {"symbol": self.symbol, "interval": self.interval, "page": self.count}
        extra = {**facts, "reason": reason, "answer": text[:_LOGGED_BYTES]}
        log.warning("upstream answer refused", extra=extra)
        return f"{self.symbol}, page {self.count}: {reason}"
