"""Bars in pieces of whole symbols: features of one piece need none of another."""

from collections.abc import Iterator

import polars as pl

_KEYS = ("symbol", "timestamp")


def symbol_pieces(bars: pl.DataFrame, *, rows: int) -> Iterator[pl.DataFrame]:
    """`bars` by symbol, as many whole symbols a piece as have at most `rows` bars, at least one.

    Rows come in any order; the bars of all are copied only where those of a symbol stand apart.

    >>> bars = pl.DataFrame({"symbol": ["B", "B", "A", "C"], "timestamp": [1, 2, 1, 1]})
    >>> [piece["symbol"].to_list() for piece in symbol_pieces(bars, rows=3)]
    [['A', 'B', 'B'], ['C']]
    """
    runs = _runs(bars)
    if runs["symbol"].n_unique() < runs.height:
        bars = bars.sort(_KEYS)
        runs = _runs(bars)
    piece, height = list[pl.DataFrame](), 0
    for first, count in runs.sort("symbol").select("first", "count").iter_rows():
        if piece and height + count > rows:
            yield pl.concat(piece)
            piece, height = [], 0
        piece.append(bars.slice(first, count))
        height += count
    if piece:
        yield pl.concat(piece)


def _runs(bars: pl.DataFrame) -> pl.DataFrame:
    """Where rows of one symbol stand together."""
    runs = bars["symbol"].rle().struct.unnest().rename({"value": "symbol", "len": "count"})
    return runs.with_columns(first=pl.col("count").cum_sum() - pl.col("count"))
