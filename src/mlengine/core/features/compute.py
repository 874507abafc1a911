"""Features of whole histories and of the newest bars: one evaluation, the same bits."""

import math
from itertools import pairwise

import numpy as np
import polars as pl

from mlengine.core.bars.bars import is_ordered
from mlengine.core.features.evaluation_order import FEWER_BARS
from mlengine.core.features.kernels import NAN
from mlengine.core.features.spec import BAR_COLUMNS, FeatureSet

KEYS = ("symbol", "timestamp")
# Rows evaluated at once by one thread: bounds the memory that the parts take, changes no bit.
# Fewer rows take more memory, not less: the allocator keeps a rest beside each array.
CHUNK_ROWS = 65_536
FEW_ROWS = 1_024

_FULL = "full window"
# Batches are written in the order and the shape that is fastest; an optimiser only costs time.
_AS_WRITTEN = pl.QueryOptFlags.none()


def compute(bars: pl.DataFrame, feature_set: FeatureSet) -> pl.DataFrame:
    """Every bar's features: `symbol`, `timestamp` and one Float64 column a feature.

    `bars` holds any number of symbols in any row order; the rows come back sorted by symbol and
    timestamp. A row without `window_bars` bars of its symbol has null features. A bar value that
    is null, NaN or infinite makes null exactly the features whose look-back holds it.
    """
    plans = _evaluations(_in_order(bars), feature_set, rows=bars.height)
    return pl.concat(_null_where_undefined(_collect_all(plans)))


def latest(bars: pl.DataFrame, feature_set: FeatureSet, *, rows: int = 1) -> pl.DataFrame:
    """The last `rows` rows of each symbol in `compute`, bit for bit.

    Evaluates only the last `window_bars` + `rows` − 1 bars of each symbol.
    """
    needed = _in_order(bars).filter(_is_newest(feature_set.window_bars + rows - 1))
    if bars.height > FEW_ROWS and rows <= FEW_ROWS:
        frame = _collect(_with_window_flag(needed, feature_set))
        parts = [_collect_newest(part, feature_set, rows=rows) for part in _symbols_apart(frame)]
        return pl.concat(_null_where_undefined(parts))
    plans = _evaluations(needed, feature_set, rows=bars.height)
    whole = plans[0] if len(plans) == 1 else pl.concat(_collect_all(plans)).lazy()
    return _null_where_undefined([_collect(whole.filter(_is_newest(rows)))])[0]


def _in_order(bars: pl.DataFrame) -> pl.LazyFrame:
    """By symbol and timestamp; many rows are sorted only if they are not, for that copies all."""
    columns = bars.lazy().select(*KEYS, pl.col(BAR_COLUMNS).cast(pl.Float64))
    return columns if bars.height > FEW_ROWS and is_ordered(bars) else columns.sort(KEYS)


def _is_newest(rows: int) -> pl.Expr:
    """Whether a row is of the last `rows` ones of its symbol, in a frame sorted by symbol."""
    symbol = pl.col("symbol")
    return symbol.ne_missing(symbol.shift(-rows))


def _evaluations(
    ordered: pl.LazyFrame, feature_set: FeatureSet, *, rows: int
) -> list[pl.LazyFrame]:
    """Keys, the full-window flag and raw features, in chunks that share the threads.

    `rows` bounds the rows of `ordered`. Kernels run over the whole chunk: where a window reaches
    into the symbol above, the flag is false, because rows are sorted and `window_bars` − 1 rows
    above stands another symbol.
    """
    if rows <= CHUNK_ROWS:
        return [_evaluation(ordered, feature_set, drop_parts=rows > FEW_ROWS)]
    collected, plans = _collect(ordered), []
    for first in range(0, collected.height, CHUNK_ROWS):
        warm_up = min(feature_set.window_bars - 1, first)
        chunk = collected.lazy().slice(first - warm_up, CHUNK_ROWS + warm_up)
        plans.append(_evaluation(chunk, feature_set, drop_parts=True).slice(warm_up))
    return plans


def _evaluation(chunk: pl.LazyFrame, feature_set: FeatureSet, *, drop_parts: bool) -> pl.LazyFrame:
    """The batches one after the other, in one thread.

    `drop_parts` drops each part as soon as no later batch needs it, which saves memory.
    """
    plan = _with_window_flag(chunk, feature_set)
    if not drop_parts:
        for batch in feature_set.column_batches:
            plan = plan.with_columns_seq(batch)
        return plan.select_seq(*KEYS, _FULL, *feature_set.feature_columns)
    for batch, droppable in feature_set.column_batches_and_drops:
        plan = plan.with_columns_seq(batch)
        plan = plan.drop(droppable) if droppable else plan
    return plan.select_seq(*KEYS, _FULL, *feature_set.names)


def _symbols_apart(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """A frame that is sorted by symbol in parts of whole symbols, of about half a chunk each."""
    symbol = frame["symbol"]
    firsts = symbol.ne_missing(symbol.shift(1)).arg_true().to_numpy()
    wanted = np.arange(0, frame.height, CHUNK_ROWS // 2)
    edges = [*np.unique(firsts[np.searchsorted(firsts, wanted, side="right") - 1]), frame.height]
    return [frame.slice(first, end - first) for first, end in pairwise(edges)]


def _collect_newest(frame: pl.DataFrame, feature_set: FeatureSet, *, rows: int) -> pl.DataFrame:
    """What `_evaluation` collects for the newest rows, in a third of its memory.

    That takes a quarter of the time where a process has not had the memory before. What looks back
    less far is evaluated on as many bars as it needs, what doesn't on the newest rows.
    """
    groups, pointwise_batches = feature_set.newest_rows_order
    newest, bars = _newest(frame, rows), feature_set.window_bars
    columns = [frame.select(pl.col(*KEYS, _FULL, *BAR_COLUMNS).gather(newest))]
    for group in groups:
        if group.bars <= bars - FEWER_BARS:
            bars = group.bars
            frame = frame.filter(frame.select(_is_newest(bars + rows - 1)).to_series())
            newest = _newest(frame, rows)
        plan = frame.lazy()
        for batch in group.column_batches:
            plan = plan.with_columns_seq(batch)
        frame = _collect(plan)
        newest_columns = (column.gather(newest) for column in group.newest_columns)
        columns.append(_collect(frame.lazy().select_seq(newest_columns)))
        frame = frame.drop(group.droppable)
    plan = pl.concat(columns, how="horizontal").lazy()
    for batch in pointwise_batches:
        plan = plan.with_columns_seq(batch)
    return _collect(plan.select_seq(*KEYS, _FULL, *feature_set.names))


def _newest(frame: pl.DataFrame, rows: int) -> pl.Expr:
    """Where the last `rows` rows of each symbol stand in a frame sorted by symbol."""
    return pl.lit(frame.select(_is_newest(rows)).to_series().arg_true())


def _with_window_flag(bars: pl.LazyFrame, feature_set: FeatureSet) -> pl.LazyFrame:
    """The flag whether the window is full, and NaN for all that is not finite."""
    symbol, values = pl.col("symbol"), pl.col(BAR_COLUMNS)
    full = (symbol == symbol.shift(feature_set.window_bars - 1)).fill_null(value=False)
    finite = pl.when(values.is_finite()).then(values).otherwise(NAN)
    return bars.with_columns_seq(full.alias(_FULL), finite)


def _null_where_undefined(chunks: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Null for all that is not finite or not of a full window; the rest stays untouched."""
    plans = []
    for chunk in chunks:
        features = chunk.columns[len(KEYS) + 1 :]
        # A sum is finite only if all its terms are; null terms stay null.
        doubtful = [name for name in features if not math.isfinite(chunk[name].sum())]
        partial = [] if chunk[_FULL].all() else [name for name in features if name not in doubtful]
        full, values = pl.col(_FULL), pl.col(doubtful)
        finite = pl.when(full & values.is_finite()).then(values)
        plan = chunk.lazy().with_columns_seq(finite, pl.when(full).then(pl.col(partial)))
        plans.append(plan if doubtful or partial else chunk.lazy())
    return [chunk.drop(_FULL) for chunk in _collect_all(plans)]


def _collect_all(plans: list[pl.LazyFrame]) -> list[pl.DataFrame]:
    if len(plans) == 1:
        return [_collect(plans[0])]
    return pl.collect_all(plans, engine="in-memory", optimizations=_AS_WRITTEN)


def _collect(plan: pl.LazyFrame) -> pl.DataFrame:
    return plan.collect(engine="in-memory", optimizations=_AS_WRITTEN)
