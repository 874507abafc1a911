"""The rows of an answer, however it writes them, with the names of the contract."""

from collections.abc import Iterator, Mapping, Sequence

from mlengine.core.bars.symbols import is_same_symbol
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.candles import LIKE_VOLUME
from mlengine.stores.market_data.decoding import describe, is_stated
from mlengine.stores.market_data.shapes.shape import SETTING, ServiceShape

Row = Mapping[str, object]

_SYMBOL_KEYS = ("symbol", "ticker")
_NEEDED = ("timestamp", "open", "high", "low", "close", "volume")


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
    return {name: _cell(row, theirs) for name, theirs in names.items()}


def _cell(row: Mapping[str, object], name: str | int) -> object:
    """What a row has by that name, which may lead deeper with dots."""
    if name in row or "." not in str(name):
        return row.get(str(name))
    cell: object = row
    for part in str(name).split("."):
        cell = cell.get(part) if isinstance(cell, Mapping) else None
    return cell


def is_empty(found: object, shape: ServiceShape) -> bool:
    """Whether there is no row where the rows lie."""
    if shape.rows == "columns" and isinstance(found, dict):
        return not any(found.get(name) for name in shape.fields.values())
    return not found


def require_fields(rows: Sequence[object], shape: ServiceShape) -> None:
    """Raises UpstreamInvalid where `fields` names a time, price or volume that no row has.

    A market may have no volume, but not another name for it.
    """
    objects = [row for row in rows if isinstance(row, dict)]
    for name in _NEEDED if objects else ():
        theirs = shape.fields.get(name)
        if theirs is None or any(_cell(row, theirs) is not None for row in objects):
            continue
        is_absent = all(str(theirs) not in row for row in objects)
        if is_absent and (name != "volume" or any(map(LIKE_VOLUME.search, map(str, objects[0])))):
            raise UpstreamInvalid(
                f"no candle has {theirs!r}, as fields calls its {name}: it is "
                f"{describe(objects[0])}; see fields in {SETTING}"
            )


def require_one_symbol(rows: Sequence[object], shape: ServiceShape, symbol: str) -> None:
    """Raises UpstreamInvalid for rows that are of another symbol, or of several.

    Where `fields` does not name the one that states it, services may call the symbol as they like,
    but all rows alike.
    """
    if "symbol" in shape.fields:
        for row in rows:
            stated = named_row(row, shape).get("symbol")
            if not is_stated(stated, symbol, is_same_symbol):
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
