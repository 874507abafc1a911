"""Features of whole histories and of the newest bars: one evaluation, the same bits."""

from __future__ import annotations

import polars as pl

from mlengine.core.features.kernels import NAN
from mlengine.core.features.spec import BAR_COLUMNS, FeatureSet

KEYS = ("symbol", "timestamp")
# Rows evaluated at once: bounds the memory that the parts take, and changes no bit.
CHUNK_ROWS = 32_768

_FULL = "full window"


def compute(bars: pl.DataFrame, feature_set: FeatureSet) -> pl.DataFrame:
    """Every bar's features: `symbol`, `timestamp` and one Float64 column a feature.

    `bars` holds any number of symbols in any row order; the rows come back sorted by symbol and
    timestamp. A row without `window_bars` bars of its symbol has null features. A bar value that
    is null, NaN or infinite makes null exactly the features whose look-back holds it.
    """
    ordered = _ordered(bars)
    before = feature_set.window_bars - 1
    chunks = []
    for first in range(0, max(ordered.height, 1), CHUNK_ROWS):
        lead = min(before, first)
        chunk = ordered.slice(first - lead, CHUNK_ROWS + lead)
        chunks.append(_null_where_unknown(_evaluate(chunk, feature_set).slice(lead), feature_set))
    return pl.concat(chunks)


def latest(bars: pl.DataFrame, feature_set: FeatureSet, *, rows: int = 1) -> pl.DataFrame:
    """The last `rows` rows of each symbol in `compute`, bit for bit.

    Evaluates only the last `window_bars` + `rows` − 1 bars of each symbol.
    """
    needed = _newest(_ordered(bars), rows=feature_set.window_bars + rows - 1)
    found = _newest(_evaluate(needed, feature_set), rows=rows)
    return _null_where_unknown(found, feature_set)


def _ordered(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select(*KEYS, *BAR_COLUMNS).sort(KEYS)


def _newest(ordered: pl.DataFrame, *, rows: int) -> pl.DataFrame:
    """The last `rows` rows of each symbol of a frame that is sorted by symbol."""
    symbol = pl.col("symbol")
    return ordered.filter(symbol.ne_missing(symbol.shift(-rows)))


def _evaluate(ordered: pl.DataFrame, feature_set: FeatureSet) -> pl.DataFrame:
    """Keys, the full-window flag and raw features of consecutive symbol blocks.

    Kernels run over the whole frame: where a window reaches into the symbol above, the flag is
    false, because rows are sorted and `window_bars` − 1 rows above stands another symbol.
    """
    symbol = pl.col("symbol")
    whole = (symbol == symbol.shift(feature_set.window_bars - 1)).fill_null(value=False)
    frame = ordered.with_columns(whole.alias(_FULL), *map(_finite_or_nan, BAR_COLUMNS))
    for stage in feature_set.stages:
        frame = frame.with_columns(stage)
    return frame.select(*KEYS, _FULL, *_raw(feature_set))


def _raw(feature_set: FeatureSet) -> list[pl.Expr]:
    return [feature.expr.alias(feature.name) for feature in feature_set.features]


def _finite_or_nan(column: str) -> pl.Expr:
    value = pl.col(column).cast(pl.Float64)
    return pl.when(value.is_finite()).then(value).otherwise(NAN).alias(column)


def _null_where_unknown(frame: pl.DataFrame, feature_set: FeatureSet) -> pl.DataFrame:
    known = [
        pl.when(pl.col(_FULL) & pl.col(name).is_finite()).then(pl.col(name)).alias(name)
        for name in feature_set.names
    ]
    return frame.select(*KEYS, *known)
