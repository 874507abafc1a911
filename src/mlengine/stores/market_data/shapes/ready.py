"""The shapes of services that many use, by the name that `shape` in the file of shapes takes."""

from collections.abc import Mapping

from mlengine.core.bars.intervals import INTERVALS
from mlengine.stores.market_data.shapes.shape import ServiceShape

_SHORT = {name: name[0] for name in ("open", "high", "low", "close", "volume")}
_KLINE = dict(
    zip(
        ("timestamp", "open", "high", "low", "close", "volume", "close_time"), range(7), strict=True
    )
)
_NUMBERED = {
    name: f"{number}. {name}"
    for number, name in enumerate(("open", "high", "low", "close", "volume"), start=1)
}


def _named(*names: str) -> dict[str, str]:
    """The names of all intervals, from a minute to a week."""
    return dict(zip(INTERVALS, names, strict=True))


READY_SHAPES: Mapping[str, ServiceShape] = {
    "binance": ServiceShape(
        path="/api/v3/klines",
        query={
            "symbol": "{symbol}",
            "interval": "{interval}",
            "startTime": "{start}",
            "endTime": "{end}",
            "limit": "{limit}",
        },
        time="ms",
        intervals={name: name for name in INTERVALS},
        candles=(),
        rows="lists",
        fields=_KLINE,
        order="oldest_first",
        unknown={"code": -1121},
    ),
    "alpaca": ServiceShape(
        path="/v2/stocks/{symbol}/bars",
        query={
            "timeframe": "{interval}",
            "start": "{start}",
            "end": "{end}",
            "limit": "{limit}",
            "sort": "asc",
        },
        intervals=_named("1Min", "5Min", "15Min", "30Min", "1Hour", "4Hour", "1Day", "1Week"),
        candles=("bars",),
        symbol=("symbol",),
        fields={"timestamp": "t", **_SHORT},
        paging="next",
        next_page=("next_page_token",),
        next_parameter="page_token",
        no_data={"bars": None},
    ),
    "polygon": ServiceShape(
        path="/v2/aggs/ticker/{symbol}/range/{interval}/{start}/{end}",
        query={"sort": "asc", "limit": "{limit}"},
        time="ms",
        intervals=_named(
            *("1/minute", "5/minute", "15/minute", "30/minute"),
            *("1/hour", "4/hour", "1/day", "1/week"),
        ),
        candles=("results",),
        symbol=("ticker",),
        fields={"timestamp": "t", **_SHORT},
        paging="next",
        next_page=("next_url",),
        no_data={"resultsCount": 0},
    ),
    "alphavantage": ServiceShape(
        path="/query",
        query={
            "function": "{interval}",
            "symbol": "{symbol}",
            "outputsize": "full",
            "apikey": "{key}",
        },
        intervals={"1d": "TIME_SERIES_DAILY"},
        candles=("Time Series*",),
        symbol=("Meta Data", "2. Symbol"),
        rows="keyed",
        fields=_NUMBERED,
        paging="whole",
    ),
    "finnhub": ServiceShape(
        path="/api/v1/stock/candle",
        query={
            "symbol": "{symbol}",
            "resolution": "{interval}",
            "from": "{start}",
            "to": "{end}",
            "token": "{key}",
        },
        time="s",
        intervals={
            "1m": "1",
            "5m": "5",
            "15m": "15",
            "30m": "30",
            "1h": "60",
            "1d": "D",
            "1w": "W",
        },
        candles=(),
        rows="columns",
        fields={"timestamp": "t", **_SHORT},
        no_data={"s": "no_data"},
    ),
    "tiingo": ServiceShape(
        path="/tiingo/daily/{symbol}/prices",
        query={
            "startDate": "{start}",
            "endDate": "{end}",
            "resampleFreq": "{interval}",
            "token": "{key}",
        },
        time="date",
        intervals={"1d": "daily"},
        candles=(),
        fields={"timestamp": "date", **{name: name for name in _SHORT}},
        paging="whole",
    ),
}
