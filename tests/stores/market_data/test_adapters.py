"""Each adapter over a stand-in of its library, which is not installed with the platform."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from tests.factories import START, random_bars

from mlengine.core.bars.bars import VALUES
from mlengine.errors import BadSetting, UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data.adapters.alpaca import AlpacaMarketData
from mlengine.stores.market_data.adapters.ccxt import CcxtMarketData
from mlengine.stores.market_data.adapters.completeness import require_complete
from mlengine.stores.market_data.adapters.library import AdapterOptions, LibraryMarketData
from mlengine.stores.market_data.adapters.yfinance import YfinanceMarketData
from mlengine.stores.market_data.deadline import Deadline

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
BARS = random_bars(rows=250)
ROWS = BARS.select("timestamp", *VALUES).rows()
END = START + 250 * DAY


def options(variant: str = "", api_key: str | None = None) -> AdapterOptions:
    return AdapterOptions(
        variant=variant,
        api_key=api_key,
        base_url=None,
        page_size=100,
        timeout_seconds=2,
        deadline_seconds=5,
    )


def module(monkeypatch: pytest.MonkeyPatch, name: str, **content: object) -> None:
    stand_in = ModuleType(name)
    vars(stand_in).update(content)
    monkeypatch.setitem(sys.modules, name, stand_in)


def ask(market: LibraryMarketData, symbol: str = "AAA", interval: str = "1d") -> pl.DataFrame:
    return market.candles(symbol, interval, start=START - 300 * DAY, end=END)


def ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000


class BaseError(Exception):
    pass


class BadSymbol(BaseError):
    pass


class NetworkError(BaseError):
    pass


Fetch = Callable[[int, int], Sequence[tuple[Any, ...]]]


def since(start: int, limit: int) -> Sequence[tuple[Any, ...]]:
    return [row for row in ROWS if ms(row[0]) >= start][:limit]


@pytest.fixture
def ccxt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., CcxtMarketData]:
    def opened(fetch: Fetch, cap: int = 72) -> CcxtMarketData:
        class Exchange:
            features: ClassVar = {"spot": {"fetchOHLCV": {"limit": cap}}}

            def __init__(self, config: dict[str, object]) -> None:
                assert config == {"enableRateLimit": True, "timeout": 2000}

            def fetch_ohlcv(self, symbol: str, timeframe: str, start: int, limit: int) -> Any:
                assert timeframe == "1d"
                if symbol == "ZZZ":
                    raise BadSymbol
                return [[ms(at), *values] for at, *values in fetch(start, limit)]

        errors = {each.__name__: each for each in (BaseError, BadSymbol, NetworkError)}
        module(monkeypatch, "ccxt", exchanges=["somewhere"], somewhere=Exchange, **errors)
        return CcxtMarketData(options("somewhere"))

    return opened


@pytest.mark.parametrize(
    "fetch",
    [
        since,
        lambda start, _: since(start, 30),
        lambda start, _: [row for row in since(start, 30) if ms(row[0]) < start + 30 * 864e5],
    ],
    ids=["a page", "thirty at most", "thirty days at most"],
)
def test_every_candle_of_an_exchange_arrives(
    ccxt: Callable[..., CcxtMarketData], fetch: Fetch
) -> None:
    candles = ask(ccxt(fetch, 30))
    assert candles.select("symbol", "timestamp", *VALUES).equals(BARS)


def test_the_newest_720_of_an_exchange_are_not_the_whole(
    ccxt: Callable[..., CcxtMarketData],
) -> None:
    with pytest.raises(UpstreamInvalid, match="somewhere gives the newest 72 candles of AAA"):
        ask(ccxt(lambda *_: ROWS[-72:]))


def test_lost_candles_are_refused(ccxt: Callable[..., CcxtMarketData]) -> None:
    with pytest.raises(UpstreamInvalid, match="AAA has candles of 66 of the 198 days"):
        ask(ccxt(lambda start, limit: [r for r in since(start, limit) if r[0].day % 4 == 1]))


@pytest.mark.parametrize(
    ("error", "kind"), [(NetworkError, UpstreamUnavailable), (BaseError, UpstreamInvalid)]
)
def test_the_errors_of_ccxt_are_those_of_an_upstream(
    ccxt: Callable[..., CcxtMarketData], error: type[Exception], kind: type[Exception]
) -> None:
    def fails(*_: int) -> Sequence[tuple[Any, ...]]:
        raise error("https://exchange.example/?apikey=s3cret")

    with pytest.raises(kind, match=error.__name__) as refused:
        ask(ccxt(fails))
    assert "s3cret" not in str(refused.value)
    with pytest.raises(UnknownSymbol):
        ask(ccxt(since), "ZZZ")


def test_an_exchange_that_ccxt_does_not_know_is_refused(
    ccxt: Callable[..., CcxtMarketData],
) -> None:
    ccxt(since)
    with pytest.raises(BadSetting, match="ccxt:nowhere"):
        CcxtMarketData(options("nowhere"))


class APIError(Exception):
    status_code = 403


@pytest.fixture
def alpaca(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The library, whose client notes what it was asked."""
    seen = SimpleNamespace(error=None, request=None, keys=None)

    class Client:
        def __init__(self, key: str, secret: str, url_override: str | None) -> None:
            assert url_override is None
            seen.keys = (key, secret)
            self._session = SimpleNamespace(request=lambda *_, **__: None)

        def get_stock_bars(self, request: SimpleNamespace) -> SimpleNamespace:
            seen.request = request
            if seen.error:
                raise seen.error
            names = ("timestamp", *VALUES)
            bars = [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in ROWS]
            return SimpleNamespace(data={"AAA": bars})

    units = {"Minute": "Min", "Hour": "Hour", "Day": "Day", "Week": "Week"}
    for name in ("alpaca", "alpaca.data", "alpaca.data.historical", "alpaca.common"):
        module(monkeypatch, name)
    module(monkeypatch, "alpaca.data.historical.stock", StockHistoricalDataClient=Client)
    module(monkeypatch, "alpaca.data.requests", StockBarsRequest=SimpleNamespace)
    module(monkeypatch, "alpaca.data.enums", DataFeed=Enum("DataFeed", {"IEX": "iex"}))
    module(
        monkeypatch,
        "alpaca.data.timeframe",
        TimeFrame=lambda amount, unit: f"{amount}{unit}",
        TimeFrameUnit=units,
    )
    module(monkeypatch, "alpaca.common.exceptions", APIError=APIError)
    return seen


def test_every_candle_of_alpaca_arrives(alpaca: SimpleNamespace) -> None:
    market = AlpacaMarketData(options("iex", "k1:s3cret"))
    assert ask(market).select("symbol", "timestamp", *VALUES).equals(BARS)
    assert alpaca.keys == ("k1", "s3cret")
    asked = alpaca.request
    assert (asked.timeframe, asked.adjustment, asked.feed) == ("1Day", "raw", "iex")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, UpstreamInvalid), (429, UpstreamUnavailable), (None, UpstreamUnavailable)],
)
def test_the_errors_of_alpaca_are_those_of_an_upstream(
    alpaca: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    status: int | None,
    kind: type[Exception],
) -> None:
    monkeypatch.setattr(APIError, "status_code", status)
    alpaca.error = APIError("key s3cret")
    with pytest.raises(kind, match=f"status {status}"):
        ask(AlpacaMarketData(options("", "k1:s3cret")))
    alpaca.error = ConnectionError("reset")
    with pytest.raises(UpstreamUnavailable):
        ask(AlpacaMarketData(options("", "k1:s3cret")))


def test_alpaca_wants_two_keys(alpaca: SimpleNamespace) -> None:
    with pytest.raises(BadSetting, match="KEY:SECRET") as refused:
        AlpacaMarketData(options("", "s3cret"))
    assert "s3cret" not in str(refused.value)


@pytest.mark.usefixtures("alpaca")
def test_a_variant_that_there_is_not_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BadSetting, match="alpaca:FEED with one of iex") as refused:
        AlpacaMarketData(options("bogus", "k1:s3cret"))
    assert "MARKET_DATA_ADAPTER='alpaca:bogus'" in str(refused.value)
    module(monkeypatch, "yfinance")
    module(monkeypatch, "yfinance.exceptions")
    with pytest.raises(BadSetting, match="yfinance:fast"):
        YfinanceMarketData(options("fast"))


class YFException(Exception):
    pass


class YFTickerMissingError(YFException):
    pass


class YFPricesMissingError(YFTickerMissingError):
    pass


class YFRateLimitError(YFException):
    pass


class Table(dict[str, Any]):
    """As much of a table as the adapter looks at."""

    index: Sequence[datetime] = ()


@pytest.fixture
def yahoo(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.setattr(YfinanceMarketData, "gap_seconds", 0.0)
    seen = SimpleNamespace(error=None, asked={}, rows=ROWS)

    def history(**asked: Any) -> Table:
        seen.asked = asked
        if seen.error:
            raise seen.error
        table = Table({name.capitalize(): np.array([row[n] for row in seen.rows])
                       for n, name in enumerate(VALUES, start=1)})  # fmt: skip
        table.index = [row[0] for row in seen.rows]
        return table

    errors = (YFException, YFTickerMissingError, YFPricesMissingError, YFRateLimitError)
    module(monkeypatch, "yfinance", Ticker=lambda _: SimpleNamespace(history=history))
    module(monkeypatch, "yfinance.exceptions", **{each.__name__: each for each in errors})
    return seen


def test_every_candle_of_yahoo_arrives(yahoo: SimpleNamespace) -> None:
    assert ask(YfinanceMarketData(options())).select("symbol", "timestamp", *VALUES).equals(BARS)
    assert yahoo.asked["auto_adjust"] is False
    assert yahoo.asked["timeout"] == 2


def test_yahoo_is_asked_for_no_more_intraday_than_it_has(yahoo: SimpleNamespace) -> None:
    yahoo.rows = []
    assert ask(YfinanceMarketData(options()), interval="1m").is_empty()
    assert datetime.now(UTC) - yahoo.asked["start"] < 8 * DAY
    with pytest.raises(UpstreamInvalid, match="yfinance has no bars of 4h"):
        ask(YfinanceMarketData(options()), interval="4h")


def test_the_errors_of_yahoo_are_those_of_an_upstream(yahoo: SimpleNamespace) -> None:
    market = YfinanceMarketData(options())
    yahoo.error = YFPricesMissingError("no prices")
    assert ask(market).is_empty()
    for error, kind in (
        (YFTickerMissingError(), UnknownSymbol),
        (YFRateLimitError(), UpstreamUnavailable),
        (YFException(), UpstreamInvalid),
        (ConnectionError(), UpstreamUnavailable),
    ):
        yahoo.error = error
        with pytest.raises(kind):
            ask(market)


def test_requests_keep_their_distance(yahoo: SimpleNamespace) -> None:
    market = YfinanceMarketData(options())
    market.gap_seconds = 60.0  # type: ignore[misc]
    ask(market)
    with pytest.raises(UpstreamUnavailable, match="before the deadline"):
        market.candles("AAA", "1d", start=START, end=END, deadline=Deadline.after(0.1))


@pytest.mark.parametrize(
    ("adapter", "name"),
    [(CcxtMarketData, "ccxt"), (AlpacaMarketData, "alpaca"), (YfinanceMarketData, "yfinance")],
)
def test_a_library_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, adapter: type[LibraryMarketData], name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadSetting, match=rf"pip install 'mlengine\[{name}\]'"):
        adapter(options("x", "a:b"))


def starting(*starts: datetime) -> pl.DataFrame:
    return pl.DataFrame({"timestamp": starts}, schema={"timestamp": pl.Datetime("us", "UTC")})


MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
WEEKDAYS = [MONDAY + n * DAY for n in range(90) if (MONDAY + n * DAY).weekday() < 5]
COMPLETE = {
    "days": ("1d", WEEKDAYS),
    "days with holidays": ("1d", [day for n, day in enumerate(WEEKDAYS) if n % 20 != 10]),
    "round the clock": ("1h", [MONDAY + n * HOUR for n in range(720)]),
    "hours of a session": ("1h", [day + h * HOUR for day in WEEKDAYS for h in range(14, 21)]),
    "minutes with few trades": ("1m", [MONDAY + n * HOUR / 3 for n in range(720)]),
    "few": ("1d", WEEKDAYS[:3] + WEEKDAYS[40:43]),
    "none": ("1d", []),
}
LOSSES = {
    "days": ("1d", WEEKDAYS[:20] + WEEKDAYS[30:]),
    "169 of 720": ("1h", [MONDAY + n * HOUR for n in range(720) if n * 169 % 720 < 169]),
    "sessions": (
        "1h",
        [day + h * HOUR for n, day in enumerate(WEEKDAYS) for h in range(14, 21) if n % 3],
    ),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_candles_of_every_market_are_complete(name: str) -> None:
    interval, starts = COMPLETE[name]
    require_complete(starting(*starts), symbol="AAA", interval=interval)


@pytest.mark.parametrize("name", LOSSES)
def test_candles_that_did_not_come_are_counted(name: str) -> None:
    interval, starts = LOSSES[name]
    with pytest.raises(UpstreamInvalid, match=r"AAA has candles of \d+ of the \d+"):
        require_complete(starting(*starts), symbol="AAA", interval=interval)
