"""Answers of services in any shape, read into RAW_SCHEMA."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.core.bars.symbols import is_same_symbol
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.candles import candle_frame, parse_candles
from mlengine.stores.market_data.deadline import NEVER, Deadline
from mlengine.stores.market_data.decoding import (
    decode_json,
    describe,
    is_stated,
    refuse_stated_error,
)
from mlengine.stores.market_data.shapes.ready import READY_SHAPES
from mlengine.stores.market_data.shapes.rows import (
    is_empty,
    named_row,
    require_fields,
    require_one_symbol,
    rows_of,
)
from mlengine.stores.market_data.shapes.shape import SETTING, KeyPath, ServiceShape
from mlengine.stores.market_data.shapes.zones import with_offsets, zone_named

_KLINE_LENGTH = 12
_LONGEST_NEXT = 8_192
_SHORT_NAMES = READY_SHAPES["polygon"].fields
# Shapes that nothing else has, of answers to a question in the contract's own form.
_UNMISTAKABLE = (
    *(READY_SHAPES[name] for name in ("alphavantage", "finnhub", "alpaca", "polygon")),
    ServiceShape(candles=("bars", "{symbol}"), fields=_SHORT_NAMES),
    *(
        ServiceShape(candles=where, fields={**_SHORT_NAMES, "timestamp": start})
        for where in (("candles",), ())
        for start in ("t", "timestamp")
    ),
    READY_SHAPES["binance"],
)


def read_answer(
    payload: object,
    *,
    shape: ServiceShape,
    symbol: str,
    interval: str,
    deadline: Deadline = NEVER,
) -> pl.DataFrame:
    """The candles of a decoded answer; raises as `parse_candles` does.

    Where the shape says nothing of it, it is of the contract, or can't be mistaken.
    """
    if shape.candles is not None:
        return _read(payload, shape, symbol, deadline)
    for known in _UNMISTAKABLE:
        if _fits(payload, known, symbol):
            if known.next_page and _at(payload, known.next_page, symbol):
                raise UpstreamInvalid(
                    f"the answer goes on at its {known.next_page[0]!r}: how to ask for that, a "
                    f"shape in {SETTING} says"
                )
            return _read(payload, known, symbol, deadline)
    try:
        stated = shape.intervals.get(interval, interval)
        return parse_candles(payload, symbol=symbol, interval=stated, deadline=deadline)
    except UpstreamInvalid as refusal:
        hint = f"; if that is how it answers, describe it in {SETTING}"
        raise UpstreamInvalid(f"{refusal.reason}{hint}") from None


def next_page(payload: object, shape: ServiceShape, symbol: str) -> str | None:
    """What the answer says of the page after it; None when it is the last."""
    value = _at(payload, shape.next_page, symbol) if shape.paging == "next" else None
    if value and len(str(value)) > _LONGEST_NEXT:
        raise UpstreamInvalid(f"what it calls the next page has {len(str(value))} characters")
    return str(value) if value else None


def is_unknown_symbol(body: bytes, shape: ServiceShape) -> bool:
    """Whether a refusal says, in the service's own words, that there is no such symbol."""
    try:
        return bool(shape.unknown) and _states(decode_json(body), shape.unknown)
    except UpstreamInvalid:
        return False


def _read(payload: object, shape: ServiceShape, symbol: str, deadline: Deadline) -> pl.DataFrame:
    stated = _at(payload, shape.symbol, symbol) if shape.symbol else None
    if not is_stated(stated, symbol, is_same_symbol):
        raise UpstreamInvalid(f"the answer is for another symbol than asked: {stated!r:.80}")
    found = _at(payload, shape.candles or (), symbol)
    without_rows = is_empty(found, shape)
    if without_rows and _states(payload, shape.no_data) and not _states_error(payload):
        return pl.DataFrame(schema=RAW_SCHEMA)
    _require_success(payload, shape)
    if without_rows:
        hint = f"; where that means no candles, see no_data in {SETTING}"
        refuse_stated_error(payload, hint)
    if found is None:
        where = ".".join(shape.candles or ()) or "the answer"
        raise UpstreamInvalid(
            f"the answer holds no candles at {where!r}: it is {describe(payload)}; see candles in "
            f"{SETTING}"
        )
    rows = list(deadline.enforced_over(rows_of(found, shape)))
    require_fields(rows, shape)
    require_one_symbol(rows, shape, symbol)
    named = [named_row(row, shape) for row in deadline.enforced_over(rows)]
    if shape.zone and rows:
        named = list(with_offsets(named, _zone(payload, shape, symbol)))
    return candle_frame(named, symbol=symbol, deadline=deadline)


def _zone(payload: object, shape: ServiceShape, symbol: str) -> ZoneInfo:
    """The zone by its name, or the one that the answer has there."""
    stated = _at(payload, tuple(shape.zone.split(".")), symbol)
    zone = zone_named(shape.zone) or zone_named(stated if isinstance(stated, str) else "")
    if zone is None:
        raise UpstreamInvalid(
            f"the answer states no zone at {shape.zone!r}, but {describe(stated)}; see zone in "
            f"{SETTING}"
        )
    return zone


def _require_success(payload: object, shape: ServiceShape) -> None:
    """Raises UpstreamInvalid for an answer that says itself that it is none."""
    for name, expected in shape.success.items():
        stated = payload.get(name) if isinstance(payload, dict) else None
        if stated != expected:
            raise UpstreamInvalid(
                f"the answer is no success: its {name!r} is {describe(stated)}, not {expected!r}; "
                f"see success in {SETTING}"
            )


def _fits(payload: object, shape: ServiceShape, symbol: str) -> bool:
    """Whether an answer has what the shape needs, by its first row."""
    if _states(payload, shape.no_data):
        return True
    try:
        found = _at(payload, shape.candles or (), symbol)
        first = next(rows_of(found, shape), None)
    except UpstreamInvalid:
        return False
    if shape.rows == "lists":
        return isinstance(first, list) and _is_kline(first)
    return isinstance(first, dict) and set(shape.fields.values()) <= first.keys()


def _is_kline(row: list[object]) -> bool:
    """Twelve values, of which the first and the seventh are when it opens and closes."""
    if len(row) != _KLINE_LENGTH:
        return False
    opens, closes = row[0], row[6]
    return isinstance(opens, int) and isinstance(closes, int) and closes > opens > 0


def _states(payload: object, facts: Mapping[str, object]) -> bool:
    """Whether an answer states one of the facts."""
    return isinstance(payload, dict) and any(
        name in payload and payload[name] == value for name, value in facts.items()
    )


def _states_error(payload: object) -> bool:
    return isinstance(payload, dict) and bool(payload.get("error"))


def _at(payload: object, path: KeyPath, symbol: str) -> object:
    """What lies at the end of `path`; None where there is none."""
    for key in path:
        if not isinstance(payload, dict):
            return None
        wanted = key.replace("{symbol}", symbol)
        literal = wanted in payload or "*" not in key
        name = wanted if literal else next((k for k in payload if fnmatchcase(k, key)), wanted)
        payload = payload.get(name)
    return payload
