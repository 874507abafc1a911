"""What drift is measured against: the distribution of each column of the rows that were trained on.

A sketch, because a copy of a large universe's rows is larger than everything else in a version.
"""

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats

ROWS_BEHIND = "rows_behind"
_SKETCH_ROWS = 512


def sketch(rows: pl.DataFrame, *, size: int = _SKETCH_ROWS) -> pl.DataFrame:
    """Evenly spaced order statistics of each column by itself, float64, in at most `size` rows.

    Null where a value is undefined, in as large a share as among `rows`. A column `rows_behind`
    has their number. The distribution function of a column is within 1 / `size` of the one of
    `rows`, and the same where there are no more than `size`.
    """
    height = min(size, rows.height)
    columns = {name: _order_statistics(_values(rows, name), height) for name in rows.columns}
    frame = pl.DataFrame(columns, nan_to_null=True)
    return frame.with_columns(pl.lit(rows.height, pl.Int64).alias(ROWS_BEHIND))


def _order_statistics(values: Floats, count: int) -> Floats:
    finite = np.sort(values[np.isfinite(values)])
    defined = round(count * len(finite) / len(values)) if len(values) else 0
    if len(finite):
        defined = max(defined, 1)
    at = ((np.arange(defined) + 0.5) / max(defined, 1) * len(finite)).astype(np.int64)
    return np.append(finite[at], np.full(count - defined, np.nan))


def _values(frame: pl.DataFrame, name: str) -> Floats:
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
