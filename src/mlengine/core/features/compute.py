"""Features of whole histories and of the newest bars: one evaluation, the same bits."""

import math

import polars as pl

from mlengine.core.bars.bars import is_ordered
from mlengine.core.features.kernels import NAN
from mlengine.core.features.spec import BAR_COLUMNS, FeatureSet

KEYS = ("symbol", "timestamp")
# Rows evaluated at once by one thread: bounds the memory that the parts take, changes no bit.
# Fewer rows take more memory, not less: the allocator keeps a rest beside each array.
CHUNK_ROWS = 65_536
FEW_ROWS = 1_024

_FULL = "full window"
# Stages are written in the order and the shape that is fastest; an optimiser only costs time.
_AS_WRITTEN = pl.QueryOptFlags.none()


def compute(bars: pl.DataFrame, feature_set: FeatureSet) -> pl.DataFrame:
    """Every bar's features: `symbol`, `timestamp` and one Float64 column a feature.

    `bars` holds any number of symbols in any row order; the rows come back sorted by symbol and
    timestamp. A row without `window_bars` bars of its symbol has null features. A bar value that
    is null, NaN or infinite makes null exactly the features whose look-back holds it.
    """
    # Sorting copies all.
    ordered = _bars(bars) if is_ordered(bars) else _bars(bars).sort(KEYS)
    plans = _plans(ordered, feature_set, rows=bars.height)
    return pl.concat(_null_where_unknown(_all_collected(plans)))


def latest(bars: pl.DataFrame, feature_set: FeatureSet, *, rows: int = 1) -> pl.DataFrame:
    """The last `rows` rows of each symbol in `compute`, bit for bit.

    Evaluates only the last `window_bars` + `rows` − 1 bars of each symbol.
    """
    needed = _bars(bars).sort(KEYS).filter(_newest(feature_set.window_bars + rows - 1))
    if FEW_ROWS < bars.height <= CHUNK_ROWS:
        return _null_where_unknown([_bundled(needed, feature_set, rows=rows)])[0]
    plans = _plans(needed, feature_set, rows=bars.height)
    whole = plans[0] if len(plans) == 1 else pl.concat(_all_collected(plans)).lazy()
    return _null_where_unknown([_collected(whole.filter(_newest(rows)))])[0]


def _bars(bars: pl.DataFrame) -> pl.LazyFrame:
    return bars.lazy().select(*KEYS, pl.col(BAR_COLUMNS).cast(pl.Float64))


def _newest(rows: int) -> pl.Expr:
    """Whether a row is of the last `rows` ones of its symbol, in a frame sorted by symbol."""
    symbol = pl.col("symbol")
    return symbol.ne_missing(symbol.shift(-rows))


def _plans(ordered: pl.LazyFrame, feature_set: FeatureSet, *, rows: int) -> list[pl.LazyFrame]:
    """Keys, the full-window flag and raw features, in chunks that share the threads.

    `rows` bounds the rows of `ordered`. Kernels run over the whole chunk: where a window reaches
    into the symbol above, the flag is false, because rows are sorted and `window_bars` − 1 rows
    above stands another symbol.
    """
    if rows <= CHUNK_ROWS:
        return [_plan(ordered, feature_set, frugal=rows > FEW_ROWS)]
    known, plans = _collected(ordered), []
    for first in range(0, known.height, CHUNK_ROWS):
        lead = min(feature_set.window_bars - 1, first)
        chunk = known.lazy().slice(first - lead, CHUNK_ROWS + lead)
        plans.append(_plan(chunk, feature_set, frugal=True).slice(lead))
    return plans


def _plan(chunk: pl.LazyFrame, feature_set: FeatureSet, *, frugal: bool) -> pl.LazyFrame:
    """The stages one after the other, in one thread; where memory counts, spent parts go."""
    plan = _prepared(chunk, feature_set)
    if not frugal:
        for stage in feature_set.column_batches:
            plan = plan.with_columns_seq(stage)
        return plan.select_seq(*KEYS, _FULL, *feature_set.feature_columns)
    for stage, spent in feature_set.column_batches_with_drops:
        plan = plan.with_columns_seq(stage)
        plan = plan.drop(spent) if spent else plan
    return plan.select_seq(*KEYS, _FULL, *feature_set.names)


def _bundled(needed: pl.LazyFrame, feature_set: FeatureSet, *, rows: int) -> pl.DataFrame:
    """What `_plan` says of the newest rows, in a third of its memory.

    That is a quarter of the time where a process has not held the memory before.
    """
    held = _collected(_prepared(needed, feature_set))
    newest = held.select(_newest(rows)).to_series()
    found = [held.select(*KEYS, _FULL).filter(newest)]
    for bundle in feature_set.feature_groups:
        plan = held.lazy()
        for stage in bundle.column_batches:
            plan = plan.with_columns_seq(stage)
        held = _collected(plan)
        found.append(held.select(bundle.features).filter(newest))
        held = held.drop(bundle.features, bundle.droppable)
    return pl.concat(found, how="horizontal").select(*KEYS, _FULL, *feature_set.names)


def _prepared(bars: pl.LazyFrame, feature_set: FeatureSet) -> pl.LazyFrame:
    """The flag whether the window is full, and NaN for all that is not finite."""
    symbol, values = pl.col("symbol"), pl.col(BAR_COLUMNS)
    whole = (symbol == symbol.shift(feature_set.window_bars - 1)).fill_null(value=False)
    known = pl.when(values.is_finite()).then(values).otherwise(NAN)
    return bars.with_columns_seq(whole.alias(_FULL), known)


def _null_where_unknown(chunks: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Null for all that is not finite or not of a full window; the rest stays untouched."""
    plans = []
    for chunk in chunks:
        features = chunk.columns[len(KEYS) + 1 :]
        # A sum is finite only if all its terms are; null terms stay null.
        doubtful = [name for name in features if not math.isfinite(chunk[name].sum())]
        cut = [] if chunk[_FULL].all() else [name for name in features if name not in doubtful]
        full, values = pl.col(_FULL), pl.col(doubtful)
        known = pl.when(full & values.is_finite()).then(values)
        plan = chunk.lazy().with_columns_seq(known, pl.when(full).then(pl.col(cut)))
        plans.append(plan if doubtful or cut else chunk.lazy())
    return [chunk.drop(_FULL) for chunk in _all_collected(plans)]


def _all_collected(plans: list[pl.LazyFrame]) -> list[pl.DataFrame]:
    if len(plans) == 1:
        return [_collected(plans[0])]
    return pl.collect_all(plans, engine="in-memory", optimizations=_AS_WRITTEN)


def _collected(plan: pl.LazyFrame) -> pl.DataFrame:
    return plan.collect(engine="in-memory", optimizations=_AS_WRITTEN)
