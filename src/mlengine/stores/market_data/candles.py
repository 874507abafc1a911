"""The candle contract: every shape in which an upstream may write a bar, read into RAW_SCHEMA."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA, VALUES
from mlengine.core.timestamps import EPOCH
from mlengine.errors import UpstreamInvalid

V = TypeVar("V")

START_KEYS = ("timestamp", "interval_start", "time", "datetime")
CLOSE_KEYS = ("close_time", "interval_end")
VALUE_KEYS: Mapping[str, tuple[str, str]] = {
    "open": ("open", "open_price"),
    "high": ("high", "high_price"),
    "low": ("low", "low_price"),
    "close": ("close", "close_price"),
    "volume": ("volume", "volume_sum"),
}

_EPOCH_TEXT = re.compile(r"-?[0-9]{9,16}(\.[0-9]{1,9})?", re.ASCII)
_NUMBER_TEXT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
# As seconds this is the year 5138, as milliseconds it is 1973.
_FIRST_MILLISECONDS = 1e11


def parse_candles(payload: object, *, symbol: str, interval: str) -> pl.DataFrame:
    """The candles of a decoded JSON answer: `{"symbol", "interval", "candles"}` or a bare list.

    A number that can't be read becomes null, for `clean_bars` to judge, and so does the timestamp
    of a candle whose start, or the close that it states, can't be read. An answer in which that
    is every candle, and one for another symbol or interval, raise UpstreamInvalid.
    """
    candles: object = payload
    if isinstance(payload, dict):
        _refuse_other(payload, symbol=symbol, interval=interval)
        candles = payload.get("candles")
    if not isinstance(candles, list):
        raise UpstreamInvalid("the answer holds no list of candles")
    for candle in candles:
        if not isinstance(candle, dict):
            raise UpstreamInvalid("a candle is not an object")
        _refuse_other(candle, symbol=symbol, interval=interval)
    columns = {
        "symbol": [symbol] * len(candles),
        "timestamp": [_starts_at(candle) for candle in candles],
        **{
            name: [parse_number(first_of(candle, VALUE_KEYS[name])) for candle in candles]
            for name in VALUES
        },
        "final": [parse_flag(candle.get("final")) for candle in candles],
        "closes_at": [_closes_at(candle) for candle in candles],
    }
    raw = pl.DataFrame(columns, schema_overrides=RAW_SCHEMA)
    return require_timestamps(raw.match_to_schema(RAW_SCHEMA, missing_columns="insert"))


def parse_timestamp(value: object) -> datetime | None:
    """A moment in UTC, or None when `value` states none.

    ISO 8601 with `Z`, an offset, or neither (then UTC); a bare date is its midnight; epoch
    seconds, or milliseconds from 1e11 on, as a number or as nine or more digits.
    """
    try:
        if isinstance(value, str):
            text = value.strip()
            return _from_epoch(float(text)) if _EPOCH_TEXT.fullmatch(text) else _from_iso(text)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _from_epoch(value)
    except (ValueError, OverflowError):
        return None
    return None


def parse_number(value: object) -> float | None:
    """A float from a JSON number or a plain decimal string, or None when `value` is neither."""
    if isinstance(value, str):
        text = value.strip()
        return float(text) if _NUMBER_TEXT.fullmatch(text) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def parse_flag(value: object) -> bool | None:
    """True or False however it is written, None when it is not stated."""
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())


def first_of(values: Mapping[str, V], keys: Iterable[str]) -> V | None:
    """The value of the first of `keys` that has one."""
    return next((values[key] for key in keys if values.get(key) is not None), None)


def between(candles: pl.DataFrame, *, start: datetime, end: datetime) -> pl.DataFrame:
    """Those with `start <= timestamp < end`, and those whose timestamp could not be read."""
    at = pl.col("timestamp")
    return candles.filter(at.is_between(start, end, closed="left") | at.is_null())


def require_timestamps(candles: pl.DataFrame) -> pl.DataFrame:
    """`candles`, unless there are some and not one of them has a timestamp: UpstreamInvalid."""
    if candles.height and candles["timestamp"].null_count() == candles.height:
        raise UpstreamInvalid("not one candle has a readable timestamp")
    return candles


def _starts_at(candle: Mapping[str, object]) -> datetime | None:
    """None without a readable start, or when nobody can say whether the candle has closed."""
    if first_of(candle, CLOSE_KEYS) is not None and _closes_at(candle) is None:
        return None
    return parse_timestamp(first_of(candle, START_KEYS))


def _closes_at(candle: Mapping[str, object]) -> datetime | None:
    return parse_timestamp(first_of(candle, CLOSE_KEYS))


def _refuse_other(stated: Mapping[str, object], *, symbol: str, interval: str) -> None:
    if str(stated.get("symbol") or symbol).casefold() != symbol.casefold():
        raise UpstreamInvalid("the answer is for another symbol than asked")
    if str(stated.get("interval") or interval) != interval:
        raise UpstreamInvalid("the answer is for another interval than asked")


def _from_iso(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _from_epoch(value: float) -> datetime:
    milliseconds = value if abs(value) >= _FIRST_MILLISECONDS else value * 1000
    return EPOCH + timedelta(milliseconds=milliseconds)
