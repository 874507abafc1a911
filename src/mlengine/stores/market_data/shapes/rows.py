"""The rows of an answer, however it writes them, with the names of the contract."""

from collections.abc import Iterator, Mapping, Sequence

from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.decoding import describe, is_stated
from mlengine.stores.market_data.shapes.shape import SETTING, ServiceShape

Row = Mapping[str, object]

_SYMBOL_KEYS = ("symbol", "ticker")


def rows_of(found: object, shape: ServiceShape) -> Iterator[object]:
    """Each row as it is: an object, or a list."""
    if shape.rows == "columns" and isinstance(found, dict):
        columns = {name: found.get(name) for name in shape.fields.values()}
        lengths = {len(column) if isinstance(column, list) else None for column in columns.values()}
        if len(lengths) != 1 or None in lengths:
            raise UpstreamInvalid(
                f"its columns {', '.join(map(str, columns))} are not lists of one length: it is "
                f"{describe(found)}; see fields in {SETTING}"
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
            f"its candles are not {shape.rows}, but {describe(found)}; see rows in {SETTING}"
        )


def named_row(row: object, shape: ServiceShape) -> Row:
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


def is_empty(found: object, shape: ServiceShape) -> bool:
    """Whether there is no row where the rows lie."""
    if shape.rows == "columns" and isinstance(found, dict):
        return not any(found.get(name) for name in shape.fields.values())
    return not found


def require_one_symbol(rows: Sequence[object], shape: ServiceShape, symbol: str) -> None:
    """Raises UpstreamInvalid for rows that are of another symbol, or of several.

    Where `fields` does not name the one that states it, services may call the symbol as they like,
    but all rows alike.
    """
    if "symbol" in shape.fields:
        for row in rows:
            stated = named_row(row, shape).get("symbol")
            if not is_stated(stated, symbol.casefold(), str.casefold):
                raise UpstreamInvalid(f"a candle is of another symbol than asked: {stated!r:.80}")
        return
    for key in _SYMBOL_KEYS:
        stated_here = {str(row[key]) for row in rows if isinstance(row, dict) and key in row}
        if len(stated_here) > 1:
            some = ", ".join(f"{each!r:.40}" for each in sorted(stated_here)[:3])
            raise UpstreamInvalid(
                f"its candles are of several symbols, such as {some}: ask for one of them, see "
                f"query in {SETTING}"
            )
