"""The candle contract: every shape in which an upstream may write a bar, read into RAW_SCHEMA."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypeVar

import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA, TIMESTAMP, VALUES
from mlengine.core.bars.epochs import epoch_timestamps
from mlengine.core.timestamps import POSSIBLE_YEARS
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.deadline import NEVER, Deadline
from mlengine.stores.market_data.decoding import describe, refuse_other, refuse_stated_error

V = TypeVar("V")

START_KEYS = ("timestamp", "interval_start", "time", "datetime", "open_time")
CLOSE_KEYS = ("close_time", "interval_end")
VALUE_KEYS: Mapping[str, tuple[str, str]] = {
    "open": ("open", "open_price"),
    "high": ("high", "high_price"),
    "low": ("low", "low_price"),
    "close": ("close", "close_price"),
    "volume": ("volume", "volume_sum"),
}

# To take no notice of such a column would make it a market without volume.
LIKE_VOLUME = re.compile(
    "(?i)volum|wolumen|vol$|объ[её]м|qty|quantity|shares|^ *(up|down) *$|st(ü|ue?)ck|交量|出来高"
)
_LIKE_TIME = re.compile("date|time|^ts?$", re.IGNORECASE)
# Also as pandas writes them beside empty cells, and as databases do.
FLAGS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "yes", "1", "1.0", "t", "y"), True),
    **dict.fromkeys(("false", "no", "0", "0.0", "f", "n"), False),
}

_BLANKS = ("", "-", "n/a", "na", "null", "none", "nan")
_EPOCH_TEXT = re.compile(r"-?[0-9]{9,19}(\.[0-9]{1,9})?", re.ASCII)
_BARE_DATE = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}", re.ASCII)
_COMMA = re.compile("[0-9],[0-9]")
_NUMBER_TEXT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
# More than nanoseconds count in any year that a bar may be of.
_BEYOND_ANY_EPOCH = 2**63


def parse_candles(
    payload: object, *, symbol: str, interval: str, deadline: Deadline = NEVER
) -> pl.DataFrame:
    """The candles of a decoded JSON answer: `{"symbol", "interval", "candles"}` or a bare list.

    A number that can't be read becomes null, for `clean_bars` to judge, and so does the timestamp
    of a candle whose start, or the close that it states, can't be read. An answer in which that
    is every candle, one for another symbol or interval, one that states an error, and one whose
    numeric times are of no certain unit raise UpstreamInvalid; what is not read by `deadline`
    raises UpstreamUnavailable.
    """
    candles: object = payload
    if isinstance(payload, dict):
        refuse_other(payload, symbol=symbol, interval=interval)
        candles = payload.get("candles")
    if not isinstance(candles, list):
        raise UpstreamInvalid(f"the answer holds no list of candles: it is {describe(payload)}")
    if isinstance(payload, dict) and (payload.get("error") or not candles):
        refuse_stated_error(payload)
    for candle in deadline.enforced_over(candles):
        if not isinstance(candle, dict):
            raise UpstreamInvalid(f"a candle is not an object: it is {describe(candle)}")
        refuse_other(candle, symbol=symbol, interval=interval)
    _require_names(candles)
    return candle_frame(candles, symbol=symbol, deadline=deadline)


def _require_names(candles: Sequence[Mapping[str, object]]) -> None:
    """That no column has another name than in the contract, by which nobody would find it."""
    names = dict.fromkeys(name for candle in candles for name in candle)
    for column in ("timestamp", *VALUES):
        if names.keys().isdisjoint(VALUE_KEYS.get(column, START_KEYS)):
            perhaps = next((name for name in names if _may_mean(name, column)), None)
            if perhaps is not None:
                raise UpstreamInvalid(f"its candles have no {column}; is that {perhaps!r:.40}?")


def _may_mean(name: str, column: str) -> bool:
    looks = {"volume": LIKE_VOLUME, "timestamp": _LIKE_TIME}.get(column)
    return bool(looks and looks.search(name)) or name.casefold() in VALUE_KEYS.get(column, ())


def candle_frame(
    candles: Sequence[Mapping[str, object]], *, symbol: str, deadline: Deadline = NEVER
) -> pl.DataFrame:
    """Candles with the names of the contract, in RAW_SCHEMA; raises as `parse_candles` does."""
    starts = [first_of(candle, START_KEYS) for candle in deadline.enforced_over(candles)]
    closes = [first_of(candle, CLOSE_KEYS) for candle in deadline.enforced_over(candles)]
    closes_at = parse_timestamps(closes, deadline)
    unread = pl.Series([close is not None for close in closes], dtype=pl.Boolean)
    timestamps = parse_timestamps(starts, deadline)
    columns = {
        "symbol": [symbol] * len(candles),
        # Nobody can say whether a candle has closed whose close can't be read.
        "timestamp": timestamps.set(unread & closes_at.is_null(), None),
        **{name: _numbers(candles, name, deadline) for name in VALUES},
        "final": [parse_flag(candle.get("final")) for candle in deadline.enforced_over(candles)],
        "closes_at": closes_at,
        "session": [_session(start) for start in deadline.enforced_over(starts)],
    }
    raw = pl.DataFrame(columns, schema_overrides=RAW_SCHEMA)
    raw = raw.match_to_schema(RAW_SCHEMA, missing_columns="insert")
    return require_timestamps(raw, example=next(filter(None, starts), None))


def _numbers(
    candles: Sequence[Mapping[str, object]], name: str, deadline: Deadline
) -> list[float | None]:
    """The numbers of a column, null where a cell has none; that all have none is no accident."""
    stated = [first_of(candle, VALUE_KEYS[name]) for candle in deadline.enforced_over(candles)]
    numbers = [parse_number(value) for value in deadline.enforced_over(stated)]
    if any(number is not None for number in numbers):
        texts = (each for each in stated if isinstance(each, str))
        if doubtful := next(filter(_COMMA.search, texts), None):
            why = "the comma may group thousands or be a decimal sign"
            raise UpstreamInvalid(f"no number, for {why}: the {name} {doubtful!r:.40}")
        return numbers
    if (unread := next(filter(_says_something, stated), None)) is not None:
        raise UpstreamInvalid(f"not one {name} is a number, such as {unread!r:.40}")
    return numbers


def _says_something(value: object) -> bool:
    return value is not None and str(value).strip().lower() not in _BLANKS


def parse_timestamps(values: Sequence[object], deadline: Deadline = NEVER) -> pl.Series:
    """Moments in UTC, null where a value states none.

    ISO 8601 with `Z`, an offset, or neither (then UTC); a bare date is its midnight. Numbers, also
    as nine or more digits of text, are of one unit: see `epoch_timestamps`, which may refuse them.
    """
    numbers = [_epoch_number(value) for value in deadline.enforced_over(values)]
    moments = pl.Series(
        [_moment(value) for value in deadline.enforced_over(values)], dtype=TIMESTAMP
    )
    whole = all(number is None or isinstance(number, int) for number in numbers)
    column = pl.Series(numbers, dtype=pl.Int64 if whole else pl.Float64, strict=False)
    try:
        return epoch_timestamps(column).fill_null(moments)
    except UpstreamInvalid:
        if moments.null_count() == moments.len():
            raise
        return moments


def parse_timestamp(value: object) -> datetime | None:
    """`parse_timestamps` of one value alone; None also where its unit is uncertain."""
    try:
        moment: datetime | None = parse_timestamps([value])[0]
    except UpstreamInvalid:
        return None
    return moment


def parse_number(value: object) -> float | None:
    """A float from a JSON number or a plain decimal string, or None when `value` is neither."""
    if isinstance(value, str):
        text = value.strip()
        return float(text) if _NUMBER_TEXT.fullmatch(text) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def parse_flag(value: object) -> bool | None:
    """True or False however it is written, None when it is not stated.

    Raises UpstreamInvalid for anything else: nobody knows whether such a candle is final.
    """
    text = "" if value is None else str(value).strip().lower()
    if text and text not in FLAGS:
        raise UpstreamInvalid(f"the final of a candle is neither true nor false: {value!r:.40}")
    return FLAGS.get(text)


def first_of(values: Mapping[str, V], keys: Iterable[str]) -> V | None:
    """The value of the first of `keys` that has one."""
    return next((values[key] for key in keys if values.get(key) is not None), None)


def between(candles: pl.DataFrame, *, start: datetime, end: datetime) -> pl.DataFrame:
    """Those with `start <= timestamp < end`, and those whose timestamp could not be read."""
    at = candles["timestamp"]
    wanted = at.is_between(start, end, closed="left")
    # Polars evaluates expressions in a filter on all threads, which costs more than they do.
    return candles.filter(wanted.fill_null(value=True) if at.null_count() else wanted)


def require_timestamps(candles: pl.DataFrame, *, example: object = None) -> pl.DataFrame:
    """`candles`, unless there are some and not one of them has a timestamp: UpstreamInvalid."""
    if candles.height and candles["timestamp"].null_count() == candles.height:
        value = "" if example is None else f", such as {example!r:.40}"
        raise UpstreamInvalid(f"not one candle has a readable timestamp{value}")
    return candles


def _epoch_number(value: object) -> float | None:
    if isinstance(value, str) and _EPOCH_TEXT.fullmatch(value.strip()):
        return float(value) if "." in value else int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if abs(value) < _BEYOND_ANY_EPOCH else math.inf
    return None


def _moment(value: object) -> datetime | None:
    """A moment from 1900 to 2099 that is no number."""
    if not isinstance(value, str) or _EPOCH_TEXT.fullmatch(value.strip()):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    if not POSSIBLE_YEARS[0] <= moment.year <= POSSIBLE_YEARS[1]:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _session(value: object) -> date | None:
    """The date that a start states itself: a bare date, or the local one where it has an offset."""
    text = str(value).strip()
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    try:
        if _BARE_DATE.fullmatch(text):
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.date() if moment and moment.utcoffset() else None
