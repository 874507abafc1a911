"""Answers of services in any shape, read into RAW_SCHEMA."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.candles import candle_frame, parse_candles
from mlengine.stores.market_data.deadline import NEVER, Deadline
from mlengine.stores.market_data.decoding import decode_json, describe, is_stated
from mlengine.stores.market_data.shapes.ready import READY_SHAPES
from mlengine.stores.market_data.shapes.shape import KeyPath, ServiceShape

_SETTING = "MARKET_DATA_UPSTREAM_FILE"
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

Row = Mapping[str, object]


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
                    f"shape in {_SETTING} says"
                )
            return _read(payload, known, symbol, deadline)
    try:
        stated = shape.intervals.get(interval, interval)
        return parse_candles(payload, symbol=symbol, interval=stated, deadline=deadline)
    except UpstreamInvalid as refusal:
        hint = f"; if that is how it answers, describe it in {_SETTING}"
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
    if not is_stated(stated, symbol.casefold(), str.casefold):
        raise UpstreamInvalid(f"the answer is for another symbol than asked: {stated!r:.80}")
    if _states(payload, shape.no_data):
        return pl.DataFrame(schema=RAW_SCHEMA)
    _require_success(payload, shape)
    found = _at(payload, shape.candles or (), symbol)
    if found is None:
        where = ".".join(shape.candles or ()) or "the answer"
        raise UpstreamInvalid(
            f"the answer holds no candles at {where!r}: it is {describe(payload)}; see candles in "
            f"{_SETTING}"
        )
    rows = [_named(row, shape) for row in deadline.enforced_over(_rows(found, shape))]
    return candle_frame(rows, symbol=symbol, deadline=deadline)


def _require_success(payload: object, shape: ServiceShape) -> None:
    """Raises UpstreamInvalid for an answer that says itself that it is none."""
    for name, expected in shape.success.items():
        stated = payload.get(name) if isinstance(payload, dict) else None
        if stated != expected:
            raise UpstreamInvalid(
                f"the answer is no success: its {name!r} is {describe(stated)}, not {expected!r}; "
                f"see success in {_SETTING}"
            )


def _rows(found: object, shape: ServiceShape) -> Iterator[object]:
    """Each row as it is: an object, or a list."""
    if shape.rows == "columns" and isinstance(found, dict):
        columns = {name: found.get(name) for name in shape.fields.values()}
        lengths = {len(column) if isinstance(column, list) else None for column in columns.values()}
        if len(lengths) != 1 or None in lengths:
            raise UpstreamInvalid(
                f"its columns {', '.join(map(str, columns))} are not lists of one length: it is "
                f"{describe(found)}; see fields in {_SETTING}"
            )
        for values in zip(*(columns[name] for name in columns), strict=True):
            yield dict(zip(columns, values, strict=True))
    elif shape.rows == "keyed" and isinstance(found, dict):
        for at, row in found.items():
            yield {**row, "timestamp": at} if isinstance(row, dict) else row
    elif isinstance(found, list):
        yield from found
    else:
        raise UpstreamInvalid(
            f"its candles are not {shape.rows}, but {describe(found)}; see rows in {_SETTING}"
        )


def _named(row: object, shape: ServiceShape) -> Row:
    """A row with the names of the contract."""
    names = {"timestamp": "timestamp", **shape.fields} if shape.rows == "keyed" else shape.fields
    if shape.rows == "lists" and isinstance(row, list):
        return {
            name: row[place]
            for name, place in names.items()
            if isinstance(place, int) and place < len(row)
        }
    if shape.rows == "lists" or not isinstance(row, dict):
        kind = "a list" if shape.rows == "lists" else "an object"
        raise UpstreamInvalid(f"a candle is not {kind}: it is {describe(row)}")
    return {name: row.get(theirs) for name, theirs in names.items()}


def _fits(payload: object, shape: ServiceShape, symbol: str) -> bool:
    """Whether an answer has what the shape needs, by its first row."""
    if _states(payload, shape.no_data):
        return True
    try:
        found = _at(payload, shape.candles or (), symbol)
        first = next(_rows(found, shape), None)
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
