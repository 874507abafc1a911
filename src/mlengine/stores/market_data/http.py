"""The `http` upstream: any service that gives candles as JSON, by the contract or by its shape."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from mlengine.core.actions.actions import StatedAction
from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import MlengineError, UnknownSymbol, UpstreamInvalid
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.actions.service import fetch_actions
from mlengine.stores.market_data.answers import Question, read_candles
from mlengine.stores.market_data.credentials import NO_CREDENTIALS, Credentials
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.market_data.paging import PageReader, PageSizes, RangeRefused
from mlengine.stores.market_data.service_pause import ServicePause
from mlengine.stores.market_data.shapes.reading import is_unknown_symbol
from mlengine.stores.market_data.shapes.shape import ServiceShape
from mlengine.stores.market_data.transport import BadAnswer, BodySize, Transport

# A service may give somewhat more than it is asked for, and many where it takes no limit.
_CANDLES_BEYOND, _UNLIMITED_PAGE_SIZE, _BODY_LIMIT_BYTES = 10, 50_000, 64 * 2**20
# A candle of many fields, and one that is written with long names and much white space.
_MOST_VALUES_A_CANDLE, _MOST_BYTES_A_VALUE, _BYTES_AROUND = 32, 16, 65_536
# What comes again from page to page is little, but of a service that looks at no range.
_PAGES_BEYOND, _TIMES_THE_RANGE = 5, 4
_NEXT_IS_GONE = "it answered with status 404 for the next page that it names"
_CONTRACT, _NO_CANDLES = ServiceShape(), (pl.DataFrame(schema=RAW_SCHEMA), None)
# A service answers so where the range, or the page size, is more than it takes.
_REFUSES_RANGE, _NO_CONTENT = frozenset({400, 422}), 204


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
        pause_file: Path | None = None,
    ) -> None:
        self._most_candles = _most_candles(page_size, shape)
        self._transport = Transport(
            base_url.rstrip("/"),
            timeout_seconds,
            retry_attempts,
            retry_backoff_seconds,
            _body_size(self._most_candles, body_limit_bytes),
            credentials,
            ServicePause(base_url, pause_file),
        )
        self._deadline_seconds = deadline_seconds
        self._page_size = page_size
        self._shape = shape
        self._page_sizes = PageSizes()
        self._empty: dict[tuple[str, str], tuple[datetime, datetime]] = {}

    def deadline(self) -> Deadline:
        """`deadline_seconds` from now."""
        return Deadline.after(self._deadline_seconds)

    def offered_intervals(self) -> Collection[str]:
        """Those that its shape has names for; all where they go as they are."""
        return self._shape.intervals or INTERVALS

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
        shape, step = self._shape, INTERVALS[interval]
        pages = _Pages(
            self._transport,
            shape,
            symbol,
            interval,
            self._page_size,
            deadline or self.deadline(),
            self._most_candles,
            _PAGES_BEYOND * self._most_candles + _TIMES_THE_RANGE * int((end - start) / step),
        )
        reader = PageReader(
            *(pages.ask, step, self._empty.get((symbol, interval)), shape.paging, shape.order),
            self._page_size if shape.takes_limit else 0,
            self._page_sizes,
            shape.resolution,
            (self._page_size - 1) * step,
        )
        try:
            candles = reader.candles(start, end)
        except RangeRefused as refusal:
            raise UpstreamInvalid(
                f"{refusal}; if it has no bars of {interval}, set MARKET_DATA_INTERVAL; "
                "if pages are too long for it, set MARKET_DATA_PAGE_SIZE",
                is_refusal=True,
            ) from None
        except UpstreamInvalid as refusal:
            if not pages.is_logged:
                self.log_refusal(symbol, interval, refusal.reason)
            raise
        if reader.empty is not None:
            self._empty[symbol, interval] = reader.empty
        return candles

    def log_refusal(self, symbol: str, interval: str, reason: str) -> None:
        """Log how the first page with candles begins, of the last question of this thread."""
        self._transport.log_refusal(reason, {"symbol": symbol, "interval": interval}, of_all=True)

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
    deadline: Deadline
    most_candles: int
    most_candles_in_all: int
    count: int = field(default=0, init=False)
    candles: int = field(default=0, init=False)
    is_known: bool = field(default=False, init=False)
    is_logged: bool = field(default=False, init=False)

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
            base_path = self.transport.base_path
            asked = self.shape.next_request(path, query, following, base_path=base_path)
            page, following = self._page(*asked, is_named=True)
            pages.append(page)
        if following is not None and page.height:
            raise UpstreamInvalid(
                f"{self.symbol}, page {self.count}: the next page that it names came before, so "
                "that those that follow can't be had"
            )
        return pl.concat(pages)

    def _page(
        self, path: str, query: Mapping[str, str], *, is_named: bool = False
    ) -> tuple[pl.DataFrame, str | None]:
        """The candles of one answer, and what it calls the next page, which `is_named` then."""
        self.count += 1
        try:
            body = self.transport.get(path, query, ends_at=self.deadline.ends_at)
        except BadAnswer as bad:
            if bad.status == _NO_CONTENT:
                return _NO_CANDLES
            if is_unknown_symbol(bad.body, self.shape):
                raise UnknownSymbol(self.symbol) from None
            reason = self._refuse(bad.reason)
            if bad.status in _REFUSES_RANGE:
                raise RangeRefused(reason) from None
            raise UpstreamInvalid(reason, is_refusal=bad.status != 200) from None
        if body is None and is_named:
            raise UpstreamInvalid(self._refuse(_NEXT_IS_GONE))
        if body is None and not self.is_known:
            raise UnknownSymbol(self.symbol)
        self.is_known = True
        if body is None:
            return _NO_CANDLES
        question = Question(self.shape, self.symbol, self.interval)
        with body:
            try:
                candles, following = read_candles(body, question, self.deadline)
                self.transport.remember(body.beginning, is_first=not self.candles)
                self._count(candles.height)
            except UpstreamInvalid as refusal:
                raise UpstreamInvalid(self._refuse(refusal.reason)) from None
        return candles, following

    def _count(self, candles: int) -> None:
        """Refuse more than was asked for, in one page or in all."""
        self.candles += candles
        if candles > self.most_candles:
            raise UpstreamInvalid(
                f"the answer holds {candles} candles, where {self.size} were asked for: see "
                "MARKET_DATA_PAGE_SIZE"
            )
        if self.candles > self.most_candles_in_all:
            raise UpstreamInvalid(f"its pages go on and on, and hold {self.candles} candles")

    def _refuse(self, reason: str) -> str:
        """The reason with symbol and page, once it is logged with how the answer begins."""
        self.is_logged = True
        facts = {"symbol": self.symbol, "interval": self.interval, "page": self.count}
        self.transport.log_refusal(reason, facts)
        return f"{self.symbol}, page {self.count}: {reason}"


def _most_candles(page_size: int, shape: ServiceShape) -> int:
    """About twice the page that is asked for."""
    size = page_size if shape.takes_limit else max(page_size, _UNLIMITED_PAGE_SIZE)
    return 2 * size + _CANDLES_BEYOND


def _body_size(most_candles: int, limit_bytes: int) -> BodySize:
    values = most_candles * _MOST_VALUES_A_CANDLE
    return BodySize(min(limit_bytes, values * _MOST_BYTES_A_VALUE + _BYTES_AROUND), values)
