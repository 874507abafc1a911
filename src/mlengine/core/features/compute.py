"""Features of whole histories and of the newest bars: one evaluation, the same bits."""

from __future__ import annotations

from itertools import compress

import numpy as np
import numpy.typing as npt
import polars as pl

from mlengine.core.features.kernels import NAN
from mlengine.core.features.spec import BAR_COLUMNS, FeatureSet

KEYS = ("symbol", "timestamp")
# Rows evaluated at once: bounds the memory that the parts take, and changes no bit.
CHUNK_ROWS = 32_768
FEW_ROWS = 1_024

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
        chunks.append(_null_where_unknown(_evaluate(chunk, feature_set).slice(lead)))
    return pl.concat(chunks)


def latest(bars: pl.DataFrame, feature_set: FeatureSet, *, rows: int = 1) -> pl.DataFrame:
    """The last `rows` rows of each symbol in `compute`, bit for bit.

    Evaluates only the last `window_bars` + `rows` − 1 bars of each symbol.
    """
    needed = _newest(_ordered(bars), rows=feature_set.window_bars + rows - 1)
    found = _newest(_evaluate(needed, feature_set), rows=rows)
    return _null_where_unknown(found)


def _ordered(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select(*KEYS, pl.col(BAR_COLUMNS).cast(pl.Float64)).sort(KEYS)


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
    frame = _known_or_nan(ordered).with_columns(whole.alias(_FULL))
    # On few rows handing expressions to other threads costs more than evaluating them.
    few = frame.height <= FEW_ROWS
    for stage in feature_set.stages:
        frame = frame.with_columns_seq(stage) if few else frame.with_columns(stage)
    select = frame.select_seq if few else frame.select
    return select(*KEYS, _FULL, *feature_set.selection)


def _known_or_nan(ordered: pl.DataFrame) -> pl.DataFrame:
    """Bars with NaN for every null and infinite value, which kernels may be given."""
    if _finite(ordered.select(BAR_COLUMNS)).all():
        return ordered
    values = pl.col(BAR_COLUMNS)
    return ordered.with_columns(pl.when(values.is_finite()).then(values).otherwise(NAN))


def _null_where_unknown(frame: pl.DataFrame) -> pl.DataFrame:
    features = frame.select(pl.exclude(*KEYS, _FULL))
    finite = _finite(features) & bool(frame[_FULL].all())
    doubtful = list(compress(features.columns, ~finite))
    if not doubtful:
        return frame.drop(_FULL)
    values = pl.col(doubtful)
    return frame.with_columns(pl.when(pl.col(_FULL) & values.is_finite()).then(values)).drop(_FULL)


def _finite(columns: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """For each column whether it holds neither null nor NaN nor an infinity."""
    finite: npt.NDArray[np.bool_] = np.isfinite(columns.to_numpy()).all(axis=0)
    return finite
